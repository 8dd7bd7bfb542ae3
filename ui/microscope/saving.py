"""Saving a count to a patient: its fields become a sample, which is reviewed and signed there."""

import streamlit as st

from core.cases.database import get_database
from core.cases.names import checked_identifier
from core.cases.patients import create_patient, find_patient
from core.cases.records import (
    CountOrigin,
    NewField,
    NewLabel,
    PatientDetails,
    Sample,
)
from core.cases.reviews import save_slide_count
from core.cases.samples import sample_with_count
from core.cases.users import require
from core.errors import CaseError, CountSavedError
from core.inference.pipeline import get_analyzer
from core.inference.tasks import models_of
from core.slides.case_fields import case_fields
from core.slides.counting import SlideCount
from core.slides.folders import SlideFile
from core.slides.tiles import SlideView
from ui.components import cases
from ui.components.actions import action_button
from ui.components.visitor import current_user

_KEY = "slide_save"


def saved_as(slide: SlideFile) -> Sample | None:
    """Return the last sample that holds the count of a slide.

    None without one, and for those who may not read cases.
    """
    try:
        database = get_database()
        require(current_user(database), "viewer")
        return sample_with_count(database, slide.id, slide.version)
    except CaseError:
        return None


def check_not_saved(slide: SlideFile, known: int | None = None) -> None:
    """Raise CountSavedError if another sample than the known one holds the count of a slide.

    Somebody saved it since the page was drawn, and that sample would lack what is done now.
    """
    held = saved_as(slide)
    if held is not None and held.id != known:
        raise CountSavedError(held.id)


def show_saving(view: SlideView, count: SlideCount) -> None:
    """Offer to save a count that does not run, and name the sample that holds it already."""
    held = saved_as(count.slide)
    if held is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                ":green-badge[:material/check: saved] The count of this slide is in sample "
                f"{held.id}, taken on {held.taken:%Y-%m-%d}.",
                width="content",
            )
            cases.sample_link(held.id, f"Sample {held.id}")
            cases.review_link(held.id, f"Review sample {held.id}")
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
        if held is not None:
            st.warning(
                f"Sample {held.id} stays as it is, and the new sample has the same cells: for "
                "one patient they count twice. Save the count again only if that sample belongs "
                "to the wrong patient, or if cells were counted since.",
                icon=":material/content_copy:",
            )
            again = st.checkbox("Save it as another sample", key=f"{_KEY}_again")
        with st.grid(2, min_column_width=230):
            st.text_input(
                "Patient identifier",
                key=f"{_KEY}_identifier",
                max_chars=100,
                placeholder="As in your laboratory",
            )
            cases.sample_inputs(_KEY)

        known = None if held is None else held.id

        def save() -> None:
            user = current_user(database)
            check_not_saved(count.slide, known)
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
            origin = CountOrigin(count.slide.id, count.slide.version, known)
            save_slide_count(database, user, patient.id, details, fields, labels, origin)
            st.session_state[_KEY] = False

        action_button(
            "Save",
            f"{_KEY}_now",
            save,
            icon=":material/save:",
            type="primary",
            disabled=held is not None and not again,
        )
