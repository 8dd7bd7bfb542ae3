"""The ZIP of annotated images holds every image at full size, with the boxes of the page."""

import io
import zipfile
from dataclasses import replace

import numpy as np
from PIL import Image

from core.exports.annotated import annotated_zip
from core.imaging.overlay import draw_overlay
from core.imaging.preview import preview_jpeg
from core.inference.pipeline import get_analyzer
from tests.images import read_image


def test_every_image_comes_at_its_size_with_its_boxes(pack):
    raw = pack.jpeg(pack.bccd(0))
    image = read_image(raw, "../a/field 1.jpg")
    analysis = get_analyzer().analyze(image)
    assert analysis.white_cells()
    fields = [analysis, replace(analysis, page=2)]
    with zipfile.ZipFile(io.BytesIO(annotated_zip([(image.pixels, a) for a in fields]))) as archive:
        names = archive.namelist()
        drawn = np.asarray(Image.open(io.BytesIO(archive.read(names[0]))))
    assert names == ["001_field 1_annotated.jpg", "002_field 1_page2_annotated.jpg"]
    assert not any("/" in name or ".." in name for name in names)
    wanted = draw_overlay(image.pixels, analysis)
    whole = preview_jpeg(wanted, max(wanted.shape[:2]), quality=95)
    assert np.array_equal(drawn, np.asarray(Image.open(io.BytesIO(whole))))
    assert drawn.shape == image.pixels.shape
    assert not np.array_equal(wanted, image.pixels)
