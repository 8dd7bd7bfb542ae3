"""What the WBC count offers before there are results: site profile, examples, what to bring."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.domain.differential import FULL_COUNT, RECOMMENDED_CELLS
from core.errors import DataError, ProfileError
from core.inference.site_profile import SiteProfile, load_profile, profile_names
from core.synthetic.examples import bccd_fields, synthetic_slides
from ui.components import shared
from ui.components.actions import kept_button
from ui.upload.session import PendingUpload, UploadSession

_EXPLANATION = {
    "Suitable images": (
        "Stained smears (Wright, Giemsa, May-Grünwald), in focus, from the thin part of the "
        "smear, at a magnification that shows single cells. Colours may differ."
    ),
    "Results": (
        "Every white cell boxed and typed with its probability; counts of white cells, red cells "
        "and platelets; the differential with exact confidence intervals; flags; tables as XLSX, "
        "CSV and JSON. Saved to a patient: review, trends, and reports as PDF, XLSX and FHIR."
    ),
    "Number of fields": (
        f"A differential needs {RECOMMENDED_CELLS} white cells, better {FULL_COUNT}. Drop all "
        "fields of a sample at once. Band forms count as neutrophils."
    ),
}


def choose_profile() -> SiteProfile | None:
    """Let the reader choose a site profile when there are any; by default none is used."""
    names = profile_names()
    if not names:
        return None
    name = st.selectbox(
        "Site profile",
        names,
        index=None,
        placeholder="None: the classifier as shipped",
        key="wbc_profile",
        persist_state="session",
        width=320,
        help="Adapts the classifier to this site. It applies to images that you add from now on.",
    )
    if name is None:
        return None
    try:
        return load_profile(name, shared.open_analyzer().classifier.model_sha256)
    except ProfileError as error:
        st.error(shared.plain(str(error)), title="The profile is not used", icon=":material/error:")
        return None


def example_slides() -> list[PendingUpload]:
    """Return the synthetic slides as if they had been uploaded."""
    return [_pending(name, "Synthetic example", data) for name, data in synthetic_slides()]


def example_buttons(session: UploadSession, row: DeltaGenerator) -> None:
    """Offer synthetic slides, and real fields from a public data set."""
    with row:
        synthetic = kept_button(
            "Open example slides", "wbc_examples", icon=":material/draw:", help="Synthetic slides."
        )
        real = kept_button(
            "Download 12 real BCCD fields",
            "wbc_real",
            icon=":material/download:",
            help="From github.com/Shenggan/BCCD_Dataset (MIT licence), 640 × 480 px.",
        )
    if synthetic:
        session.pending += example_slides()
    if real:
        try:
            with st.spinner("Downloading 12 fields from github.com/Shenggan/BCCD_Dataset"):
                session.pending += [_pending(name, "BCCD", data) for name, data in bccd_fields()]
        except DataError as error:
            st.error(str(error), title="Not downloaded", icon=":material/cloud_off:")


def _pending(name: str, patient: str, data: bytes) -> PendingUpload:
    return PendingUpload(key=name, name=name, patient=patient, read=lambda: data)


def explain() -> None:
    """Show which images suit and what the results are."""
    with st.grid(3, min_column_width=240):
        for title, text in _EXPLANATION.items():
            with st.container(border=True, height="stretch"):
                st.markdown(f"**{title}**")
                st.write(text)
