"""The workbench: all white cells by type, one of them large with reference cells, and the labels.

The browser draws a decision at once and sends it until the server has answered; see
`ReviewSession.receive`. Images go to the browser once, when it asks for them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Annotated, Any

import streamlit as st
from pydantic import Field, ValidationError

from core.cases.cell_groups import DUPLICATE, UNCERTAIN, CellGroup, cell_groups, grouped
from core.cases.listing import search_patients
from core.cases.queue import pending_counts, queue
from core.cases.records import LabelledCell, QueuedCell, QueueFilter
from core.cases.users import users
from core.charts.field import data_uri
from core.domain.agreement import LABELS
from core.domain.differential import Differential, differential
from core.domain.flags import blast_flag
from core.domain.probability import probability_text
from core.domain.results import Cell
from core.domain.taxonomy import (
    CELL_TYPES,
    LEUKOCYTES,
    NOT_A_WHITE_CELL,
    Status,
    label_colour,
    label_name,
)
from core.errors import LeukoscopeError
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES
from ui.components import fields, stored
from ui.components.browser import mount
from ui.components.cases import errors_shown, no_cases, open_case, sample_name
from ui.components.cell_images import SIDE_MICROMETRES
from ui.components.references import (
    REFERENCES,
    Reviewed,
    credits_of,
    offer_reference_cells,
    reference_cells,
)
from ui.components.shared import plain
from ui.review.closer import show_closer
from ui.review.session import (
    KEYS,
    FromBrowser,
    ReviewSession,
    Sent,
    show_rejected,
    show_review_error,
    suggestion,
    undo_button,
)

MAX_CELLS, MAX_QUEUED = 500, 60
"""Cells that are shown at once: of a sample, and of the queue over several samples."""
UNCERTAIN_CELLS, UNREVIEWED, ALL = "Uncertain", "Unreviewed", "All"
BENCH = "review_bench"
"""Key of the component and its state."""
_SERVED = "review_bench_served"
_AHEAD = 3
"""Next cells whose large images are sent before the browser asks."""
_SECONDS = 0.5
"""Time that a run draws images for; the browser asks again for the rest."""
_STATUS_TONES: dict[Status, tuple[str, str]] = {
    "classified": ("green", "classified"),
    "uncertain": ("orange", "uncertain: not counted"),
    "out_of_scope": ("gray", "not a white cell"),
}

Shown = list[tuple[CellGroup, Sequence[LabelledCell]]]
"""Groups, each with the cells that are shown of it."""


class Said(FromBrowser):
    """What the component shows, which images it lacks, and what it was not answered yet."""

    at: int
    """Grows with every message."""
    chosen: int | None
    lacking: Annotated[list[str], Field(max_length=4 * MAX_CELLS)]
    """Images to send, the most urgent first: a letter of `_IMAGES` and the id of a cell, or
    `FIELD` and that of a field."""
    outbox: Annotated[list[Sent], Field(max_length=1000)]


@st.fragment
def show_bench(session: ReviewSession, within: QueueFilter) -> None:
    """Show the white cells of a sample, or the first of the queue, to be labelled."""
    show_review_error(session)
    with st.container(horizontal=True, vertical_alignment="center", key="review_bar"):
        with errors_shown(end_page=True):
            wanted = _choose_filter(session, within)
        fields.light_toggle()
        is_closer = st.toggle(
            "Look closer",
            key="review_closer",
            persist_state="session",
            help="Below: attributes, outlines, activation map and history of the chosen cell.",
        )
    with errors_shown(end_page=True):
        counts = pending_counts(session.database, within)
        if within.sample_id is None:
            queued = queue(session.database, wanted, limit=MAX_QUEUED)
            groups, counted, to_review = grouped(queued.items), None, queued.total
            samples = {cell.sample.id: cell.sample for cell in queued.items}
            steps = {cell.id: cell for cell in queued.items}
        else:
            case = open_case(session.database, session.user, within.sample_id, session.draft_id)
            groups, counted = cell_groups(case), differential(case.analyses)
            samples = {case.sample.id: case.sample}
            found = queue(session.database, wanted, limit=MAX_CELLS)
            steps, to_review = {cell.id: cell for cell in found.items}, found.total
    for sample in samples.values():
        session.saw(sample)
    shown = _first(groups)
    cells = {cell.id: cell for _, some in shown for cell in some}
    _show_notes(session, wanted, len(cells), sum(len(group.cells) for group in groups))
    if not cells:
        _show_empty(session, wanted, counts[1])
        return
    said = _said()
    served = st.session_state.get(_SERVED)
    st.session_state[_SERVED] = said and said.at
    if said is None:
        first, *then = [i for i in cells if i in steps] or cells
        lacking = [f"{letter}{first}" for letter in "lsr"]
        lacking += [f"{letter}{i}" for i in then[:_AHEAD] for letter in "ls"]
        lacking += [f"t{i}" for i in cells]
    else:
        lacking = [] if said.at == served else said.lacking
    last = session.decisions[-1] if session.decisions else None
    mount(
        "bench",
        BENCH,
        {
            "scope": repr(wanted),
            "look": fields.is_light_corrected(),
            "at": said.at if said else 0,
            "labels": [
                {
                    "key": k,
                    "name": label_name(k),
                    "shortcut": KEYS.get(k),
                    "colour": label_colour(k),
                }
                for k in LABELS
            ],
            "groups": [_described_group(group) for group in groups],
            "cells": [
                _described(group, cell, steps, within) for group, some in shown for cell in some
            ],
            "samples": {
                str(sample.id): {"version": sample.version, "barred": session.why_not(sample)}
                for sample in samples.values()
            },
            "keeps": not wanted.unreviewed,  # a labelled cell stays among those to step through
            "toReview": to_review,
            "uncertain": counts[0],
            "confident": counts[1],
            "strip": counted and _strip(counted),
            "side": f"{SIDE_MICROMETRES:.0f} µm across",
            "answers": session.answers,
            "undo": last and {"id": last.id, "cells": list(last.cells), "text": last.text},
            "follow": is_closer,
            "images": _draw(lacking, cells),
        },
        said=lambda message: _receive(session, message),
    )
    chosen = None if said is None or said.chosen is None else cells.get(said.chosen)
    if is_closer and chosen:
        show_closer(session, steps.get(chosen.id) or chosen)
        offer_reference_cells(compared(chosen.cell))


def _said() -> Said | None:
    """Return the state of the component; None before it sent one, or when it is forged."""
    state = st.session_state.get(BENCH)
    return _valid(state.get("said")) if state else None


def _valid(message: Any) -> Said | None:
    try:
        return Said.model_validate(message)
    except ValidationError:
        return None


def _receive(session: ReviewSession, message: Any) -> None:
    if said := _valid(message):
        session.receive(said.outbox)


def _choose_filter(session: ReviewSession, within: QueueFilter) -> QueueFilter:
    """Let the reader filter the cells of a patient or sample; the address keeps the filter."""
    cells = st.segmented_control(
        "Cells",
        [UNCERTAIN_CELLS, UNREVIEWED, ALL],
        default=UNCERTAIN_CELLS,
        required=True,
        key="cells",
        bind="query-params",
        label_visibility="collapsed",
        help="Which cells come one after the other. Uncertain: the model is uncertain or took it "
        "for no white cell. Unreviewed: also confident cells. Neither contains cells of signed "
        "cases.",
    )
    with st.popover("Filter", icon=":material/filter_list:"):
        cell_type = st.selectbox(
            "Type",
            list(CELL_TYPES),
            index=None,
            format_func=label_name,
            placeholder="All types",
            key="type",
            bind="query-params",
        )
        lowest, highest = st.slider(
            "Model's confidence, %", 0, 100, (0, 100), key="confidence", bind="query-params"
        )
        reviewer = None
        if cells == ALL:
            reviewer = st.selectbox(
                "Last labelled by",
                [user.name for user in users(session.database)],
                index=None,
                placeholder="Anyone or no one",
                key="reviewer",
                bind="query-params",
            )
    return replace(
        within,
        type=cell_type,
        lowest=lowest / 100,
        highest=highest / 100,
        reviewer=reviewer,
        unreviewed=cells != ALL,
        uncertain=cells == UNCERTAIN_CELLS,
    )


def _show_notes(session: ReviewSession, wanted: QueueFilter, shown: int, total: int) -> None:
    """Say what is filtered and what is left out."""
    only = [label_name(wanted.type).lower()] if wanted.type else []
    if (wanted.lowest, wanted.highest) != (0.0, 1.0):
        only.append(f"confidence {100 * wanted.lowest:.0f}-{100 * wanted.highest:.0f} %")
    if wanted.reviewer:
        only.append(f"last labelled by {plain(wanted.reviewer)}")
    notes = [f"Filtered: {', '.join(only)}."] if only else []
    if shown < total:
        notes.append(f"The first {shown} of {total:,} cells, abnormal types first.")
    if notes:
        st.caption(" ".join(notes))
    if barred := session.barred_by_role():
        st.info(plain(barred), icon=":material/lock:")


def _show_empty(session: ReviewSession, wanted: QueueFilter, confident: int) -> None:
    show_rejected(session)
    undo_button(session)
    if wanted.draft_id is None and not search_patients(session.database, limit=1).total:
        no_cases()
    elif wanted.sample_id is not None:
        st.info("No white cell was found in this case.", icon=":material/search_off:")
    elif wanted == replace(wanted, type=None, lowest=0.0, highest=1.0, reviewer=None):
        text = "No white cell to review here."
        if wanted.uncertain and confident:
            text = "All uncertain cells are reviewed. **Unreviewed** shows the confident ones."
        st.success(text, icon=":material/check_circle:")
    else:
        st.info(
            "No white cell matches these filters. Widen the confidence, or show all types.",
            icon=":material/filter_alt_off:",
        )


def _first(groups: Sequence[CellGroup]) -> Shown:
    """Return each group with the cells that are shown of it."""
    before = accumulate((len(group.cells) for group in groups), initial=0)
    return [(g, g.cells[: max(MAX_CELLS - n, 0)]) for g, n in zip(groups, before, strict=False)]


def _described_group(group: CellGroup) -> dict[str, Any]:
    number = len(group.cells)
    return {
        "key": group.key,
        "name": group.name,
        "colour": group.colour,
        "figures": f"{number} · {group.share}" if group.share else str(number),
        "target": group.key not in {DUPLICATE, UNCERTAIN},
    }


def _described(
    group: CellGroup,
    cell: LabelledCell,
    steps: Mapping[int, QueuedCell],
    within: QueueFilter,
) -> dict[str, Any]:
    """Return what the browser shows of a cell."""
    found, queued = cell.cell, steps.get(cell.id)
    suggested, is_uncertain = suggestion(found), group.key == UNCERTAIN
    confidence = probability_text(found.confidence, 0)
    caption = f"{cell.name.rpartition(' of ')[0] or cell.name} · {confidence}"
    title = [f"Cell {cell.name}"]
    if suggested:
        title.append(f"model: {label_name(suggested).lower()} {confidence}")
    if found.reviewer:
        title.append(f"labelled by {found.reviewer}")
    return {
        "id": cell.id,
        "sample": queued.sample.id if queued else within.sample_id,
        "group": group.key,
        "part": f"{label_name(found.type)}?" if is_uncertain and found.type else "",
        "name": f"Cell {cell.name}",
        "title": ", ".join(title),
        "caption": f"{caption} ✓" if found.reviewer else caption,
        "isUncertain": is_uncertain,
        "isStep": cell.id in steps,
        "field": cell.field_id,
        "box": list(found.box.xywh),
        "colour": found.colour,
        "agree": agreement_of(found),
        "likely": {
            key: [probability, probability_text(probability)]
            for key, probability in likeliest(found)
        },
        "facts": _facts(cell, queued if within.sample_id is None else None),
    }


def _facts(cell: LabelledCell, queued: QueuedCell | None) -> list[list[str]]:
    """Return colour and text of what is to be known of a cell before it is named."""
    found = cell.cell
    facts = [["red", "possible blast"]] if found.is_possible_blast else []
    facts.append(list(_STATUS_TONES[found.status]))
    if found.in_distribution is False:
        facts.append(["orange", "unlike the training images"])
    if found.likely_subtype:
        facts.append(["", f"The model suggests: {found.type_name.lower()}"])
    if found.reviewer:
        label = NOT_A_WHITE_CELL if found.status == "out_of_scope" else str(found.type)
        facts.append(["", f"Labelled {label_name(label).lower()} by {found.reviewer}"])
    if not cell.micrometres_per_pixel:
        text = f"Scale unknown: the cell is assumed to be {ASSUMED_CELL_MICROMETRES} µm across"
        facts.append(["orange", text])
    if queued is not None:
        facts.append(["", f"{queued.patient.identifier}, {sample_name(queued.sample)}"])
    return facts


def likeliest(cell: Cell) -> list[tuple[str, float]]:
    """Return the three most likely types with their probabilities; none for an added cell."""
    return sorted((cell.probabilities or {}).items(), key=lambda item: -item[1])[:3]


def agreement_of(cell: Cell) -> str | None:
    """Return the label that agrees with the model: its type, or not a white cell."""
    ruled_out = cell.status == "out_of_scope" and cell.reviewer is None
    if ruled_out and cell.type != "platelet":
        return NOT_A_WHITE_CELL
    return suggestion(cell)


def _strip(counted: Differential) -> dict[str, Any]:
    """Return the differential as the browser draws it, and the sentence on possible blasts."""
    flag = blast_flag(counted.blasts)
    return {
        "total": counted.total,
        "uncertain": counted.uncertain,
        "warning": counted.warning,
        "blasts": flag and flag.sentence,
        "types": [
            {
                "name": CELL_TYPES[key].plural,
                "colour": CELL_TYPES[key].colour,
                "count": share.count,
                "percent": share.percent,
                "text": f"{share.text(' %')}",
            }
            for key, share in ((key, counted.shares[key]) for key in LEUKOCYTES)
            if share.count
        ],
    }


def compared(cell: Cell) -> list[str]:
    """Return the two likeliest types of a cell, and its subtype, to compare it with."""
    likely = [key for key, _ in likeliest(cell)[:2]]
    return [*likely, cell.likely_subtype] if cell.likely_subtype else likely


def _references(cell: LabelledCell, corrected: bool) -> dict[str, Any]:
    """Return rows of reference cells at the scale of all cells, and whom to credit."""
    reviewed = Reviewed(corrected, cell.id)
    rows = {
        key: reference_cells(key, REFERENCES, stored.SMALL, reviewed) for key in compared(cell.cell)
    }
    return {
        "rows": [
            {
                "name": label_name(key),
                "description": CELL_TYPES[key].description if key in CELL_TYPES else "",
                "images": [[data_uri(found.jpeg), found.origin] for found in row],
            }
            for key, row in rows.items()
        ],
        "credits": credits_of(found for row in rows.values() for found in row),
    }


_IMAGES: dict[str, Callable[[LabelledCell, bool], Any]] = {
    "t": lambda cell, corrected: data_uri(stored.cell_jpeg(cell, stored.MEDIUM, corrected)),
    "l": lambda cell, corrected: data_uri(stored.cell_jpeg(cell, stored.LARGE, corrected)),
    "s": lambda cell, corrected: data_uri(stored.surroundings_jpeg(cell, corrected)[0]),
    "r": _references,
}
"""Images of a cell by letter: thumbnail, large, in its surroundings, references."""


FIELD = "f"
"""Letter of the image of a whole field."""


def _field(cell: LabelledCell, corrected: bool) -> dict[str, Any]:
    """Return the image of a cell's field, and its size in pixels, which boxes are in."""
    width, height = stored.field_size(cell.field_id)
    source = data_uri(stored.field_jpeg(cell.field_id, corrected))
    return {"source": source, "width": width, "height": height}


def _draw(lacking: Sequence[str], cells: Mapping[int, LabelledCell]) -> dict[str, Any]:
    """Return images by what the browser calls them, as many as there is time for.

    What cannot be drawn is None, so that it is not asked for again.
    """
    corrected, end = fields.is_light_corrected(), time.monotonic() + _SECONDS
    in_field = {cell.field_id: cell for cell in cells.values()}
    drawn: dict[str, Any] = {}
    for name in lacking:
        letter, number = name[:1], name[1:]
        draw = _field if letter == FIELD else _IMAGES.get(letter)
        of = in_field if letter == FIELD else cells
        cell = of.get(int(number)) if number.isdecimal() and len(number) < 20 else None
        if cell is None or draw is None:
            continue
        try:
            drawn[name] = draw(cell, corrected)
        except LeukoscopeError:
            drawn[name] = None
        if time.monotonic() > end:
            break
    return drawn
