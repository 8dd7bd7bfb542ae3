"""The images that a visitor uploaded on one page, with their results.

They live in the browser session, so they stay when the page is left. A session keeps small JPEG
copies, the results, and the files as uploaded; decoded images are dropped after the analysis.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.access import rejected_uploads
from core.domain.results import (
    FailedFile,
    FieldAnalysis,
    FieldImage,
    ImageProperties,
    Pixels,
    StageResult,
    neutral_name,
)
from core.errors import UploadsFullError
from core.imaging.crop import crop_cell
from core.imaging.decoder import decoded
from core.imaging.duplicates import Finder, Known, marked, pixels_sha256
from core.imaging.illumination import flatten
from core.imaging.preview import preview_jpeg
from core.imaging.read import display_name
from core.inference.pipeline import get_analyzer
from core.inference.site_profile import SiteProfile
from core.inference.tasks import or_failure
from core.settings import get_settings
from ui.components.fields import is_light_corrected
from ui.components.shared import number_of, plain

R = TypeVar("R", FieldAnalysis, StageResult)

MAX_IMAGES = 500
MAX_BYTES = 512 * 2**20
"""Bytes of uploaded files that one visitor's sessions keep together."""
_CROP_SIDE = 96
_BY_CONTENT: dict[str | type[Any], Callable[[Any], Any]] = {
    FieldImage: attrgetter("identity"),
    SiteProfile: SiteProfile.model_dump_json,
}


@st.cache_data(max_entries=MAX_IMAGES, show_spinner=False, hash_funcs=_BY_CONTENT)
def analyze_field(
    image: FieldImage, *, force: bool = False, profile: SiteProfile | None = None
) -> FieldAnalysis:
    """Analyze a field; the cache is shared by all visitors."""
    return get_analyzer().analyze(image, profile, force=force)


@st.cache_data(max_entries=MAX_IMAGES, show_spinner=False, hash_funcs=_BY_CONTENT)
def stage_field(image: FieldImage, *, force: bool = False) -> StageResult:
    """Grade a field; the cache is shared by all visitors."""
    return get_analyzer().stage(image, force=force)


@dataclass(frozen=True)
class PendingUpload:
    """A file that was uploaded and not read yet."""

    key: str
    name: str
    patient: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Views:
    """JPEG copies of an image, and of each white cell by its number in the image."""

    image: bytes
    cells: dict[int, bytes]


@dataclass
class SessionImage(Generic[R]):
    """An analyzed image."""

    patient: str
    identity: tuple[str, int]
    """SHA-256 of the file as uploaded, and page."""
    width: int
    height: int
    properties: ImageProperties
    pixels_sha256: str
    """Hash of the decoded pixels: the same whatever the file format."""
    original: Views
    """As taken."""
    corrected: Views
    """Light-corrected; as taken on the page ALL stage."""
    own_result: R
    """Result of this image alone."""
    result: R
    """`own_result` with the cells marked that an earlier image shows too."""
    raw: bytes | None = None
    """The file as uploaded; None when the session has no room for it."""
    sample_id: int | None = None
    """The stored sample that the image was saved to."""

    @property
    def shown(self) -> Views:
        """The copies that the visitor wants to see."""
        return self.corrected if is_light_corrected() else self.original


_all_sessions: "WeakSet[UploadSession[Any]]" = WeakSet()


@dataclass(eq=False)
class UploadSession(Generic[R]):
    """The images of one page in upload order, by SHA-256 and page."""

    name: str
    """`wbc` or `stage`; prefix of the page's widget keys."""
    analyze: Callable[..., R]
    """Analyzes a `FieldImage`; with `force=True` also one that quality control rejects."""
    images: dict[tuple[str, int], SessionImage[R]] = field(default_factory=dict)
    pending: list[PendingUpload] = field(default_factory=list)
    """Example files to be read beside what is in the uploader."""
    failed: list[FailedFile] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Names of the files in folders that are no images."""
    repeated: list[tuple[str, str]] = field(default_factory=list)
    """Name of an image that was uploaded before, and its first name."""
    keep_duplicates: bool = False
    """Count a cell in every field that shows it."""
    known: Known = field(default_factory=dict, repr=False)
    """Transforms between pairs of fields that were compared."""
    handled: set[str] = field(default_factory=set)
    """Keys of the uploads that were read since the uploader was emptied."""
    received: int = 0
    """Files received since the session was cleared, read or not."""
    round: int = 0
    """Part of the uploader's key: a new number empties it."""

    def __post_init__(self) -> None:
        _all_sessions.add(self)

    def of_patient(self, patient: str | None) -> list[SessionImage[R]]:
        """Return the images of a patient, or all images for None."""
        return [image for image in self.images.values() if patient in (None, image.patient)]

    def patients(self) -> list[str]:
        """Return the patients in upload order."""
        return list(dict.fromkeys(image.patient for image in self.images.values()))

    def analyze_by_force(self, images: Sequence[SessionImage[R]]) -> None:
        """Analyze rejected or doubtful images in spite of quality control; the results say so."""
        for old, image in decode_again(images):
            result = self.analyze(image, force=True)
            self.images[old.identity] = _session_image(old.patient, image, result, old.raw)
        self.mark_duplicates()

    def mark_duplicates(self) -> None:
        """Mark the cells that an earlier field of the patient shows too: each counts once."""
        finder = Finder(keep=self.keep_duplicates, known=self.known)
        for image in self.images.values():
            if isinstance(image.own_result, FieldAnalysis):
                image.result = marked(image.own_result, finder, image.patient)

    def remove(self, image: SessionImage[R]) -> None:
        """Remove one image."""
        del self.images[image.identity]
        self.mark_duplicates()

    def clear(self) -> None:
        """Replace this session by an empty one."""
        empty = UploadSession(self.name, self.analyze, round=self.round + 1)
        st.session_state[_key(self.name)] = empty

    def empty_uploader(self) -> None:
        """Drop the files that were read and rerun the page."""
        self.pending.clear()
        self.handled.clear()
        self.round += 1
        st.rerun()


def open_upload_session(name: str, analyze: Callable[..., R]) -> UploadSession[R]:
    """Return the visitor's session of a page; new images are analyzed with `analyze`."""
    session: UploadSession[R] = st.session_state.setdefault(
        _key(name), UploadSession(name, analyze)
    )
    session.analyze = analyze
    return session


def uploaded_result(name: str, identity: tuple[str, int]) -> FieldAnalysis | StageResult | None:
    """Return the result that another page of the visitor has of an image, if not rejected."""
    session = st.session_state.get(_key(name))
    image = session and session.images.get(identity)
    return image.own_result if image and not image.own_result.reject_reason else None


def _key(name: str) -> str:
    return f"{name}_uploads"


def has_room(size: int) -> bool:
    """Return whether the visitor, and all visitors together, may keep a file of `size` bytes."""
    own = [value for value in st.session_state.values() if isinstance(value, UploadSession)]
    limit = get_settings().upload_megabytes * 1_000_000
    return _kept_bytes(own) + size <= MAX_BYTES and _kept_bytes(list(_all_sessions)) + size <= limit


def _kept_bytes(sessions: Sequence[UploadSession[Any]]) -> int:
    # The images of one file share its bytes.
    return sum(
        sum({i.identity[0]: len(i.raw) for i in list(session.images.values()) if i.raw}.values())
        for session in sessions
    )


def forget_upload(key: str) -> None:
    """Drop the copy of a file that Streamlit would keep until the session ends."""
    if runtime.exists():
        files: Any = runtime.get_instance().uploaded_file_mgr  # its interface lacks `remove_file`
        files.remove_file(_session_id(), key)


def _session_id() -> str:
    context = get_script_run_ctx()
    return "" if context is None else context.session_id


def ingest(session: UploadSession[R], pending: Sequence[PendingUpload]) -> None:
    """Read and analyze uploads one by one; a bad file is noted and the others go on."""
    total = len(pending)
    with st.status(f"Reading {number_of(total, 'file')}", expanded=True) as status:
        bar = st.progress(0.0)
        for number, upload in enumerate(pending, 1):
            session.received += 1
            name = upload.name
            if get_settings().neutral_names:
                name = neutral_name(session.received)
            shown = plain(display_name(name))
            bar.progress((number - 1) / total, text=f"{number} of {total}: {shown}")
            status.update(label=f"Analysing file {number} of {total}", expanded=True)
            outcome = _ingest_file(session, upload, name)
            session.handled.add(upload.key)
            forget_upload(upload.key)
            st.write(f"{shown}: {outcome}")
        status.update(label="Comparing the images")
        session.mark_duplicates()
        if rejected := rejected_uploads.pop(_session_id(), 0):
            name = number_of(rejected, "more file")
            session.failed.append(FailedFile(name, str(UploadsFullError())))
        status.update(label=f"{number_of(total, 'file')} read", state="complete")


def _ingest_file(session: UploadSession[R], upload: PendingUpload, name: str) -> str:
    """Analyze every image of a file; return the outcome in words."""

    def analyze_images() -> str:
        raw = upload.read()
        outcomes: list[str] = []
        with decoded(raw, name) as images:
            kept = raw if has_room(len(raw)) else None
            for image in images:
                if len(session.images) >= MAX_IMAGES:
                    error = f"The page keeps {MAX_IMAGES} images. Clear them to read more."
                    session.failed.append(FailedFile(image.title, error))
                    outcomes.append(error)
                    break
                outcomes.append(_ingest_image(session, upload.patient, image, kept))
        if len(images) == 1:
            return outcomes[0]
        listed = " ".join(f"{number}: {text}" for number, text in enumerate(outcomes, 1))
        return f"{len(images)} images: {listed}"

    outcome = or_failure(display_name(name), analyze_images)
    if isinstance(outcome, FailedFile):
        session.failed.append(outcome)
        return plain(outcome.error)
    return outcome


def _ingest_image(
    session: UploadSession[R], patient: str, image: FieldImage, raw: bytes | None
) -> str:
    pixels = pixels_sha256(image.pixels)
    if first := next((i for i in session.images.values() if i.pixels_sha256 == pixels), None):
        title = first.result.title
        if first.patient != patient:
            title = f"{title} of {first.patient}"
        session.repeated.append((image.title, title))
        return f"the same image as {plain(title)}."
    result = session.analyze(image)
    session.images[image.identity] = _session_image(patient, image, result, raw)
    return "rejected." if result.reject_reason else "done."


def _session_image(
    patient: str, image: FieldImage, result: R, raw: bytes | None
) -> SessionImage[R]:
    # The cache may know the same bytes under another name.
    result = replace(result, file=image.name)
    original = _views(image.pixels, result)
    is_count = isinstance(result, FieldAnalysis)
    return SessionImage(
        patient=patient,
        identity=image.identity,
        width=image.width,
        height=image.height,
        properties=image.properties,
        pixels_sha256=pixels_sha256(image.pixels),
        original=original,
        corrected=_views(flatten(image.pixels), result) if is_count else original,
        own_result=result,
        result=result,
        raw=raw,
    )


def _views(pixels: Pixels, result: FieldAnalysis | StageResult) -> Views:
    analysis = result if isinstance(result, FieldAnalysis) else result.analysis
    cells = () if analysis is None else analysis.white_cells()
    return Views(
        preview_jpeg(pixels),
        {n: preview_jpeg(crop_cell(pixels, cell.box, size=_CROP_SIDE)) for n, cell in cells},
    )


def decode_again(
    images: Sequence[SessionImage[R]],
) -> Iterator[tuple[SessionImage[R], FieldImage]]:
    """Decode kept images again, one file at a time; images that are not kept are left out."""
    kept = [image for image in images if image.raw is not None]
    for _, group in groupby(kept, key=lambda image: image.identity[0]):
        same_file = list(group)
        with decoded(same_file[0].raw or b"", same_file[0].result.file) as decoded_images:
            by_page = {image.page: image for image in decoded_images}
            for image in same_file:
                yield image, by_page[image.identity[1]]
