"""Every error has a status and a name that stays."""

from core import errors
from core.api.problems import name_of, status_of
from core.errors import LeukoscopeError


def all_errors(base=LeukoscopeError):
    yield base
    for error in base.__subclasses__():
        yield from all_errors(error)


def test_names_are_unique_and_statuses_are_errors():
    found = list(all_errors())
    assert len({name_of(error) for error in found}) == len(found)
    for error in found:
        assert 400 <= status_of(error.__new__(error)) < 600


def test_names_that_clients_rely_on_stay():
    assert {
        name_of(error): status_of(error.__new__(error))
        for error in (
            errors.EmptyFileError,
            errors.NotAnImageError,
            errors.DamagedImageError,
            errors.UnsupportedFormatError,
            errors.TooLargeError,
            errors.TooSmallError,
            errors.ModelError,
            errors.ProfileError,
            errors.NoPictureError,
            errors.UnreadableRequestError,
            errors.ContentTypeError,
            errors.RequestTooLargeError,
            errors.TooManyFilesError,
            errors.TokenError,
            errors.ForeignPageError,
            errors.TooManyRequestsError,
            errors.BusyError,
            errors.StoreUnavailableError,
            errors.NotFoundError,
            errors.InvalidEntryError,
            errors.NotAllowedError,
            errors.UnknownPersonError,
            errors.StaleCaseError,
            errors.SignedCaseError,
        )
    } == {
        "empty-file": 422,
        "not-an-image": 415,
        "damaged-image": 422,
        "unsupported-format": 415,
        "too-large": 413,
        "too-small": 422,
        "model": 503,
        "profile": 422,
        "no-picture": 422,
        "unreadable-request": 400,
        "content-type": 415,
        "request-too-large": 413,
        "too-many-files": 413,
        "token": 401,
        "foreign-page": 403,
        "too-many-requests": 429,
        "busy": 503,
        "store-unavailable": 503,
        "not-found": 404,
        "invalid-entry": 422,
        "not-allowed": 403,
        "unknown-person": 403,
        "stale-case": 409,
        "signed-case": 409,
    }
