"""Forms of the page Patients: adding, correcting and deleting."""

from typing import get_args

import streamlit as st

from core.cases.database import Database
from core.cases.patients import create_patient, delete_patient, update_patient
from core.cases.records import Patient, PatientDetails, Person, Sample, SampleDetails, Sex
from core.cases.samples import update_sample
from pages.case_parts import errors_shown, sample_inputs
from pages.shared import plain


def add_patient(database: Database, person: Person) -> None:
    """Offer to add a patient without samples."""
    if person.role == "viewer":
        return
    with st.expander("Add a patient", icon=":material/person_add:"), st.form("add_patient"):
        details = _patient_fields(PatientDetails(""), "add")
        if st.form_submit_button("Add", type="primary"):
            with errors_shown():
                patient = create_patient(database, person, details)
                st.switch_page("pages/patients.py", query_params={"patient": str(patient.id)})


def edit_patient(database: Database, person: Person, patient: Patient) -> None:
    """Offer to correct what is kept of a patient."""
    if person.role == "viewer":
        return
    key = f"patient_{patient.id}"
    with st.expander("Correct details", icon=":material/edit:"), st.form(key):
        seen = PatientDetails(patient.identifier, patient.name, patient.sex, patient.birth_year)
        details = _patient_fields(seen, key)
        if st.form_submit_button("Save", type="primary"):
            with errors_shown():
                update_patient(database, person, patient, details)
                st.rerun()


def edit_sample(database: Database, person: Person, sample: Sample) -> None:
    """Offer to correct what was entered about a sample; a signed one is read-only."""
    if person.role == "viewer" or sample.state == "signed":
        return
    # The version is part of the keys: after another's change the form shows what holds now.
    key = f"sample_{sample.id}_{sample.version}"
    with st.expander("Correct the sample", icon=":material/edit:"), st.form(key):
        seen = SampleDetails(sample.taken, sample.material, sample.white_cell_count)
        with st.grid(3, min_column_width=200):
            details = sample_inputs(key, seen)
        if sample.state == "reviewed":
            st.caption("The case is reviewed: a correction makes it a draft again.")
        if st.form_submit_button("Save", type="primary"):
            with errors_shown():
                update_sample(database, person, sample, details)
                st.rerun()


def _patient_fields(seen: PatientDetails, key: str) -> PatientDetails:
    with st.grid(4, min_column_width=170):
        identifier = st.text_input(
            "Identifier",
            seen.identifier,
            max_chars=100,
            key=f"{key}_identifier",
            help="The laboratory's own, unique here.",
        )
        name = st.text_input("Name (optional)", seen.name, max_chars=200, key=f"{key}_name")
        sexes: list[Sex | None] = [None, *get_args(Sex)]
        sex = st.selectbox(
            "Sex (optional)",
            sexes,
            sexes.index(seen.sex),
            format_func=lambda value: value or "not given",
            key=f"{key}_sex",
        )
        year = st.number_input(
            "Year of birth (optional)",
            value=seen.birth_year,
            step=1,
            key=f"{key}_year",
            placeholder="Not given",
            help="Reference ranges depend on age and sex.",
        )
    return PatientDetails(identifier, name, sex, year)


def offer_deletion(database: Database, person: Person, patient: Patient, samples: int) -> None:
    """Offer to erase a patient, which only admins can, once the identifier is typed."""
    if person.role != "admin":
        return
    number = "1 sample" if samples == 1 else f"{samples} samples"
    with st.expander("Delete this patient", icon=":material/delete_forever:"):
        st.markdown(
            f"**{plain(patient.identifier)}** with {number}, all reviews, comments and pictures "
            "is erased for good. The audit trail keeps that it was done, and by whom."
        )
        typed = st.text_input(
            "Type the patient's identifier to confirm", key=f"delete_{patient.id}", width=320
        )
        if st.button(
            "Delete for good",
            icon=":material/delete_forever:",
            disabled=typed.strip() != patient.identifier,
        ):
            with errors_shown():
                delete_patient(database, person, patient.id)
                st.cache_data.clear()  # they hold pictures of the patient
                st.cache_resource.clear()
                st.switch_page("pages/patients.py")
