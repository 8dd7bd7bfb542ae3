"""Runs the work of a batch on this machine. Answers come as they are ready, each with its place."""

import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread

from core.batch.work import AnswerT, Task, Work, lost, use_one_core
from core.domain.results import FailedFile
from core.errors import BatchError

Item = tuple[int, Task]
"""The place of a file in the batch, and the file or a piece of it.

Engines ask for items as long as work is under way, even when there were none before: what comes
back of a slide is more to do."""
_DEATHS_A_JOB = 3


def in_process(
    work: Work[AnswerT], items: Iterable[Item]
) -> Iterator[tuple[int, AnswerT | FailedFile]]:
    """Do one task after another in this process."""
    for place, task in items:
        yield place, work(task)


def in_processes(
    work: Work[AnswerT], items: Iterable[Item], jobs: int
) -> Iterator[tuple[int, AnswerT | FailedFile]]:
    """Do `jobs` tasks at a time, each in a process with one thread.

    A process that dies costs the file it had; a new one takes its place. Raises BatchError when
    they die one after another, and what a `Work` raises.
    """
    waiting = iter(items)
    # Pools of one process each: the death of a process breaks its pool and tells its file.
    pools = [_new_pool() for _ in range(jobs)]
    idle = list(range(jobs))
    running: dict[Future[AnswerT | FailedFile], tuple[int, Item]] = {}

    def start() -> None:
        while idle and (item := next(waiting, None)):
            number = idle.pop()
            running[pools[number].submit(work, item[1])] = number, item

    deaths = 0
    try:
        start()
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number, (place, task) = running.pop(future)
                answer: AnswerT | FailedFile
                try:
                    answer = future.result()
                    deaths = 0
                except BrokenProcessPool as error:
                    deaths += 1
                    if deaths > _DEATHS_A_JOB * jobs:
                        raise BatchError(
                            "Worker processes die as soon as they start. Free some memory or use "
                            "fewer jobs, then go on with --resume."
                        ) from error
                    answer = lost(task)
                    pools[number] = _new_pool()
                idle.append(number)
                start()  # before the answer is written down
                yield place, answer
                start()
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _new_pool() -> ProcessPoolExecutor:
    # Threads of libraries do not survive a fork, so processes start afresh.
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_enter)


def _enter() -> None:
    """Prepare a worker process: one thread, Ctrl-C left to the parent, no life without it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_leave_with_parent, daemon=True).start()
    use_one_core()


def _leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
