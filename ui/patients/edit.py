"""Forms of the page Patients: adding, correcting and deleting."""

from typing import get_args

import streamlit as st

from core.cases.database import Database
from core.cases.names import look
from core.cases.patients import create_patient, delete_patient, update_patient
from core.cases.records import Patient, PatientDetails, Sample, User
from core.cases.samples import update_sample
from core.domain.taxonomy import Sex
from ui.components.actions import action_button
from ui.components.cases import entered_sample, sample_inputs
from ui.components.shared import number_of, plain


def add_patient(database: Database, user: User) -> None:
    """Offer to add a patient without samples."""
    if user.role == "viewer":
        return

    def add() -> None:
        patient = create_patient(database, user, _entered_patient("add"))
        st.query_params["patient"] = str(patient.id)

    with st.expander("Add a patient", icon=":material/person_add:"), st.form("add_patient"):
        _patient_inputs("add", PatientDetails(""))
        action_button("Add", "add", add, in_form=True, type="primary")


def edit_patient(database: Database, user: User, patient: Patient) -> None:
    """Offer to correct the details of a patient."""
    if user.role == "viewer":
        return
    key = f"patient_{patient.id}"

    def save() -> None:
        update_patient(database, user, patient, _entered_patient(key))

    with st.expander("Correct details", icon=":material/edit:"), st.form(key):
        _patient_inputs(key, patient)
        action_button("Save", f"{key}_save", save, in_form=True, type="primary")


def edit_sample(database: Database, user: User, sample: Sample) -> None:
    """Offer to correct the details of a sample; a signed one is read-only."""
    if user.role == "viewer" or sample.state == "signed":
        return
    # A new version gets new keys, so the form shows the current details.
    key = f"sample_{sample.id}_{sample.version}"

    def save() -> None:
        update_sample(database, user, sample, entered_sample(key))

    with st.expander("Correct the sample", icon=":material/edit:"), st.form(key):
        with st.grid(3, min_column_width=200):
            sample_inputs(key, sample)
        if sample.state == "reviewed":
            st.caption("This case is reviewed. A correction makes it a draft again.")
        action_button("Save", f"sample_{sample.id}_save", save, in_form=True, type="primary")


def _patient_inputs(key: str, seen: Patient | PatientDetails) -> None:
    with st.grid(4, min_column_width=170):
        st.text_input(
            "Identifier",
            seen.identifier,
            max_chars=100,
            key=f"{key}_identifier",
            help="As in your laboratory; unique here.",
        )
        st.text_input("Name (optional)", seen.name, max_chars=200, key=f"{key}_name")
        sexes: list[Sex | None] = [None, *get_args(Sex)]
        st.selectbox(
            "Sex (optional)",
            sexes,
            sexes.index(seen.sex),
            format_func=lambda value: value or "not given",
            key=f"{key}_sex",
        )
        st.number_input(
            "Year of birth (optional)",
            value=seen.birth_year,
            step=1,
            key=f"{key}_birth_year",
            placeholder="Not given",
            help="Reference ranges depend on age and sex.",
        )


def _entered_patient(key: str) -> PatientDetails:
    names = ("identifier", "name", "sex", "birth_year")
    return PatientDetails(*(st.session_state[f"{key}_{name}"] for name in names))


def offer_deletion(database: Database, user: User, patient: Patient, samples: int) -> None:
    """Offer admins to delete a patient after typing the identifier."""
    if user.role != "admin":
        return

    def delete() -> None:
        delete_patient(database, user, patient.id)
        st.cache_data.clear()  # they contain images of the patient
        st.cache_resource.clear()
        st.query_params.pop("patient", None)

    with st.expander("Delete this patient", icon=":material/delete_forever:"):
        st.markdown(
            f"This deletes **{plain(patient.identifier)}** with {number_of(samples, 'sample')}, "
            "all reviews, comments and images. It cannot be undone. The audit trail records who "
            "did it."
        )
        typed = st.text_input(
            "Type the patient's identifier to confirm", key=f"delete_{patient.id}", width=320
        )
        action_button(
            "Delete permanently",
            "delete",
            delete,
            icon=":material/delete_forever:",
            disabled=look(typed) != look(patient.identifier),
        )
