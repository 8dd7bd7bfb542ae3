"""What one step of a tour puts on the screen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from core.cases.audit import record_view
from core.cases.cell_groups import case_cells
from core.cases.database import get_database
from core.cases.records import Case
from core.cases.samples import load_case
from core.cases.users import require
from core.charts.field import data_uri
from core.domain.boxes import Box, turned
from core.domain.results import Cell
from core.domain.taxonomy import (
    CELL_TYPES,
    KIND_NAMES,
    STATUS_LINES,
    CellKind,
    label_colour,
    label_name,
)
from core.errors import LeukoscopeError
from core.imaging.illumination import flatten
from core.imaging.preview import preview_jpeg
from core.slides.current import get_count, get_folders, get_views
from core.synthetic.fields import make_field
from core.synthetic.portraits import side_of
from core.teaching.atlas import Atlas, Entry, difference
from core.teaching.tours import (
    CaseStep,
    ComparisonStep,
    EntryStep,
    SlideStep,
    Step,
    SyntheticStep,
    check_case,
    check_slide,
)
from ui.atlas.images import MEDIUM, labelled_jpeg
from ui.components.references import credits_of, reference_cells
from ui.components.shared import number_of
from ui.components.stored import cell_jpeg, field_jpeg, surroundings_jpeg
from ui.components.visitor import current_user

_SIDE = 900
"""Pixels of a drawing: it fills the height of a projector."""
_REAL = 8
_FIELD = {"width": 1200, "height": 800, "red_cell_pixels": 66}
_VIEW = (1440, 900)
"""Pixels of a screen on which a view of a slide is shown."""
_LEAST_BOX = 12
"""Pixels of the screen: smaller cells of a slide are not boxed."""
_NOT_TOLD = "Uncertain"


@dataclass(frozen=True, slots=True)
class Slide:
    """One step as the browser shows it."""

    title: str
    text: str = ""
    own: str = ""
    """What the lecturer wrote."""
    figures: Sequence[dict[str, Any]] = ()
    """Images with and without labels, the name below, the meaning of the labels."""
    field: dict[str, Any] | None = None
    """An image with boxes by type."""
    strip: Sequence[str] = ()
    credit: str = ""
    problem: str = ""
    """Why the step cannot be shown."""
    facts: Sequence[str] = ()


def step_title(atlas: Atlas, step: Step) -> str:
    """Return a step in a few words, for lists."""
    if isinstance(step, EntryStep):
        return atlas.entries[step.cell].name
    if isinstance(step, ComparisonStep):
        one, other = atlas.entries[step.cell], atlas.entries[step.other]
        return f"{one.name} or {other.phrase}?"
    if isinstance(step, SyntheticStep):
        return f"Synthetic field {step.seed} with {number_of(step.white_cells, 'white cell')}"
    if isinstance(step, SlideStep):
        return f"View of a slide at {step.x:,}, {step.y:,} px"
    cell = "" if step.cell is None else f", cell {step.cell}"
    return f"Stored sample {step.sample}, field {step.field}{cell}"


def make_slide(atlas: Atlas, step: Step) -> Slide:
    """Return what a step shows; a problem where it cannot be shown, so that the lecture goes on."""
    try:
        if isinstance(step, EntryStep):
            return _entry(atlas, step)
        if isinstance(step, ComparisonStep):
            return _comparison(atlas, step)
        if isinstance(step, SyntheticStep):
            return _synthetic(step)
        if isinstance(step, SlideStep):
            return _view_of_slide(step)
        return _stored(step)
    except LeukoscopeError as error:
        return Slide("This step cannot be shown", own=step.text, problem=str(error))


def _figure(entry: Entry, side: float | None = None, *, notes: bool = True) -> dict[str, Any]:
    plain, _ = labelled_jpeg(entry.key, size=_SIDE, side=side, labels=False)
    labelled, meanings = labelled_jpeg(entry.key, size=_SIDE, side=side)
    return {
        "plain": data_uri(plain),
        "labelled": data_uri(labelled if notes else plain),
        "name": entry.name,
        "notes": meanings if notes else [],
    }


def _entry(atlas: Atlas, step: EntryStep) -> Slide:
    entry = atlas.entries[step.cell]
    # Cells reviewed here are not for an audience.
    real = reference_cells(entry.key, _REAL, MEDIUM, None, synthetic=False)
    return Slide(
        entry.name,
        entry.summary,
        step.text,
        figures=[_figure(entry)],
        strip=[data_uri(cell.jpeg) for cell in real],
        facts=[f"{entry.size_text} across"],
        credit=f"Drawing: synthetic. Real cells: {credits_of(real)}"
        if real
        else "Synthetic drawing.",
    )


def _comparison(atlas: Atlas, step: ComparisonStep) -> Slide:
    one, other = atlas.entries[step.cell], atlas.entries[step.other]
    side = max(side_of(one.key), side_of(other.key))
    return Slide(
        f"{one.name} or {other.phrase}?",
        difference(one, other) or "",
        step.text,
        figures=[_figure(one, side), _figure(other, side)],
        credit=f"Synthetic drawings at one scale, {side:g} µm wide.",
    )


@dataclass(frozen=True, slots=True)
class _Boxed:
    name: str
    colour: str
    box: Box
    dashes: tuple[float, ...] = ()


def _field(src: bytes, size: tuple[int, int], boxed: Iterable[_Boxed]) -> dict[str, Any]:
    """Return an image with its boxes by type, in the order in which they appear."""
    groups: dict[str, list[_Boxed]] = {}
    for one in boxed:
        groups.setdefault(one.name, []).append(one)
    order = [cell_type.name for cell_type in CELL_TYPES.values()]
    last = [_NOT_TOLD, KIND_NAMES["platelet"], KIND_NAMES["rbc"]]

    def place(name: str) -> int:
        return (
            len(order) + 1 + last.index(name)
            if name in last
            else (order.index(name) if name in order else len(order))
        )

    return {
        "src": data_uri(src),
        "width": size[0],
        "height": size[1],
        "groups": [
            {
                "name": name,
                "colour": groups[name][0].colour,
                "boxes": [
                    {"at": [round(v, 1) for v in one.box.xywh], "dashes": list(one.dashes)}
                    for one in groups[name]
                ],
            }
            for name in sorted(groups, key=place)
        ],
    }


def _kind_box(kind: CellKind, box: Box) -> _Boxed:
    return _Boxed(KIND_NAMES[kind], label_colour(kind), box)


def _white_box(cell: Cell, box: Box) -> list[_Boxed]:
    """Return the box of a white cell by the type it counts as; none of what is no white cell."""
    if cell.counted_as:
        return [_Boxed(label_name(cell.counted_as), label_colour(cell.counted_as), box)]
    if cell.status == "uncertain":
        return [_Boxed(_NOT_TOLD, label_colour(None), box, STATUS_LINES["uncertain"])]
    return []


@st.cache_data(max_entries=20, show_spinner=False)
def _synthetic_field(seed: int, white_cells: int) -> dict[str, Any]:
    made = make_field(seed, **_FIELD, white_cells=white_cells)
    boxed = [
        _Boxed(label_name(cell.type), label_colour(cell.type), cell.box)
        if cell.type
        else _kind_box(cell.kind, cell.box)
        for cell in made.cells
    ]
    size = made.pixels.shape[1], made.pixels.shape[0]
    return _field(preview_jpeg(made.pixels), size, boxed)


def _synthetic(step: SyntheticStep) -> Slide:
    return Slide(
        "Name the cells",
        "",
        step.text,
        field=_synthetic_field(step.seed, step.white_cells),
        credit="Synthetic field; boxes show what was drawn.",
    )


def open_lecture_case(sample_id: int) -> Case:
    """Return a stored case without names, which is audited. Raises LeukoscopeError."""
    database = get_database()
    user = current_user(database)
    case = load_case(database, sample_id)
    ids = {"patient_id": case.patient.id, "sample_id": sample_id}
    record_view(database, user.name, "view case", **ids)
    return case.with_neutral_names()


def _stored(step: CaseStep) -> Slide:
    case = open_lecture_case(step.sample)
    check_case(step, case)
    stored = case.fields[step.field - 1]
    if step.cell is not None:
        cell = next(
            c
            for c in case_cells(case)
            if c.field_id == stored.id and c.cell.box == stored.analysis.cells[step.cell - 1].box
        )
        around, _side = surroundings_jpeg(cell, True)
        alone = data_uri(cell_jpeg(cell, 480, True))
        return Slide(
            cell.cell.type_name if cell.cell.counted_as else _NOT_TOLD,
            _label_source([cell.cell.reviewer]),
            step.text,
            figures=[
                {"plain": alone, "labelled": alone, "name": "", "notes": []},
                {
                    "plain": data_uri(around),
                    "labelled": data_uri(around),
                    "name": "Among its neighbours",
                    "notes": [],
                },
            ],
        )
    boxed = []
    for found in stored.analysis.cells:
        if found.kind != "wbc":
            boxed.append(_kind_box(found.kind, found.box))
        else:
            boxed += _white_box(found, found.box)
    size = stored.analysis.width, stored.analysis.height
    return Slide(
        f"Field {step.field}",
        _label_source(c.reviewer for c in stored.analysis.cells if c.kind == "wbc"),
        step.text,
        field=_field(field_jpeg(stored.id, True), size, boxed),
    )


def _view_of_slide(step: SlideStep) -> Slide:
    """Show a view of a slide with the cells of its count, where they are large enough to name."""
    user = current_user(get_database())
    require(user, "viewer")
    slide = get_folders(owner=user.name).get(step.slide)
    view = get_views().view(slide, step.plane)
    check_slide(step, slide.version, view.width, view.height)
    across, down = (side / step.zoom for side in (_VIEW if step.turn % 180 == 0 else _VIEW[::-1]))
    left, top = max(0, round(step.x - across / 2)), max(0, round(step.y - down / 2))
    right = min(view.width, round(step.x + across / 2))
    bottom = min(view.height, round(step.y + down / 2))
    pixels = view.region(left, top, right - left, bottom - top, max(1.0, 1 / step.zoom))
    pixels = np.ascontiguousarray(np.rot90(flatten(pixels, view.light), -step.turn // 90))
    scale = max(pixels.shape[:2]) / max(right - left, bottom - top)
    count = get_count(slide, get_views().view(slide))
    boxed, reviewers = [], []
    for _, cell in count.analysis().white_cells() if count else ():
        x, y = cell.box.centre
        if left <= x < right and top <= y < bottom and step.zoom * cell.box.width >= _LEAST_BOX:
            box = Box(cell.box.x - left, cell.box.y - top, cell.box.width, cell.box.height)
            box = turned(box, right - left, bottom - top, step.turn)
            boxed += _white_box(cell, Box(*(scale * side for side in box.xywh)))
            reviewers.append(cell.reviewer)
    known = view.micrometres_per_pixel
    return Slide(
        "View of a slide",
        _label_source(reviewers) if boxed else "",
        step.text,
        field=_field(preview_jpeg(pixels), (pixels.shape[1], pixels.shape[0]), boxed),
        facts=[f"{pixels.shape[1] / scale * known:,.0f} µm across"] if known else (),
    )


def _label_source(reviewers: Iterable[str | None]) -> str:
    named = [reviewer is not None for reviewer in reviewers]
    if named and all(named):
        return "Types as reviewed."
    return (
        "Types as reviewed, else as the model suggests."
        if any(named)
        else ("Types as the model suggests, not reviewed.")
    )
