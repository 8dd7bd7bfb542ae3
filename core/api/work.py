"""Threads that run the models: off the event loop, a few calls at a time, a bounded queue."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from core.api.uploads import Upload
from core.errors import BusyError

T = TypeVar("T")


class Workers:
    """Threads that requests share file by file, so that no batch delays the others.

    Call it from the event loop only.
    """

    def __init__(self, threads: int, queue: int) -> None:
        """Let `threads` calls run at a time for up to `threads + queue` requests."""
        self._slots = threads + queue
        self._light = _Threads(threads, "models")
        # Slow files wait for each other, so that they never occupy all threads.
        self._heavy = _Threads(1, "heavy")
        self.requests = 0
        """Requests that hold a slot now."""

    @property
    def running(self) -> int:
        """Calls that run now."""
        return self._light.running + self._heavy.running

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot for a request. Raises BusyError when all are taken."""
        if self.requests >= self._slots:
            raise BusyError
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call in a thread when its turn comes; it is not abandoned when a client leaves."""
        return await self._light.run(call)

    async def run_on(self, upload: Upload, call: Callable[[], T]) -> T:
        """Run a call that decodes an upload; slow uploads have a thread of their own."""
        heavy = await self._light.run(upload.is_heavy)
        return await (self._heavy if heavy else self._light).run(call)


class _Threads:
    """A fixed pool of threads with a limiter.

    The threads stay the same: libraries keep memory for the largest image in each that computes,
    and anyio would use any of its forty.
    """

    def __init__(self, number: int, name: str) -> None:
        self._limiter = CapacityLimiter(number)
        self._threads = ThreadPoolExecutor(number, name)

    @property
    def running(self) -> int:
        return int(self._limiter.borrowed_tokens)

    async def run(self, call: Callable[[], T]) -> T:
        context = copy_context()

        def wait() -> T:
            return self._threads.submit(context.run, call).result()

        return await to_thread.run_sync(wait, limiter=self._limiter)
