"""Runs the work of a batch on a Ray cluster (https://docs.ray.io).

Only paths and answers travel: every machine sees the files under the same paths and has the
same version of the program. Each Ray worker loads the models once. Ray runs a task again when its
worker or its machine is lost, and hands every answer out once.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from functools import cache

import ray
from ray.exceptions import RayError, RayTaskError

from core.batch.local import Item
from core.batch.work import AnswerT, Task, Work, lost, use_one_core
from core.domain.results import FailedFile
from core.errors import BatchError, LeukoscopeError

_TRIES_AGAIN = 3
"""How often a task is given to another worker before its file counts as failed."""
_QUEUED = 2
"""Tasks under way for each processor, so that none waits for the next."""


def on_cluster(
    work: Work[AnswerT], items: Iterable[Item], jobs: int | None = None
) -> Iterator[tuple[int, AnswerT | FailedFile]]:
    """Do `jobs` tasks at a time; without it all processors that the cluster has now.

    Joins the cluster that `RAY_ADDRESS` names or that runs on this machine; else one is started
    here for the time of the batch. Raises BatchError, and what a `Work` raises.
    """
    joined = ray.is_initialized()
    if not joined:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
        try:
            ray.init(logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RayError) as error:
            raise BatchError(
                "The Ray cluster cannot be reached, or it refuses the token of this machine. Check "
                "RAY_ADDRESS and the token, then go on with --resume."
            ) from error
    try:
        yield from _answers(work, iter(items), jobs)
    finally:
        if not joined:
            ray.shutdown()


def _answers(
    work: Work[AnswerT], waiting: Iterator[Item], jobs: int | None
) -> Iterator[tuple[int, AnswerT | FailedFile]]:
    shared = ray.put(work)
    running: dict[ray.ObjectRef, Item] = {}
    most = jobs or _QUEUED * int(ray.cluster_resources().get("CPU", 1))

    def start() -> None:
        while len(running) < most and (item := next(waiting, None)):
            running[_ANSWER.remote(shared, item[1])] = item

    start()
    while running:
        (ready,), _ = ray.wait(list(running), num_returns=1)
        place, task = running.pop(ready)
        start()  # before the answer is written down
        yield place, _result(ready, task)
        start()


def _result(ready: ray.ObjectRef, task: Task) -> AnswerT | FailedFile:
    try:
        answer: AnswerT | FailedFile = ray.get(ready)
    except RayTaskError as error:
        if isinstance(error.cause, LeukoscopeError):
            raise error.cause from error
        raise BatchError(
            "A worker of the cluster cannot run the program. Install the same version on all "
            "machines, then go on with --resume."
        ) from error
    except RayError:
        return lost(task)
    return answer


def _answer(work: Work[AnswerT], task: Task) -> AnswerT | FailedFile:
    _prepare()
    return work(task)


@cache
def _prepare() -> None:
    use_one_core()


_ANSWER = ray.remote(num_cpus=1, max_retries=_TRIES_AGAIN)(_answer)
