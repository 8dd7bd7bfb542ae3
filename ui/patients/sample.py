"""One stored sample: its findings, fields with their cells, reports, history."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.cases.audit import Entry, history
from core.cases.cell_groups import case_cells
from core.cases.database import Database
from core.cases.range_tables import ranges_in_force
from core.cases.records import Case, LabelledCell, SampleField, User
from core.charts.field import field_drawing
from core.domain.probability import probability_text
from core.domain.results import Cell, StageResult
from core.domain.taxonomy import STAGES, label_name
from core.exports.registry import case_files
from core.exports.summary import summarise
from ui.components import cases, fields, shared
from ui.components.findings import show_summary
from ui.components.stored import SMALL, cell_jpeg, field_jpeg, segmented_field


def show_sample(database: Database, case: Case, user: User) -> None:
    """Show a stored sample."""
    with cases.errors_shown(end_page=True):
        summary = summarise(case, ranges_in_force(database))
    sample = case.sample
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header(cases.sample_name(sample), width="content")
        st.markdown(cases.state_badge(sample.state), width="content")
        cases.review_link(sample.id, "Review and sign")
        if summary.counted.blasts.count:
            cases.review_link(sample.id, "Show the possible blasts")
        if case.fields:
            cases.lecture_link(sample.id)
    show_summary(summary)
    show_fields(case)
    show_downloads(database, case, user)
    show_record(database, case)


@st.fragment
def show_fields(case: Case) -> None:
    """Show one field of the sample with its boxes and cells."""
    st.header("Fields")
    if not case.fields:
        st.info("This sample has no fields yet.", icon=":material/folder_open:")
        return
    titles = [stored.analysis.title for stored in case.fields]
    stored = case.fields[fields.choose_field(titles, f"sample_field_{case.sample.id}")]
    corrected = fields.light_toggle()
    with cases.errors_shown():
        drawing, about = st.columns([2.4, 1])
        with about:
            kinds = fields.choose_kinds(stored.analysis, "sample")
            method = fields.choose_method()
            segmented = segmented_field(stored, method) if method else {}
            _show_properties(stored)
            cases.slide_link(stored.analysis)
            if stored.stage is not None and stored.stage.stage is not None:
                _show_stage(stored.stage, STAGES[stored.stage.stage].name)
        with drawing:
            jpeg = field_jpeg(stored.id, corrected)
            drawn = field_drawing(jpeg, stored.analysis, kinds, segmented.values())
            fields.show_warnings(stored.analysis)
            fields.show_drawing(drawn, "sample_drawing")
        _show_cells([c for c in case_cells(case) if c.field_id == stored.id], corrected)


def _show_properties(stored: SampleField) -> None:
    analysis = stored.analysis
    st.table(
        {
            "Size": f"{analysis.width} × {analysis.height} px",
            "Scale": fields.scale_text(analysis),
            "Models": shared.plain(", ".join(f"{n} {v}" for n, v in stored.models.items())),
        },
        border="horizontal",
    )


def _show_stage(graded: StageResult, name: str) -> None:
    st.markdown(f"ALL class, {graded.status}: **{name}**")
    st.table(
        {
            one.name: shared.plain(probability_text(graded.probabilities.get(key, 0.0)))
            for key, one in STAGES.items()
        },
        border="horizontal",
        alt="Calibrated probability of each ALL class",
    )


def _show_cells(cells: list[LabelledCell], corrected: bool) -> None:
    if not cells:
        st.caption("No white cells in this field.")
        return
    captions = [f"{cell.name.rpartition('.')[2]} · {_label(cell.cell)}" for cell in cells]
    images = [cell_jpeg(cell, SMALL, corrected) for cell in cells]
    st.image(images, caption=captions, width=120, alt=captions)
    st.caption(
        "Numbers as in the image; all cells at the same scale. R: label of a reviewer. Otherwise: "
        "type and calibrated probability of the model."
    )


def _label(cell: Cell) -> str:
    if cell.duplicate:
        return "counted in another field"
    if cell.status == "out_of_scope":
        return "not a white cell" + (" (R)" if cell.reviewer else "")
    name = cell.type_name
    if cell.reviewer:
        return f"{name} (R)"
    doubt = "?" if cell.status == "uncertain" else ""
    percent = probability_text(cell.confidence, 0).replace(" ", "\N{NO-BREAK SPACE}")
    return f"{name}{doubt} {percent}"


def show_downloads(database: Database, case: Case, user: User) -> None:
    """Offer every report of the sample."""
    st.header("Reports")
    file_names = shared.file_names_toggle("sample")
    ranges = ranges_in_force(database)
    files = case_files(database, case, ranges, user, file_names=file_names)
    shared.download_buttons(files, "sample")
    st.caption("The numbers are those of this page.")


def _changes(entry: Entry, names: Mapping[int, str]) -> str:
    """Return which cells an entry changed from what to what; `names` are those of the cells."""
    reviews = entry.details.get("reviews", ())
    unknown = [None] * len(reviews)  # not in entries of 0.9.0, or no box changed
    before = entry.details.get("before") or unknown
    after = entry.details.get("after") or [label for *_, label in reviews]
    boxes = entry.details.get("boxes") or unknown
    versions = entry.details.get("typed_by") or unknown

    def name(label: str | None) -> str:
        return label_name(label) if label else "the model's type"

    def change(was: str | None, now: str | None, box: Sequence[Any] | None) -> str:
        if box is None:
            return f"{name(was)} → {name(now)}" if was else f"→ {name(now)}"
        old, new = (
            f"{name(label)} at {_box_text(at)}" if at else "no cell"
            for label, at in zip((was, now), box, strict=True)
        )
        return f"{old} → {new}"

    return "; ".join(
        f"{names.get(cell, cell)}: {change(was, now, box)}"
        + (f", typed by wbc {version}" if version else "")
        for (_, cell, _), was, now, box, version in zip(
            reviews, before, after, boxes, versions, strict=True
        )
    )


def _box_text(xywh: Sequence[float]) -> str:
    x, y, width, height = xywh
    return f"{x:.0f}, {y:.0f} ({width:.0f} × {height:.0f} pixels)"


def show_record(database: Database, case: Case) -> None:
    """Show comments and what was done with the sample."""
    cases.show_comments(case)
    names = {cell.id: cell.name for cell in case_cells(case)}
    done = st.expander(
        "History", icon=":material/history:", on_change="rerun", key="sample_history"
    )
    if done.open:
        with done, cases.errors_shown():
            st.dataframe(
                [
                    {
                        "At": cases.local_time(entry.at),
                        "Who": entry.user,
                        "What": entry.action,
                        "Cells": _changes(entry, names),
                    }
                    for entry in history(database, case.sample.id)
                ],
                hide_index=True,
                alt="Actions on this sample, oldest first",
            )
