"""What is in force on this server: models and thresholds, settings, the audit trail."""

from math import ceil

import pandas as pd
import streamlit as st

from core.cases import audit
from core.cases.database import Database
from core.domain.taxonomy import label_name
from core.evaluation.report import MODEL_TITLES
from core.model_card import MODEL_NAMES, CellThresholds, ModelName, load_card
from core.settings import Settings
from ui.components.actions import kept_button
from ui.components.cases import errors_shown, local_time

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


def show_thresholds(settings: Settings) -> None:
    """Show the versions and thresholds of the models."""
    st.header("Models and thresholds")
    rows: list[tuple[str, str, str, float, str]] = []
    for name in MODEL_NAMES:
        with errors_shown():
            card = load_card(name, settings)
            model = (MODEL_TITLES[name], card.version)
            meanings = THRESHOLDS[name]
            values = card.thresholds.by_name()
            rows += [(*model, key, value, meanings.get(key, "")) for key, value in values.items()]
            if isinstance(card.thresholds, CellThresholds):
                for cell_type, rivals in card.thresholds.rivals.items():
                    rule = f"rival of {label_name(cell_type).lower()}"
                    for rival, limit in rivals.items():
                        meaning = (
                            f"Probability of {label_name(rival).lower()} from which such a cell "
                            "is uncertain"
                        )
                        rows.append((*model, rule, limit, meaning))
    st.dataframe(
        pd.DataFrame(rows, columns=["Model", "Version", "Threshold", "Value", "Meaning"]),
        hide_index=True,
        column_config={"Value": st.column_config.NumberColumn("Value", format="%.3f")},
        alt="Thresholds of the models",
    )
    st.caption("Chosen on validation images during training; stored in the model card.")


def show_settings(settings: Settings) -> None:
    """Show every setting and its value; secrets stay hidden."""
    st.header("Current settings")
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
    st.header("Audit trail")
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
        page = st.session_state.get("audit_page", 1)
        found = audit.latest(database, offset=audit.PAGE * (page - 1))
        st.dataframe(
            [
                {
                    "No.": entry.number,
                    "At": local_time(entry.at),
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
        if (pages := ceil(found.total / audit.PAGE)) > 1:
            st.pagination(pages, key="audit_page")
        st.caption(
            f"{found.total:,} {'entry' if found.total == 1 else 'entries'}. Patients and samples "
            "appear by number only, so that entries can stay when a patient is deleted."
        )
