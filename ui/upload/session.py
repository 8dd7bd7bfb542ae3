"""The desk on which uploads are read, analysed and kept.

A desk lives in the session, so results stay when the page is left. It keeps small JPEG copies,
results, and the files as uploaded, from which pictures are saved; decoded pictures are dropped as
soon as they are analysed.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import Generic, Protocol, TypeVar
from weakref import WeakSet

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.api.quota import take_refused
from core.cases.names import normalised
from core.domain.results import (
    FailedFile,
    FieldAnalysis,
    FieldImage,
    ImageProperties,
    StageResult,
    neutral_name,
)
from core.errors import READABLE_FORMATS, InputError, UploadsFullError
from core.imaging.crop import crop_cell
from core.imaging.decoder import decoded
from core.imaging.duplicates import Finder, Known, marked, pixels_sha256
from core.imaging.formats import BEGINNING, is_offered
from core.imaging.preview import preview_jpeg
from core.imaging.read import display_name
from core.inference.pipeline import get_analyzer
from core.inference.quality_control import DOUBTFUL
from core.inference.site_profile import SiteProfile
from core.settings import get_settings
from ui.components.shared import plain

R = TypeVar("R", FieldAnalysis, StageResult)

MOST_PICTURES = 500
MOST_BYTES = 512 * 2**20
"""Files as uploaded that a session keeps, all its desks together."""
UNNAMED = "Unnamed"
_CROP_SIDE = 96
_BY_CONTENT = {FieldImage: attrgetter("identity"), SiteProfile: SiteProfile.model_dump_json}


@st.cache_data(max_entries=MOST_PICTURES, show_spinner=False, hash_funcs=_BY_CONTENT)
def analyse_field(
    image: FieldImage, *, anyway: bool = False, profile: SiteProfile | None = None
) -> FieldAnalysis:
    """Analyse a field; the same bytes are analysed once in this process, whoever brings them."""
    return get_analyzer().analyze(image, profile, anyway=anyway)


@st.cache_data(max_entries=MOST_PICTURES, show_spinner=False, hash_funcs=_BY_CONTENT)
def stage_field(image: FieldImage, *, anyway: bool = False) -> StageResult:
    """Grade a field; the same bytes are graded once in this process, whoever brings them."""
    return get_analyzer().stage(image, anyway=anyway)


class Analyse(Protocol):
    """Analyses one picture; `anyway` overrules the input gate."""

    def __call__(self, image: FieldImage, *, anyway: bool = False) -> FieldAnalysis | StageResult:
        """Return what was found."""
        ...


@dataclass(frozen=True)
class Incoming:
    """A picture that waits to be read."""

    key: str
    name: str
    patient: str
    read: Callable[[], bytes]


@dataclass
class Picture(Generic[R]):
    """An analysed picture as it is kept in the session."""

    patient: str
    identity: tuple[str, int]
    """SHA-256 of the file as uploaded, and page."""
    width: int
    height: int
    properties: ImageProperties
    pixels: str
    """Hash of the decoded pixels, the same whatever file they came in."""
    jpeg: bytes
    crops: dict[int, bytes]
    """JPEG of each white cell, by its number in the picture."""
    found: R
    """What was found in the picture alone."""
    result: R
    """`found` beside the other pictures: cells that an earlier one shows are marked."""
    raw: bytes | None = None
    """The file as uploaded; None once the session holds too many."""
    sample_id: int | None = None
    """The stored sample that the picture was saved to."""


_desks: "WeakSet[Desk]" = WeakSet()
"""Of all sessions."""


@dataclass(eq=False)
class Desk(Generic[R]):
    """The pictures of one page in one session, by SHA-256 and page, in the order they came."""

    pictures: dict[tuple[str, int], Picture[R]] = field(default_factory=dict)
    failed: list[FailedFile] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    """Names of the files in folders that are no images."""
    repeated: list[tuple[str, str]] = field(default_factory=list)
    """Names of a picture that came again, and of the first one."""
    keep: bool = False
    """Count cells in every field that shows them."""
    known: Known = field(default_factory=dict, repr=False)
    """What was found of pairs of fields."""
    handled: set[str] = field(default_factory=set)
    """Keys of what was read from the uploader as it stands."""
    received: int = 0
    """Files that came, read or not, since the desk was cleared."""
    round: int = 0
    """A new number gives a new uploader."""

    def __post_init__(self) -> None:
        _desks.add(self)

    def of_patient(self, patient: str | None) -> list[Picture[R]]:
        """Return the pictures of a patient, or all of them."""
        return [p for p in self.pictures.values() if patient is None or p.patient == patient]

    def patients(self) -> list[str]:
        """Return the patients in the order they came."""
        return list(dict.fromkeys(p.patient for p in self.pictures.values()))


def open_desk(name: str) -> Desk:
    """Return this session's desk of a page."""
    return st.session_state.setdefault(f"{name}_desk", Desk())


def has_room(size: int) -> bool:
    """Tell whether the session, and all sessions together, may keep a file of so many bytes."""
    own = [desk for desk in st.session_state.values() if isinstance(desk, Desk)]
    most = get_settings().upload_megabytes * 1_000_000
    return _kept(own) + size <= MOST_BYTES and _kept(list(_desks)) + size <= most


def _kept(desks: Sequence[Desk]) -> int:
    """Return the bytes of files as uploaded on some desks."""
    # The images of one file share its bytes.
    return sum(
        sum({p.identity[0]: len(p.raw) for p in list(desk.pictures.values()) if p.raw}.values())
        for desk in desks
    )


def _forget_upload(key: str) -> None:
    """Drop the copy of a file that Streamlit would keep until the session ends."""
    if runtime.exists():
        runtime.get_instance().uploaded_file_mgr.remove_file(_session(), key)


def _session() -> str:
    context = get_script_run_ctx()
    return "" if context is None else context.session_id


def clear_desk(name: str) -> None:
    """Take everything off a desk."""
    number = open_desk(name).round
    st.session_state[f"{name}_desk"] = Desk(round=number + 1)


def uploader(name: str, desk: Desk) -> list[Incoming]:
    """Draw the upload controls; return what was dropped and not read yet."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        source = st.segmented_control(
            "Upload",
            ["Files", "Folder"],
            default="Files",
            required=True,
            key=f"{name}_source",
            persist_state="session",
        )
        by_folder = source == "Folder"
        typed = normalised(
            st.text_input(
                "Patient of these pictures",
                key=f"{name}_patient",
                placeholder="From the folder's name" if by_folder else UNNAMED,
                max_chars=60,
                persist_state="session",
                width=280,
            )
        )
    files = st.file_uploader(
        ("Drop a folder of" if by_folder else "Drop one or many")
        + f" fields: {READABLE_FORMATS}, also camera raw",
        accept_multiple_files="directory" if by_folder else True,
        key=f"{name}_upload_{desk.round}",
        help="Pictures stay in this server's memory until you clear them or close the page. "
        "Nothing is written to disk unless you save it to a patient.",
    )
    new = [file for file in files if file.file_id not in desk.handled]
    incoming = []
    for file in new:
        # Single files of any name are read, so that each gets its own sentence when it is none.
        if by_folder and not _is_image(file):
            desk.handled.add(file.file_id)
            _forget_upload(file.file_id)
            desk.passed_over.append(display_name(file.name))
            continue
        patient = typed or (folder_name(file.name) if by_folder else "") or UNNAMED
        incoming.append(Incoming(file.file_id, file.name, patient, file.getvalue))
    return incoming


def _is_image(file: UploadedFile) -> bool:
    name = display_name(file.name)
    hidden = name.startswith(".")
    return not hidden and is_offered(name, lambda: file.getvalue()[:BEGINNING])


def folder_name(path: str) -> str:
    """Return the name of the folder a file lies in; empty without one."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return display_name(parts[-2]) if len(parts) > 1 else ""


def take_in(desk: Desk, incoming: Sequence[Incoming], analyse: Analyse) -> None:
    """Read and analyse pictures one by one; a bad one is noted and the others go on."""
    total = len(incoming)
    label = f"Reading {total} pictures" if total > 1 else "Reading the picture"
    with st.status(label, expanded=True) as status:
        bar = st.progress(0.0)
        for number, named in enumerate(incoming, 1):
            item = _received(desk, named)
            shown = display_name(item.name)
            bar.progress((number - 1) / total, text=f"{number} of {total}: {plain(shown)}")
            status.update(label=f"Analysing picture {number} of {total}", expanded=True)
            sentence = _take_one(desk, item, shown, analyse)
            desk.handled.add(item.key)
            _forget_upload(item.key)
            st.write(f"{plain(shown)}: {sentence}")
        status.update(label="Comparing the pictures")
        compare(desk)
        if refused := take_refused(_session()):
            name = "1 more file" if refused == 1 else f"{refused} more files"
            desk.failed.append(FailedFile(name, str(UploadsFullError())))
        status.update(label=f"{total} read", state="complete")


def _received(desk: Desk, item: Incoming) -> Incoming:
    """Count a file; where the settings say so, forget its name."""
    desk.received += 1
    if not get_settings().neutral_names:
        return item
    return replace(item, name=neutral_name(desk.received))


def _take_one(desk: Desk, item: Incoming, shown: str, analyse: Analyse) -> str:
    """Read a file and analyse every image in it; return what became of it."""
    raw = item.read()
    try:
        with decoded(raw, item.name) as images:
            return _take_images(desk, item, raw, images, analyse)
    except InputError as error:
        desk.failed.append(FailedFile(shown, str(error)))
        return plain(str(error))


def _take_images(
    desk: Desk, item: Incoming, raw: bytes, images: Sequence[FieldImage], analyse: Analyse
) -> str:
    kept = raw if has_room(len(raw)) else None
    said: list[str] = []
    for image in images:
        if len(desk.pictures) >= MOST_PICTURES:
            sentence = f"{MOST_PICTURES} pictures are kept at a time. Clear them to read more."
            desk.failed.append(FailedFile(image.title, sentence))
            said.append(sentence)
            break
        said.append(_take_image(desk, item.patient, image, kept, analyse))
    if len(images) == 1:
        return said[0]
    return f"{len(images)} images: " + " ".join(f"{n}: {text}" for n, text in enumerate(said, 1))


def _take_image(
    desk: Desk, patient: str, image: FieldImage, raw: bytes | None, analyse: Analyse
) -> str:
    pixels = pixels_sha256(image.pixels)
    if first := next((p for p in desk.pictures.values() if p.pixels == pixels), None):
        whose = "" if first.patient == patient else f" of {first.patient}"
        desk.repeated.append((image.title, first.result.title + whose))
        return f"the same picture as {plain(first.result.title + whose)}."
    result = analyse(image)
    desk.pictures[image.identity] = _picture(patient, image, result, raw)
    return "refused." if result.reject_reason else "done."


def _picture(
    patient: str, image: FieldImage, result: FieldAnalysis | StageResult, raw: bytes | None
) -> Picture:
    """Return what the session keeps of an analysed picture."""
    # The cache may know the same bytes under another name.
    result = replace(result, file=image.name)
    crops = {}
    if isinstance(result, FieldAnalysis):
        crops = {
            n: preview_jpeg(crop_cell(image.pixels, cell.box, size=_CROP_SIDE))
            for n, cell in result.white_cells()
        }
    return Picture(
        patient,
        image.identity,
        image.width,
        image.height,
        image.properties,
        pixels_sha256(image.pixels),
        preview_jpeg(image.pixels),
        crops,
        result,
        result,
        raw,
    )


def is_doubtful(result: FieldAnalysis | StageResult) -> bool:
    """Tell whether quality control let an image pass without classifying anything in it."""
    return DOUBTFUL in result.warnings


def overrule(desk: Desk, analyse: Analyse, pictures: Sequence[Picture]) -> None:
    """Analyse refused or doubtful pictures in spite of the input gate; the results say so."""
    for picture, image in images_of(pictures):
        result = analyse(image, anyway=True)
        desk.pictures[picture.identity] = _picture(picture.patient, image, result, picture.raw)
    compare(desk)


def compare(desk: Desk) -> None:
    """Mark the cells that an earlier field of the patient shows too, so that each counts once."""
    finder = Finder(keep=desk.keep, known=desk.known)
    for picture in desk.pictures.values():
        if isinstance(picture.found, FieldAnalysis):
            picture.result = marked(picture.found, finder, picture.patient)


def images_of(pictures: Sequence[Picture[R]]) -> Iterator[tuple[Picture[R], FieldImage]]:
    """Decode kept pictures again, one file at a time; those no longer kept are left out."""
    kept = [picture for picture in pictures if picture.raw is not None]
    for _, group in groupby(kept, key=lambda picture: picture.identity[0]):
        same_file = list(group)
        with decoded(same_file[0].raw or b"", same_file[0].result.file) as images:
            by_page = {image.page: image for image in images}
            for picture in same_file:
                yield picture, by_page[picture.identity[1]]


def remove(desk: Desk, picture: Picture) -> None:
    """Take one picture off a desk."""
    desk.pictures = {key: p for key, p in desk.pictures.items() if p is not picture}
    compare(desk)


def finish_round(desk: Desk) -> None:
    """Drop the uploaded bytes and draw the page anew."""
    desk.handled.clear()
    desk.round += 1
    st.rerun()
