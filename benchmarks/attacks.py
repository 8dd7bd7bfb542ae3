"""Attacks on a server, run beside the clients of the load test.

Attackers use other addresses of this machine than the clients. Each continues until told to stop,
whatever the server answers, and counts the answers by status.
"""

import io
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from threading import Event, Thread
from urllib.parse import urlsplit

import imagecodecs
import numpy as np
from PIL import Image
from urllib3 import encode_multipart_formdata

_PAUSE = 2.0
"""Seconds between two requests of one attacker, which shares the processor with the server."""
_SLOW_CLIENTS = 60
Attack = Callable[[str, Event], Counter[str]]
"""Takes the API's address and a stop event; returns the answers by status."""


@contextmanager
def attacked(api: str) -> Iterator[dict[str, Counter[str]]]:
    """Attack a server while the block runs; the counts are complete after it."""
    stop = Event()
    answers: dict[str, Counter[str]] = {}

    def run(name: str, attack: Attack) -> None:
        answers[name] = attack(api, stop)

    threads = [Thread(target=run, args=item, daemon=True) for item in attacks().items()]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def attacks() -> dict[str, Attack]:
    """Return the attacks by name."""
    bodies = {
        "28 MB of brackets": ("/patients", b"[" * 28_000_000, "application/json"),
        "28 MB of brackets as images": ("/predict", b"[" * 28_000_000, "application/json"),
        "400,000 empty parts": (
            "/predict",
            b"--x\r\n\r\n\r\n" * 400_000,
            "multipart/form-data; boundary=x",
        ),
    } | {name: ("/predict", *as_form(data)) for name, data in bombs().items()}
    found: dict[str, Attack] = {
        name: _repeated(f"127.0.1.{n}", head(path, body, kind) + body)
        for n, (name, (path, body, kind)) in enumerate(bodies.items(), 1)
    }
    image = as_form(bombs()["PNG of 100 megapixels in 300 kB"])
    whole = head("/analyze", *image) + image[0]
    return found | {
        "clients that vanish": _vanishing("127.0.2.1", whole),
        "slow heads": _slow("127.0.3.1", whole, 0),
        "slow bodies": _slow("127.0.3.2", whole, whole.index(b"\r\n\r\n") + 4),
    }


@cache
def bombs() -> Mapping[str, bytes]:
    """Return small files that are slow or large to decode, by name."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (50, 50, 3), np.uint8)
    scans = _encoded(Image.fromarray(noise).resize((4000, 3000)), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    png = _encoded(Image.fromarray(noise), "PNG")
    pages = b"".join(struct.pack("<HHHLLL", 1, 256, 4, 1, 9, 8 + 18 * n) for n in range(1, 300_001))
    wide = np.zeros((5000, 5000), np.uint8)
    wavelets = imagecodecs.jpeg2k_encode(wide)
    return {
        "JPEG of 300 scans": scans[:last] + scans[last:-2] * 300 + scans[-2:],
        "PNG of 2,000,000 chunks": png[:33]
        + bytes(4)
        + b"tEXt"
        + bytes(4)
        + (bytes(4) + b"tEXt" + bytes(4)) * 1_999_999
        + png[33:],
        "TIFF of 300,000 pages": b"II*\0" + struct.pack("<L", 8) + pages,
        "DICOM of wavelets": _in_dicom(wavelets + bytes(200_000), wide.shape),
        "PNG of 100 megapixels in 300 kB": _encoded(Image.new("RGB", (10_000, 10_000)), "PNG"),
        "PNG of 49 megapixels": _encoded(Image.new("RGB", (7_000, 7_000)), "PNG") + bytes(700_000),
    }


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _in_dicom(codestream: bytes, shape: tuple[int, ...]) -> bytes:
    from pydicom import Dataset, FileMetaDataset, uid
    from pydicom.encaps import encapsulate

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.JPEG2000
    kind = uid.VLPhotographicImageStorage
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = encapsulate([codestream + bytes(len(codestream) % 2)])
    dataset["PixelData"].VR = "OB"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def as_form(data: bytes) -> tuple[bytes, str]:
    """Return a body with one file, and its content type."""
    return encode_multipart_formdata({"file": ("bomb", data)})


def head(path: str, body: bytes, kind: str) -> bytes:
    """Return the request line and headers of a request to the API."""
    return (
        f"POST /api{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()


def _connected(api: str, address: str) -> socket.socket:
    where = urlsplit(api)
    return socket.create_connection(
        (where.hostname or "", where.port or 80), 60, source_address=(address, 0)
    )


def _status(connection: socket.socket) -> str:
    return connection.recv(100).partition(b" ")[2][:3].decode() or "closed"


def _repeated(address: str, request: bytes) -> Attack:
    def attack(api: str, stop: Event) -> Counter[str]:
        answers: Counter[str] = Counter()
        while not stop.wait(_PAUSE):
            try:
                with _connected(api, address) as connection:
                    connection.sendall(request)
                    answers[_status(connection)] += 1
            except OSError:
                answers["closed"] += 1
        return answers

    return attack


def _vanishing(address: str, request: bytes) -> Attack:
    def attack(api: str, stop: Event) -> Counter[str]:
        answers: Counter[str] = Counter()
        while not stop.wait(_PAUSE):
            for part in (len(request), len(request) // 2):
                with suppress(OSError), _connected(api, address) as connection:
                    connection.sendall(request[:part])
                    answers["left"] += 1
        return answers

    return attack


def _slow(address: str, request: bytes, begun: int) -> Attack:
    def attack(api: str, stop: Event) -> Counter[str]:
        answers: Counter[str] = Counter()
        held: dict[int, tuple[socket.socket, int]] = {}
        while not stop.wait(1):
            for number in range(_SLOW_CLIENTS):
                try:
                    connection, sent = held.pop(number, (None, begun))
                    if connection is None:
                        connection = _connected(api, address)
                        connection.sendall(request[:begun])
                    connection.send(request[sent : sent + 1])
                    held[number] = connection, sent + 1
                except OSError:
                    answers["closed"] += 1
        for connection, _ in held.values():
            connection.close()
        return answers

    return attack
