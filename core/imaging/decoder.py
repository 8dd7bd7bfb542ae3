"""Uploads are decoded in separate processes, which are stopped when they take too much.

Decoders are C libraries on untrusted bytes: one file may keep them busy for minutes, fill the
memory, or crash the process. Therefore a decoder has a limit on processor time and memory for each
file, and a stopped decoder is replaced.

The number of decoders also limits how many files are decoded and analysed at a time, over pages and
API together: one for each interpreter, and one more for files that are large or slow to decode, so
that these wait only for each other.
"""

import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import accumulate, pairwise
from mmap import mmap
from pathlib import Path
from pickle import PickleBuffer
from queue import LifoQueue
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any, NoReturn

from core.domain.results import FieldImage
from core.errors import DecodingStoppedError, InputError
from core.imaging.limits import measure
from core.imaging.read import check_bytes, read_images
from core.settings import PROJECT_ROOT, Settings, get_settings

_PATIENCE = 6
"""Seconds by the clock for each second of processor time: a machine may be busy."""
_KEPT_MEGABYTES = 200
"""Of memory beyond the first, above which a decoder is replaced: libraries keep what they had."""
_LENGTH = struct.Struct("<Q")
_making_lanes, _making = Lock(), Lock()


@contextmanager
def decoded(
    data: bytes, name: str, *, settings: Settings | None = None
) -> Iterator[tuple[FieldImage, ...]]:
    """Give the images of a file as `read_images`, decoded in another process.

    Waits for a free decoder and holds it while the block runs: analyse the images in the block, and
    do not decode another file in it. Raises as `read_images`, TooComplexError, and
    DecodingStoppedError.
    """
    settings = settings or get_settings()
    check_bytes(len(data), settings)
    lane = _lanes()[measure(data).heavy]
    decoder = lane.get()
    try:
        yield decoder.read(data, name, settings)
    finally:
        lane.put(decoder)


@contextmanager
def decoded_from(path: Path) -> Iterator[tuple[FieldImage, ...]]:
    """As `decoded`, of a file; one over the limit is not loaded into memory.

    Raises OSError too, when the file cannot be read.
    """
    check_bytes(path.stat().st_size, get_settings())
    with decoded(path.read_bytes(), path.name) as images:
        yield images


def start_decoders() -> None:
    """Start one decoder, so that the first file need not wait for it."""
    lane = _lanes()[False]
    decoder = lane.get()
    try:
        decoder.start()
    finally:
        lane.put(decoder)


def _lanes() -> "Mapping[bool, LifoQueue[Decoder]]":
    """Return the free decoders of this process for heavy files (True), and for all others."""
    with _making_lanes:
        return _made_lanes()


@cache
def _made_lanes() -> "Mapping[bool, LifoQueue[Decoder]]":
    lanes: dict[bool, LifoQueue[Decoder]] = {True: LifoQueue(), False: LifoQueue()}
    lanes[True].put(Decoder())
    for _ in range(get_settings().interpreters):
        lanes[False].put(Decoder())
    return lanes


class Decoder:
    """One process that decodes one file after the other. For one thread at a time."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self.pid: int | None = None
        """Of the process; None without one."""
        self._socket: socket.socket | None = None

    def start(self) -> socket.socket:
        """Return the connection to the process, which is started when there is none."""
        if self._socket is None or not _is_open(self._socket):
            self._let_go()
            self.pid, self._socket = _forked()
        return self._socket

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self.pid is not None and self._socket is not None and _is_open(self._socket):
            os.kill(self.pid, signal.SIGKILL)
        self._let_go()

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self.pid = self._socket = None

    def read(self, data: bytes, name: str, settings: Settings) -> tuple[FieldImage, ...]:
        """Return the images of a file. Raises as `read_images`, and DecodingStoppedError."""
        seconds, megabytes = settings.decoder_seconds, settings.decoder_megabytes
        # A process that decodes untrusted bytes need not know the addresses of the stores.
        known = settings.model_copy(update={"database_url": None, "pictures": None})
        connection = self.start()
        connection.settimeout(_PATIENCE * seconds)
        try:
            _send(connection, (PickleBuffer(data), name, known, seconds, megabytes))
            answer = _receive(connection)
        except (OSError, EOFError) as error:
            self.stop()
            raise DecodingStoppedError(seconds, megabytes) from error
        images, failure, keeps = answer
        if keeps > _KEPT_MEGABYTES:
            self.stop()
        if failure is not None:
            kind, sentence = failure
            raise _as_raised(kind, sentence)
        found: tuple[FieldImage, ...] = images
        return found


def _as_raised(kind: type[InputError], sentence: str) -> InputError:
    """Return an error with its sentence, without calling its constructor."""
    error = kind.__new__(kind)
    error.args = (sentence,)
    return error


def fork_decoders(descriptor: int) -> None:
    """Fork a decoder for each connection that comes over a socket, until its other side goes.

    The main program of a process with these modules and no threads that a fork would break.
    """
    from core.imaging import dicom, tiff  # noqa: F401 - so that no decoder need load them

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended children are not waited for
    with socket.socket(fileno=descriptor) as control:
        while True:
            word, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not word:
                return
            pid = os.fork()
            if pid == 0:
                control.close()
                _serve(socket.socket(fileno=descriptors[0]))
            os.close(descriptors[0])
            control.sendall(_LENGTH.pack(pid))


def _forked() -> tuple[int, socket.socket]:
    """Return a new decoder's process id and the connection to it."""
    with _making:
        for attempt in range(2):
            ours, theirs = socket.socketpair()
            with theirs:
                control = _control()
                try:
                    socket.send_fds(control, [b"+"], [theirs.fileno()])
                    answer = control.recv(_LENGTH.size, socket.MSG_WAITALL)
                    return int(_LENGTH.unpack(answer)[0]), ours
                except (OSError, struct.error):  # it was ended from outside
                    _control.cache_clear()
                    ours.close()
                    if attempt:
                        raise
    raise AssertionError


@cache
def _control() -> socket.socket:
    """Return the connection to a new process that runs `fork_decoders`.

    Not by `multiprocessing`: it would run the main program again, and while a page is drawn
    Streamlit makes that the page.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        call = f"from core.imaging.decoder import fork_decoders; fork_decoders({theirs.fileno()})"
        paths = os.pathsep.join(filter(None, (str(PROJECT_ROOT), os.environ.get("PYTHONPATH"))))
        subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-c", call],
            pass_fds=[theirs.fileno()],
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    return ours


def _is_open(connection: socket.socket) -> bool:
    """Return whether the other side of a connection is alive."""
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _serve(connection: socket.socket) -> NoReturn:
    """Decode files until the other side goes."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process, in the midst of C code too
    first = _resident_megabytes()
    try:
        while True:
            shared, name, settings, seconds, megabytes = _receive(connection)
            with _limited(seconds, megabytes):
                answer: tuple[Any, Any]
                try:
                    answer = read_images(bytes(shared), name, settings=settings), None
                except InputError as error:
                    answer = (), (type(error), str(error))
            del shared
            _send(connection, (*answer, _resident_megabytes() - first))
            del answer
    finally:
        os._exit(0)


@contextmanager
def _limited(seconds: float, megabytes: int) -> Iterator[None]:
    """Let the block take so much processor time and memory beyond what is there already."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":
        now = _pages_of_memory()[0]
        resource.setrlimit(resource.RLIMIT_AS, (now + megabytes * 1_000_000, most))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _pages_of_memory() -> tuple[int, int]:
    """Return the bytes of address space and of memory in use, as Linux counts them."""
    size, resident, *_ = map(int, Path("/proc/self/statm").read_text("ascii").split())
    page = os.sysconf("SC_PAGE_SIZE")
    return size * page, resident * page


def _resident_megabytes() -> float:
    return _pages_of_memory()[1] / 1e6 if sys.platform == "linux" else 0.0


def _send(connection: socket.socket, what: object) -> None:
    """Send an object; its arrays go through memory that both sides see.

    Through the connection they would go in hundreds of pieces, each of which waits for the
    other side's turn at the processor.
    """
    buffers: list[PickleBuffer] = []
    inner = pickle.dumps(what, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    text = pickle.dumps((inner, [view.nbytes for view in raw]))
    with _shared_file() as file:
        for view in raw:
            file.write(view)
        file.flush()
        socket.send_fds(connection, [_LENGTH.pack(len(text))], [file.fileno()])
    connection.sendall(text)


def _receive(connection: socket.socket) -> Any:
    """Return what `_send` sent. Raises EOFError when the other side is gone, OSError."""
    head, descriptors, _, _ = socket.recv_fds(connection, _LENGTH.size, 1)
    if len(head) < _LENGTH.size or not descriptors:
        raise EOFError
    with os.fdopen(descriptors[0], "r+b") as file:
        text = bytearray(_LENGTH.unpack(head)[0])
        if connection.recv_into(text, flags=socket.MSG_WAITALL) < len(text):
            raise EOFError
        inner, sizes = pickle.loads(text)  # noqa: S301 - of our own process
        shared = memoryview(mmap(file.fileno(), sum(sizes)) if sum(sizes) else b"")
    ends = list(accumulate(sizes, initial=0))
    return pickle.loads(  # noqa: S301
        inner, buffers=[shared[start:end] for start, end in pairwise(ends)]
    )


def _shared_file() -> IO[bytes]:
    """Return a file without a name: in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("images"), "w+b")
    return TemporaryFile()
