"""Limits on request bodies, counted as the bytes come in."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from core.errors import RequestTooLargeError

MAX_JSON_BYTES = 32_000_000
"""JSON is held in memory, a picture in it several times; larger ones come as multipart."""
MAX_CASE_BYTES = 100_000
"""JSON about patients, samples and reviews: some five thousand labels."""


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
