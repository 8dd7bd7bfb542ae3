"""Patients: stored cases, trends of a patient, one sample with its fields and reports."""

import streamlit as st

from core.cases.audit import record_view
from core.cases.database import Database
from core.cases.listing import patient_history, patient_stages
from core.cases.records import User
from ui.components import cases
from ui.components.page import header
from ui.patients.edit import edit_patient, edit_sample, offer_deletion
from ui.patients.listing import show_list
from ui.patients.over_time import show_history
from ui.patients.sample import show_sample


def back_to_list() -> None:
    """Link to the list."""
    st.page_link("pages/patients.py", label="All patients", icon=":material/arrow_back:")


def show_patient(database: Database, user: User, patient_id: int) -> None:
    """Show one patient with all samples."""
    back_to_list()
    with cases.errors_shown(end_page=True):
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
    case = cases.open_case(database, user, sample_id)
    with crumb:
        cases.patient_link(case.patient.id, case.patient.identifier)
    show_sample(database, case, user)
    edit_sample(database, user, case.sample)


header("Patients", "Stored cases with their counts, trends and reports.")
database, user = cases.open_cases()
sample_id, patient_id = cases.number_in_address("sample"), cases.number_in_address("patient")
with cases.errors_shown():
    if sample_id is not None:
        show_case(database, user, sample_id)
    elif patient_id is not None:
        show_patient(database, user, patient_id)
    else:
        show_list(database, user)
