"""Errors as problem details (RFC 9457): a status, a stable type, and the sentence a page shows."""

import re
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from core import errors
from core.api.logs import request_id
from core.api.schemas import InvalidValue, Problem
from core.errors import LeukoscopeError, RequestError

MEDIA_TYPE = "application/problem+json"
MOST_INVALID = 20
"""Values that a problem names; the rest would only repeat what is wrong."""
LONGEST_PLACE = 200
"""Characters of a value's place: keys of the request are in it."""

STATUS: Mapping[type[LeukoscopeError], int] = {
    errors.LeukoscopeError: 500,
    errors.InputError: 422,
    errors.NotAnImageError: 415,
    errors.UnsupportedFormatError: 415,
    errors.TooLargeError: 413,
    errors.SlideNotFoundError: 404,
    errors.TileNotFoundError: 404,
    errors.SlideCopyError: 507,
    errors.SlideUploadTooLargeError: 413,
    errors.SlideUploadsFullError: 507,
    errors.TooManySlideUploadsError: 409,
    errors.ModelError: 503,
    errors.ProfileError: 422,
    errors.UnreadableRequestError: 400,
    errors.NoPictureError: 422,
    errors.SlideUploadNotFoundError: 404,
    errors.SlideUploadOffsetError: 409,
    errors.UploadProtocolError: 412,
    errors.ContentTypeError: 415,
    errors.RequestTooLargeError: 413,
    errors.TooManyFilesError: 413,
    errors.TokenError: 401,
    errors.ForeignPageError: 403,
    errors.UnknownHostError: 400,
    errors.ClosedError: 403,
    errors.TooManyRequestsError: 429,
    errors.TooManyConnectionsError: 429,
    errors.UploadsFullError: 503,
    errors.BusyError: 503,
    errors.StoreUnavailableError: 503,
    errors.StoreDamagedError: 503,
    errors.StoreReadOnlyError: 503,
    errors.StoreTooNewError: 503,
    errors.ChangeRefusedError: 409,
    errors.PictureNotStoredError: 507,
    errors.PictureMissingError: 404,
    errors.NotFoundError: 404,
    errors.InvalidEntryError: 422,
    errors.NotAllowedError: 403,
    errors.UnknownPersonError: 403,
    errors.StaleCaseError: 409,
    errors.SignedCaseError: 409,
    errors.CountSavedError: 409,
    errors.UnnamedCaseError: 409,
    errors.UnreviewedCellsError: 409,
    errors.SignatureError: 409,
    errors.LinkError: 404,
}
"""Of each error, or of its nearest base that is named here."""

_HTTP = {
    404: ("unknown-address", "There is nothing at this address. See /api/docs for what there is."),
    405: ("method-not-allowed", "This address does not take this method. See /api/docs."),
}
"""Names and sentences where the framework has none for people."""


def add_handlers(app: FastAPI) -> None:
    """Have an app answer every expected error with its problem."""
    app.add_exception_handler(LeukoscopeError, known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def status_of(error: LeukoscopeError) -> int:
    """Return the HTTP status of an error."""
    return next(STATUS[base] for base in type(error).__mro__ if base in STATUS)


def name_of(error: type[LeukoscopeError]) -> str:
    """Return the stable name of a kind of error, such as `empty-file`."""
    words = re.findall(r"[A-Z][a-z]*", error.__name__.removesuffix("Error"))
    return "-".join(words).lower()


def title_of(error: type[LeukoscopeError]) -> str:
    """Return what kind of error it is, as its class says."""
    return (error.__doc__ or name_of(error)).splitlines()[0].rstrip(".")


def internal(request: Request) -> Response:
    """Return the problem of an error that nobody foresaw; its cause is in the log only."""
    sentence = "The request failed inside the program. Report it with its request id, please."
    return _answer(request, 500, "internal", "The program is at fault", sentence)


def known(request: Request, error: Exception) -> Response:
    """Return the problem of an expected error."""
    assert isinstance(error, LeukoscopeError)
    headers = {}
    if isinstance(error, RequestError) and error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.TokenError):
        headers["WWW-Authenticate"] = "Bearer"
    kind = type(error)
    names = name_of(kind), title_of(kind)
    return _answer(request, status_of(error), *names, str(error), headers=headers)


async def refuse(
    error: RequestError, scope: Scope, receive: Receive, send: Send, code: int
) -> None:
    """Answer a request with the problem of an error, or close its WebSocket with a code."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": code})
    else:
        await known(Request(scope), error)(scope, receive, send)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [
        InvalidValue(
            place=_text(".".join(map(str, found["loc"])))[:LONGEST_PLACE],
            message=_text(found["msg"]),
        )
        for found in error.errors()[:MOST_INVALID]
    ]
    title = "A value does not fit the description"
    sentence = "The request does not fit its description. See /api/docs."
    return _answer(request, 422, "invalid-request", title, sentence, invalid=wrong)


def _http(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses by itself."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    if status in _HTTP:
        name, sentence = _HTTP[status]
        title = HTTPStatus(status).phrase
    else:
        too_large = status == STATUS[errors.RequestTooLargeError]
        kind = errors.RequestTooLargeError if too_large else errors.UnreadableRequestError
        name, title, sentence = name_of(kind), title_of(kind), str(error.detail)
    return _answer(request, status, name, title, sentence, headers=error.headers)


def _text(sent: str) -> str:
    """Return what a client sent as text that can be written: a lone surrogate becomes `?`."""
    return sent.encode(errors="replace").decode()


def _answer(  # noqa: PLR0913 - the members of a problem
    request: Request,
    status: int,
    name: str,
    title: str,
    sentence: str,
    *,
    invalid: list[InvalidValue] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    problem = Problem(
        type=f"urn:leukoscope:problem:{name}",
        title=title,
        status=status,
        detail=sentence,
        instance=request.url.path,
        request_id=request_id.get(),
        invalid=invalid,
    )
    return Response(problem.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)
