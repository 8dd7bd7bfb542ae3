"""Annotated pictures are the pictures of the screen, whole and in order."""

import io
import zipfile

import numpy as np
from PIL import Image

from core.imaging.overlay import draw_overlay
from core.imaging.preview import preview_jpeg
from core.imaging.read import read_image
from core.inference.analyzer import get_analyzer
from core.reports.annotated import annotated_zip


def test_every_picture_comes_at_its_size_with_its_boxes(pack):
    raw = pack.jpeg(pack.bccd(0))
    image = read_image(raw, "../a/field 1.jpg")
    analysis = get_analyzer().analyze(image)
    assert analysis.white_cells()
    with zipfile.ZipFile(io.BytesIO(annotated_zip([(raw, analysis), (raw, analysis)]))) as archive:
        names = archive.namelist()
        drawn = np.asarray(Image.open(io.BytesIO(archive.read(names[0]))))
    assert [n.split("_")[0] for n in names] == ["001", "002"]
    assert not any("/" in name or ".." in name for name in names)
    wanted = draw_overlay(image.pixels, analysis)
    whole = preview_jpeg(wanted, max(wanted.shape[:2]), quality=95)
    assert np.array_equal(drawn, np.asarray(Image.open(io.BytesIO(whole))))
    assert drawn.shape == image.pixels.shape
    assert not np.array_equal(wanted, image.pixels)
