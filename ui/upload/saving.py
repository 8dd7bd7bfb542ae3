"""Saves the pictures of a desk to patients, each with its analysis and its ALL class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
from ui.components.cases import (
    errors_shown,
    review_link,
    sample_inputs,
    sample_link,
    sample_name,
)
from ui.components.shared import number_of, plain
from ui.components.visitor import current_user
from ui.upload.session import UNNAMED, Desk, Picture, analyse_field, images_of, open_desk

_MATCHES = 10
_PIXELS_AT_ONCE = 50_000_000
"""Pictures are decoded for saving in batches, so that five hundred never are in memory at once."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where pictures go, as chosen on the page."""

    pictures: list[Picture]
    identifier: str
    patient: Patient | None
    """None for a new one."""
    sample: Sample | SampleDetails
    """A stored one, or what was entered about a new one."""


@st.fragment
def save_section(name: str, desk: Desk, pictures: list[Picture]) -> None:
    """Offer to save the pictures that are shown; say which are saved and which cannot be."""
    _show_saved(pictures)
    box = st.expander(
        "Save to a patient", icon=":material/save:", key=f"{name}_save", on_change="rerun"
    )
    if not box.open:
        return
    with box:
        waiting = [
            p
            for p in pictures
            if p.sample_id is None and p.raw is not None and not p.result.reject_reason
        ]
        _show_left_out(desk, pictures)
        if not waiting:
            st.info("There is nothing left to save here.", icon=":material/check:")
        else:
            with errors_shown():
                database = get_database()
                user = current_user(database)
                require(user, "reviewer")
                _choose_and_save(name, waiting, database, user)


def _show_saved(pictures: Sequence[Picture]) -> None:
    samples = dict.fromkeys(p.sample_id for p in pictures if p.sample_id is not None)
    if not samples:
        return
    number = sum(p.sample_id is not None for p in pictures)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":green-badge[:material/check: {number} of {len(pictures)} saved]", width="content"
        )
        for sample_id in samples:
            sample_link(sample_id, f"Sample {sample_id}")
            review_link(sample_id, f"Review sample {sample_id}")


def _show_left_out(desk: Desk, pictures: Sequence[Picture]) -> None:
    parts = [
        f"{number} {what}"
        for number, what in (
            (sum(p.result.reject_reason is not None for p in pictures), "refused"),
            (len(desk.failed), "not read"),
            (sum(p.raw is None for p in pictures), "no longer kept"),
        )
        if number
    ]
    left_out = f" Not saved: {', '.join(parts)}." if parts else ""
    st.caption(
        "Saved are the pixels, without the file's header, and all that was found in them. "
        f"Refused pictures and files that were not read are never saved.{left_out}"
    )


def _choose_and_save(name: str, waiting: Sequence[Picture], database: Database, user: User) -> None:
    groups: dict[str, list[Picture]] = {}
    for picture in waiting:
        groups.setdefault(picture.patient, []).append(picture)
    targets = [
        _choose_target(f"{name}_save_{patient}", patient, members, database)
        for patient, members in groups.items()
    ]
    fields = number_of(len(waiting), "field")
    whose = f" of {len(groups)} patients" if len(groups) > 1 else ""
    unnamed = sum(not target.identifier for target in targets)
    pressed = f"{name}_save_pressed"
    st.button(
        f"Save {fields}{whose}",
        key=f"{name}_save_now",
        type="primary",
        icon=":material/save:",
        disabled=unnamed > 0,
        help="Enter the identifier of every patient first." if unnamed else None,
        on_click=st.session_state.update,
        args=({pressed: True},),
    )
    # Kept in the session, for a run that another event cuts short forgets what was pressed.
    if pressed in st.session_state:
        with st.spinner(f"Saving {fields}"):
            del st.session_state[pressed]
            for target in targets:
                _save(database, user, target, open_desk(name))
        st.rerun()


def _choose_target(key: str, patient: str, pictures: list[Picture], database: Database) -> _Target:
    chosen = None
    with st.container(border=True):
        st.markdown(f"**{plain(patient)}** · {number_of(len(pictures), 'field')}")
        with st.grid(3, min_column_width=230):
            typed = st.text_input(
                "Patient identifier",
                value="" if patient == UNNAMED else patient,
                max_chars=100,
                key=f"{key}_typed",
                placeholder="The laboratory's own",
                help="Existing patients are searched by identifier and name.",
            )
            identifier = ""
            with errors_shown():
                identifier = checked_identifier(typed, "identifier")
                if identifier:
                    chosen = _choose_patient(key, identifier, database)
            sample = _choose_sample(key, chosen, pictures, database) or sample_inputs(key)
    return _Target(pictures, chosen.identifier if chosen else identifier, chosen, sample)


def _choose_patient(key: str, typed: str, database: Database) -> Patient | None:
    """Let the reader choose among the patients that fit what is typed; None is a new one."""
    exact = find_patient(database, typed)
    found = {
        listed.patient.id: listed.patient
        for listed in search_patients(database, typed, limit=_MATCHES).items
    }
    if exact is not None:
        found = {exact.id: exact} | found
    options: list[int | None] = list(found) if exact is not None else [None, *found]

    def text(patient_id: int | None) -> str:
        if patient_id is None:
            return f"New patient {typed}"
        patient = found[patient_id]
        born = f"born {patient.birth_year}" if patient.birth_year else None
        return " · ".join(filter(None, (patient.identifier, patient.name, born)))

    # What is typed is part of the key, so that another text brings its own best choice.
    chosen = st.selectbox(
        "Patient",
        options,
        format_func=text,
        placeholder=text(None),
        key=f"{key}_patient_{typed}",
    )
    return None if chosen is None else found[chosen]


def _choose_sample(
    key: str, patient: Patient | None, pictures: Sequence[Picture], database: Database
) -> Sample | None:
    """Let the reader choose a sample that is not signed; None is a new one.

    Graded pictures that a sample holds already only bring it their classes: it is the first choice.
    """
    found: dict[int, SampleSummary] = {}
    held: dict[int, int] = {}
    if patient is not None:
        samples = patient_history(database, patient.id)[1]
        found = {s.sample.id: s for s in samples if s.sample.state != "signed"}
        held = samples_holding(database, patient.id, [p.identity for p in pictures])
    graded = isinstance(pictures[0].result, StageResult)
    first = max(held.keys() & found.keys(), key=held.__getitem__, default=None) if graded else None
    options = [None, *found]

    def text(sample_id: int | None) -> str:
        if sample_id is None:
            return "New sample"
        summary = found[sample_id]
        has = f", {held[sample_id]} of these among them" if sample_id in held else ""
        return f"Add to {sample_name(summary.sample)} ({number_of(summary.fields, 'field')}{has})"

    chosen = st.selectbox(
        "Sample",
        options,
        options.index(first),
        format_func=text,
        # No choice and the choice of a new one are the same, and are to look the same.
        placeholder=text(None),
        key=f"{key}_sample_{patient.id if patient else 0}",
        disabled=not found,
    )
    return None if chosen is None else found[chosen].sample


def _save(database: Database, user: User, target: _Target, desk: Desk) -> None:
    """Save a patient's pictures and mark each as saved as soon as it is.

    A cell counts once in the sample: another field of the desk that shows it may never get there.
    """
    patient = target.patient or find_patient(database, target.identifier)
    if patient is None:
        patient = create_patient(database, user, PatientDetails(target.identifier))
    sample = target.sample
    for batch in _batches(target.pictures):
        fields = [_new_field(picture, image) for picture, image in images_of(batch)]
        sample_id = sample.id if isinstance(sample, Sample) else None
        finder = Finder(keep=desk.keep, known=desk.known)
        fields = compared_with_stored(database, patient.id, fields, sample_id, finder)
        if isinstance(sample, SampleDetails):
            sample = save_sample(database, user, patient.id, sample, fields)
        else:
            sample = add_fields(database, user, sample, fields)
        for picture, new in zip(batch, fields, strict=True):
            picture.sample_id = sample.id
            if isinstance(picture.result, FieldAnalysis):
                picture.result = new.analysis


def _batches(pictures: Sequence[Picture]) -> Iterator[list[Picture]]:
    batch: list[Picture] = []
    pixels = 0
    for picture in pictures:
        size = picture.width * picture.height
        if batch and pixels + size > _PIXELS_AT_ONCE:
            yield batch
            batch, pixels = [], 0
        batch.append(picture)
        pixels += size
    yield batch


def _new_field(picture: Picture, image: FieldImage) -> NewField:
    analysis, stage = _results(image, picture.found)
    used = ("detector", "wbc") if stage is None else ("detector", "wbc", "all_stage")
    versions = get_analyzer().versions
    models = {model: versions[model] for model in used}
    if analysis.profile is not None:
        models["profile"] = analysis.profile
    return NewField(image, analysis, models, stage)


def _results(
    image: FieldImage, result: FieldAnalysis | StageResult
) -> tuple[FieldAnalysis, StageResult | None]:
    """Return both answers on a picture: the one given, and the other desk's when it has one.

    A field that was only graded is analysed now, for every stored field has its cells.
    """
    if isinstance(result, FieldAnalysis):
        graded = open_desk("stage").pictures.get(image.identity)
        return result, graded.result if graded and not graded.result.reject_reason else None
    analysed = open_desk("wbc").pictures.get(image.identity)
    if analysed and not analysed.result.reject_reason:
        return analysed.found, result
    analysis = analyse_field(image, anyway=result.qc_override is not None)
    return replace(analysis, file=image.name), result
