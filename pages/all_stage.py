"""ALL stage: fields in, class with calibrated probabilities and evidence out."""

from collections import Counter

import streamlit as st

from core.charts.differential import probabilities_figure, stages_figure
from core.charts.field import evidence_figure
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
    show_problems,
)
from ui.upload.saving import save_section
from ui.upload.session import (
    Desk,
    Incoming,
    Picture,
    clear_desk,
    finish_round,
    open_desk,
    stage_field,
    take_in,
    uploader,
)

NAME = "stage"


def suggestion(result: StageResult) -> str:
    """Say status first, then the class."""
    if result.reject_reason:
        return f":red-badge[:material/block: refused] {result.reject_reason}"
    name = STAGES[result.stage].name if result.stage else "no class"
    percent = probability_text(result.confidence)
    if result.status == "classified":
        return f":green-badge[:material/check: classified] Suggested class: **{name}**, {percent}"
    return (
        f":orange-badge[:material/help: uncertain] No class is suggested. "
        f"The likeliest is {name}, {percent}."
    )


def show_pooled(pictures: list[Picture[StageResult]], patient: str | None) -> None:
    """Show one answer over all fields, when they are of one patient."""
    results = [p.result for p in pictures]
    graded = [r for r in results if r.reject_reason is None]
    if patient is None and len({p.patient for p in pictures}) > 1:
        st.info("Choose one patient for a pooled answer.", icon=":material/person:")
        return
    st.subheader("Pooled answer")
    pooled = pool(results, get_analyzer().stage_grader.thresholds)
    st.markdown(suggestion(pooled))
    for sentence in pooled.warnings:
        st.warning(sentence, icon=":material/straighten:")
    st.caption(
        f"Mean of the calibrated probabilities of {len(graded)} graded "
        f"{'field' if len(graded) == 1 else 'fields'}; {len(results) - len(graded)} refused."
    )
    found = Counter(r.stage for r in graded if r.status == "classified")
    if len(found) > 1:
        named = ", ".join(f"{found[key]} {STAGES[key].name}" for key in STAGES if found[key])
        st.warning(
            f"The fields do not agree: {named}. Check that all are of this patient and sample, and "
            "look at them one by one.",
            icon=":material/call_split:",
        )
    if pooled.reject_reason is None and len(graded) > 1:
        st.plotly_chart(
            probabilities_figure(pooled),
            key=f"{NAME}_pooled",
            config={"displayModeBar": False},
            alt="Pooled calibrated probability of each class",
        )


@st.fragment
def field_view(pictures: list[Picture[StageResult]], desk: Desk) -> None:
    """Show one field with its evidence map and probabilities."""
    st.subheader("Field")
    picture = pictures[choose_field(NAME, pictures)]
    result = picture.result
    drawing, facts = st.columns(2)
    with facts:
        st.markdown(f"**{shared.plain(result.title)}**")
        st.markdown(suggestion(result))
        for sentence in result.warnings:
            st.warning(shared.plain(sentence), icon=":material/straighten:")
        if result.probabilities:
            st.plotly_chart(
                probabilities_figure(result),
                key=f"{NAME}_probabilities",
                config={"displayModeBar": False},
                alt=f"Calibrated probability of each class for {result.title}",
            )
        properties_table(picture, {})
        remove_button(NAME, desk, picture)
    with drawing:
        opacity = 0.0
        if result.cam is not None:
            percent = st.slider(
                "Opacity of the evidence map, %",
                0,
                100,
                60,
                step=5,
                key=f"{NAME}_opacity",
                persist_state="session",
            )
            opacity = percent / 100
        size = (picture.width, picture.height)
        shared.picture_chart(
            evidence_figure(picture.jpeg, result, size, opacity, shared.shown_width(480)),
            f"{NAME}_drawing",
            f"Field {result.title} with the evidence map of the likeliest class",
        )
        if result.cam is not None:
            st.caption(
                "Yellow: what speaks most for the likeliest class in this field. The map shows "
                "where the model looked, not where disease is. The bottom right corner is painted "
                "over before grading, because scale bars there gave classes away."
            )


def explain() -> None:
    """Say what the classes mean."""
    st.subheader("What the classes mean")
    with st.grid(4, min_column_width=200):
        for stage in STAGES.values():
            with st.container(border=True, height="stretch"):
                st.markdown(f"**{stage.name}**")
                # No line ends between "pre-" and "B".
                st.write(stage.description.replace("-", "\N{NON-BREAKING HYPHEN}"))
    st.caption(
        f"{STAGE_NOTE} The model was trained and measured on fields of one hospital: how it does "
        "on those of others is not known."
    )


def show_files(desk: Desk) -> None:
    """Show a row for each file and the distribution per patient."""
    st.subheader("Files and patients")
    pictures = list(desk.pictures.values())
    text = st.column_config.TextColumn
    table = stages_table([p.result for p in pictures], [p.patient for p in pictures])
    shares, refused = [f"p_{key}" for key in STAGES], table["refused"].notna()
    table[shares] = (100 * table[shares]).mask(refused)
    table["status"] = table["status"].mask(refused, "refused")
    patient_editor(
        NAME,
        desk,
        table,
        {
            "file": text("File", pinned=True),
            "page": st.column_config.NumberColumn("Page"),
            "patient": text("Patient (editable)", max_chars=60),
            "status": text("Status"),
            "stage": text("Likeliest"),
            **{
                f"p_{key}": st.column_config.NumberColumn(f"{key}, %", format="%.1f")
                for key in STAGES
            },
            "refused": text("Refused"),
        },
    )
    patients = desk.patients()
    st.plotly_chart(
        stages_figure(
            {p: [f.result for f in desk.of_patient(p)] for p in patients}, shared.shown_width(900)
        ),
        key=f"{NAME}_patients",
        config={"displayModeBar": False},
        alt="Share of fields by class for each patient",
    )


def downloads(pictures: list[Picture[StageResult]], desk: Desk) -> None:
    """Offer what is on screen as files."""
    st.subheader("Download")
    pictures, failed = exported(NAME, desk, pictures)
    patients = [p.patient for p in pictures]
    thresholds = get_analyzer().stage_grader.thresholds
    pooled = {
        patient: pool([p.result for p in pictures if p.patient == patient], thresholds)
        for patient in dict.fromkeys(patients)
    }
    export = StageExport([p.result for p in pictures], patients, pooled, failed)
    shared.download_buttons(export_files(STAGE_FORMATS, export, "leukoscope_all_stage"), NAME)


def intake(desk: Desk) -> list[Incoming]:
    """Draw the way in; return the pictures to grade."""
    incoming = uploader(NAME, desk)
    if desk.pictures or desk.failed:
        st.button("Clear all", icon=":material/delete:", on_click=clear_desk, args=(NAME,))
    return incoming


shared.header(
    "ALL stage",
    "Drop fields of a smear with suspected acute lymphoblastic leukaemia. Each field gets a "
    "suggested class; all fields of a patient get one pooled answer.",
)
shared.open_analyzer()
desk = open_desk(NAME)
if desk.pictures:
    with st.expander("Add pictures, or clear them", icon=":material/add_photo_alternate:"):
        incoming = intake(desk)
else:
    incoming = intake(desk)
    st.info(
        "No example is made for this page. Real fields with known classes: the public set "
        "*Leukemia* by Ghaderzadeh and others (2021), on Kaggle as `mehradaria/leukemia`: "
        "peripheral blood fields from Taleqani Hospital, Tehran. This model was trained on them, "
        "so they show how the page works, not how well the model does.",
        icon=":material/dataset:",
    )
if incoming:
    take_in(desk, incoming, stage_field)
    finish_round(desk)
show_problems(desk, stage_field)
if desk.pictures:
    patient = choose_patient(NAME, desk)
    pictures = desk.of_patient(patient)
    show_pooled(pictures, patient)
    field_view(pictures, desk)
    explain()
    show_files(desk)
    save_section(NAME, desk, pictures)
    downloads(pictures, desk)
else:
    explain()
