"""Saves a draft to patients: they get their identifiers, and all reviews stay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.cases.database import Database, get_database
from core.cases.drafts import Destination, save_draft
from core.cases.listing import patient_history, samples_holding, search_patients
from core.cases.names import checked_identifier
from core.cases.patients import find_patient
from core.cases.records import (
    Patient,
    PatientDetails,
    Sample,
    SampleDetails,
    SampleSummary,
    User,
)
from core.cases.samples import add_fields, load_case, load_sample
from core.cases.users import require
from core.errors import PictureNotStoredError
from ui.components import cases
from ui.components.actions import action_button, kept_button
from ui.components.shared import number_of, plain
from ui.components.visitor import current_user
from ui.upload.controls import UNNAMED
from ui.upload.images import SessionImage, decode_again, new_field
from ui.upload.session import UploadSession

_MATCHES = 10


@dataclass(frozen=True, slots=True)
class _Target:
    """Images to save, and the patient and sample that the visitor chose for them."""

    images: list[SessionImage]
    identifier: str
    patient: Patient | None
    """None: create one."""
    sample: Sample | SampleDetails
    """A stored sample, or what was entered about a new one."""


@st.fragment
def save_section(session: UploadSession, images: list[SessionImage]) -> None:
    """Offer to save the images that are shown; list those saved and those that cannot be."""
    _show_saved(session, images)
    box = st.expander(
        "Save to a patient", icon=":material/save:", key=f"{session.name}_save", on_change="rerun"
    )
    if not box.open:
        return
    with box:
        unsaved = [
            i for i in images if i.sample_id is None and i.is_kept and not i.result.reject_reason
        ]
        _show_left_out(session, images)
        if not unsaved:
            st.info("Nothing is left to save here.", icon=":material/check:")
            return
        with cases.errors_shown():
            database = get_database()
            user = current_user(database)
            require(user, "reviewer")
            _choose_and_save(session, unsaved, database, user)


def _show_saved(session: UploadSession, images: Sequence[SessionImage]) -> None:
    samples = dict.fromkeys(i.sample_id for i in images if i.sample_id is not None)
    if not samples:
        return
    if ungraded := [i for i in images if i.has_new_stage]:
        action_button(
            f"Add the ALL class of {number_of(len(ungraded), 'saved field')}",
            f"{session.name}_save_stages",
            lambda: _save_stages(ungraded),
            icon=":material/save:",
        )
    number = sum(i.sample_id is not None for i in images)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":green-badge[:material/check: {number} of {len(images)} saved]", width="content"
        )
        for sample_id in samples:
            cases.sample_link(sample_id, f"Sample {sample_id}")
            cases.review_link(sample_id, f"Review sample {sample_id}")


def _show_left_out(session: UploadSession, images: Sequence[SessionImage]) -> None:
    reasons = {
        "rejected": sum(i.result.reject_reason is not None for i in images),
        "not read": len(session.failed),
        "no longer kept": sum(not i.is_kept for i in images),
    }
    listed = ", ".join(f"{number} {reason}" for reason, number in reasons.items() if number)
    st.caption(
        "Saved are the pixels, without the file's header, and all results. Rejected images and "
        "files that were not read are never saved." + (f" Not saved: {listed}." if listed else "")
    )


def _choose_and_save(
    session: UploadSession,
    unsaved: Sequence[SessionImage],
    database: Database,
    user: User,
) -> None:
    targets = [
        _choose_target(
            f"{session.name}_save_{patient}",
            patient,
            [image for image in unsaved if image.patient == patient],
            database,
        )
        for patient in dict.fromkeys(image.patient for image in unsaved)
    ]
    fields = number_of(len(unsaved), "field")
    whose = f" of {len(targets)} patients" if len(targets) > 1 else ""
    incomplete = any(not target.identifier for target in targets)
    if kept_button(
        f"Save {fields}{whose}",
        f"{session.name}_save_now",
        type="primary",
        icon=":material/save:",
        disabled=incomplete,
        help="Enter the identifier of every patient first." if incomplete else None,
    ):
        with st.spinner(f"Saving {fields}"):
            for target in targets:
                _save(database, user, target, session)
        st.rerun()


def _choose_target(
    key: str, patient: str, images: list[SessionImage], database: Database
) -> _Target:
    chosen = None
    with st.container(border=True):
        st.markdown(f"**{plain(patient)}** · {number_of(len(images), 'field')}")
        with st.grid(3, min_column_width=230):
            typed = st.text_input(
                "Patient identifier",
                value="" if patient == UNNAMED else patient,
                max_chars=100,
                key=f"{key}_typed",
                placeholder="As in your laboratory",
                help="Finds existing patients by identifier or name.",
            )
            identifier = ""
            with cases.errors_shown():
                identifier = checked_identifier(typed, "identifier")
                if identifier:
                    chosen = _choose_patient(key, identifier, database)
            sample = _choose_sample(key, chosen, images, database) or cases.sample_inputs(key)
    return _Target(images, chosen.identifier if chosen else identifier, chosen, sample)


def _choose_patient(key: str, typed: str, database: Database) -> Patient | None:
    """Let the reader choose among the patients that match `typed`; None is a new one."""
    exact = find_patient(database, typed)
    similar = search_patients(database, typed, limit=_MATCHES).items

    def text(patient: Patient | None) -> str:
        if patient is None:
            return f"New patient {typed}"
        born = f"born {patient.birth_year}" if patient.birth_year else None
        return " · ".join(filter(None, (patient.identifier, patient.name, born)))

    # The typed text is part of the key, so that another text starts with its own best match.
    chosen: Patient | None = st.selectbox(
        "Patient",
        list(dict.fromkeys((exact, *(listed.patient for listed in similar)))),
        format_func=text,
        placeholder=text(None),
        key=f"{key}_patient_{typed}",
    )
    return chosen


def _choose_sample(
    key: str, patient: Patient | None, images: Sequence[SessionImage], database: Database
) -> Sample | None:
    """Let the reader choose a sample that is not signed; None is a new one.

    Graded images that a sample already contains only add their ALL class to it: it is preselected.
    """
    found: dict[int | None, SampleSummary] = {}
    held: Mapping[int, int] = {}
    if patient is not None:
        samples = patient_history(database, patient.id)[1]
        found = {s.sample.id: s for s in samples if s.sample.state != "signed"}
        held = samples_holding(database, patient.id, [image.identity for image in images])
    options = [None, *found]
    first = None
    if any(image.stage is not None for image in images):
        first = max(held.keys() & found.keys(), key=held.__getitem__, default=None)

    def text(sample_id: int | None) -> str:
        if sample_id is None:
            return "New sample"
        summary = found[sample_id]
        size = number_of(summary.fields, "field")
        if sample_id in held:
            size += f", {held[sample_id]} of these already in it"
        return f"Add to {cases.sample_name(summary.sample)} ({size})"

    chosen = st.selectbox(
        "Sample",
        options,
        options.index(first),
        format_func=text,
        placeholder=text(None),  # an empty choice means a new sample too
        key=f"{key}_sample_{patient.id if patient else 0}",
        disabled=not found,
    )
    return found[chosen].sample if chosen else None


def _save_stages(images: Sequence[SessionImage]) -> None:
    """Give stored fields, which were graded after they were saved, their ALL class."""
    database = get_database()
    user = current_user(database)
    for sample_id in {image.sample_id for image in images if image.sample_id is not None}:
        own = [image for image in images if image.sample_id == sample_id]
        fields = [new_field(image, decoded) for image, decoded in decode_again(own)]
        add_fields(database, user, load_sample(database, sample_id), fields)
        for image in own:
            image.has_new_stage = False


def _save(database: Database, user: User, target: _Target, session: UploadSession) -> None:
    """Save a patient's images with all reviews, and mark them as saved."""
    session.store_rest()
    unsaved = [image for image in target.images if image.sample_id is None]
    draft = session.draft
    if draft is None or any(image.field_id is None for image in unsaved):
        raise PictureNotStoredError
    patient = target.patient or find_patient(database, target.identifier)
    to = Destination(patient or PatientDetails(target.identifier), target.sample)
    sample = save_draft(database, user, draft, unsaved[0].patient, to)
    stored = load_case(database, sample.id).fields
    found = {field.analysis.identity: field for field in stored}
    for image in unsaved:
        field = found.get(image.identity)
        image.sample_id, image.field_id = sample.id, field.id if field else None
        if field is not None:
            image.result = field.analysis
    session.stamp = None
