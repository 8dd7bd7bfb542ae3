"""Uploads of slides, piece by piece: tus 1.0.0 (https://tus.io), creation, expiration, termination.

What has arrived is kept, so an upload goes on where it stopped: HEAD says how many bytes there are,
PATCH sends the following ones. The last piece is answered once the slide was opened.
"""

import base64
import binascii
from email.utils import format_datetime
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from core.api.deps import DatabaseDep, OwnerDep, PageRoute, Services, ServicesDep, UserDep
from core.api.schemas import SlideUploadAnswer
from core.api.uploads import PIECE
from core.cases.users import require, user_of
from core.errors import (
    ContentTypeError,
    TokenError,
    UnreadableRequestError,
    UploadProtocolError,
)
from core.slides.current import delete_slide, get_folders
from core.slides.folders import SlideFile
from core.slides.uploads import SlideUpload, SlideUploads

_TUS = "1.0.0"
_AT_ONCE = 1_000_000
"""Bytes that are held before they are written."""
_MOST_BYTES = 2**53
_LONGEST_METADATA = 4000

router = APIRouter(prefix="/slides/uploads", tags=["slides"], route_class=PageRoute)

UploadId = Annotated[str, Path(max_length=64, description="From `POST /slides/uploads`")]
TusHeader = Annotated[str, Header(alias="Tus-Resumable", description=f"Always {_TUS}")]


def get_uploads(
    services: ServicesDep, database: DatabaseDep, user: UserDep, owner: OwnerDep
) -> SlideUploads:
    """Return the uploads of the caller, a reviewer.

    Raises TokenError, NotAllowedError, UnknownPersonError.
    """
    if owner is None:
        raise TokenError
    require(user, "reviewer")
    # A browser was let in with the role that its user had then.
    require(user_of(database, owner, services.settings), "reviewer")
    return SlideUploads(owner, services.settings)


UploadsDep: TypeAlias = Annotated[SlideUploads, Depends(get_uploads)]


def _check_protocol(tus_resumable: TusHeader = "") -> None:
    """Raise UploadProtocolError for another version of the protocol, or none."""
    if tus_resumable != _TUS:
        raise UploadProtocolError


def _headers(upload: SlideUpload) -> dict[str, str]:
    """Return what the answers about an upload say of it."""
    headers = {
        "Tus-Resumable": _TUS,
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.length),
    }
    if upload.expires is not None:
        headers["Upload-Expires"] = format_datetime(upload.expires, usegmt=True)
    return headers


@router.options("", status_code=204)
def upload_options(services: ServicesDep) -> Response:
    """Say which protocol uploads follow, and the largest slide in bytes."""
    return Response(
        status_code=204,
        headers={
            "Tus-Resumable": _TUS,
            "Tus-Version": _TUS,
            "Tus-Extension": "creation,expiration,termination",
            "Tus-Max-Size": str(services.settings.slide_upload_megabytes * 1_000_000),
        },
    )


@router.get("")
def uploads(uploads: UploadsDep) -> list[SlideUploadAnswer]:
    """List the caller's unfinished uploads of slides."""
    return [
        SlideUploadAnswer(
            id=upload.id,
            name=upload.name,
            length=upload.length,
            offset=upload.offset,
            modified=upload.modified,
            expires=upload.expires,
        )
        for upload in uploads.unfinished()
        if upload.expires is not None
    ]


@router.post("", status_code=201, dependencies=[Depends(_check_protocol)])
def create_upload(
    request: Request,
    uploads: UploadsDep,
    upload_length: Annotated[int, Header(ge=0, le=_MOST_BYTES, description="Bytes of the slide")],
    upload_metadata: Annotated[
        str,
        Header(
            max_length=_LONGEST_METADATA,
            description="`filename` and `modified` (ms since 1970), each with its value in base64",
        ),
    ] = "",
) -> Response:
    """Begin the upload of a slide; its address is in the header `Location`."""
    metadata = _metadata(upload_metadata)
    modified = metadata.get("modified", "")
    upload = uploads.create(
        metadata.get("filename", ""),
        upload_length,
        int(modified) if modified.isdecimal() and len(modified) < 16 else 0,
    )
    location = f"{request.url.path}/{upload.id}"
    return Response(status_code=201, headers=_headers(upload) | {"Location": location})


@router.head("/{upload_id}", dependencies=[Depends(_check_protocol)])
def upload_state(services: ServicesDep, uploads: UploadsDep, upload_id: UploadId) -> Response:
    """Say how many bytes of an upload have arrived; of a finished one, the slide's id too."""
    upload = uploads.get(upload_id)
    return Response(headers=_headers(upload) | _named(_slide(services, uploads, upload)))


@router.patch(
    "/{upload_id}",
    status_code=204,
    dependencies=[Depends(_check_protocol)],
    openapi_extra={
        "requestBody": {"content": {PIECE: {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def continue_upload(
    request: Request,
    services: ServicesDep,
    uploads: UploadsDep,
    upload_id: UploadId,
    upload_offset: Annotated[int, Header(ge=0, le=_MOST_BYTES, description="Of the first byte")],
) -> Response:
    """Add the bytes of the body to an upload. With the last one it becomes a slide.

    What has arrived when the connection is lost is kept. An upload that is no slide is deleted.
    """
    if request.headers.get("content-type") != PIECE:
        raise ContentTypeError
    offset = await _write(request, uploads, upload_id, upload_offset)
    upload = await run_in_threadpool(uploads.get, upload_id)
    if offset == upload.length:
        upload = await run_in_threadpool(uploads.finish, upload_id)
    slide = await run_in_threadpool(_slide, services, uploads, upload)
    return Response(status_code=204, headers=_headers(upload) | _named(slide))


@router.delete("/{upload_id}", status_code=204, dependencies=[Depends(_check_protocol)])
def delete_upload(services: ServicesDep, uploads: UploadsDep, upload_id: UploadId) -> Response:
    """Delete an upload, also one that is a slide already."""
    slide = _slide(services, uploads, uploads.get(upload_id))
    if slide is None:
        uploads.delete(upload_id)
    else:
        delete_slide(slide, uploads.owner, services.settings, services.database)
    return Response(status_code=204, headers={"Tus-Resumable": _TUS})


async def _write(request: Request, uploads: SlideUploads, upload_id: str, offset: int) -> int:
    """Write a body as it comes; return the offset after it. Raises as `SlideUploads.append`."""
    held = bytearray()

    async def write() -> None:
        nonlocal offset
        piece = bytes(held)
        held.clear()
        offset = await run_in_threadpool(uploads.append, upload_id, offset, piece)

    await write()  # of nothing: it checks the offset before the body is read
    try:
        async for chunk in request.stream():
            held += chunk
            if len(held) >= _AT_ONCE:
                await write()
    except ClientDisconnect:
        await write()
        raise
    await write()
    return offset


def _slide(services: Services, uploads: SlideUploads, upload: SlideUpload) -> SlideFile | None:
    """Return the slide that an upload is; None of an unfinished one."""
    slides = get_folders(services.settings, uploads.owner).own().values()
    return next((slide for slide in slides if slide.path.parent.name == upload.id), None)


def _named(slide: SlideFile | None) -> dict[str, str]:
    return {} if slide is None else {"Slide-Id": slide.id}


def _metadata(header: str) -> dict[str, str]:
    """Return the pairs of a header `Upload-Metadata`. Raises UnreadableRequestError."""
    pairs = {}
    for pair in filter(None, map(str.strip, header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            pairs[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UnreadableRequestError(
                "The header Upload-Metadata is not as tus describes it: keys, each with a value in "
                "base64."
            ) from error
    return pairs
