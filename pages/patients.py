"""Patients: stored cases, trends of a patient, one sample with its fields and reports."""

from math import ceil

import streamlit as st

from core.cases.audit import record_view
from core.cases.database import Database
from core.cases.listing import PAGE, patient_history, patient_stages, search_patients
from core.cases.records import CaseState, ListedPatient, User
from core.cases.samples import load_case
from ui.components import shared
from ui.components.cases import (
    STATE_NAMES,
    errors_shown,
    no_cases,
    number_in_address,
    open_cases,
    patient_link,
    record_case_view,
    state_badge,
)
from ui.components.page import header
from ui.patients.edit import add_patient, edit_patient, edit_sample, offer_deletion
from ui.patients.over_time import show_history
from ui.patients.sample import show_sample

ANY = "any state"


def show_list(database: Database, user: User) -> None:
    """Show the patients page by page, latest sample first."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search",
            key="search",  # never in the address: browsers and proxies keep those
            persist_state="session",
            placeholder="Identifier or name",
            icon=":material/search:",
            width=320,
        )
        state = st.selectbox(
            "Last sample", [ANY, *STATE_NAMES], key="state", bind="query-params", width=180
        )
    wanted: CaseState | None = next((name for name in STATE_NAMES if name == state), None)
    found = search_patients(database, text, state=wanted)
    record_view(database, user.name, "list patients")
    listing = st.container(gap="xsmall")
    pages = ceil(found.total / PAGE)
    if pages > 1:
        page = min(st.pagination(pages, key="page", bind="query-params"), pages)
        if page > 1:
            found = search_patients(database, text, state=wanted, offset=PAGE * (page - 1))
    with listing:
        if found.total:
            st.caption(shared.number_of(found.total, "patient"))
        elif text or wanted:
            st.info("No patient matches. Change the search.", icon=":material/search_off:")
        else:
            no_cases()
        for line in found.items:
            show_line(line)
    add_patient(database, user)


def show_line(line: ListedPatient) -> None:
    """Show one patient of the list with the last sample."""
    patient, last = line.patient, line.last
    born = f"born {patient.birth_year}" if patient.birth_year else None
    facts = [shared.plain(patient.name) if patient.name else None, patient.sex, born]
    facts.append(f"last sample {last.taken:%Y-%m-%d}" if last else "no samples")
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        patient_link(patient.id, patient.identifier)
        st.markdown(" · ".join(fact for fact in facts if fact), width="content")
        if last:
            st.markdown(state_badge(last.state), width="content")


def back_to_list() -> None:
    """Link to the list."""
    st.page_link("pages/patients.py", label="All patients", icon=":material/arrow_back:")


def show_patient(database: Database, user: User, patient_id: int) -> None:
    """Show one patient with all samples."""
    back_to_list()
    with errors_shown(end_page=True):
        patient, samples = patient_history(database, patient_id)
        stages = patient_stages(database, patient_id)
        record_view(database, user.name, "view patient", patient_id=patient_id)
    show_history(database, patient, samples, stages, user)
    edit_patient(database, user, patient)
    offer_deletion(database, user, patient, len(samples))


def show_case(database: Database, user: User, sample_id: int) -> None:
    """Show one sample."""
    with st.container(horizontal=True):
        back_to_list()
        crumb = st.container(width="content")
    with errors_shown(end_page=True):
        case = load_case(database, sample_id)
        record_case_view(database, user, case)
    with crumb:
        patient_link(case.patient.id, case.patient.identifier)
    show_sample(database, case, user)
    edit_sample(database, user, case.sample)


header(
    "Patients",
    "Stored cases with their counts, trends and reports.",
)
database, user = open_cases()
sample_id, patient_id = number_in_address("sample"), number_in_address("patient")
with errors_shown():
    if sample_id is not None:
        show_case(database, user, sample_id)
    elif patient_id is not None:
        show_patient(database, user, patient_id)
    else:
        show_list(database, user)
