"""Users with their roles, and patients that may be one person."""

from functools import partial
from typing import get_args

import streamlit as st

from core.cases.database import Database
from core.cases.names import spelt_out
from core.cases.patients import merge_patients, patients_alike
from core.cases.records import Patient, Role, User
from core.cases.users import set_role, users
from ui.components.actions import action_button
from ui.components.cases import errors_shown, patient_link
from ui.components.shared import plain


def show_users(database: Database, admin: User) -> None:
    """Show users and their roles; let the admin give roles and add users."""
    st.header("Users and roles")
    with errors_shown():
        st.dataframe(
            [{"Name": user.name, "Role": user.role} for user in users(database)],
            hide_index=True,
            width=520,
            alt="Users and their roles",
        )
    st.caption(
        "A viewer reads and comments. A reviewer also saves, labels and signs. An admin also "
        "deletes patients, edits the reference ranges and gives roles. With single sign-on a "
        "user's name is the e-mail address; without it everyone is `local`."
    )

    def give() -> None:
        name, role = st.session_state["role_name"].strip(), st.session_state["role_role"]
        st.session_state["role_given"] = set_role(database, admin, name, role)

    with st.form("role", width=520):
        st.text_input("Name", key="role_name", help="A new name adds a user.")
        st.segmented_control(
            "Role", get_args(Role), default="viewer", required=True, key="role_role"
        )
        action_button("Give role", "role_give", give, in_form=True, type="primary")
    if given := st.session_state.pop("role_given", None):
        st.success(f"{plain(given.name)} is now {given.role}.", icon=":material/check:")


def show_alike(database: Database, admin: User) -> None:
    """List patients whose identifiers look the same, and offer to merge them."""
    with errors_shown():
        groups = patients_alike(database)
        if not groups:
            return
        st.header("Patients that look alike")
        st.caption(
            "Earlier versions stored identifiers as typed, so one patient may have two entries "
            "with identifiers that look the same. Compare their samples before you merge. Merging "
            "moves the samples and removes the second entry; it cannot be undone. If they are two "
            "people, open one and change its identifier."
        )
        for kept, *others in groups:
            with st.container(border=True):
                st.dataframe(
                    [
                        {
                            "No.": patient.id,
                            "Identifier": spelt_out(patient.identifier),
                            "Name": patient.name,
                            "Sex": patient.sex,
                            "Year of birth": patient.birth_year,
                        }
                        for patient in (kept, *others)
                    ],
                    hide_index=True,
                    placeholder="",
                    alt="Patients whose identifiers look the same",
                )
                with st.container(horizontal=True):
                    for patient in (kept, *others):
                        patient_link(patient.id, f"Open patient {patient.id}")
                for other in others:
                    _offer_merge(database, admin, kept, other)


def _offer_merge(database: Database, admin: User, kept: Patient, merged: Patient) -> None:
    """Offer to merge one patient into another once the admin confirms that they are the same."""
    key = f"merge_{merged.id}"
    with st.container(horizontal=True, vertical_alignment="center"):
        sure = st.checkbox(
            f"Patients {kept.id} and {merged.id} are one person", key=f"{key}_sure", width="content"
        )
        action_button(
            f"Merge {merged.id} into {kept.id}",
            key,
            partial(merge_patients, database, admin, kept, merged),
            icon=":material/merge:",
            disabled=not sure,
        )
