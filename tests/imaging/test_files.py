"""Every kind of file gives the pixels of the plain PNG of the same field, or a sentence."""

import re

import numpy as np
import pytest

from core.errors import InputError
from core.imaging.read import read_images
from tests.imaging.files import KINDS, fields_of


@pytest.fixture(scope="module")
def fields(pack):
    return fields_of(pack)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_right_pixels_or_a_sentence(fields, kind):
    data = kind.written(fields)
    if kind.refused:
        with pytest.raises(InputError, match=kind.refused) as caught:
            read_images(data, kind.name)
        assert str(caught.value).endswith(".")
        return
    images = read_images(data, kind.name)
    assert len(images) == len(kind.fields)
    for image, number in zip(images, kind.fields, strict=True):
        height, width = image.pixels.shape[:2]
        right = fields[number][:height, :width]
        assert image.pixels.shape == fields[number].shape
        difference = np.abs(image.pixels.astype(int) - right)
        assert difference.mean() <= kind.tolerance
    notes = " ".join(note for image in images for note in image.notes)
    assert re.search(kind.notes, notes) if kind.notes else notes == ""
