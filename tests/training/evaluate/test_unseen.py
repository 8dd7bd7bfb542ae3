import cv2
import numpy as np

from core.datasets.readers import open_set
from core.imaging.nuclei import nuclear_mask
from core.training.evaluate.unseen import against_nuclei, single_nuclei


def smear(*nuclei):
    """Glass with grey red cells and purple nuclei at (x, y, radius)."""
    pixels = np.full((224, 224, 3), (235, 236, 238), np.uint8)
    for x in range(20, 224, 45):
        cv2.circle(pixels, (x, 30), 12, (165, 165, 180), -1)
    for x, y, radius in nuclei:
        cv2.circle(pixels, (x, y), radius, (110, 50, 160), -1)
    return pixels


def test_single_nuclei_are_found_where_they_were_drawn():
    drawn = [(60, 100, 14), (150, 160, 11)]
    centres = single_nuclei(nuclear_mask(smear(*drawn)))
    assert len(centres) == len(drawn)
    for x, y, _ in drawn:
        assert min(np.hypot(cx - x, cy - y) for cx, cy in centres) < 2


def test_touching_cut_and_tiny_nuclei_are_no_single_ones():
    touching = [(60, 120, 14), (88, 120, 14)]
    cut, tiny = (0, 60, 14), (180, 180, 4)
    mask = nuclear_mask(smear(*touching, cut, tiny))
    assert mask[120, 60]
    assert single_nuclei(mask) == []


def test_a_field_without_nuclei_has_no_nuclear_colour():
    assert not nuclear_mask(smear()).any()


def test_most_nuclei_of_all_fields_are_found(pack, analyzer):
    del pack
    data = open_set("taleqani")
    fields = [data.read(e) for e in data.examples[::300]]
    figures = against_nuclei(analyzer, fields)
    assert figures.n == len(fields)
    assert figures.nuclei > 20
    assert figures.recall.value > 0.8
    assert figures.precision.value > 0.8
