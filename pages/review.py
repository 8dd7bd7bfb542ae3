"""Review: label white cells, possible blasts and the least confident first; then sign the case."""

import streamlit as st

from core.cases.audit import record_view
from core.cases.database import get_database
from core.cases.listing import patient_history, search_patients
from core.cases.records import Case, QueueFilter, SampleSummary
from core.cases.samples import load_case, load_sample
from core.charts.differential import patients_figure
from core.domain.differential import differential
from ui.components import shared
from ui.components.cases import (
    errors_shown,
    number_in_address,
    open_cases,
    record_case_view,
    sample_line,
    sample_link,
    sample_name,
)
from ui.components.page import header
from ui.review.agreement import show_agreement, show_site_profile
from ui.review.field import FIELDS, show_fields
from ui.review.gallery import show_gallery
from ui.review.link import show_linked_case
from ui.review.possible_blasts import show_possible_blasts
from ui.review.queue import show_queue
from ui.review.session import ReviewSession, open_review_session, show_review_error, undo_button
from ui.review.sign import show_signing

LISTED_PATIENTS = 200
QUEUE, GALLERY, SIGN, AGREEMENT = "Queue", "Gallery", "Sign", "Agreement"


def choose_scope(session: ReviewSession) -> QueueFilter:
    """Let the reader choose a patient and a sample, or none; the address keeps both."""
    database, sample_id = session.database, number_in_address("sample")
    patient_id = number_in_address("patient")
    with errors_shown(end_page=True):
        if sample_id is not None:
            patient_id = load_sample(database, sample_id).patient_id
        record_view(database, session.user.name, "list patients")
        listed = [item.patient for item in search_patients(database, limit=LISTED_PATIENTS).items]
        samples: tuple[SampleSummary, ...] = ()
        if patient_id is not None:
            patient, samples = patient_history(database, patient_id)
            listed = [patient, *(p for p in listed if p.id != patient.id)]
    names = {p.id: f"{p.identifier} · {p.name}" if p.name else p.identifier for p in listed}

    def go(name: str, key: str) -> None:
        chosen = st.session_state[key]
        st.query_params.pop("sample", None)
        if name == "patient":
            st.query_params.pop("patient", None)
        if chosen is not None:
            st.query_params[name] = str(chosen)
        elif name == "sample":
            st.query_params["patient"] = str(patient_id)

    sample_names = {item.sample.id: sample_name(item.sample) for item in samples}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for name, label, options, chosen in (
            ("patient", "Patient", names, patient_id),
            ("sample", "Sample", sample_names, sample_id),
        ):
            ids: list[int | None] = list(options)
            # A new key for each choice, so that the address and not an earlier visit decides.
            key = f"review_{name}_{patient_id}_{sample_id}"
            st.selectbox(
                label,
                ids,
                index=ids.index(chosen) if chosen in options else None,
                format_func=options.__getitem__,
                placeholder=f"All {name}s",
                key=key,
                on_change=go,
                args=(name, key),
                disabled=not options,
                width=280,
            )
    return QueueFilter(patient_id=patient_id, sample_id=sample_id)


def show_strip(case: Case) -> None:
    """Show the current differential."""
    counted = differential(case.analyses)
    if counted.total:
        figure = patients_figure({case.patient.identifier: counted}, shared.shown_width(900))
        st.plotly_chart(
            figure,
            key="review_strip",
            config={"displayModeBar": False},
            alt="Percentage of each white cell type in this sample",
        )
    if counted.uncertain:
        st.caption(f"{shared.uncertain_text(counted.uncertain)}.")


@st.fragment
def show_sample(session: ReviewSession, sample_id: int, view: str) -> None:
    """Show a sample; changes count at once, without a rerun of the page."""
    show_review_error(session)
    with errors_shown(end_page=True):
        case = load_case(session.database, sample_id)
        record_case_view(session.database, session.user, case)
    session.saw(case.sample)
    with st.container(horizontal=True, vertical_alignment="center"):
        sample_link(sample_id, f"{case.patient.identifier}, {sample_name(case.sample)}")
        st.markdown(sample_line(case.sample))
        if view in (GALLERY, FIELDS):
            undo_button(session)
    show_possible_blasts(case)
    if view == SIGN:
        show_signing(session, case)
        return
    show_strip(case)
    (show_gallery if view == GALLERY else show_fields)(session, case)


header(
    "Review",
    "Review the white cells that the model is uncertain about. A reviewer's label replaces that of "
    "the model everywhere.",
    for_everyone="link" in st.query_params,  # which names one case
)
if "link" in st.query_params:
    token = st.query_params["link"]
    with errors_shown(end_page=True):
        opened = get_database()
    show_linked_case(opened, token)
    st.stop()
session = open_review_session(*open_cases())
scope = choose_scope(session)
views = [QUEUE, GALLERY, FIELDS, SIGN, AGREEMENT] if scope.sample_id else [QUEUE, AGREEMENT]
view = st.segmented_control(
    "View",
    views,
    default=QUEUE,
    required=True,
    key="view" if scope.sample_id else "view_all",
    bind="query-params",
    label_visibility="collapsed",
)
if view == QUEUE:
    show_queue(session, scope)
elif view == AGREEMENT:
    show_review_error(session)
    show_agreement(session, scope.sample_id)
    show_site_profile(session)
elif scope.sample_id:
    show_sample(session, scope.sample_id, view)
