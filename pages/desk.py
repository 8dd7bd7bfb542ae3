"""The desk on which uploads are read, analysed and kept.

A desk lives in the session, so results stay when the page is left. It keeps small JPEG copies
and results; uploaded bytes and full pictures are dropped as soon as they are analysed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Generic, TypeVar

import pandas as pd
import streamlit as st

from core.errors import InputError
from core.imaging.crop import crop_cell
from core.imaging.preview import preview_jpeg
from core.imaging.read import display_name, read_image
from core.inference.analyzer import get_analyzer
from core.results import FailedFile, FieldAnalysis, FieldImage, ImageProperties, StageResult
from pages.shared import plain

R = TypeVar("R", FieldAnalysis, StageResult)

MOST_PICTURES = 500
PICTURE_TYPES = ["jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp"]
UNNAMED = "Unnamed"
_CROP_SIDE = 96
_BY_CONTENT = {FieldImage: attrgetter("sha256")}


@st.cache_data(max_entries=MOST_PICTURES, show_spinner=False, hash_funcs=_BY_CONTENT)
def analyse_field(image: FieldImage) -> FieldAnalysis:
    """Analyse a field; the same bytes are analysed once in this process, whoever brings them."""
    return get_analyzer().analyze(image)


@st.cache_data(max_entries=MOST_PICTURES, show_spinner=False, hash_funcs=_BY_CONTENT)
def stage_field(image: FieldImage) -> StageResult:
    """Grade a field; the same bytes are graded once in this process, whoever brings them."""
    return get_analyzer().stage(image)


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
    width: int
    height: int
    properties: ImageProperties
    jpeg: bytes
    crops: dict[int, bytes]
    """JPEG of each white cell, by its number in the picture."""
    result: R


@dataclass
class Desk(Generic[R]):
    """The pictures of one page in one session, by SHA-256, in the order they came."""

    pictures: dict[str, Picture[R]] = field(default_factory=dict)
    failed: list[FailedFile] = field(default_factory=list)
    repeated: list[tuple[str, str]] = field(default_factory=list)
    """Names of a picture that came again, and of the first one."""
    handled: set[str] = field(default_factory=set)
    """Keys of what was read from the uploader as it stands."""
    round: int = 0
    """A new number gives a new uploader and so drops the raw files."""

    def of_patient(self, patient: str | None) -> list[Picture[R]]:
        """Return the pictures of a patient, or all of them."""
        return [p for p in self.pictures.values() if patient is None or p.patient == patient]

    def patients(self) -> list[str]:
        """Return the patients in the order they came."""
        return list(dict.fromkeys(p.patient for p in self.pictures.values()))


def open_desk(name: str) -> Desk:
    """Return this session's desk of a page."""
    return st.session_state.setdefault(f"{name}_desk", Desk())


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
        typed = st.text_input(
            "Patient of these pictures",
            key=f"{name}_patient",
            placeholder="From the folder's name" if by_folder else UNNAMED,
            max_chars=60,
            persist_state="session",
            width=280,
        ).strip()
    files = st.file_uploader(
        ("Drop a folder of" if by_folder else "Drop one or many")
        + " fields: JPEG, PNG, BMP, TIFF or WebP",
        # Single files of any name are read, so that each gets its own sentence when it is none.
        type=PICTURE_TYPES if by_folder else None,
        accept_multiple_files="directory" if by_folder else True,
        key=f"{name}_upload_{desk.round}",
        help="Pictures stay in this server's memory until you clear them or close the page; "
        "nothing is written to disk.",
    )
    return [
        Incoming(
            file.file_id,
            file.name,
            typed or (folder_name(file.name) if by_folder else "") or UNNAMED,
            file.getvalue,
        )
        for file in files
        if file.file_id not in desk.handled
    ]


def folder_name(path: str) -> str:
    """Return the name of the folder a file lies in; empty without one."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return display_name(parts[-2]) if len(parts) > 1 else ""


def take_in(
    desk: Desk[R], incoming: Sequence[Incoming], analyse: Callable[[FieldImage], R]
) -> None:
    """Read and analyse pictures one by one; a bad one is noted and the others go on."""
    total = len(incoming)
    label = f"Reading {total} pictures" if total > 1 else "Reading the picture"
    with st.status(label, expanded=True) as status:
        bar = st.progress(0.0)
        for number, item in enumerate(incoming, 1):
            shown = display_name(item.name)
            bar.progress((number - 1) / total, text=f"{number} of {total}: {plain(shown)}")
            status.update(label=f"Analysing picture {number} of {total}", expanded=True)
            sentence = _take_one(desk, item, shown, analyse)
            desk.handled.add(item.key)
            st.write(f"{plain(shown)}: {sentence}")
        status.update(label=f"{total} read", state="complete")


def _take_one(desk: Desk[R], item: Incoming, shown: str, analyse: Callable[[FieldImage], R]) -> str:
    if len(desk.pictures) >= MOST_PICTURES:
        sentence = f"{MOST_PICTURES} pictures are kept at a time. Clear them to read more."
        desk.failed.append(FailedFile(shown, sentence))
        return sentence
    try:
        image = read_image(item.read(), item.name)
    except InputError as error:
        desk.failed.append(FailedFile(shown, str(error)))
        return str(error)
    if first := desk.pictures.get(image.sha256):
        desk.repeated.append((image.name, first.result.file))
        return f"the same picture as {plain(first.result.file)}."
    # The cache may know the same bytes under another name.
    result = replace(analyse(image), file=image.name)
    crops = {}
    if isinstance(result, FieldAnalysis):
        crops = {
            n: preview_jpeg(crop_cell(image.pixels, cell.box, size=_CROP_SIDE))
            for n, cell in result.white_cells()
        }
    desk.pictures[image.sha256] = Picture(
        item.patient,
        image.width,
        image.height,
        image.properties,
        preview_jpeg(image.pixels),
        crops,
        result,
    )
    return "done."


def finish_round(desk: Desk) -> None:
    """Drop the uploaded bytes and draw the page anew."""
    desk.handled.clear()
    desk.round += 1
    st.rerun()


def show_problems(desk: Desk) -> None:
    """Say which files were not read, were refused, or came twice."""
    results = [picture.result for picture in desk.pictures.values()]
    refused = [r for r in results if r.refused]
    if desk.failed:
        lines = [f"- **{plain(f.file)}**: {f.error}" for f in desk.failed]
        st.error("\n".join(lines), title="Not read", icon=":material/error:")
    if refused:
        lines = [f"- **{plain(r.file)}**: {r.refused}" for r in refused]
        st.warning("\n".join(lines), title="Refused", icon=":material/block:")
    if desk.repeated:
        lines = [
            f"- **{plain(name)}** is the same as {plain(kept)}" for name, kept in desk.repeated
        ]
        st.info("\n".join(lines), title="Counted once", icon=":material/content_copy:")


def choose_patient(name: str, desk: Desk) -> str | None:
    """Let the reader choose a patient when there are several; None is all of them."""
    patients = desk.patients()
    if len(patients) < 2:
        return None
    everyone = f"All {len(patients)} patients"
    chosen = st.selectbox(
        "Patient", [*patients, everyone], key=f"{name}_chosen", persist_state="session"
    )
    return None if chosen == everyone else chosen


def choose_field(name: str, pictures: Sequence[Picture]) -> int:
    """Let the reader step through fields; return the index of the chosen one."""
    if len(pictures) == 1:
        return 0
    key = f"{name}_field"
    last = len(pictures) - 1
    index = min(st.session_state.get(key) or 0, last)
    st.session_state[key] = index

    def step(by: int) -> None:
        st.session_state[key] = min(max(st.session_state[key] + by, 0), last)

    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            f"Field (of {len(pictures)})",
            range(len(pictures)),
            format_func=lambda i: f"{i + 1} · {pictures[i].result.file}",
            key=key,
            persist_state="session",
            width=420,
        )
        for label, icon, by, end in (
            ("Previous", ":material/chevron_left:", -1, 0),
            ("Next", ":material/chevron_right:", 1, last),
        ):
            st.button(
                label,
                icon=icon,
                key=f"{key}_{label}",
                on_click=step,
                args=(by,),
                disabled=index == end,
            )
    return int(chosen)


def properties_table(picture: Picture, more: dict[str, str]) -> None:
    """List what the file says of itself."""
    own = picture.properties
    st.table(
        {
            "Size": f"{picture.width} × {picture.height} px",
            "Format": f"{own.format}, {own.file_bytes / 1000:,.0f} kB",
            "Mode": f"{own.mode}, {own.bit_depth} bits per channel",
            **({"Pages": f"{own.frames}, the first is read"} if own.frames > 1 else {}),
            **more,
        },
        border="horizontal",
    )


def patient_editor(name: str, desk: Desk, table: pd.DataFrame, columns: dict[str, object]) -> None:
    """Show a row for each picture; its patient can be corrected in place."""
    pictures = list(desk.pictures.values())
    if table["refused"].isna().all():
        columns.pop("refused")

    edited = st.data_editor(
        table.fillna({"refused": ""}),
        key=f"{name}_files",
        hide_index=True,
        disabled=[column for column in table.columns if column != "patient"],
        column_order=list(columns),
        column_config=columns,
        alt="A row for each picture with its patient and counts",
    )
    named = [(patient or "").strip() or UNNAMED for patient in edited["patient"]]
    if named != [p.patient for p in pictures]:
        for picture, patient in zip(pictures, named, strict=True):
            picture.patient = patient
        st.rerun()
