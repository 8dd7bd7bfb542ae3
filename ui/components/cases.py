"""What pages that show stored cases share: the database, state badges, links."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, tzinfo
from typing import get_args
from zoneinfo import ZoneInfo

import streamlit as st

from core.cases.audit import record_view
from core.cases.database import Database, get_database
from core.cases.records import Case, CaseState, Patient, Sample, SampleDetails, User
from core.cases.samples import HIGHEST_WHITE_CELL_COUNT, load_case
from core.domain.results import FieldAnalysis
from core.domain.taxonomy import Material
from core.errors import LeukoscopeError, SlideCopyError
from core.exports.summary import MATERIAL_NAMES
from core.slides.current import get_folders
from core.slides.origin import place_of
from ui.components.shared import plain
from ui.components.visitor import current_user, slide_owner

_STATES: dict[CaseState, tuple[str, str]] = {
    "draft": ("gray", "edit_note"),
    "reviewed": ("blue", "rate_review"),
    "signed": ("green", "verified"),
}


@contextmanager
def errors_shown(*, end_page: bool = False) -> Iterator[None]:
    """Show an error of the block as a message; with `end_page` the page ends there."""
    try:
        yield
    except LeukoscopeError as error:
        st.error(plain(str(error)), icon=":material/error:")
        if end_page:
            st.stop()


def open_cases() -> tuple[Database, User]:
    """Return the case database and the user; on an error show it and end the page."""
    with errors_shown(end_page=True):
        database = get_database()
        return database, current_user(database)


def open_case(database: Database, user: User, sample_id: int, draft_id: int | None = None) -> Case:
    """Return a case that the user sees, which is audited; on an error show it and end the page.

    That of a draft needs the `draft_id` of one that was opened.
    """
    with errors_shown(end_page=True):
        case = load_case(database, sample_id, draft_id)
        ids = {"patient_id": case.patient.id, "sample_id": sample_id}
        record_view(database, user.name, "view case", **ids)
        return case


def number_in_address(name: str) -> int | None:
    """Return a database id from the page's address; 0, which does not exist, when malformed."""
    text = st.query_params.get(name)
    if not text:
        return None
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 20 else 0


def follow_address(name: str, key: str, first: int = 1) -> None:
    """Set the state of a widget to a number in the address that the page did not put there.

    So Back and links open what they name. The state counts from 0 where `first` is 1.
    """
    asked = number_in_address(name)
    if asked and asked != st.session_state.get(f"{key}_in_address"):
        st.session_state[key] = asked - first


def keep_in_address(name: str, key: str, number: int | None) -> None:
    """Put the number of what is shown into the address, for `follow_address`."""
    st.session_state[f"{key}_in_address"] = number
    text = None if number is None else str(number)
    if text is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != text:
        st.query_params[name] = text


def state_badge(state: CaseState) -> str:
    """Return a case's state as a badge in Markdown."""
    colour, icon = _STATES[state]
    return f":{colour}-badge[:material/{icon}: {state}]"


def sample_name(sample: Sample) -> str:
    """Return the name of a sample: its date and number, since dates alone may repeat."""
    return f"{sample.taken:%Y-%m-%d}, sample {sample.id}"


def sample_line(sample: Sample) -> str:
    """Describe a sample in a line of Markdown: material, entered white cell count, state."""
    parts = [MATERIAL_NAMES[sample.material]]
    if sample.white_cell_count is not None:
        parts.append(f"white cells {sample.white_cell_count:g} × 10⁹/L")
    return f"{' · '.join(parts)} {state_badge(sample.state)}"


def sample_inputs(key: str, seen: Sample | SampleDetails | None = None) -> SampleDetails:
    """Draw the inputs of a sample, filled from `seen`; return what is entered."""
    materials = get_args(Material)
    st.date_input("Taken", seen.taken if seen else "today", key=f"{key}_taken", format="YYYY-MM-DD")
    st.selectbox(
        "Material",
        materials,
        materials.index(seen.material) if seen else 0,
        format_func=lambda name: MATERIAL_NAMES[name],
        key=f"{key}_material",
    )
    st.number_input(
        "White cell count, 10⁹/L (optional)",
        min_value=0.0,
        max_value=HIGHEST_WHITE_CELL_COUNT,
        value=seen.white_cell_count if seen else None,
        step=0.1,
        key=f"{key}_white_cells",
        placeholder="Unknown",
        help="From a haematology analyser. Needed for absolute counts.",
    )
    return entered_sample(key)


def entered_sample(key: str) -> SampleDetails:
    """Return the content of the inputs of a sample."""
    entered = [st.session_state[f"{key}_{name}"] for name in ("taken", "material", "white_cells")]
    return SampleDetails(*entered)


def no_cases() -> None:
    """Explain how to store the first case."""
    st.info(
        "No patients are stored yet. Count a smear, then open **Save to a patient** below the "
        "results.",
        icon=":material/folder_open:",
    )
    count_link()


def count_link() -> None:
    """Link to the page WBC count."""
    _link("wbc_count", "blur_circular", "Count white cells in your fields")


def local_time(at: datetime) -> str:
    """Return a time in the visitor's time zone, which is named; in UTC where it is not known."""
    zone: tzinfo = UTC
    with suppress(KeyError, ValueError, OSError):  # a name that this machine does not know
        zone = ZoneInfo(str(st.context.timezone))
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def patient_facts(patient: Patient) -> str:
    """Return name, sex and year of birth in a line of Markdown, as far as they are known."""
    born = patient.birth_year and f"born {patient.birth_year}"
    return " · ".join(plain(fact) for fact in (patient.name, patient.sex, born) if fact)


def patient_link(patient_id: int, label: str) -> None:
    """Link to a patient on the page Patients."""
    _link("patients", "person", label, patient=patient_id)


def sample_link(sample_id: int, label: str) -> None:
    """Link to a sample on the page Patients."""
    _link("patients", "biotech", label, sample=sample_id)


def review_link(sample_id: int, label: str, **view: str) -> None:
    """Link to a sample on the page Review, and there to one of its views (`view`)."""
    _link("review", "fact_check", label, sample=sample_id, **view)


def lecture_link(sample_id: int) -> None:
    """Link to the fields of a sample in the lecture view, which shows no names."""
    _link("lecture", "co_present", "Lecture view", sample=sample_id)


def slide_link(field: FieldAnalysis) -> None:
    """Link to a field in the slide that it was cut from, if this server has the slide."""
    try:
        place = place_of(field, lambda: get_folders(owner=slide_owner()).slides().values())
    except SlideCopyError:
        return
    if place is not None:
        address = {"slide": place.slide.id, "x": place.x, "y": place.y, "zoom": 0.25}
        _link("microscope", "biotech", "Show in the slide", **address)


def _link(page: str, icon: str, label: str, **address: object) -> None:
    st.page_link(
        f"pages/{page}.py",
        label=plain(label),
        icon=f":material/{icon}:",
        query_params={name: str(value) for name, value in address.items()},
    )


def show_comments(case: Case, *, places: bool = True) -> None:
    """Show the comments on a case; with `places` each links to its place in a slide."""
    st.header("Comments")
    if not case.comments:
        st.caption("No comments yet.")
    for said in case.comments:
        with st.container(border=True):
            st.caption(f"{plain(said.author)}, {local_time(said.at)}")
            st.text(said.text)
            if places and said.place is not None:
                _link("microscope", "location_on", "Show in the slide", **said.place)
