"""Pictures with their cells boxed and numbered, as files."""

import io
import zipfile
from collections.abc import Iterable
from pathlib import PurePath

import cv2

from core.imaging.overlay import draw_overlay
from core.imaging.read import read_image
from core.results import FieldAnalysis


def annotated_zip(pictures: Iterable[tuple[bytes, FieldAnalysis]]) -> bytes:
    """Return a ZIP with a PNG of every picture, in their order and at their full size.

    `pictures` are files as uploaded with what was found in them. Raises InputError for a file
    that cannot be read.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stream:
        for place, (raw, analysis) in enumerate(pictures, 1):
            drawn = draw_overlay(read_image(raw, analysis.file).pixels, analysis)
            _, png = cv2.imencode(".png", drawn[..., ::-1])
            # Numbered, because several files may have one name.
            stem = PurePath(analysis.file).stem
            stream.writestr(f"{place:03}_{stem}_annotated.png", png.tobytes())
    return archive.getvalue()
