"""Settings, for admins: people and roles, reference ranges, what is in force, the audit trail."""

from math import ceil
from typing import get_args

import streamlit as st

from core.cases import audit
from core.cases.database import Database
from core.cases.names import spelt_out
from core.cases.patients import merge_patients, patients_alike
from core.cases.records import Patient, Role, User
from core.cases.users import require, set_role, users
from core.domain.taxonomy import label_name
from core.errors import ModelError
from core.evaluation.report import MODEL_TITLES
from core.model_card import MODEL_NAMES, CellThresholds, ModelName, load_card
from core.settings import Settings, get_settings
from ui.components import shared
from ui.components.actions import kept_button, run_action, show_action_error
from ui.components.cases import errors_shown, open_cases, patient_link
from ui.components.page import header
from ui.settings.ranges import show_ranges

THRESHOLDS: dict[ModelName, dict[str, str]] = {
    "detector": {
        "wbc": "Lowest score of a white cell",
        "rbc": "Lowest score of a red cell",
        "platelet": "Lowest score of a platelet",
    },
    "wbc": {
        "uncertain": "Probability below which a cell is uncertain and not counted",
        "cellness": "Probability below which an object is not a white cell",
        "appearance_density": "Log density of a cell's appearance below which it is unlike the "
        "training images",
    },
    "all_stage": {
        "uncertain": "Probability below which a field gets no class",
        "smear": "Score below which an image is rejected as no blood smear",
        "all_field": "Score below which a field is rejected as unlike the ALL data set",
    },
}


def show_users(database: Database, admin: User) -> None:
    """Show users and their roles; let the admin give roles and add users."""
    st.subheader("Users and roles")
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
        st.form_submit_button("Give role", type="primary", on_click=run_action, args=("role", give))
        show_action_error("role")
    if given := st.session_state.pop("role_given", None):
        st.success(f"{shared.plain(given.name)} is now {given.role}.", icon=":material/check:")


def show_alike(database: Database, admin: User) -> None:
    """List patients whose identifiers look the same, and offer to merge them."""
    with errors_shown():
        groups = patients_alike(database)
        if not groups:
            return
        st.subheader("Patients that look alike")
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
                    offer_merge(database, admin, kept, other)


def offer_merge(database: Database, admin: User, kept: Patient, merged: Patient) -> None:
    """Offer to merge one patient into another once the admin confirms that they are the same."""
    key = f"merge_{merged.id}"

    def merge() -> None:
        merge_patients(database, admin, kept, merged)

    with st.container(horizontal=True, vertical_alignment="center"):
        sure = st.checkbox(
            f"Patients {kept.id} and {merged.id} are one person", key=f"{key}_sure", width="content"
        )
        st.button(
            f"Merge {merged.id} into {kept.id}",
            icon=":material/merge:",
            key=key,
            disabled=not sure,
            on_click=run_action,
            args=(key, merge),
        )
    show_action_error(key)


def show_thresholds(settings: Settings) -> None:
    """Show the versions and thresholds of the models."""
    st.subheader("Models and thresholds")
    rows = []
    for name in MODEL_NAMES:
        try:
            card = load_card(name, settings)
        except ModelError as error:
            st.error(str(error), icon=":material/error:")
            continue
        rows += [
            {
                "Model": MODEL_TITLES[name],
                "Version": card.version,
                "Threshold": key,
                "Value": value,
                "Meaning": THRESHOLDS[name].get(key, ""),
            }
            for key, value in card.thresholds.by_name().items()
        ]
        if isinstance(card.thresholds, CellThresholds):
            rows += [
                {
                    "Model": MODEL_TITLES[name],
                    "Version": card.version,
                    "Threshold": f"rival of {label_name(cell_type).lower()}",
                    "Value": limit,
                    "Meaning": f"Probability of {label_name(rival).lower()} from which such a cell "
                    "is uncertain",
                }
                for cell_type, rivals in card.thresholds.rivals.items()
                for rival, limit in rivals.items()
            ]
    st.dataframe(
        rows,
        hide_index=True,
        column_config={"Value": st.column_config.NumberColumn("Value", format="%.3f")},
        alt="Thresholds of the models",
    )
    st.caption("Chosen on validation images during training; stored in the model card.")


def show_settings(settings: Settings) -> None:
    """Show every setting and its value; secrets stay hidden."""
    st.subheader("Current settings")
    st.dataframe(
        [
            {
                "Setting": f"LEUKOSCOPE_{name.upper()}",
                "Value": _shown(getattr(settings, name)),
                "Meaning": field.description,
            }
            for name, field in Settings.model_fields.items()
        ],
        hide_index=True,
        alt="Settings with their values and meaning",
    )
    st.caption("Read from the environment or the file `.env` when the server starts.")


def _shown(value: object) -> str:
    if value is None or value == "":
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value)))
    return str(value)


def show_audit(database: Database) -> None:
    """Show the audit trail, latest entries first, and verify it on request."""
    st.subheader("Audit trail")
    if kept_button("Verify the audit trail", "audit_verify", icon=":material/verified_user:"):
        with errors_shown():
            checked = audit.verify(database)
            if checked.broken is None:
                st.success(
                    f"The audit trail is intact: {checked.entries:,} entries. Note this number and "
                    f"the last hash elsewhere: `{checked.last_hash}`",
                    icon=":material/check:",
                )
            else:
                st.error(
                    f"The audit trail is broken at entry {checked.broken:,}: its content was "
                    "changed. Compare with a backup.",
                    icon=":material/error:",
                )
    with errors_shown():
        found = audit.latest(database)
        listing = st.container()
        pages = ceil(found.total / audit.PAGE)
        page = st.pagination(pages, key="audit_page") if pages > 1 else 1
        if page > 1:
            found = audit.latest(database, offset=audit.PAGE * (page - 1))
        listing.dataframe(
            [
                {
                    "No.": entry.number,
                    "At (UTC)": f"{entry.at:%Y-%m-%d %H:%M:%S}",
                    "Who": entry.user,
                    "What": entry.action,
                    "Patient": entry.patient_id,
                    "Sample": entry.sample_id,
                    "Details": ", ".join(f"{key}: {value}" for key, value in entry.details.items()),
                }
                for entry in found.items
            ],
            hide_index=True,
            placeholder="",
            column_config={"Details": st.column_config.TextColumn("Details", width="large")},
            alt="Entries of the audit trail, latest first",
        )
        st.caption(
            f"{found.total:,} {'entry' if found.total == 1 else 'entries'}. Patients and samples "
            "appear by number only, so that entries can stay when a patient is deleted."
        )


header("Settings", "Users and roles, reference ranges, current settings, audit trail.")
database, user = open_cases()
with errors_shown(end_page=True):
    require(user, "admin")
settings = get_settings()
show_users(database, user)
show_alike(database, user)
show_ranges(database, user, settings)
show_thresholds(settings)
show_settings(settings)
show_audit(database)
