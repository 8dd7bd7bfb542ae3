"""Results of the ALL stage: pooled answer, field with activation map or cells, files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.charts.differential import probabilities_figure, stages_figure
from core.charts.field import cam_figure, field_drawing
from core.domain.flags import blast_flag, blasts_text
from core.domain.probability import probability_text
from core.domain.results import FieldAnalysis, PossibleBlasts, StageResult
from core.domain.taxonomy import STAGE_NOTE, STAGES
from core.exports.registry import STAGE_FORMATS, StageExport, export_files
from core.exports.tables import stages_table
from core.inference.field_classifier import pool
from core.inference.pipeline import get_analyzer
from ui.components import fields, shared
from ui.components.cases import errors_shown
from ui.upload.controls import (
    choose_field,
    choose_patient,
    exported,
    field_key,
    patient_editor,
    properties_table,
    remove_button,
    show_problems,
)
from ui.upload.images import SessionImage, decode_again, graded_field
from ui.upload.saving import save_section
from ui.upload.session import DRAFT, UploadSession

_GRADING = (
    "Benign, early pre-B, pre-B or pro-B ALL, with the regions that the model used. The model was "
    "trained on fields of one hospital."
)
ACTIVATION, CELLS = "Activation map", "Cells"
_BLASTS_SHOWN = 24


def show_results(session: UploadSession) -> None:
    """Show all results of the uploaded fields."""
    images = session.of_patient(choose_patient(session))
    session.grade(images)
    pooled = pooled_by_patient(images)
    show_possible_blasts(session, images, pooled)
    show_problems(session)
    show_pooled(images, pooled)
    offer_count(session)
    field_view(session, images)
    explain()
    show_files(session)
    save_section(session, images)
    downloads(session, images)


def graded_of(image: SessionImage) -> StageResult:
    """Return the answer for an image; one that is not kept cannot be graded any more."""
    reason = image.result.reject_reason or "The image was not kept, so it cannot be graded."
    return image.graded or StageResult(image.result.file, reject_reason=reason)


def offer_grading(session: UploadSession, images: Sequence[SessionImage]) -> None:
    """Offer to grade fields with possible blasts, beside the warning of them."""
    if not session.is_graded and any(image.result.counts.possible_blasts for image in images):
        st.button(
            "Show the ALL class of these fields",
            key="wbc_grade_blasts",
            icon=":material/stacked_line_chart:",
            type="primary",
            on_click=setattr,
            args=(session, "is_graded", True),
            help=_GRADING,
        )


def show_grading(session: UploadSession, images: Sequence[SessionImage]) -> None:
    """Show the pooled ALL class beside the count, once it was asked for."""
    if not session.is_graded:
        st.button(
            "Grade these fields for ALL",
            key="wbc_grade",
            icon=":material/stacked_line_chart:",
            on_click=setattr,
            args=(session, "is_graded", True),
            help=_GRADING,
        )
        return
    show_pooled(images, pooled_by_patient(images), "ALL class of these fields")
    with st.expander("What the classes mean", icon=":material/help:"):
        explain_classes()
    st.page_link(
        "pages/all_stage.py",
        label="All fields with their classes, tables and downloads",
        icon=":material/stacked_line_chart:",
        query_params={DRAFT: session.key} if session.key else None,
    )


def show_class(image: SessionImage) -> None:
    """Show the ALL class of the field whose cells are shown above."""
    result = graded_of(image)
    st.markdown("**ALL class of this field**")
    drawing, facts = st.columns(2)
    with drawing:
        show_drawing(image)
    with facts:
        _show_answer(image, result)


def pooled_by_patient(images: Sequence[SessionImage]) -> dict[str, StageResult]:
    """Return the pooled answer of each patient."""
    thresholds = get_analyzer().field_classifier.thresholds
    return {
        patient: pool([graded_of(i) for i in images if i.patient == patient], thresholds)
        for patient in dict.fromkeys(image.patient for image in images)
    }


def show_possible_blasts(
    session: UploadSession,
    images: Sequence[SessionImage],
    pooled: Mapping[str, StageResult],
) -> None:
    """Say first of all which patients may have blasts, and show these cells.

    One press opens the field with the most.
    """
    found = []
    for patient, result in pooled.items():
        flag = blast_flag(result.blasts) if result.blasts else None
        if flag and len(pooled) > 1:
            flag = replace(flag, sentence=f"{patient}: {flag.sentence}")
        found += [flag] if flag else []
    shared.show_urgent(found)
    if not found or len(images) < 2:
        return
    show_blast_cells(images)
    st.caption("Number: field.cell, as in the image of that field · probability of a blast.")
    counts = [blasts.count if (blasts := graded_of(i).blasts) else 0 for i in images]

    def open_field() -> None:
        st.session_state[field_key(session)] = counts.index(max(counts))

    st.button(
        "Show the field with the most possible blasts",
        key="stage_most_blasts",
        icon=":material/center_focus_strong:",
        type="primary",
        on_click=open_field,
    )


def suggestion(result: StageResult) -> str:
    """Return the status and then the class in Markdown."""
    if result.reject_reason:
        return f":red-badge[:material/block: rejected] {result.reject_reason}"
    if result.stage is None:
        return ":orange-badge[:material/help: no class] No class is suggested."
    name = STAGES[result.stage].name
    percent = probability_text(result.confidence)
    if result.status == "classified":
        return f":green-badge[:material/check: classified] Suggested class: **{name}**, {percent}"
    return (
        f":orange-badge[:material/help: uncertain] No class is suggested. "
        f"Most likely: {name}, {percent}."
    )


def show_pooled(
    images: Sequence[SessionImage],
    by_patient: Mapping[str, StageResult],
    title: str = "Pooled answer",
) -> None:
    """Show one answer for all fields of a patient."""
    if len(by_patient) > 1:
        st.info("Choose one patient to see a pooled answer.", icon=":material/person:")
        return
    results = [graded_of(image) for image in images]
    graded = [r for r in results if r.stage is not None and r.qc_override is None]
    rejected = sum(r.reject_reason is not None for r in results)
    overridden = sum(r.qc_override is not None for r in results)
    st.header(title)
    (pooled,) = by_patient.values()
    st.markdown(suggestion(pooled))
    if pooled.blasts:
        counted = shared.number_of(sum(r.blasts is not None for r in results), "field")
        st.markdown(f"{_blasts(pooled.blasts)} Counted in {counted}.")
    if pooled.warnings:
        st.warning("\n\n".join(pooled.warnings), icon=":material/straighten:")
    number = shared.number_of(len(graded), "graded field")
    parts = [f"Mean of the calibrated probabilities of {number}"]
    if overridden:
        parts.append(f"{overridden} analysed against quality control, left out")
    if unlike := len(results) - len(graded) - rejected - overridden:
        parts.append(f"{unlike} without a class")
    if rejected:
        parts.append(f"{rejected} rejected")
    if graded:
        st.caption(f"{'; '.join(parts)}.")
    found = Counter(r.stage for r in graded if r.status == "classified")
    if len(found) > 1:
        named = ", ".join(f"{found[key]} {STAGES[key].name}" for key in STAGES if found[key])
        st.warning(
            f"The fields do not agree: {named}. Check that all are of this patient and sample. "
            "Then look at them one by one.",
            icon=":material/call_split:",
        )
    if len(graded) > 1:
        st.plotly_chart(
            probabilities_figure(pooled),
            key="stage_pooled",
            config={"displayModeBar": False},
            alt="Pooled calibrated probability of each class",
        )


def offer_count(session: UploadSession) -> None:
    """Link to the count of the same fields."""
    st.page_link(
        "pages/wbc_count.py",
        label="Count the cells of these fields",
        icon=":material/blur_circular:",
        query_params={DRAFT: session.key} if session.key else None,
    )


def _blasts(blasts: PossibleBlasts) -> str:
    return f"**{shared.plain(blasts_text(blasts))}.**"


@st.fragment
def field_view(session: UploadSession, images: list[SessionImage]) -> None:
    """Show one field with its class activation map or its cells, and what was found."""
    st.header("Field")
    image = choose_field(session, images)
    result = graded_of(image)
    drawing, facts = st.columns(2)
    with drawing:
        show_drawing(image)
    with facts:
        st.markdown(f"**{shared.plain(result.title)}**")
        _show_answer(image, result)
        properties_table(image, {})
        remove_button(session, image)


def _show_answer(image: SessionImage, result: StageResult) -> None:
    """Show class, warnings and possible blasts of a field."""
    st.markdown(suggestion(result))
    if result.qc_override:
        title = "Analysed against quality control"
        st.warning(result.qc_override, title=title, icon=":material/warning:")
    for sentence in result.warnings:
        st.warning(shared.plain(sentence), icon=":material/straighten:")
    if result.blasts:
        show_blasts(image, result.blasts)
    if result.probabilities:
        st.plotly_chart(
            probabilities_figure(result),
            key="stage_probabilities",
            config={"displayModeBar": False},
            alt=f"Calibrated probability of each class for {result.title}",
        )


def show_blasts(image: SessionImage, blasts: PossibleBlasts) -> None:
    """Show the share of possible blasts in a field and, the likeliest first, the cells."""
    st.markdown(_blasts(blasts))
    if blasts.count:
        show_blast_cells([image])
        st.caption("Number, as in the image · calibrated probability of a blast.")


def show_blast_cells(images: Sequence[SessionImage]) -> None:
    """Show the possible blasts of some fields, the likeliest first."""
    cells = [
        (cell.confidence, f"{index}.{number}" if len(images) > 1 else str(number), number, image)
        for index, image in enumerate(images, 1)
        for number, cell in image.result.white_cells()
        if cell.is_possible_blast
    ]
    cells.sort(key=lambda item: -item[0])
    cells = cells[:_BLASTS_SHOWN]
    captions = [f"{label} · {probability_text(confidence, 0)}" for confidence, label, *_ in cells]
    jpegs = [image.original.cells[number] for *_, number, image in cells]
    shared.thumbnails(jpegs, captions, width=88, what="Possible blast")


def show_drawing(image: SessionImage) -> None:
    """Draw a field with its class activation map, or its cells where they were counted."""
    result = graded_of(image)
    analysis = result.analysis
    if result.stage is not None and result.cam is None and image.is_kept:
        result = replace(result, cam=_activation_map(image))
    views = [name for name, has in ((CELLS, analysis), (ACTIVATION, result.cam is not None)) if has]
    has_class = result.status == "classified"
    view = views[-1 if has_class else 0] if views else None
    if len(views) > 1:
        view = st.segmented_control(
            "Show",
            views,
            default=view,
            required=True,
            key="stage_view_class" if has_class else "stage_view",
        )
    if view == CELLS and analysis is not None:
        show_cells(image, analysis)
        return
    opacity = 0.0
    if result.cam is not None:
        percent = st.slider(
            "Opacity of the class activation map, %",
            0,
            100,
            60,
            step=5,
            key="stage_opacity",
            persist_state="session",
        )
        opacity = percent / 100
    size = (image.width, image.height)
    shared.image_chart(
        cam_figure(image.original.image, result, size, opacity, shared.shown_width(480)),
        "stage_drawing",
        f"Field {result.title} with the class activation map of the most likely class",
    )
    if result.cam is not None:
        st.caption(
            "Yellow: regions that support the most likely class most. The map shows what the "
            "model used, not where disease is. The bottom right corner is masked before "
            "grading, because scale bars there revealed the classes."
        )


def _activation_map(image: SessionImage) -> NDArray[np.float32] | None:
    """Return the class activation map of an image that an earlier session graded."""
    if image.stage is None:
        return None
    with errors_shown():
        for _, decoded in decode_again([image]):
            force = image.stage.qc_override is not None
            image.stage = replace(
                image.stage, cam=graded_field(decoded, image.own_result, force=force).cam
            )
    return image.stage.cam


def show_cells(image: SessionImage, analysis: FieldAnalysis) -> None:
    """Draw a field with its white cells."""
    fields.show_drawing(field_drawing(image.original.image, analysis), "stage_cells")
    st.caption(
        "Colour shows the type. Solid line: classified. Dashed: uncertain. Dotted grey: not a "
        "white cell."
    )


def explain() -> None:
    """Explain the classes under a heading."""
    st.header("What the classes mean")
    explain_classes()


def explain_classes() -> None:
    """Explain the classes, and where the model learnt them."""
    with st.grid(4, min_column_width=200):
        for stage in STAGES.values():
            with st.container(border=True, height="stretch"):
                st.markdown(f"**{stage.name}**")
                # No line break between "pre-" and "B".
                st.write(stage.description.replace("-", "\N{NON-BREAKING HYPHEN}"))
    st.caption(
        f"{STAGE_NOTE} The model was trained and measured on fields of one hospital. Its accuracy "
        "on fields of other hospitals is unknown."
    )


def show_files(session: UploadSession) -> None:
    """Show a row for each file and the distribution per patient."""
    st.header("Files and patients")
    images = list(session.images.values())
    text = st.column_config.TextColumn
    table = stages_table([graded_of(i) for i in images], [i.patient for i in images])
    shares, refused = [f"p_{key}" for key in STAGES], table["refused"].notna()
    table[shares] = (100 * table[shares]).mask(table["stage"].isna())
    table["status"] = table["status"].mask(table["stage"].isna(), "no class")
    table["status"] = table["status"].mask(refused, "rejected")
    number = st.column_config.NumberColumn
    counted = (
        {"possible_blasts": number("Possible blasts"), "white_cells": number("White cells")}
        if table["white_cells"].notna().any()
        else {}
    )
    patient_editor(
        session,
        table,
        {
            "file": text("File", pinned=True),
            "page": number("Page"),
            "patient": text("Patient (editable)", max_chars=60),
            "status": text("Status"),
            "overruled": text("Analysed against quality control"),
            "stage": text("Most likely"),
            **{f"p_{key}": number(f"{key}, %", format="%.1f") for key in STAGES},
            **counted,
            "refused": text("Rejected"),
        },
    )
    by_patient = {
        patient: [graded_of(image) for image in session.of_patient(patient)]
        for patient in session.patients()
    }
    st.plotly_chart(
        stages_figure(by_patient, shared.shown_width(900)),
        key="stage_patients",
        config={"displayModeBar": False},
        alt="Percentage of fields by class for each patient",
    )


def downloads(session: UploadSession, images: list[SessionImage]) -> None:
    """Offer what is on screen as files."""
    st.header("Download")
    images, failed = exported(session, images)
    results, patients = [graded_of(image) for image in images], [image.patient for image in images]
    export = StageExport(results, patients, pooled_by_patient(images), failed)
    files = export_files(STAGE_FORMATS, export, "leukoscope_all_stage")
    shared.download_buttons(files, session.name)
