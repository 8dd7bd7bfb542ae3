"""Runs the work of a batch on this machine. Answers come as they are ready, each with its place."""

import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from core.batch.work import AnswerT, Work, lost, use_one_core
from core.errors import BatchError
from core.results import FailedFile

Item = tuple[int, Path]
"""The place of a file in the batch, and the file."""
_DEATHS_A_JOB = 3


def in_process(
    work: Work[AnswerT], items: Iterable[Item]
) -> Iterator[tuple[int, AnswerT | FailedFile]]:
    """Answer one file after another in this process."""
    for place, path in items:
        yield place, work(path)


def in_processes(
    work: Work[AnswerT], items: Iterable[Item], jobs: int
) -> Iterator[tuple[int, AnswerT | FailedFile]]:
    """Answer `jobs` files at a time, each in a process with one thread.

    A process that dies costs the file it had; a new one takes its place. Raises BatchError when
    they die one after another, and what a `Work` raises.
    """
    waiting = iter(items)
    # Pools of one process each: the death of a process breaks its pool and tells its file.
    pools = [_new_pool() for _ in range(jobs)]
    running: dict[Future[AnswerT | FailedFile], tuple[int, Item]] = {}

    def start_next(number: int) -> None:
        item = next(waiting, None)
        if item is not None:
            running[pools[number].submit(work, item[1])] = number, item

    deaths = 0
    try:
        for number in range(jobs):
            start_next(number)
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number, (place, path) = running.pop(future)
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
                    answer = lost(path)
                    pools[number] = _new_pool()
                start_next(number)
                yield place, answer
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
