"""Uploading a slide: a component whose script sends the file to the API, piece by piece."""

from core.cases.database import get_database
from core.cases.users import require
from core.errors import LeukoscopeError
from core.settings import get_settings
from core.slides.uploads import UPLOADED_SUFFIXES
from ui.components.browser import mount
from ui.components.visitor import current_user


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
    mount(
        "slide_upload",
        "slide_upload",
        {
            "most": most,
            "accept": ",".join(sorted(UPLOADED_SUFFIXES)),
            "neutral": settings.neutral_names,
            "hint": f"One file of up to {most / 1e9:g} GB: SVS, NDPI, SCN, BIF, CZI, DICOM, TIFF "
            "or a single image. Only you see it.",
        },
        slide=lambda _: None,  # the list is drawn again, with the slide
    )
