"""Run jobs here, in processes of this machine, or on a Ray cluster.

Each executor takes jobs as it needs them and yields every job with its result, in the order in
which they finish. Every job is answered once.
"""

import logging
import os
import signal
import socket
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Literal, Protocol, TypeVar

import cv2

from core.domain.results import FailedFile
from core.errors import BatchError, LeukoscopeError
from core.settings import get_settings


class Job(Protocol):
    """What a worker does at a time."""

    @property
    def file(self) -> str:
        """Name of the file that is read."""
        ...


Engine = Literal["local", "ray"]
JobT = TypeVar("JobT", bound=Job)
ResultT = TypeVar("ResultT")
Run = Callable[[JobT], ResultT | FailedFile]
Results = Generator[tuple[JobT, ResultT | FailedFile], None, None]

_DEATHS_PER_WORKER = 3
"""In a row; then the batch stops."""
_RETRIES = 3
"""How often the cluster gives a job to another worker before its file counts as failed."""
_JOBS_PER_PROCESSOR = 2
"""Under way on the cluster, so that no processor waits for the next."""
_SECONDS_TO_ANSWER = 10


def run_jobs(
    run: Run[JobT, ResultT],
    jobs: Iterable[JobT],
    engine: Engine = "local",
    workers: int | None = None,
) -> Results[JobT, ResultT]:
    """Choose the executor. Raises BatchError, and what `run` raises."""
    if engine == "ray":
        return on_cluster(run, jobs, workers)
    if workers is None or workers == 1:
        return in_process(run, jobs)
    return in_processes(run, jobs, workers)


def in_process(run: Run[JobT, ResultT], jobs: Iterable[JobT]) -> Results[JobT, ResultT]:
    """Run one job after another in this process."""
    for job in jobs:
        yield job, run(job)


def in_processes(
    run: Run[JobT, ResultT], jobs: Iterable[JobT], workers: int
) -> Results[JobT, ResultT]:
    """Run `workers` jobs at a time, each in a process with one thread.

    A process that dies costs the file of its job; a new process takes its place. Raises BatchError
    when they die one after another, and what `run` raises.
    """
    waiting = iter(jobs)
    # One pool a process: a process that dies breaks its pool, which names the lost job.
    pools = [_new_pool() for _ in range(workers)]
    idle = list(range(workers))
    running: dict[Future[ResultT | FailedFile], tuple[int, JobT]] = {}

    def start() -> None:
        while idle and (job := next(waiting, None)):
            number = idle.pop()
            running[pools[number].submit(run, job)] = number, job

    deaths = 0
    try:
        start()
        while running:
            finished = []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number, job = running.pop(future)
                try:
                    finished.append((job, future.result()))
                    deaths = 0
                except BrokenProcessPool as error:
                    deaths += 1
                    if deaths > _DEATHS_PER_WORKER * workers:
                        raise BatchError(
                            "Worker processes die as soon as they start. Free some memory or use "
                            "fewer jobs, then go on with --resume."
                        ) from error
                    finished.append((job, _worker_lost(job)))
                    pools[number] = _new_pool()
                idle.append(number)
            start()  # before the results are written
            yield from finished
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
    _use_one_core()


def _leave_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def on_cluster(
    run: Run[JobT, ResultT], jobs: Iterable[JobT], workers: int | None = None
) -> Results[JobT, ResultT]:
    """Run `workers` jobs at a time on a Ray cluster (https://docs.ray.io); None for all processors.

    Joins the cluster that `RAY_ADDRESS` names or that runs on this machine; without one, a cluster
    is started here for the time of the batch. Every machine sees the files under the same paths and
    has the same version of the program. Ray runs a job again when its worker or machine is lost.
    Raises BatchError, and what `run` raises.
    """
    try:
        import ray
    except ImportError as error:
        raise BatchError(
            "Ray is not installed. Install requirements-ray.txt, or use the local engine."
        ) from error
    joined = ray.is_initialized()
    if not joined:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no statistics leave the machine
        try:
            _knock(os.environ.get("RAY_ADDRESS", ""))
            ray.init(logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:  # of no common class, bare ones among them
            raise BatchError(
                "The Ray cluster cannot be reached or started, or it rejects the token of this "
                "machine. Check RAY_ADDRESS and the token. A batch then goes on with --resume."
            ) from error
    try:
        waiting, shared = iter(jobs), ray.put(run)
        remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(_run_on_one_core)
        running: dict[Any, JobT] = {}
        most = workers or _JOBS_PER_PROCESSOR * int(ray.cluster_resources().get("CPU", 1))

        def start() -> None:
            while len(running) < most and (job := next(waiting, None)):
                running[remote.remote(shared, job)] = job

        start()
        while running:
            (ready,), _ = ray.wait(list(running), num_returns=1)
            job = running.pop(ready)
            start()  # before the result is written
            yield job, _cluster_result(ready, job)
    finally:
        if not joined:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError when no machine answers at an address; Ray would try for a quarter of an hour.

    Without a port, such as `auto`, Ray knows what to do.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()


def _cluster_result(ready: Any, job: Job) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(ready)
    except RayTaskError as error:
        if isinstance(error.cause, LeukoscopeError):
            raise error.cause from error
        raise BatchError(
            "A worker of the cluster cannot run the program. Install the same version on all "
            "machines. A batch then goes on with --resume."
        ) from error
    except RayError:
        return _worker_lost(job)


def _run_on_one_core(run: Run[JobT, ResultT], job: JobT) -> ResultT | FailedFile:
    _use_one_core()
    return run(job)


@cache
def _use_one_core() -> None:
    """Keep this process, one of several on a machine, to one thread. Call before any job."""
    os.environ |= {"LEUKOSCOPE_THREADS": "1", "LEUKOSCOPE_INTERPRETERS": "1"}
    get_settings.cache_clear()
    cv2.setNumThreads(1)


def _worker_lost(job: Job) -> FailedFile:
    return FailedFile(
        job.file,
        "The worker was stopped while it analysed this file, most likely for lack of memory. "
        "Analyse it again with fewer jobs.",
    )
