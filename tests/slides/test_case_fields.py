"""The counted parts of a slide become fields that hold every cell once, whole."""

from dataclasses import replace

import numpy as np
import pytest

from core.domain.differential import differential
from core.errors import SlideTooLargeError
from core.slides import case_fields as module
from core.slides.case_fields import case_fields
from core.slides.origin import place_of
from core.slides.tiles import SlideView
from tests.slides.test_counting import drawn, new_count  # noqa: F401 - a fixture


def test_every_cell_is_in_one_field_and_whole(drawn):  # noqa: F811
    count = new_count(drawn)
    count.start(30)
    count.wait()
    view = SlideView(drawn[0].path)
    whole = count.analysis()
    fields = case_fields(view, whole, count.counted_tiles, count.areas)
    assert len(fields) > 1
    assert sorted(n for field in fields for n in field.numbers) == [*range(1, len(whole.cells) + 1)]
    assert differential(field.analysis for field in fields) == differential([whole])
    assert len({field.image.sha256 for field in fields}) == len(fields)
    slides = [drawn[0], replace(drawn[0], name="another.tif")]
    for field in fields:
        place = place_of(field.analysis, lambda: slides)
        shown = view.region(place.x - 5, place.y - 5, 10, 10, 1)
        x, y = field.image.width // 2, field.image.height // 2
        assert (shown == field.image.pixels[y - 5 : y + 5, x - 5 : x + 5]).all()
        assert place_of(field.analysis, lambda: [drawn[0]] * 2) is None  # which one is not known
        image, own = field.image, field.analysis
        for cell, number in zip(own.cells, field.numbers, strict=True):
            assert cell.box.width == whole.cells[number - 1].box.width
        assert (own.width, own.height, own.sha256) == (image.width, image.height, image.sha256)
        assert image.micrometres_per_pixel == pytest.approx(0.25)
        for cell in own.cells:
            inside = image.pixels[cell.box.slices]
            assert (inside[..., 0] < 130).mean() == pytest.approx(np.pi / 4, abs=0.08)


def test_too_many_fields_are_refused(drawn, monkeypatch):  # noqa: F811
    count = new_count(drawn)
    count.start(None)
    count.wait()
    monkeypatch.setattr(module, "MOST_FIELDS", 2)
    view = SlideView(drawn[0].path)
    with pytest.raises(SlideTooLargeError):
        case_fields(view, count.analysis(), count.counted_tiles, count.areas)
