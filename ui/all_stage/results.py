"""Results of the ALL stage: pooled answer, field with class activation map, files."""

from collections import Counter

import streamlit as st

from core.charts.differential import probabilities_figure, stages_figure
from core.charts.field import cam_figure
from core.domain.probability import probability_text
from core.domain.results import StageResult
from core.domain.taxonomy import STAGE_NOTE, STAGES
from core.exports.registry import STAGE_FORMATS, StageExport, export_files
from core.exports.tables import stages_table
from core.inference.field_classifier import pool
from core.inference.pipeline import get_analyzer
from ui.components import shared
from ui.upload.controls import (
    choose_field,
    choose_patient,
    exported,
    patient_editor,
    properties_table,
    remove_button,
)
from ui.upload.saving import save_section
from ui.upload.session import SessionImage, UploadSession


def show_results(session: UploadSession[StageResult]) -> None:
    """Show all results of the uploaded fields."""
    images = session.of_patient(choose_patient(session))
    show_pooled(images)
    field_view(session, images)
    explain()
    show_files(session)
    save_section(session, images)
    downloads(session, images)


def suggestion(result: StageResult) -> str:
    """Return the status and then the class in Markdown."""
    if result.reject_reason:
        return f":red-badge[:material/block: rejected] {result.reject_reason}"
    name = STAGES[result.stage].name if result.stage else "no class"
    percent = probability_text(result.confidence)
    if result.status == "classified":
        return f":green-badge[:material/check: classified] Suggested class: **{name}**, {percent}"
    return (
        f":orange-badge[:material/help: uncertain] No class is suggested. "
        f"Most likely: {name}, {percent}."
    )


def show_pooled(images: list[SessionImage[StageResult]]) -> None:
    """Show one answer for all fields of a patient."""
    results = [image.result for image in images]
    graded = [r for r in results if r.reject_reason is None]
    if len({image.patient for image in images}) > 1:
        st.info("Choose one patient to see a pooled answer.", icon=":material/person:")
        return
    st.subheader("Pooled answer")
    pooled = pool(results, get_analyzer().field_classifier.thresholds)
    st.markdown(suggestion(pooled))
    for sentence in pooled.warnings:
        st.warning(sentence, icon=":material/straighten:")
    st.caption(
        f"Mean of the calibrated probabilities of {len(graded)} graded "
        f"{'field' if len(graded) == 1 else 'fields'}; {len(results) - len(graded)} rejected."
    )
    found = Counter(r.stage for r in graded if r.status == "classified")
    if len(found) > 1:
        named = ", ".join(f"{found[key]} {STAGES[key].name}" for key in STAGES if found[key])
        st.warning(
            f"The fields do not agree: {named}. Check that all are of this patient and sample. "
            "Then look at them one by one.",
            icon=":material/call_split:",
        )
    if pooled.reject_reason is None and len(graded) > 1:
        st.plotly_chart(
            probabilities_figure(pooled),
            key="stage_pooled",
            config={"displayModeBar": False},
            alt="Pooled calibrated probability of each class",
        )


@st.fragment
def field_view(
    session: UploadSession[StageResult], images: list[SessionImage[StageResult]]
) -> None:
    """Show one field with its class activation map and probabilities."""
    st.subheader("Field")
    image = choose_field(session, images)
    result = image.result
    drawing, facts = st.columns(2)
    with facts:
        st.markdown(f"**{shared.plain(result.title)}**")
        st.markdown(suggestion(result))
        for sentence in result.warnings:
            st.warning(shared.plain(sentence), icon=":material/straighten:")
        if result.probabilities:
            st.plotly_chart(
                probabilities_figure(result),
                key="stage_probabilities",
                config={"displayModeBar": False},
                alt=f"Calibrated probability of each class for {result.title}",
            )
        properties_table(image, {})
        remove_button(session, image)
    with drawing:
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
    table[shares] = (100 * table[shares]).mask(refused)
    table["status"] = table["status"].mask(refused, "rejected")
    patient_editor(
        session,
        table,
        {
            "file": text("File", pinned=True),
            "page": st.column_config.NumberColumn("Page"),
            "patient": text("Patient (editable)", max_chars=60),
            "status": text("Status"),
            "stage": text("Most likely"),
            **{
                f"p_{key}": st.column_config.NumberColumn(f"{key}, %", format="%.1f")
                for key in STAGES
            },
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
    thresholds = get_analyzer().field_classifier.thresholds
    pooled = {
        patient: pool([i.result for i in images if i.patient == patient], thresholds)
        for patient in dict.fromkeys(patients)
    }
    export = StageExport(results, patients, pooled, failed)
    files = export_files(STAGE_FORMATS, export, "leukoscope_all_stage")
    shared.download_buttons(files, session.name)
