"""The views of the page Review, and whose cells they show."""

import streamlit as st

from core.cases.audit import record_view
from core.cases.drafts import open_draft
from core.cases.listing import patient_history, search_patients
from core.cases.records import QueueFilter, SampleSummary
from core.cases.samples import load_sample
from core.charts.differential import patients_figure
from core.domain.differential import differential
from ui.components import cases, shared
from ui.components.findings import show_possible_blasts
from ui.review.field import PICKED, field_key, show_fields
from ui.review.session import ReviewSession, show_rejected, show_review_error, undo_button
from ui.review.sign import show_signing
from ui.review.table import show_table
from ui.upload.session import DRAFT, draft_owner

LISTED_PATIENTS = 200
CELLS, TABLE, FIELDS, SIGN, AGREEMENT = "Cells", "Table", "Fields", "Sign", "Agreement"
_OPENED = "review_blast_opened"


def choose_view(scope: QueueFilter) -> str:
    """Let the reader choose a view; those of a sample only where one is chosen.

    A draft is signed, and compared with other reviewers, once it was saved to a patient.
    """
    views, key = [CELLS, AGREEMENT], "view_all"
    if scope.draft_id is not None:
        views, key = [CELLS, FIELDS, TABLE] if scope.sample_id else [CELLS], "view_draft"
    elif scope.sample_id:
        views, key = [CELLS, FIELDS, TABLE, SIGN, AGREEMENT], "view"
    view: str = st.segmented_control(
        "View",
        views,
        default=CELLS,
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
        wrap=True,
    )
    return view


def show_draft(session: ReviewSession, key: str) -> int:
    """Open a draft by its key and link back to its count; return its id."""
    with cases.errors_shown(end_page=True):
        draft = open_draft(session.database, key, draft_owner(session.user))
    st.page_link(
        "pages/wbc_count.py",
        label="Back to the count",
        icon=":material/arrow_back:",
        query_params={DRAFT: key},
        help="The images are a draft. To sign, save it to a patient on the page of the count.",
    )
    return draft.id


def scope_of_draft(session: ReviewSession) -> QueueFilter:
    """Return the sample of the draft in the address, else all cells of the draft."""
    sample_id = cases.number_in_address("sample")
    with cases.errors_shown(end_page=True):
        if sample_id is not None:
            load_sample(session.database, sample_id, session.draft_id)
    return QueueFilter(sample_id=sample_id, draft_id=session.draft_id)


def open_agreement(scope: QueueFilter) -> None:
    """Switch to the view with the agreement and the site profile, before the page is drawn."""
    st.session_state["view" if scope.sample_id else "view_all"] = AGREEMENT


def choose_scope(session: ReviewSession) -> QueueFilter:
    """Let the reader choose a patient and a sample, or none; the address keeps both."""
    database, sample_id = session.database, cases.number_in_address("sample")
    patient_id = cases.number_in_address("patient")
    with cases.errors_shown(end_page=True):
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

    sample_names = {item.sample.id: cases.sample_name(item.sample) for item in samples}
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
            width=160,
            label_visibility="collapsed",
        )
    return QueueFilter(patient_id=patient_id, sample_id=sample_id)


@st.fragment
def show_sample(session: ReviewSession, sample_id: int, view: str) -> None:
    """Show a view of a sample; changes count at once, without a rerun of the page."""
    show_review_error(session)
    show_rejected(session)
    case = cases.open_case(session.database, session.user, sample_id, session.draft_id)
    session.saw(case.sample)
    with st.container(horizontal=True, vertical_alignment="center"):
        if session.draft_id is None:
            name = f"{case.patient.identifier}, {cases.sample_name(case.sample)}"
            cases.sample_link(sample_id, name)
            st.markdown(cases.sample_line(case.sample))
        if view != SIGN:
            undo_button(session)

    def open_first(index: int, number: int) -> None:
        st.session_state[field_key(sample_id)] = index
        st.session_state[PICKED] = case.fields[index].cell_ids[number - 1]
        st.session_state["view" if session.draft_id is None else "view_draft"] = FIELDS
        st.session_state[_OPENED] = True

    counted = {case.patient.identifier: differential(case.analyses)}
    show_possible_blasts(counted, case.analyses, open_first, key="review")
    if st.session_state.pop(_OPENED, False):
        st.rerun()  # the choice of the view lies outside this part of the page
    if view == SIGN:
        show_signing(session, case)
        return
    (own,) = counted.values()
    if own.total:
        figure = patients_figure(counted, shared.shown_width(900))
        shared.chart(figure, "review_strip", "Percentage of each white cell type in this sample")
    if own.uncertain:
        st.caption(f"{shared.uncertain_text(own.uncertain)}.")
    (show_table if view == TABLE else show_fields)(session, case)
