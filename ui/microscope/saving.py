"""Saving a count to a patient: its fields become a sample, which is reviewed and signed there."""

import streamlit as st

from core.cases.database import get_database
from core.cases.names import checked_identifier
from core.cases.patients import create_patient, find_patient
from core.cases.records import NewField, NewLabel, PatientDetails
from core.cases.reviews import save_labelled_sample
from core.cases.users import require
from core.inference.pipeline import get_analyzer
from core.inference.tasks import models_of
from core.slides.case_fields import case_fields
from core.slides.counting import SlideCount
from core.slides.tiles import SlideView
from ui.components import cases
from ui.components.actions import action_button
from ui.components.visitor import current_user

_KEY = "slide_save"
_SAVED = "slide_saved"
"""Key in the session: what was saved of which count, and as which sample."""


def saved_as(count: SlideCount) -> int | None:
    """Return the sample that this visitor saved the count as it is, if any."""
    found: int | None = st.session_state.get(_SAVED, {}).get((id(count), count.done))
    return found


def show_saving(view: SlideView, count: SlideCount) -> None:
    """Offer to save a count that does not run; afterwards, to review it."""
    sample = saved_as(count)
    if sample is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(":green-badge[:material/check: saved]", width="content")
            cases.sample_link(sample, f"Sample {sample}")
            cases.review_link(sample, f"Review sample {sample}")
        return
    box = st.expander("Save to a patient", icon=":material/save:", key=_KEY, on_change="rerun")
    if not box.open:
        return
    with box, cases.errors_shown():
        database = get_database()
        require(current_user(database), "reviewer")
        if count.reds_left_out:
            st.info(
                "Counts of the whole area keep white cells only and cannot be saved. Count 200 or "
                "400 cells for a case.",
                icon=":material/info:",
            )
            return
        st.caption(
            "Saved are the counted parts with white cells, as fields with all their cells, and the "
            "labels that reviewers gave here. Review, report and signature follow on the pages of "
            "the case."
        )
        with st.grid(2, min_column_width=230):
            st.text_input(
                "Patient identifier",
                key=f"{_KEY}_identifier",
                max_chars=100,
                placeholder="As in your laboratory",
            )
            cases.sample_inputs(_KEY)

        def save() -> None:
            user = current_user(database)
            identifier = checked_identifier(st.session_state[f"{_KEY}_identifier"], "identifier")
            now = count.snapshot()
            models = models_of(get_analyzer().versions, now.model, None)
            found = case_fields(view, now.model, count.counted_tiles, count.areas)
            fields = [NewField(field.image, field.analysis, models) for field in found]
            place = {
                number: (index, own)
                for index, field in enumerate(found)
                for own, number in enumerate(field.numbers, 1)
            }
            labels = [
                NewLabel(*place[number], given.label, given.user) for number, given in now.labels
            ]
            patient = find_patient(database, identifier) or create_patient(
                database, user, PatientDetails(identifier)
            )
            details = cases.entered_sample(_KEY)
            done = save_labelled_sample(database, user, patient.id, details, fields, labels)
            st.session_state.setdefault(_SAVED, {})[id(count), count.done] = done.id

        action_button("Save", f"{_KEY}_now", save, icon=":material/save:", type="primary")
