"""Annotated pictures are the pictures of the screen, whole and in order."""

import io
import zipfile

import numpy as np
from PIL import Image

from core.imaging.overlay import draw_overlay
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
    assert np.array_equal(drawn, draw_overlay(image.pixels, analysis))
    assert not np.array_equal(drawn, image.pixels)
