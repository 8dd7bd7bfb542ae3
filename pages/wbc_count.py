"""WBC count: fields in, white cells found, typed and counted out."""

from functools import partial

import streamlit as st

from core.domain.differential import RECOMMENDED_CELLS
from core.errors import DataError, ProfileError
from core.inference.site_profile import SiteProfile, load_profile, profile_names
from core.synthetic.examples import bccd_fields, synthetic_slides
from ui.components import shared
from ui.count.files import ASKED, MADE, REAL
from ui.count.results import FULL_COUNT, NAME, show_results
from ui.upload.controls import show_problems
from ui.upload.session import (
    Desk,
    Incoming,
    analyse_field,
    clear_desk,
    finish_round,
    open_desk,
    take_in,
    uploader,
)

MADE_PATIENT, BCCD_PATIENT = "Made example", "BCCD"

PICTURES_THAT_WORK = (
    "Stained smears (Wright, Giemsa, May-Grünwald), in focus, in the thin part of the smear, at a "
    "magnification that shows single cells. Colours may differ."
)
WHAT_YOU_GET = (
    "Every white cell boxed and named with its probability, counts of white cells, red cells and "
    "platelets, the differential with exact limits, flags, and the tables as XLSX, CSV and JSON. "
    "Saved to a patient also review, trends, and reports as PDF, XLSX and FHIR."
)
HOW_MANY = (
    f"A differential needs {RECOMMENDED_CELLS} white cells, better {FULL_COUNT}. Drop all fields "
    "of a sample at once. Bands are counted with neutrophils."
)


def example_pictures() -> list[Incoming]:
    """Return the made slides as if they had been uploaded."""
    return [
        Incoming(name, name, MADE_PATIENT, lambda data=data: data)
        for name, data in synthetic_slides()
    ]


def real_pictures() -> list[Incoming]:
    """Return the downloaded BCCD fields; without a network say so and return nothing."""
    try:
        with st.spinner("Downloading 12 fields from github.com/Shenggan/BCCD_Dataset"):
            fields = bccd_fields()
    except DataError as error:
        st.error(str(error), title="No download", icon=":material/cloud_off:")
        return []
    return [Incoming(name, name, BCCD_PATIENT, lambda data=data: data) for name, data in fields]


def intake(desk: Desk) -> list[Incoming]:
    """Draw the ways in; return the pictures to analyse."""
    incoming = uploader(NAME, desk)
    with st.container(horizontal=True):
        st.button(
            "Open example slides",
            icon=":material/draw:",
            help="Made, not photographed.",
            on_click=st.session_state.update,
            args=({ASKED: MADE},),
        )
        st.button(
            "Get a dozen real BCCD fields",
            icon=":material/download:",
            help="Downloads from github.com/Shenggan/BCCD_Dataset (MIT licence), 640 × 480 px.",
            on_click=st.session_state.update,
            args=({ASKED: REAL},),
        )
        if desk.pictures or desk.failed:
            st.button("Clear all", icon=":material/delete:", on_click=clear_desk, args=(NAME,))
    return incoming


def choose_profile() -> SiteProfile | None:
    """Let the reader choose a site profile, when any was made; none is applied by itself."""
    names = profile_names()
    if not names:
        return None
    name = st.selectbox(
        "Site profile",
        names,
        index=None,
        placeholder="None: the shipped classifier",
        key=f"{NAME}_profile",
        persist_state="session",
        width=320,
        help="Types the pictures that come from now on with what was learnt from this site's "
        "reviewed cells.",
    )
    if name is None:
        return None
    try:
        return load_profile(name, shared.open_analyzer().classifier.model_sha256)
    except ProfileError as error:
        st.error(shared.plain(str(error)), title="The profile is not used", icon=":material/error:")
        return None


def explain() -> None:
    """Say what to bring and what comes out, before there is anything to show."""
    with st.grid(3, min_column_width=240):
        for title, text in (
            ("Pictures that work", PICTURES_THAT_WORK),
            ("What you get", WHAT_YOU_GET),
            ("How many fields", HOW_MANY),
        ):
            with st.container(border=True, height="stretch"):
                st.markdown(f"**{title}**")
                st.write(text)


shared.header(
    "WBC count",
    "Drop fields of a stained blood smear. White cells are found, typed and counted; "
    "what the model is not sure of is set apart for you.",
)
shared.open_analyzer()
desk = open_desk(NAME)
analyse = partial(analyse_field, profile=choose_profile())
if desk.pictures:
    with st.expander("Add pictures, or clear them", icon=":material/add_photo_alternate:"):
        incoming = intake(desk)
else:
    incoming = intake(desk)
# Kept in the session until all are read, for a run that another event cuts short forgets what was
# pressed.
if asked := st.session_state.get(ASKED):
    pictures = example_pictures() if asked == MADE else real_pictures()
    incoming = [item for item in pictures if item.key not in desk.handled]
if incoming:
    take_in(desk, incoming, analyse)
st.session_state.pop(ASKED, None)
if incoming:
    finish_round(desk)
show_problems(desk, analyse)
if desk.pictures:
    show_results(desk)
else:
    explain()
