"""Results of the ALL stage: pooled answer, field with activation map or cells, files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from core.charts.differential import probabilities_figure, stages_figure
from core.charts.field import cam_figure, field_figure
from core.domain.flags import blasts_text, field_blast_flag
from core.domain.probability import probability_text
from core.domain.results import FieldAnalysis, PossibleBlasts, StageResult
from core.domain.taxonomy import STAGE_NOTE, STAGES
from core.exports.registry import STAGE_FORMATS, StageExport, export_files
from core.exports.tables import stages_table
from core.inference.field_classifier import pool
from core.inference.pipeline import get_analyzer
from ui.components import shared
from ui.components.actions import kept_button
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
from ui.upload.saving import save_section
from ui.upload.session import (
    PendingUpload,
    SessionImage,
    UploadSession,
    analyze_field,
    open_upload_session,
)

ACTIVATION, CELLS = "Activation map", "Cells"
_BLASTS_SHOWN = 24


def show_results(session: UploadSession[StageResult]) -> None:
    """Show all results of the uploaded fields."""
    images = session.of_patient(choose_patient(session))
    pooled = pooled_by_patient(images)
    show_possible_blasts(session, images, pooled)
    show_problems(session)
    show_pooled(images, pooled)
    offer_count(images)
    field_view(session, images)
    explain()
    show_files(session)
    save_section(session, images)
    downloads(session, images)


def pooled_by_patient(images: Sequence[SessionImage[StageResult]]) -> dict[str, StageResult]:
    """Return the pooled answer of each patient."""
    thresholds = get_analyzer().field_classifier.thresholds
    return {
        patient: pool([i.result for i in images if i.patient == patient], thresholds)
        for patient in dict.fromkeys(image.patient for image in images)
    }


def show_possible_blasts(
    session: UploadSession[StageResult],
    images: Sequence[SessionImage[StageResult]],
    pooled: Mapping[str, StageResult],
) -> None:
    """Say first of all which patients may have blasts, and show these cells.

    One press opens the field with the most.
    """
    found = []
    for patient, result in pooled.items():
        flag = field_blast_flag(result.blasts) if result.blasts else None
        if flag and len(pooled) > 1:
            flag = replace(flag, sentence=f"{patient}: {flag.sentence}")
        found += [flag] if flag else []
    shared.show_urgent(found)
    if not found or len(images) < 2:
        return
    show_blast_cells(images)
    st.caption("Number: field.cell, as in the image of that field · probability of a blast.")
    counts = [image.result.blasts.count if image.result.blasts else 0 for image in images]

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
    images: Sequence[SessionImage[StageResult]], by_patient: Mapping[str, StageResult]
) -> None:
    """Show one answer for all fields of a patient."""
    if len(by_patient) > 1:
        st.info("Choose one patient to see a pooled answer.", icon=":material/person:")
        return
    results = [image.result for image in images]
    graded = [r for r in results if r.stage is not None]
    rejected = sum(r.reject_reason is not None for r in results)
    st.subheader("Pooled answer")
    (pooled,) = by_patient.values()
    st.markdown(suggestion(pooled))
    if pooled.blasts:
        counted = shared.number_of(sum(r.blasts is not None for r in results), "field")
        st.markdown(f"{_blasts(pooled.blasts)} Counted in {counted} without a suggested class.")
    if pooled.warnings:
        st.warning("\n\n".join(pooled.warnings), icon=":material/straighten:")
    number = shared.number_of(len(graded), "graded field")
    parts = [f"Mean of the calibrated probabilities of {number}"]
    if unlike := len(results) - len(graded) - rejected:
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


def offer_count(images: Sequence[SessionImage[StageResult]]) -> None:
    """Offer to count all cells of the fields on the page WBC count."""
    kept = {i.identity[0]: (i.patient, i.result.file, i.raw) for i in images if i.raw is not None}
    if not kept or not kept_button(
        "Count the cells of these fields",
        "stage_count",
        icon=":material/blur_circular:",
        help="Opens them on the page WBC count: types of all white cells, differential, review.",
    ):
        return
    session = open_upload_session("wbc", analyze_field)
    known = {sha256 for sha256, _ in session.images}
    session.pending += [
        PendingUpload(key=sha256, name=name, patient=patient, read=partial(bytes, raw))
        for sha256, (patient, name, raw) in kept.items()
        if sha256 not in known
    ]
    st.switch_page("pages/wbc_count.py")


def _blasts(blasts: PossibleBlasts) -> str:
    return f"**{shared.plain(blasts_text(blasts))}.**"


@st.fragment
def field_view(
    session: UploadSession[StageResult], images: list[SessionImage[StageResult]]
) -> None:
    """Show one field with its class activation map or its cells, and what was found."""
    st.subheader("Field")
    image = choose_field(session, images)
    result = image.result
    drawing, facts = st.columns(2)
    with drawing:
        show_drawing(image)
    with facts:
        st.markdown(f"**{shared.plain(result.title)}**")
        st.markdown(suggestion(result))
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
        properties_table(image, {})
        remove_button(session, image)


def show_blasts(image: SessionImage[StageResult], blasts: PossibleBlasts) -> None:
    """Show the share of possible blasts in a field and, the likeliest first, the cells."""
    st.markdown(_blasts(blasts))
    if blasts.count:
        show_blast_cells([image])
        st.caption("Number, as in the image · calibrated probability of a blast.")


def show_blast_cells(images: Sequence[SessionImage[StageResult]]) -> None:
    """Show the possible blasts of some fields, the likeliest first."""
    cells = [
        (cell.confidence, f"{index}.{number}" if len(images) > 1 else str(number), number, image)
        for index, image in enumerate(images, 1)
        if image.result.analysis is not None
        for number, cell in image.result.analysis.white_cells()
        if cell.is_possible_blast
    ]
    cells.sort(key=lambda item: -item[0])
    cells = cells[:_BLASTS_SHOWN]
    captions = [f"{label} · {probability_text(confidence, 0)}" for confidence, label, *_ in cells]
    st.image(
        [image.original.cells[number] for *_, number, image in cells],
        caption=captions,
        width=88,
        alt=[f"Possible blast {caption}" for caption in captions],
    )


def show_drawing(image: SessionImage[StageResult]) -> None:
    """Draw a field with its class activation map, or its cells where they were counted."""
    result, analysis = image.result, image.result.analysis
    views = [name for name, has in ((CELLS, analysis), (ACTIVATION, result.cam is not None)) if has]
    view = views[0] if views else None
    if len(views) > 1:
        view = st.segmented_control(
            "Show", views, default=views[0], required=True, key="stage_view"
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


def show_cells(image: SessionImage[StageResult], analysis: FieldAnalysis) -> None:
    """Draw a field with its white cells."""
    shared.image_chart(
        field_figure(image.original.image, analysis, shown_width=shared.shown_width(480)),
        "stage_cells",
        f"Field {analysis.title} with {len(analysis.white_cells())} white cells boxed",
    )
    st.caption(
        "Colour shows the type. Solid line: classified. Dashed: uncertain. Dotted grey: not a "
        "white cell."
    )


def explain() -> None:
    """Explain the classes."""
    st.subheader("What the classes mean")
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


def show_files(session: UploadSession[StageResult]) -> None:
    """Show a row for each file and the distribution per patient."""
    st.subheader("Files and patients")
    images = list(session.images.values())
    text = st.column_config.TextColumn
    table = stages_table([i.result for i in images], [i.patient for i in images])
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
            "stage": text("Most likely"),
            **{f"p_{key}": number(f"{key}, %", format="%.1f") for key in STAGES},
            **counted,
            "refused": text("Rejected"),
        },
    )
    by_patient = {
        patient: [image.result for image in session.of_patient(patient)]
        for patient in session.patients()
    }
    st.plotly_chart(
        stages_figure(by_patient, shared.shown_width(900)),
        key="stage_patients",
        config={"displayModeBar": False},
        alt="Percentage of fields by class for each patient",
    )


def downloads(session: UploadSession[StageResult], images: list[SessionImage[StageResult]]) -> None:
    """Offer what is on screen as files."""
    st.subheader("Download")
    images, failed = exported(session, images)
    results, patients = [image.result for image in images], [image.patient for image in images]
    export = StageExport(results, patients, pooled_by_patient(images), failed)
    files = export_files(STAGE_FORMATS, export, "leukoscope_all_stage")
    shared.download_buttons(files, session.name)
