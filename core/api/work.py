"""Work for the models: off the event loop, a few at a time, and no endless queue."""

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
    """Threads that requests take turns at, file by file, so that no batch holds up the others.

    For the event loop's thread only.
    """

    def __init__(self, threads: int, queue: int) -> None:
        """Let `threads` calls run at a time for up to `threads + queue` requests."""
        self._places = threads + queue
        self._light = _Threads(threads, "models")
        # Heavy files wait for each other; they must not take the threads of all others.
        self._heavy = _Threads(1, "heavy")
        self.requests = 0
        """How many have a place now."""

    @property
    def running(self) -> int:
        """How many calls run now."""
        return self._light.running + self._heavy.running

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for a request. Raises BusyError when all are taken."""
        if self.requests >= self._places:
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
        """As `run`, for a call that decodes an upload."""
        heavy = await self._light.run(upload.is_heavy)
        return await (self._heavy if heavy else self._light).run(call)


class _Threads:
    """A few threads and who waits for them.

    Always the same threads: in each that computes, libraries keep memory for the largest image, and
    anyio would take any of its forty.
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
