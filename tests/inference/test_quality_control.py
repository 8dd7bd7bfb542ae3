"""The input gate takes smears in focus and refuses the rest with its reason."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage

from core.datasets.readers import open_set
from core.domain.boxes import Box
from core.domain.results import FieldImage, ImageProperties
from core.imaging.illumination import flatten, set_white_point
from core.inference.detector import Detection
from core.inference.quality_control import (
    CERTAIN_SMEAR,
    DOUBTFUL,
    HARDLY_A_SMEAR,
    SmearClassifier,
    SmearVerdict,
    chroma_spread,
    reject_blank,
    reject_blurred,
    settle_doubt,
    sharpness,
)
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
    refusals = [analyzer.analyze(field(p)).reject_reason for p in smears]
    assert refusals == [None] * len(smears)


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, *PLAIN])
def test_other_images_are_rejected_with_a_reason(analyzer, name):
    path = Path(skimage.data.__file__).parent / name
    analysis = analyzer.analyze(read_image(path.read_bytes(), name))
    assert analysis.reject_reason
    assert analysis.cells == ()
    assert analyzer.stage(read_image(path.read_bytes(), name)).status == "out_of_scope"
    assert analyzer.classify(read_image(path.read_bytes(), name)).status == "out_of_scope"


def test_fields_of_many_cells_pass_whatever_their_size(analyzer, smears):
    """Squeezed whole, no cell of these can be seen."""
    fields = [p for p in smears if p.shape == smears[0].shape]
    rows = [np.hstack(fields[start:] + fields[:start]) for start in range(len(fields))]
    assert analyzer.smear_classifier.judge(np.vstack(rows)).reject_reason is None


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_large_images_of_other_things_are_rejected(analyzer, name):
    path = Path(skimage.data.__file__).parent / name
    pixels = read_image(path.read_bytes(), name).pixels
    large = cv2.resize(pixels, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    assert analyzer.smear_classifier.judge(large).reject_reason


def test_smears_without_suspected_all_are_out_of_scope_of_its_page(analyzer, smears):
    results = [analyzer.stage(field(p)) for p in smears]
    assert {(r.status, r.stage, r.reject_reason) for r in results} == {("out_of_scope", None, None)}
    assert all("suspected ALL" in r.warnings[0] for r in results)
    assert all(r.blasts is not None for r in results)
    anyway = analyzer.stage(field(smears[0]), force=True)
    assert (anyway.stage is None, anyway.status) == (False, "uncertain")


def test_blur_lowers_sharpness_step_by_step_until_it_is_rejected(smears):
    for pixels in smears:
        side = min(pixels.shape[:2])
        steps = [cv2.GaussianBlur(pixels, (0, 0), s * side) for s in (0.01, 0.02, 0.04)]
        values = [sharpness(p) for p in steps]
        assert values == sorted(values, reverse=True)
        assert "out of focus" in (reject_blurred(steps[-1]) or "")


def test_greyscale_is_rejected_and_any_stain_is_not(smears):
    for pixels in smears:
        grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        assert "no stain colours" in (reject_blank(grey) or "")
        assert reject_blank(np.ascontiguousarray(pixels[..., ::-1])) is None
        assert chroma_spread(pixels) > 2 * chroma_spread(grey)


def test_the_gate_is_overruled_by_a_person_and_the_reason_stays(analyzer, smears):
    grey = cv2.cvtColor(cv2.cvtColor(smears[0], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    refused = analyzer.analyze(field(grey))
    assert refused.cells == ()
    anyway = analyzer.analyze(field(grey), force=True)
    assert anyway.reject_reason is None
    assert anyway.qc_override == refused.reject_reason
    assert anyway.cells
    assert analyzer.stage(field(grey), force=True).qc_override == refused.reject_reason
    assert analyzer.analyze(field(smears[0]), force=True).qc_override is None


def marble(seed, side):
    """Return a marble of red veins in white, side x side x 3."""
    rng = np.random.default_rng((31, seed))
    clouds, cells = np.zeros((side, side), np.float32), 2
    while cells < side:
        layer = rng.standard_normal((cells, cells)).astype(np.float32)
        clouds += cv2.resize(layer, (side, side), interpolation=cv2.INTER_CUBIC) * 1.3 / cells**0.5
        cells *= 2
    down, across = np.mgrid[:side, :side] / side
    angle = rng.uniform(0, np.pi)
    veins = np.cos(angle) * across + np.sin(angle) * down
    share = (np.sin(2 * np.pi * rng.uniform(2, 12) * veins + 4 * clouds) + 1) / 2
    red, white = rng.uniform([120, 10, 20], [230, 120, 150]), rng.uniform(215, 255)
    noise = rng.normal(0, 4, (side, side, 3))
    return np.clip(red + share[..., None] * (white - red) + noise, 0, 255).astype(np.uint8)


def photographs(number):
    """Return parts of photographs that taught the gate nothing, whole and halved again."""
    folder = Path(skimage.data.__file__).parent
    rng = np.random.default_rng(15)
    whole = [read_image((folder / name).read_bytes(), name).pixels for name in PHOTOGRAPHS]
    for index in range(number):
        pixels = whole[index % len(whole)]
        height, width = (int(side * rng.uniform(0.3, 1)) for side in pixels.shape[:2])
        y = int(rng.integers(pixels.shape[0] - height + 1))
        x = int(rng.integers(pixels.shape[1] - width + 1))
        yield pixels[y : y + height, x : x + width]


def small(pixels, width=64, height=64):
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def no_smears():
    yield from (marble(seed, side) for seed in range(12) for side in (64, 128, 256, 640))
    yield from map(small, photographs(100))


def test_nothing_is_classified_where_there_is_no_smear(analyzer):
    answered = counted = 0
    for pixels in no_smears():
        image = field(pixels)
        analysis, stage, crop = (
            analyzer.analyze(image),
            analyzer.stage(image),
            analyzer.classify(image),
        )
        assert analysis.counts.types == {}
        assert stage.status != "classified"
        assert crop.status != "classified"
        if analysis.reject_reason is None and DOUBTFUL not in analysis.warnings:
            assert not analysis.white_cells()
        counted += 1
        answered += analysis.reject_reason is None
    assert answered <= counted / 50


def test_small_cells_and_fields_still_pass(analyzer):
    def verdicts(name, step):
        data = open_set(name)
        pictures = [data.read(e) for e in data.of_split("val")[::step]]
        shrunk = [small(p, 64, 64 * p.shape[0] // p.shape[1]) for p in pictures]
        return [analyzer.smear_classifier.judge(p) for p in shrunk]

    cells, fields = verdicts("pbc", 30), verdicts("bccd", 6)
    assert all(v.reject_reason is None for v in cells)
    assert sum(v.doubt is None for v in cells) >= 0.97 * len(cells)
    assert sum(v.reject_reason is not None for v in fields) <= 0.1 * len(fields)


def test_no_class_is_suggested_of_very_small_fields(analyzer):
    told = 0
    for name, split, step in (("pbc", "val", 60), ("taleqani", "0", 60)):
        data = open_set(name)
        for example in data.of_split(split)[::step]:
            result = analyzer.stage(field(small(data.read(example), 100, 100)))
            assert result.status != "classified"
            told += any("fewer than 128 pixels" in sentence for sentence in result.warnings)
    assert told >= 5


def test_a_doubtful_image_is_judged_by_its_cells_and_classifies_nothing(
    analyzer, smears, monkeypatch
):
    verdict = SmearVerdict(doubt=DOUBTFUL)
    plain = analyzer.analyze(field(smears[0]))
    monkeypatch.setattr(analyzer.smear_classifier, "judge", lambda *_: verdict)
    doubted = analyzer.analyze(field(smears[0]))
    assert doubted.counts.kinds == plain.counts.kinds
    assert doubted.counts.types == {}
    assert doubted.warnings == (DOUBTFUL,)
    forced = analyzer.analyze(field(smears[0]), force=True)
    assert forced.counts.types == plain.counts.types
    assert (forced.warnings, forced.qc_override) == ((), HARDLY_A_SMEAR)
    assert analyzer.classify(field(smears[0])).status != "classified"
    assert DOUBTFUL not in analyzer.stage(field(smears[0]), force=True).warnings


def test_red_cells_decide_on_a_doubtful_image():
    def verdict(number, score=0.9):
        return settle_doubt([Detection("rbc", Box(i, 0, 9, 9), score) for i in range(number)])

    assert "does not look like" in verdict(4).reject_reason
    assert verdict(5) == verdict(99) == SmearVerdict(doubt=DOUBTFUL)
    assert verdict(100) == SmearVerdict()
    assert verdict(100, 0.49).reject_reason


@pytest.mark.parametrize(
    ("corrected", "original", "verdict"),
    [
        (CERTAIN_SMEAR + 0.1, -9.0, SmearVerdict()),
        (CERTAIN_SMEAR - 0.1, -9.0, SmearVerdict(doubt=DOUBTFUL)),
        (CERTAIN_SMEAR - 0.1, 0.4, SmearVerdict(doubt=DOUBTFUL)),
        (CERTAIN_SMEAR - 0.1, 9.0, SmearVerdict()),
        (0.4, 9.0, SmearVerdict(doubt=DOUBTFUL)),
    ],
)
def test_what_only_corrected_light_makes_a_smear_is_doubtful(
    analyzer, monkeypatch, corrected, original, verdict
):
    as_taken, flat = np.zeros((400, 400, 3), np.uint8), np.ones((400, 400, 3), np.uint8)
    classifier = analyzer.smear_classifier
    monkeypatch.setattr(
        SmearClassifier, "logit", lambda _, pixels: corrected if pixels is flat else original
    )
    assert classifier.judge(flat, as_taken) == verdict


@pytest.mark.parametrize("enlarged", [1, 3])
def test_no_photograph_with_corrected_light_is_a_certain_smear(analyzer, enlarged):
    for pixels in (*photographs(12), *(marble(seed, 200) for seed in range(40, 46))):
        large = cv2.resize(pixels, None, fx=enlarged, fy=enlarged)
        for corrected in (flatten(large), set_white_point(large)):
            assert analyzer.smear_classifier.logit(corrected) < CERTAIN_SMEAR
