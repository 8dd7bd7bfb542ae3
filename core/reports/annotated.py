"""Pictures with their cells boxed and numbered, as files."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import PurePath

from core.imaging.overlay import draw_overlay
from core.imaging.preview import preview_jpeg
from core.imaging.read import read_image
from core.results import FieldAnalysis


def annotated_zip(pictures: Iterable[tuple[bytes, FieldAnalysis]]) -> bytes:
    """Return a ZIP with a JPEG of every picture, in their order and at their full size.

    `pictures` are files as uploaded with what was found in them. Raises InputError for a file
    that cannot be read.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stream:
        for place, (raw, analysis) in enumerate(pictures, 1):
            drawn = draw_overlay(read_image(raw, analysis.file).pixels, analysis)
            # PNG would be ten times the size of the uploads, all of it held in memory.
            jpeg = preview_jpeg(drawn, max(drawn.shape[:2]), quality=95)
            # Numbered, because several files may have one name.
            stem = PurePath(analysis.file).stem
            stream.writestr(f"{place:03}_{stem}_annotated.jpg", jpeg)
    return archive.getvalue()
