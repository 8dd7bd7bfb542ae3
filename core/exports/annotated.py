"""Images with their cells boxed and numbered, as files."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import PurePath

from core.domain.results import FieldAnalysis, Pixels
from core.imaging.overlay import draw_overlay
from core.imaging.preview import preview_jpeg


def annotated_zip(images: Iterable[tuple[Pixels, FieldAnalysis]]) -> bytes:
    """Return a ZIP with a JPEG of every image, in their order and at their full size.

    `images` are RGB pixels (H x W x 3) with what was found in them, taken one at a time.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stream:
        for place, (pixels, analysis) in enumerate(images, 1):
            drawn = draw_overlay(pixels, analysis)
            # PNG would be ten times the size of the uploads, all of it held in memory.
            jpeg = preview_jpeg(drawn, max(drawn.shape[:2]), quality=95)
            # Numbered, because several files may have one name.
            stem = PurePath(analysis.file).stem
            page = f"_page{analysis.page}" if analysis.page > 1 else ""
            stream.writestr(f"{place:03}_{stem}{page}_annotated.jpg", jpeg)
    return archive.getvalue()
