"""Saves the images of an upload session to patients, each with its analysis and ALL class."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Generic

import streamlit as st

from core.cases.database import Database, get_database
from core.cases.listing import patient_history, samples_holding, search_patients
from core.cases.names import checked_identifier
from core.cases.patients import create_patient, find_patient
from core.cases.records import (
    NewField,
    Patient,
    PatientDetails,
    Sample,
    SampleDetails,
    SampleSummary,
    User,
)
from core.cases.repeats import compared_with_stored
from core.cases.samples import add_fields, save_sample
from core.cases.users import require
from core.domain.results import FieldAnalysis, FieldImage, StageResult
from core.imaging.duplicates import Finder
from core.inference.pipeline import get_analyzer
from core.inference.tasks import models_of
from ui.components import cases
from ui.components.actions import kept_button
from ui.components.shared import number_of, plain
from ui.components.visitor import current_user
from ui.upload.controls import UNNAMED
from ui.upload.session import (
    R,
    SessionImage,
    UploadSession,
    analyze_field,
    decode_again,
    uploaded_result,
)

_MATCHES = 10
_MAX_PIXELS = 50_000_000
"""Images are decoded for saving in batches of about so many pixels: 500 do not fit into memory."""


@dataclass(frozen=True, slots=True)
class _Target(Generic[R]):
    """Images to save, and the patient and sample that the visitor chose for them."""

    images: list[SessionImage[R]]
    identifier: str
    patient: Patient | None
    """None: create one."""
    sample: Sample | SampleDetails
    """A stored sample, or what was entered about a new one."""


@st.fragment
def save_section(session: UploadSession[R], images: list[SessionImage[R]]) -> None:
    """Offer to save the images that are shown; list those saved and those that cannot be."""
    _show_saved(images)
    box = st.expander(
        "Save to a patient", icon=":material/save:", key=f"{session.name}_save", on_change="rerun"
    )
    if not box.open:
        return
    with box:
        unsaved = [
            i
            for i in images
            if i.sample_id is None and i.raw is not None and not i.result.reject_reason
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


def _show_saved(images: Sequence[SessionImage[R]]) -> None:
    samples = dict.fromkeys(i.sample_id for i in images if i.sample_id is not None)
    if not samples:
        return
    number = sum(i.sample_id is not None for i in images)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":green-badge[:material/check: {number} of {len(images)} saved]", width="content"
        )
        for sample_id in samples:
            cases.sample_link(sample_id, f"Sample {sample_id}")
            cases.review_link(sample_id, f"Review sample {sample_id}")


def _show_left_out(session: UploadSession[R], images: Sequence[SessionImage[R]]) -> None:
    reasons = {
        "rejected": sum(i.result.reject_reason is not None for i in images),
        "not read": len(session.failed),
        "no longer kept": sum(i.raw is None for i in images),
    }
    listed = ", ".join(f"{number} {reason}" for reason, number in reasons.items() if number)
    st.caption(
        "Saved are the pixels, without the file's header, and all results. Rejected images and "
        "files that were not read are never saved." + (f" Not saved: {listed}." if listed else "")
    )


def _choose_and_save(
    session: UploadSession[R],
    unsaved: Sequence[SessionImage[R]],
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
    key: str, patient: str, images: list[SessionImage[R]], database: Database
) -> _Target[R]:
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
    key: str, patient: Patient | None, images: Sequence[SessionImage[R]], database: Database
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
    if isinstance(images[0].result, StageResult):
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


def _save(database: Database, user: User, target: _Target[R], session: UploadSession[R]) -> None:
    """Save a patient's images and mark each one as soon as it is saved.

    Duplicates are marked anew against the stored sample: another field of the session that shows
    the same cell may never be saved.
    """
    patient = target.patient or find_patient(database, target.identifier)
    if patient is None:
        patient = create_patient(database, user, PatientDetails(target.identifier))
    sample = target.sample
    for batch in _batches(target.images):
        fields = [_new_field(image, decoded) for image, decoded in decode_again(batch)]
        sample_id = sample.id if isinstance(sample, Sample) else None
        finder = Finder(keep=session.keep_duplicates, known=session.known)
        fields = compared_with_stored(database, patient.id, fields, sample_id, finder)
        if isinstance(sample, SampleDetails):
            sample = save_sample(database, user, patient.id, sample, fields)
        else:
            sample = add_fields(database, user, sample, fields)
        for image, new in zip(batch, fields, strict=True):
            image.sample_id = sample.id
            if isinstance(image.result, FieldAnalysis):
                image.result = new.analysis


def _batches(images: Sequence[SessionImage[R]]) -> Iterator[list[SessionImage[R]]]:
    before = accumulate((i.width * i.height for i in images), initial=0)
    numbered = zip(images, before, strict=False)
    for _, batch in groupby(numbered, key=lambda pair: pair[1] // _MAX_PIXELS):
        yield [image for image, _ in batch]


def _new_field(image: SessionImage[R], decoded: FieldImage) -> NewField:
    """Return a field with its analysis and, when it was graded, its ALL class.

    Every stored field has its cells: a field that was only graded is analyzed now.
    """
    result = image.own_result
    if isinstance(result, FieldAnalysis):
        analysis, stage = result, uploaded_result("stage", image.identity)
    else:
        analysis, stage = uploaded_result("wbc", image.identity), result
    if not isinstance(analysis, FieldAnalysis):
        analysis = analyze_field(decoded, force=result.qc_override is not None)
        analysis = replace(analysis, file=decoded.name)
    graded = stage if isinstance(stage, StageResult) else None
    models = models_of(get_analyzer().versions, analysis, graded)
    return NewField(decoded, analysis, models, graded)
