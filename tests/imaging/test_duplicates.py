"""One place photographed twice counts once; two places never do."""

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from core.domain.results import FieldImage, ImageProperties
from core.imaging.duplicates import Finder, count_once, fingerprint, from_stored, stored_form
from core.imaging.read import read_images
from core.inference.pipeline import get_analyzer
from tests.images import encoded

PROPERTIES = ImageProperties("PNG", "RGB", 8, 1)
FIELDS = (7, 21, 40)
"""BCCD fields with a white cell well inside."""


def pixels_of(pack, number):
    return np.array(Image.open(io.BytesIO(pack.bccd(number))).convert("RGB"))


def analysis_of(pixels, name):
    image = FieldImage(name, np.ascontiguousarray(pixels), name, PROPERTIES)
    return get_analyzer().analyze(image)


def turned(pixels, degrees=17, kept=0.72):
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    whole = cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    rows, columns = (round(side * (1 - kept) / 2) for side in (height, width))
    return whole[rows:-rows, columns:-columns]


CHANGES = {
    "JPEG of quality 40": lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [1, 40])[1], 1),
    "half size": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "a quarter turn": np.rot90,
    "darker and blurred": lambda p: cv2.GaussianBlur((p * 0.8).astype(np.uint8), (0, 0), 2),
    "another colour of light": lambda p: (p * (0.8, 1.0, 0.7)).astype(np.uint8),
}


@pytest.mark.parametrize("form", ["BMP", "TIFF"])
def test_the_same_pixels_in_another_format_are_the_same_field(pack, form):
    pixels = pixels_of(pack, FIELDS[0])
    files = [("a.png", encoded(pixels)), (f"b.{form.lower()}", encoded(pixels, form))]
    images = [image for name, data in files for image in read_images(data, name)]
    first, second = count_once(map(get_analyzer().analyze, images), Finder())
    assert images[0].sha256 != images[1].sha256
    assert first.counts.kinds["wbc"] >= 1
    assert first.warnings == ()
    assert second.counts.kinds == {"wbc": 0, "rbc": 0, "platelet": 0}
    assert second.counts.types == {}
    assert second.alone.counts.kinds == first.counts.kinds
    assert second.warnings == ("This image is the same as “a.png”. Its cells are counted there.",)


@pytest.mark.parametrize("change", CHANGES)
def test_a_field_photographed_again_is_counted_once(pack, change):
    for number in FIELDS:
        pixels = pixels_of(pack, number)
        first, again = count_once(
            [analysis_of(pixels, "first"), analysis_of(CHANGES[change](pixels), "again")], Finder()
        )
        assert not any(cell.duplicate for cell in first.cells)
        assert again.counts.duplicates["wbc"] >= 1
        assert any("“first” shows too" in sentence for sentence in again.warnings)


def test_overlapping_fields_share_only_what_both_show(pack):
    pixels = pixels_of(pack, FIELDS[1])
    width = pixels.shape[1]
    left, right = pixels[:, : round(0.8 * width)], pixels[:, round(0.2 * width) :]
    _, second = count_once([analysis_of(left, "left"), analysis_of(right, "right")], Finder())
    repeated = [cell for cell in second.cells if cell.duplicate]
    assert repeated
    # What lies right of the other window is new.
    new = [cell for cell in second.cells if cell.box.x > round(0.6 * width)]
    assert new
    assert not any(cell.duplicate for cell in new)


def test_different_fields_share_nothing(pack):
    analyses = [analysis_of(pixels_of(pack, number), str(number)) for number in range(0, 60, 5)]
    for analysis in count_once(analyses, Finder()):
        assert not any(cell.duplicate for cell in analysis.cells)
        assert analysis.warnings == ()


def from_the_side(pixels):
    """A lamp that is out of place."""
    across = np.linspace(1.0, 0.3, pixels.shape[1])[None, :, None]
    down = np.linspace(1.0, 0.6, pixels.shape[0])[:, None, None]
    return (pixels * across * down).astype(np.uint8)


def through_an_eyepiece(pixels):
    height, width = pixels.shape[:2]
    mask = cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), 250, 1, -1)
    return pixels * mask[..., None]


def labelled(pixels):
    changed = pixels.copy()
    changed[-60:], changed[:40] = 0, 20
    cv2.putText(changed, "100x oil 10 um", (20, pixels.shape[0] - 20), 0, 1.5, (255,) * 3, 3)
    return changed


@pytest.mark.parametrize("view", [from_the_side, through_an_eyepiece, labelled])
def test_what_all_fields_of_a_microscope_share_makes_no_duplicates(pack, view):
    seen = [analysis_of(view(pixels_of(pack, n)), f"{n}.png") for n in (*FIELDS, 60)]
    assert all(field.white_cells() for field in seen)
    assert [a.counts.duplicates["wbc"] for a in count_once(seen, Finder())] == [0] * len(seen)
    # The cell well inside is known again.
    pixels = view(pixels_of(pack, FIELDS[0]))
    whole = analysis_of(pixels_of(pack, FIELDS[0]), "whole.png")
    first, again = (
        replace(whole, file=name, fingerprint=fingerprint(shown, whole.cells))
        for name, shown in (("first", pixels), ("again", cv2.GaussianBlur(pixels, (0, 0), 1)))
    )
    assert count_once([first, again], Finder())[1].counts.kinds["wbc"] == 0


def test_kept_duplicates_are_said_and_counted(pack):
    pixels = pixels_of(pack, FIELDS[0])
    found = analysis_of(pixels, "first")
    again = analysis_of(turned(pixels), "again")
    _, kept = count_once([found, again], Finder(keep=True))
    assert kept.counts.kinds == again.counts.kinds
    assert "counted here too" in " ".join(kept.warnings)


def test_of_another_patient_a_warning_is_enough(pack):
    found = analysis_of(pixels_of(pack, FIELDS[0]), "first")
    small = cv2.resize(pixels_of(pack, FIELDS[0]), None, fx=0.7, fy=0.7)
    again = analysis_of(small, "again")
    finder = Finder()
    finder.add("first", found.fingerprint, "A")
    said = finder.add("again", again.fingerprint, "B")
    assert said.cells == frozenset()
    assert "another patient" in said.sentences[0]


def test_a_fingerprint_comes_back_from_its_stored_form(pack):
    found = analysis_of(pixels_of(pack, FIELDS[0]), "first")
    again = from_stored(stored_form(found.fingerprint), found.cells, found.width)
    for name in ("pixels_sha256", "hash", "kinds", "numbers"):
        assert getattr(again, name) == getattr(found.fingerprint, name)
    for name in ("small", "centres", "diameters", "rings"):
        got, expected = getattr(again, name), getattr(found.fingerprint, name)
        np.testing.assert_allclose(got, expected, rtol=0.02, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(40, 40), (64, 2000), (300, 300)])
def test_fields_without_cells_are_compared_by_their_pixels(shape):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (*shape, 3), np.uint8)
    image = FieldImage("noise.png", pixels, "noise", PROPERTIES)
    found = get_analyzer().analyze(image, force=True)
    finder = Finder()
    finder.add("first", replace(found, cells=()).fingerprint or found.fingerprint)
    assert finder.add("second", found.fingerprint).sentences
