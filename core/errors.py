"""Everything that can go wrong, as one tree.

LeukoscopeError             shown to the user as one sentence with what to do next
├── InputError              the file handed in is at fault
│   ├── EmptyFileError
│   ├── NotAnImageError
│   ├── DamagedImageError
│   ├── DamagedSlideError
│   ├── UnsupportedFormatError
│   ├── TooLargeError
│   ├── TooComplexError
│   ├── DecodingStoppedError
│   ├── TooSmallError
│   ├── SeveralImagesError
│   └── NoSuchPageError
├── SettingsError           a setting of the environment is out of its range
├── SignInSettingsError     single sign-on is set up in part, or can be forged
├── OpenAddressError        the server would be open to other machines
├── SignInError             nobody is signed in, or no longer
├── RangesError             the table of reference ranges cannot be used
├── NoEstimateError         a number that was asked for cannot be given honestly
├── ModelError              a model file is missing, damaged or does not fit its card
├── ProfileError            a site profile is missing, damaged, or would do harm
├── BatchError              a batch cannot start or go on; what is done is kept
├── DataError               a training or test set is missing or damaged
│   └── DataNotFoundError
├── RequestError            a request to the API cannot be answered
│   ├── NoPictureError
│   ├── UnreadableRequestError
│   ├── ContentTypeError
│   ├── RequestTooLargeError
│   ├── TooManyFilesError
│   ├── TokenError
│   ├── ForeignPageError
│   ├── UnknownHostError
│   ├── ClosedError
│   ├── TooManyRequestsError
│   ├── TooManyConnectionsError
│   ├── UploadsFullError
│   └── BusyError
└── CaseError               the case database cannot do what was asked
    ├── StoreUnavailableError
    ├── StoreDamagedError
    ├── StoreReadOnlyError
    ├── ChangeRefusedError
    ├── StoreTooNewError
    ├── BackupError
    ├── PictureNotStoredError
    ├── PictureMissingError
    ├── NotFoundError
    ├── InvalidEntryError
    ├── NotAllowedError
    ├── UnknownPersonError
    ├── StaleCaseError
    ├── SignedCaseError
    ├── UnreviewedCellsError
    ├── SignatureError
    └── LinkError

`str(error)` is the sentence. It never contains a path of the server or a Python name.
"""

from collections.abc import Sequence
from datetime import datetime

READABLE_FORMATS = "JPEG, PNG, BMP, TIFF, WebP or DICOM"
FAILED_INSIDE = "The analysis failed inside the program. Report it, please."
"""What is said of a picture when the fault is ours; the log holds the details."""


class LeukoscopeError(Exception):
    """Base of all errors a user may see; the message is a full sentence."""


class InputError(LeukoscopeError):
    """The file handed in cannot be analysed."""


class EmptyFileError(InputError):
    """The file has no bytes."""

    def __init__(self) -> None:
        super().__init__("The file is empty. Export the picture again and send it once more.")


class NotAnImageError(InputError):
    """The bytes are no picture in any format that is known here."""

    def __init__(self) -> None:
        super().__init__(f"This is not a picture. Send a {READABLE_FORMATS} file.")


class DamagedImageError(InputError):
    """The header names a picture format but the pixels cannot be decoded."""

    def __init__(self) -> None:
        super().__init__(
            "The picture is damaged or cut short. Copy it again from the camera or scanner."
        )


class DamagedSlideError(InputError):
    """The header names a slide format but the slide, or a part of it, cannot be read."""

    def __init__(self) -> None:
        super().__init__(
            "The slide is damaged, cut short, or lacks files that belong to it. "
            "Copy it again from the scanner, with all its files."
        )


class UnsupportedFormatError(InputError):
    """A known format, or a variant of it, that is not read here."""

    def __init__(
        self, what: str, instead: str = f"Save the picture as {READABLE_FORMATS}."
    ) -> None:
        super().__init__(f"{what} is not read here. {instead}")


class TooLargeError(InputError):
    """More bytes or pixels than the settings allow."""

    def __init__(self, size: str, limit: str) -> None:
        super().__init__(
            f"The picture is too large ({size}; the limit is {limit}). "
            "Crop it to the fields of interest."
        )


class TooComplexError(InputError):
    """The file is built of more parts than any image needs."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The file is not decoded because {why}. Open it in an image viewer and save it again "
            "as PNG or TIFF."
        )


class DecodingStoppedError(InputError):
    """Decoding the file took too much time or memory, or ended the decoder."""

    def __init__(self, seconds: float, megabytes: int) -> None:
        super().__init__(
            f"Decoding the file was stopped: it takes more than {seconds:g} s or "
            f"{megabytes:,} MB of memory. Save the image again as PNG or TIFF, or crop it."
        )


class TooSmallError(InputError):
    """Fewer pixels than a cell needs to be recognised."""

    def __init__(self, width: int, height: int, minimum: int) -> None:
        super().__init__(
            f"The picture is too small ({width} × {height} px; each side needs {minimum} px). "
            "Send the original, not a preview."
        )


class SeveralImagesError(InputError):
    """The file holds several images where one is wanted."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"The file holds {number} images. Name one with `page`, or send the file to an "
            "address that takes many."
        )


class NoSuchPageError(InputError):
    """The file has no image of the page asked for."""

    def __init__(self, page: int, pages: Sequence[int]) -> None:
        known = "page 1 only" if len(pages) == 1 else f"pages {pages[0]} to {pages[-1]}"
        super().__init__(f"The file has no page {page}. It has {known}.")


class SettingsError(LeukoscopeError):
    """A setting cannot be used."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(
            f"The setting LEUKOSCOPE_{field.upper()} cannot be used: {why}. "
            "Correct it in the environment or in the file .env, then start again."
        )


class SignInSettingsError(LeukoscopeError):
    """Nobody could sign in with the section `[auth]` as it is, or anybody could forge a sign-in."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Single sign-on cannot be used: {why}. Correct the section [auth] of "
            ".streamlit/secrets.toml as docs/deployment.md shows, then start again."
        )


class OpenAddressError(LeukoscopeError):
    """The server would listen to other machines with nothing to protect it."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The server does not start on {host}: nobody signs in there and no token is needed, "
            "so anyone could read and change all cases. Set up single sign-on, set "
            "LEUKOSCOPE_API_TOKENS=true for the API, or say that this is wanted with "
            "LEUKOSCOPE_OPEN_ACCESS=true."
        )


class SignInError(LeukoscopeError):
    """Nobody is signed in, or the session has ended."""

    def __init__(self, why: str = "You are not signed in.") -> None:
        super().__init__(f"{why} Sign in to go on.")


class RangesError(LeukoscopeError):
    """The table of reference ranges is missing, or a line of it makes no sense."""


class NoEstimateError(LeukoscopeError):
    """What is known does not carry the estimate that was asked for."""


class ModelError(LeukoscopeError):
    """A model file is missing, damaged, or does not fit its card."""


class ProfileError(LeukoscopeError):
    """A site profile cannot be made or used; the sentence says why."""


class BatchError(LeukoscopeError):
    """A batch cannot start or go on; the sentence says why and how to resume it."""


class DataError(LeukoscopeError):
    """A data set is damaged or does not look as expected."""


class DataNotFoundError(DataError):
    """A data set is not on this machine."""


class RequestError(LeukoscopeError):
    """A request to the API cannot be answered."""

    retry_after: int | None = None
    """Seconds after which the same request may be answered; None when waiting does not help."""


class NoPictureError(RequestError):
    """The request holds no picture where one is looked for."""

    def __init__(self) -> None:
        super().__init__(
            "The request holds no picture. Send it as the multipart field `file` (several as "
            '`files`), or as JSON {"image": "<base64>"}.'
        )


class UnreadableRequestError(RequestError):
    """The body is not what its content type says; the sentence says where it breaks."""


class ContentTypeError(RequestError):
    """The body comes in a form that is not read here."""

    def __init__(self) -> None:
        super().__init__(
            "The body's form is not read here. Send multipart/form-data or application/json."
        )


class RequestTooLargeError(RequestError):
    """The whole body has more bytes than the settings allow."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The request is larger than {limit_bytes / 1e6:g} MB. Send fewer pictures at a "
            "time, and large ones as multipart rather than base64."
            if limit_bytes >= 1e6
            else f"The JSON is larger than {limit_bytes / 1e3:g} kB. Send less in one request."
        )


class TooManyFilesError(RequestError):
    """More pictures than one answer takes."""

    def __init__(self, limit: int, instead: str) -> None:
        pictures = "one picture" if limit == 1 else f"{limit:,} pictures"
        super().__init__(f"This address takes {pictures} a request. {instead}")


class TokenError(RequestError):
    """The request needs a token and brings none that holds."""

    def __init__(self) -> None:
        super().__init__(
            "This needs a token that is known, not expired and not revoked, as the header "
            "`Authorization: Bearer <token>`. Ask whoever runs the server for one."
        )


class ForeignPageError(RequestError):
    """A page of another site sent the request from somebody's browser."""

    def __init__(self) -> None:
        super().__init__("Pages of other sites cannot use this server. Open its own pages.")


class UnknownHostError(RequestError):
    """The request names a host that the server does not answer to."""

    def __init__(self) -> None:
        super().__init__(
            "This server does not answer to that host name. Whoever runs it can add the name to "
            "LEUKOSCOPE_HOSTS."
        )


class ClosedError(RequestError):
    """The address is closed to this client."""


class TooManyRequestsError(RequestError):
    """One client asks more often than the settings allow."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many requests. Wait {retry_after} s, then go on more slowly.")
        self.retry_after = retry_after


class TooManyConnectionsError(RequestError):
    """One client has more open at a time than the settings allow."""

    retry_after = 3

    def __init__(self) -> None:
        super().__init__("Too many requests at a time. Wait for answers, then send more.")


class UploadsFullError(RequestError):
    """The pages hold as many uploaded bytes as the settings allow."""

    retry_after = 60

    def __init__(self) -> None:
        super().__init__(
            "The server holds as many uploads as it may. Upload fewer files at a time, or wait a "
            "minute and try again."
        )


class BusyError(RequestError):
    """As many requests wait for the models as the settings allow."""

    retry_after = 3
    # Less than the 5 s after which uvicorn closes idle connections: clients that wait as long as
    # they are told would otherwise send on one that is just being closed.

    def __init__(self) -> None:
        super().__init__("The server is busy. Nothing was done; send the request again shortly.")


class CaseError(LeukoscopeError):
    """The case database cannot do what was asked. Nothing was changed."""


class StoreUnavailableError(CaseError):
    """The database cannot be reached, or did not answer in time."""

    def __init__(self) -> None:
        super().__init__(
            "The case database cannot be reached or is busy. Nothing was changed. Try again in a "
            "moment; if it stays so, ask whoever runs the server."
        )


class StoreDamagedError(CaseError):
    """The case database is damaged: its file, a table or a value cannot be read."""

    def __init__(self) -> None:
        super().__init__(
            "The case database is damaged, so nothing was changed. Cells can still be counted and "
            "fields graded. Ask whoever runs the server to restore the database from a backup."
        )


class StoreReadOnlyError(CaseError):
    """The case database can be read but not changed."""

    def __init__(self) -> None:
        super().__init__(
            "The case database can only be read here, so nothing was changed. Ask whoever runs "
            "the server for the right to write to it."
        )


class ChangeRefusedError(CaseError):
    """The database refused a change that contradicts what it holds."""

    def __init__(self) -> None:
        super().__init__(
            "The case database refused this change because it contradicts what is stored. Nothing "
            "was changed. Load the page again; if it happens again, report it, please."
        )


class StoreTooNewError(CaseError):
    """A later version of the program has migrated the database."""

    def __init__(self) -> None:
        super().__init__(
            "The case database was last used with a newer version of Leukoscope. "
            "Update this one, or restore a backup from before."
        )


class BackupError(CaseError):
    """A backup cannot be made or restored; the sentence says why."""


class PictureNotStoredError(CaseError):
    """The disk does not take a picture."""

    def __init__(self) -> None:
        super().__init__(
            "The picture could not be written to the store, so nothing was saved. Check the free "
            "space and the rights of the store folder."
        )


class PictureMissingError(CaseError):
    """A stored picture is gone or is not what was stored."""

    def __init__(self) -> None:
        super().__init__(
            "The stored picture is missing or damaged. Restore the store folder from its backup."
        )


class NotFoundError(CaseError):
    """What was asked for is not, or no longer, in the database."""

    def __init__(self, what: str) -> None:
        super().__init__(f"This {what} does not exist or was deleted. Go back to the list.")


class InvalidEntryError(CaseError):
    """Something typed in cannot be kept; the sentence says what."""


class NotAllowedError(CaseError):
    """The person's role does not allow the action."""

    def __init__(self, name: str, role: str, needed: str) -> None:
        super().__init__(
            f"{name} is a {role} here; this needs the role {needed}. Ask an admin to change it."
        )


class UnknownPersonError(CaseError):
    """Somebody signed in whom nobody has added."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no account here. Ask an admin to add it.")


class StaleCaseError(CaseError):
    """Somebody else changed the record after it was opened."""

    def __init__(self, name: str, at: datetime) -> None:
        super().__init__(
            f"{name} changed this record on {at:%Y-%m-%d at %H:%M} UTC, after you opened it. "
            "Nothing of yours was saved. Load it again, look at the change, then repeat yours."
        )


class SignedCaseError(CaseError):
    """The case is signed and so read-only."""

    def __init__(self, names: str) -> None:
        super().__init__(f"The case is signed by {names}. To change it, reopen it with a reason.")


class UnreviewedCellsError(CaseError):
    """Uncertain white cells bar the way to a signature."""

    def __init__(self, number: int) -> None:
        cells = "1 uncertain white cell waits" if number == 1 else f"{number} uncertain cells wait"
        super().__init__(f"{cells} for a reviewer. Name them in the review queue first.")


class SignatureError(CaseError):
    """The case cannot be signed or reopened as it stands; the sentence says why."""


class LinkError(CaseError):
    """A link to a case is unknown, expired or revoked."""

    def __init__(self) -> None:
        super().__init__(
            "This link does not open a case: it is wrong, expired or revoked. "
            "Ask whoever sent it for a new one."
        )
