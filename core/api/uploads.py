"""Request bodies: limits on their size, and the images in them.

All images of a request go into one temporary file as they arrive: a hundred thousand of them
would need too much memory, or too many open files, with a file for each as form parsers keep them,
and what all requests keep together must have a limit. Each is read when its turn comes.
"""

import base64
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from core.api.schemas import ImageBody, ImagesBody
from core.domain.results import FieldImage, neutral_name
from core.errors import (
    BusyError,
    ContentTypeError,
    InputError,
    NoPictureError,
    NoSuchPageError,
    RequestTooLargeError,
    SeveralImagesError,
    TooLargeError,
    TooManyFilesError,
    UnreadableRequestError,
)
from core.imaging.decoder import decoded
from core.imaging.limits import measure
from core.imaging.read import display_name
from core.settings import Settings

PIECE = "application/offset+octet-stream"
"""Content type of a piece of a resumable upload (tus)."""
MAX_JSON_BYTES = 32_000_000
"""JSON is held in memory, an image in it several times; larger ones come as multipart."""
MAX_CASE_BYTES = 100_000
"""JSON about patients, samples and reviews: some five thousand labels."""
MOST_STREAMED = 100_000
"""Images per request, at most; their names are held in memory."""
_OTHER_PARTS = 100
"""Multipart parts of a request that are no images, at most."""
_MARKS_PER_IMAGE = 64
"""Brackets, commas and colons of JSON for each image, at most: names may hold some."""
_FIELDS = (b"file", b"files")
_MEGABYTE = 1_000_000
_REQUESTS_KEPT = 2
"""What all requests together may keep on disk, in bodies of the largest size."""
_JSON_HELD = 6 * MAX_JSON_BYTES
"""Bytes of JSON that all requests together may hold in memory."""
_DAMAGED = "The multipart body is damaged or cut short. Send it again."


def limited(headers: Headers, receive: Receive, limit: int) -> Receive:
    """Return `receive` with a limit in bytes on the body, whatever the header says of its length.

    It raises HTTPException with status 413: before the first byte when the header says too much.
    """
    said = headers.get("content-length", "")
    size = 0

    async def counted() -> Message:
        nonlocal size
        if said.isdecimal() and int(said) > limit:
            raise HTTPException(413, str(RequestTooLargeError(limit)))
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413, str(RequestTooLargeError(limit)))
        return message

    return counted


@dataclass(slots=True)
class Upload:
    """An image as it was sent."""

    name: str
    """Fit to be shown."""
    limit: int
    """Bytes beyond which it was not kept."""
    spool: IO[bytes]
    offset: int
    size: int = 0
    """In bytes, as sent."""

    def read(self) -> bytes:
        """Return its bytes. Raises TooLargeError."""
        if self.size > self.limit:
            raise TooLargeError(
                f"{self.size / _MEGABYTE:,.1f} MB", f"{self.limit / _MEGABYTE:,.0f} MB"
            )
        return os.pread(self.spool.fileno(), self.size, self.offset)

    def is_heavy(self) -> bool:
        """Tell whether it takes long to decode; False for what is refused at once."""
        try:
            return measure(self.read()).heavy
        except InputError:
            return False


@contextmanager
def one_image(upload: Upload, page: int | None, settings: Settings) -> Iterator[FieldImage]:
    """Give the image of a file, or that of a page of it, as `decoded` does.

    Raises InputError, also when there are several and no page is named, or no such page.
    """
    with decoded(upload.read(), upload.name, settings=settings) as images:
        if page is None and len(images) > 1:
            raise SeveralImagesError(len(images))
        found = next((image for image in images if page in {None, image.page}), None)
        if found is None:
            raise NoSuchPageError(page or 1, [image.page for image in images])
        yield found


@asynccontextmanager
async def received(
    request: Request, settings: Settings, most: int, instead: str
) -> AsyncIterator[Sequence[Upload]]:
    """Give the images of a request, while the block runs; at least one and `most` at most.

    `instead` says what to do with more. Raises the subclasses of RequestError, and
    RequestValidationError for JSON of another shape.
    """
    form, options = parse_options_header(request.headers.get("content-type"))
    with TemporaryFile() as spool:
        parts = _Parts(spool, settings, most, instead)
        _open_parts.add(parts)
        try:
            if form == b"multipart/form-data":
                await _read_multipart(request, options.get(b"boundary", b""), parts)
            elif form == b"application/json":
                body = bytearray()
                async for chunk in request.stream():
                    parts.hold(len(chunk))
                    body += chunk
                await run_in_threadpool(_read_json, bytes(body), parts)
            else:
                raise ContentTypeError
            if not parts.uploads:
                raise NoPictureError
            with _disk_full_is_busy():
                spool.flush()
            yield parts.uploads
        finally:
            _open_parts.discard(parts)


async def _read_multipart(request: Request, boundary: bytes, parts: "_Parts") -> None:
    """Read the body as it comes, also past what is kept; the number of parts is limited."""
    if not boundary:
        raise UnreadableRequestError("The multipart body has no boundary in its content type.")
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_finished,
                "on_part_data": parts.data,
            },
        )
        async for chunk in request.stream():
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise UnreadableRequestError(_DAMAGED) from error
    if parser.state != MultipartState.END:
        raise UnreadableRequestError(_DAMAGED)


def _read_json(body: bytes, parts: "_Parts") -> None:
    # Parsed JSON takes many times the memory of its text when it is all structure.
    if sum(map(body.count, (b"[", b"{", b",", b":"))) > _MARKS_PER_IMAGE * (parts.most + 1):
        raise TooManyFilesError(parts.most, parts.instead)
    try:
        sent = ImagesBody.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(found) from error
    images = sent.images
    if sent.image is not None:
        images = [ImageBody(image=sent.image, name=sent.name), *images]
    for image in images:
        try:
            content = base64.b64decode(image.image, validate=True)
        except ValueError as error:
            raise UnreadableRequestError(
                f"What is given for {display_name(image.name)} is not base64 (RFC 4648, "
                "without line breaks or a `data:` prefix)."
            ) from error
        parts.begin_image(image.name)
        parts.keep(content)


_open_parts: "set[_Parts]" = set()
"""Of all requests whose body has come in, or is coming."""


@contextmanager
def _disk_full_is_busy() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BusyError from error


@dataclass(slots=True, eq=False)
class _Parts:
    """Takes what the parser finds and keeps the images, within limits."""

    spool: IO[bytes]
    settings: Settings
    most: int
    instead: str
    """What to do with more images than `most`."""
    uploads: list[Upload] = field(default_factory=list)
    other: int = 0
    """Parts that are no images."""
    kept: int = 0
    """Bytes of images on disk."""
    held: int = 0
    """Bytes of JSON in memory."""
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _name: bytes = b""
    _value: bytes = b""
    _is_image: bool = False
    """Of the part that is coming in."""

    def begin(self) -> None:
        self._headers = {}

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def headers_finished(self) -> None:
        """Begin an image if the part's name says that it is one."""
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._is_image = options.get(b"name") in _FIELDS
        if self._is_image:
            self.begin_image(options.get(b"filename", b"").decode("utf-8", "replace"))
            return
        self.other += 1
        if self.other > _OTHER_PARTS:
            raise UnreadableRequestError(
                f"The multipart body has more than {_OTHER_PARTS} parts that are no images. "
                "Send the images alone."
            )

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._is_image:
            self.keep(memoryview(data)[start:end])

    def begin_image(self, name: str) -> None:
        """Note an image. Raises TooManyFilesError when there are more than one request may hold."""
        number = len(self.uploads) + 1
        if number > self.most:
            raise TooManyFilesError(self.most, self.instead)
        shown = neutral_name(number) if self.settings.neutral_names else display_name(name)
        limit = self.settings.max_file_megabytes * _MEGABYTE
        self.uploads.append(Upload(shown, limit, self.spool, self.spool.tell()))

    def keep(self, piece: bytes | memoryview) -> None:
        """Keep a piece of the last image. Raises BusyError when the disk has no room for it."""
        upload = self.uploads[-1]
        upload.size += len(piece)
        if upload.size > upload.limit:
            return
        self.kept += len(piece)
        room = _REQUESTS_KEPT * self.settings.api_request_megabytes * _MEGABYTE
        if sum(parts.kept for parts in list(_open_parts)) > room:
            raise BusyError
        with _disk_full_is_busy():
            self.spool.write(piece)

    def hold(self, size: int) -> None:
        """Count bytes of JSON. Raises BusyError when there is no memory for them."""
        self.held += size
        if sum(parts.held for parts in list(_open_parts)) > _JSON_HELD:
            raise BusyError
