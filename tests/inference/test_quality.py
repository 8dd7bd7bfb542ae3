"""The input gate takes smears in focus and refuses the rest with its reason."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage

from core.inference.quality import chroma_spread, refuse_blank, refuse_blurred, sharpness
from core.learning.datasets import open_set
from core.results import FieldImage, ImageProperties
from tests.images import read_image

PHOTOGRAPHS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "retina.jpg", "ihc.png")
PLAIN = ("brick.png", "grass.png", "gravel.png", "coins.png", "page.png", "camera.png")


def field(pixels):
    return FieldImage("a", pixels, "0" * 64, ImageProperties("PNG", "RGB", 8, 1))


@pytest.fixture(scope="module")
def smears(pack):
    """Fields of every set that teach nothing to the gate."""
    pictures = []
    for name, split in (("bccd", "test"), ("txl", "test"), ("kaggle", "test_simple")):
        data = open_set(name)
        pictures += [data.read(e) for e in data.of_split(split)[::12]]
    return pictures


def test_smears_pass(analyzer, smears):
    refusals = [analyzer.analyze(field(p)).refused for p in smears]
    assert refusals == [None] * len(smears)


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, *PLAIN])
def test_other_pictures_are_refused_with_a_reason(analyzer, name):
    path = Path(skimage.data.__file__).parent / name
    analysis = analyzer.analyze(read_image(path.read_bytes(), name))
    assert analysis.refused
    assert analysis.cells == ()
    assert analyzer.stage(read_image(path.read_bytes(), name)).status == "out_of_scope"
    assert analyzer.classify(read_image(path.read_bytes(), name)).status == "out_of_scope"


def test_fields_of_many_cells_pass_whatever_their_size(analyzer, smears):
    """Squeezed whole, no cell of these can be seen."""
    fields = [p for p in smears if p.shape == smears[0].shape]
    rows = [np.hstack(fields[start:] + fields[:start]) for start in range(len(fields))]
    assert analyzer.gate.refuse(np.vstack(rows)) is None


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_large_pictures_of_other_things_are_refused(analyzer, name):
    path = Path(skimage.data.__file__).parent / name
    pixels = read_image(path.read_bytes(), name).pixels
    large = cv2.resize(pixels, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    assert analyzer.gate.refuse(large)


def test_smears_without_suspected_all_are_out_of_scope_of_its_page(analyzer, smears):
    results = [analyzer.stage(field(p)) for p in smears]
    assert {r.status for r in results} == {"out_of_scope"}
    assert all("suspected ALL" in (r.refused or "") for r in results)
    anyway = analyzer.stage(field(smears[0]), anyway=True)
    assert anyway.stage is not None
    assert anyway.overruled == results[0].refused


def test_blur_lowers_sharpness_step_by_step_until_it_is_refused(smears):
    for pixels in smears:
        side = min(pixels.shape[:2])
        steps = [cv2.GaussianBlur(pixels, (0, 0), s * side) for s in (0.01, 0.02, 0.04)]
        values = [sharpness(p) for p in steps]
        assert values == sorted(values, reverse=True)
        assert "out of focus" in (refuse_blurred(steps[-1]) or "")


def test_greyscale_is_refused_and_any_stain_is_not(smears):
    for pixels in smears:
        grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        assert "no stain colours" in (refuse_blank(grey) or "")
        assert refuse_blank(np.ascontiguousarray(pixels[..., ::-1])) is None
        assert chroma_spread(pixels) > 2 * chroma_spread(grey)


def test_the_gate_is_overruled_by_a_person_and_the_reason_stays(analyzer, smears):
    grey = cv2.cvtColor(cv2.cvtColor(smears[0], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    refused = analyzer.analyze(field(grey))
    assert refused.cells == ()
    anyway = analyzer.analyze(field(grey), anyway=True)
    assert anyway.refused is None
    assert anyway.overruled == refused.refused
    assert anyway.cells
    assert analyzer.stage(field(grey), anyway=True).overruled == refused.refused
    assert analyzer.analyze(field(smears[0]), anyway=True).overruled is None
