"""Everything that can go wrong, as one tree of exceptions below `LeukoscopeError`.

`str(error)` is a sentence for the user: what happened, then what to do. It never contains a path of
the server or a Python name. The API answers with the class name and the first line of its
docstring (`core.api.problems`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

READABLE_FORMATS = "JPEG, PNG, BMP, TIFF, WebP or DICOM"
FAILED_INSIDE = "The program failed on this file. Please report it."
"""The answer for a file when the program is at fault; the log holds the details."""


class LeukoscopeError(Exception):
    """The program cannot do what was asked."""

    sentence: ClassVar[str] = ""
    """The message of errors that always say the same."""

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(self.sentence if sentence is None else sentence)


class InputError(LeukoscopeError):
    """The file cannot be analysed."""


class EmptyFileError(InputError):
    """The file has no bytes."""

    sentence = "The file is empty. Export the image again and upload it."


class NotAnImageError(InputError):
    """The file is not an image."""

    sentence = f"This is not an image. Send a {READABLE_FORMATS} file."


class DamagedImageError(InputError):
    """The header is that of an image, but the pixels cannot be decoded."""

    sentence = "The image is damaged or cut short. Copy it again from the camera or scanner."


class DamagedSlideError(InputError):
    """The slide, or a part of it, cannot be read."""

    sentence = (
        "The slide is damaged, cut short, or lacks files that belong to it. "
        "Copy it again from the scanner, with all its files."
    )


class SlideNotFoundError(InputError):
    """The slide is in no slide folder, or no longer."""

    sentence = (
        "There is no such slide. Choose one from the list, or ask the administrator whether it "
        "is in a slide folder."
    )


class SlideCopyError(LeukoscopeError):
    """The copy that a slide needs to be shown cannot be written."""

    sentence = (
        "The slide has no small levels, and the copy with them could not be written. Check the "
        "free space and the permissions of the folder LEUKOSCOPE_SLIDE_CACHE."
    )


class SlideTooLargeError(InputError):
    """The count of a slide has more parts than a case can hold."""

    def __init__(self, fields: int, most: int) -> None:
        super().__init__(
            f"The count has {fields:,} fields with white cells; a case holds {most:,} of one "
            "slide. Count fewer cells for a case."
        )


class SlideUploadTooLargeError(InputError):
    """The slide is larger than uploads may be."""

    def __init__(self, megabytes: int) -> None:
        super().__init__(
            f"Slides of up to {megabytes / 1000:g} GB can be uploaded here. Ask the administrator "
            "to copy a larger one into a slide folder."
            if megabytes
            else "Slides cannot be uploaded here. Ask the administrator to copy them into a slide "
            "folder."
        )


class SlideUploadsFullError(LeukoscopeError):
    """The server has no room for the slide."""

    sentence = (
        "The server has no room for this slide now. What has arrived is kept. Delete slides that "
        "you no longer need, or ask the administrator for space, then go on."
    )


class TooManySlideUploadsError(LeukoscopeError):
    """The user has as many unfinished uploads as one may have."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"You have {number} unfinished uploads of slides. Go on with them or delete some."
        )


class GeoJSONError(InputError):
    """The file is no GeoJSON with regions."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The regions cannot be read: {why}. Export annotations from QuPath as GeoJSON."
        )


class TileNotFoundError(InputError):
    """The slide has no such tile."""

    sentence = "The slide has no tile there. Its description says how many it has."


class UnsupportedFormatError(InputError):
    """The format, or this variant of it, is not supported."""

    def __init__(self, what: str, instead: str = f"Save the image as {READABLE_FORMATS}.") -> None:
        super().__init__(f"{what} is not supported. {instead}")


class TooLargeError(InputError):
    """The image has more bytes or pixels than the settings allow."""

    def __init__(self, size: str, limit: str) -> None:
        super().__init__(
            f"The image is too large ({size}; the limit is {limit}). "
            "Crop it to the fields of interest."
        )


class TooComplexError(InputError):
    """The file has more parts than any image needs."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The file was not decoded because {why}. Open it in an image viewer and save it again "
            "as PNG or TIFF."
        )


class DecodingStoppedError(InputError):
    """Decoding took too much time or memory, or crashed the decoder."""

    def __init__(self, seconds: float, megabytes: int) -> None:
        super().__init__(
            f"Decoding was stopped: the file needs more than {seconds:g} s or "
            f"{megabytes:,} MB of memory. Save the image again as PNG or TIFF, or crop it."
        )


class TooSmallError(InputError):
    """The image has too few pixels to recognise cells."""

    def __init__(self, width: int, height: int, minimum: int) -> None:
        super().__init__(
            f"The image is too small ({width} × {height} px; each side needs {minimum} px). "
            "Send the original, not a preview."
        )


class SeveralImagesError(InputError):
    """The file holds several images where one is expected."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"The file holds {number} images. Choose one with `page`, or send the file to "
            "an address that takes several."
        )


class NoSuchPageError(InputError):
    """The file does not have the requested page."""

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
    """The section `[auth]` is incomplete, or sign-ins could be forged with it."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Single sign-on cannot be used: {why}. Correct the section [auth] of "
            ".streamlit/secrets.toml as docs/deployment.md shows, then start again."
        )


class OpenAddressError(LeukoscopeError):
    """The server would listen to other machines without any protection."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The server does not start on {host}: without sign-in and tokens anyone could read "
            "and change all cases. Set up single sign-on, set LEUKOSCOPE_API_TOKENS=true for the "
            "API, or allow open access with LEUKOSCOPE_OPEN_ACCESS=true."
        )


class SignInError(LeukoscopeError):
    """Nobody is signed in, or the session has ended."""

    def __init__(self, why: str = "You are not signed in.") -> None:
        super().__init__(f"{why} Sign in to continue.")


class RangesError(LeukoscopeError):
    """The table of reference ranges is missing or invalid."""


class NoEstimateError(LeukoscopeError):
    """The data do not support the estimate."""


class ModelError(LeukoscopeError):
    """A model file is missing, damaged, or does not fit its card."""


class ProfileError(LeukoscopeError):
    """A site profile cannot be made or used."""


class BatchError(LeukoscopeError):
    """A batch cannot start or continue; what is done is kept."""


class CountStoppedError(LeukoscopeError):
    """The process that counts the cells of a slide ended by itself."""

    sentence = (
        "The process that counts was stopped, most likely for lack of memory. What was counted is "
        "kept. Go on with the count; if it stops again, ask the administrator for memory."
    )


class DataError(LeukoscopeError):
    """A data set is damaged or not as expected."""


class DataNotFoundError(DataError):
    """A data set is not on this machine."""


class AtlasError(LeukoscopeError):
    """The texts of the atlas cannot be read."""


class TourError(LeukoscopeError):
    """A tour for the lecture view, or a step of it, cannot be used."""


class RequestError(LeukoscopeError):
    """A request to the API cannot be answered."""

    retry_after: int | None = None
    """Seconds after which the same request may be answered; None when waiting does not help."""


class NoPictureError(RequestError):
    """The request contains no image."""

    sentence = (
        "The request contains no image. Send it as the multipart field `file` (several as "
        '`files`), or as JSON {"image": "<base64>"}.'
    )


class UnreadableRequestError(RequestError):
    """The body does not match its content type."""


class SlideUploadNotFoundError(RequestError):
    """There is no such upload of a slide, or no longer."""

    sentence = (
        "This upload does not exist, has expired or was deleted. Choose the file again to begin "
        "anew."
    )


class SlideUploadOffsetError(RequestError):
    """The bytes of an upload do not follow those that are there."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"The server has {offset:,} bytes of this upload. Go on from there.")


class UploadProtocolError(RequestError):
    """The request does not follow the protocol of resumable uploads."""

    sentence = "Uploads follow tus 1.0.0. Send the header `Tus-Resumable: 1.0.0`."


class ContentTypeError(RequestError):
    """The content type is not supported."""

    sentence = "The content type is not supported. Send multipart/form-data or application/json."


class RequestTooLargeError(RequestError):
    """The body has more bytes than the settings allow."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"The request is larger than {limit_bytes / 1e6:g} MB. Send fewer images at a "
            "time, and large ones as multipart instead of base64."
            if limit_bytes >= 1e6
            else f"The JSON is larger than {limit_bytes / 1e3:g} kB. Send less in one request."
        )


class TooManyFilesError(RequestError):
    """The request has more images than allowed."""

    def __init__(self, limit: int, instead: str) -> None:
        images = "one image" if limit == 1 else f"{limit:,} images"
        super().__init__(f"This address takes {images} per request. {instead}")


class TokenError(RequestError):
    """The request needs a valid token."""

    sentence = (
        "A valid token is needed, in the header `Authorization: Bearer <token>`. Yours is missing, "
        "unknown, expired or revoked. Ask the administrator for one."
    )


class ForeignPageError(RequestError):
    """A page of another site sent the request."""

    sentence = "Pages of other sites cannot use this server. Open its own pages."


class UnknownHostError(RequestError):
    """The request names a host that the server does not answer to."""

    sentence = (
        "This server does not answer to that host name. Its administrator can add the name to "
        "LEUKOSCOPE_HOSTS."
    )


class ClosedError(RequestError):
    """The address is closed to this client."""


class TooManyRequestsError(RequestError):
    """The client sends requests more often than the settings allow."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many requests. Wait {retry_after} s, then send them more slowly.")
        self.retry_after = retry_after


class TooManyConnectionsError(RequestError):
    """The client has more open connections than the settings allow."""

    retry_after = 3

    sentence = "Too many requests at a time. Wait for answers, then send more."


class UploadsFullError(RequestError):
    """The server holds as many uploads as the settings allow."""

    retry_after = 60

    sentence = (
        "The server cannot hold more uploads. Upload fewer files at a time, or try again in a "
        "minute."
    )


class BusyError(RequestError):
    """The queue for the models is full."""

    retry_after = 3
    # Less than the 5 s after which uvicorn closes idle connections, so that a client that waits
    # does not send its next request on a connection that is being closed.

    sentence = "The server is busy and did nothing. Send the request again in a few seconds."


class CaseError(LeukoscopeError):
    """The case database cannot do what was asked. Nothing was changed."""


class StoreUnavailableError(CaseError):
    """The case database cannot be reached, or did not answer in time."""

    sentence = (
        "The case database cannot be reached or is busy. Nothing was changed. Try again in a "
        "moment. If the problem persists, ask the administrator."
    )


class StoreDamagedError(CaseError):
    """The case database is damaged."""

    sentence = (
        "The case database is damaged, so nothing was changed. Cells can still be counted and "
        "fields graded. Ask the administrator to restore the database from a backup."
    )


class StoreReadOnlyError(CaseError):
    """The case database can be read but not changed."""

    sentence = (
        "The case database is read-only here, so nothing was changed. Ask the administrator for "
        "write access."
    )


class ChangeRefusedError(CaseError):
    """The change contradicts the stored data."""

    sentence = (
        "This change contradicts the stored data, so nothing was changed. Load the page again. If "
        "it happens again, please report it."
    )


class StoreTooNewError(CaseError):
    """A newer version of the program has migrated the database."""

    sentence = (
        "The case database was last used with a newer version of Leukoscope. "
        "Update this one, or restore an older backup."
    )


class BackupError(CaseError):
    """A backup cannot be made or restored."""


class PictureNotStoredError(CaseError):
    """An image cannot be stored."""

    sentence = (
        "The image could not be stored, so nothing was saved. Check the free space and the "
        "permissions of the store folder."
    )


class PictureMissingError(CaseError):
    """A stored image is missing or damaged."""

    sentence = "The stored image is missing or damaged. Restore the store folder from its backup."


class NotFoundError(CaseError):
    """The record does not exist, or no longer."""

    def __init__(self, what: str) -> None:
        super().__init__(f"This {what} does not exist or was deleted. Go back to the list.")


class DraftError(NotFoundError):
    """A draft is unknown here, or not the visitor's."""

    def __init__(self) -> None:
        CaseError.__init__(
            self,
            "This draft cannot be opened: its address is wrong, it was deleted, or another user "
            "made it. Upload the images again.",
        )


class UnnamedCaseError(CaseError):
    """The case has no patient yet."""

    sentence = (
        "These images belong to no patient yet. Save them to a patient first: open Save to a "
        "patient below the results of the count."
    )


class InvalidEntryError(CaseError):
    """An entry is not valid."""


class NotAllowedError(CaseError):
    """The role of the user does not allow the action."""

    def __init__(self, name: str, role: str, needed: str) -> None:
        super().__init__(
            f"{name} is a {role} here; this needs the role {needed}. Ask an administrator."
        )


class UnknownPersonError(CaseError):
    """The user has no account here."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no account here. Ask an administrator to add one.")


class StaleCaseError(CaseError):
    """Another user changed the record after it was opened."""

    def __init__(self, name: str, at: datetime) -> None:
        super().__init__(
            f"{name} changed this record on {at:%Y-%m-%d at %H:%M} UTC, after you opened it. "
            "Your change was not saved. Load the record again, then repeat your change."
        )


class CountSavedError(CaseError):
    """A sample holds the count of the slide already."""

    def __init__(self, sample_id: int) -> None:
        super().__init__(
            f"Sample {sample_id} holds the count of this slide: it was saved there already. "
            "Nothing was changed here. Open that sample to go on."
        )


class SignedCaseError(CaseError):
    """The case is signed and therefore read-only."""

    def __init__(self, names: str) -> None:
        super().__init__(f"The case is signed by {names}. To change it, reopen it with a reason.")


class UnreviewedCellsError(CaseError):
    """The case has uncertain white cells, so it cannot be signed."""

    def __init__(self, number: int) -> None:
        cells = "1 uncertain cell needs" if number == 1 else f"{number} uncertain cells need"
        super().__init__(f"{cells} review before the case can be signed. Open the review queue.")


class SignatureError(CaseError):
    """The case cannot be signed or reopened as it is."""


class LinkError(CaseError):
    """A link to a case is unknown, expired or revoked."""

    sentence = "This link is wrong, expired or revoked. Ask the person who sent it for a new one."
