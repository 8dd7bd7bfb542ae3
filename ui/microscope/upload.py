"""Uploading a slide: a component whose script sends the file to the API, piece by piece."""

from pathlib import Path

import streamlit as st

from core.cases.database import get_database
from core.cases.users import require
from core.errors import LeukoscopeError
from core.settings import get_settings
from core.slides.uploads import UPLOADED_SUFFIXES
from ui.components.visitor import current_user

_HERE = Path(__file__).parent
_upload = st.components.v2.component(
    "slide_upload",
    html='<div class="upload"></div>',
    css=(_HERE / "upload.css").read_text(encoding="utf-8"),
    js=(_HERE / "upload.js").read_text(encoding="utf-8"),
)


def show_upload() -> None:
    """Offer reviewers to upload a slide, where the settings allow it."""
    settings = get_settings()
    if not settings.slide_upload_megabytes:
        return
    try:
        require(current_user(get_database()), "reviewer")
    except LeukoscopeError:
        return
    most = settings.slide_upload_megabytes * 1_000_000
    _upload(
        key="slide_upload",
        data={
            "most": most,
            "accept": ",".join(sorted(UPLOADED_SUFFIXES)),
            "neutral": settings.neutral_names,
            "hint": f"One file of up to {most / 1e9:g} GB: SVS, NDPI, SCN, BIF, CZI, DICOM, TIFF "
            "or a single image. Only you see it.",
        },
        on_slide_change=lambda: None,  # the list is drawn again, with the slide
    )
