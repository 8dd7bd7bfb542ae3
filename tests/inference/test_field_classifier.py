import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.datasets.readers import open_set
from core.domain.decision import DecisionThresholds
from core.domain.results import PossibleBlasts, StageResult
from core.domain.taxonomy import STAGES
from core.inference.field_classifier import (
    CORNER,
    FIELD_MICROMETRES,
    field_tiles,
    pool,
    without_corner,
)
from tests.images import read_image


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def fields(pack):
    data = open_set("taleqani")
    return [
        (data.read(e), e.label)
        for label in STAGES
        for e in [e for e in data.examples if e.label == label][:40:10]
    ]


def test_fields_are_graded(analyzer, fields):
    results = [(analyzer.stage(read_image(png(p), "f.png")), label) for p, label in fields]
    assert np.mean([r.stage == label for r, label in results]) >= 0.9
    for result, _ in results:
        assert abs(sum(result.probabilities.values()) - 1) < 1e-6
        assert result.cam is not None
        assert result.cam.min() >= 0
        assert result.cam.max() <= 1


def test_fields_of_another_size_are_graded_in_tiles_or_have_no_certain_class(analyzer, fields):
    """The class hangs on the size of the cells, which the size of the whole must not change."""
    of_label = {stage: [p for p, label in fields if label == stage] for stage in STAGES}
    for stage, (first, second, *_) in of_label.items():
        large = np.vstack([np.hstack([first, second, first]), np.hstack([second, first, second])])
        result = analyzer.stage(read_image(png(np.vstack([large, large[:224]])), "large.png"))
        assert result.stage == stage
        assert result.cam is not None
    quarters = [analyzer.stage(read_image(png(p[:112, :112]), "quarter.png")) for p, _ in fields]
    told = [q for q in quarters if any("smaller part of the smear" in w for w in q.warnings)]
    assert len(told) >= len(quarters) / 4  # too few whole cells in the others
    assert all(q.status != "classified" and q.blasts is not None for q in told)


def test_another_smear_gets_no_class_and_its_blasts_are_counted(analyzer, pack):
    image = read_image(pack.jpeg(pack.bccd(3)), "blood.jpg")
    result, count = analyzer.stage(image), analyzer.analyze(image)
    assert (result.stage, result.status, result.reject_reason) == (None, "out_of_scope", None)
    assert "does not look like the fields of suspected ALL" in result.warnings[0]
    assert result.analysis.cells == count.cells
    assert result.blasts == count.counts.blasts
    assert result.blasts.white_cells == count.counts.likely_leukocytes >= 1
    forced = analyzer.stage(image, force=True)
    assert (forced.status, forced.blasts) == ("uncertain", result.blasts)
    assert "does not look like" in forced.qc_override


def test_a_field_with_a_certain_class_has_no_count(analyzer, fields):
    results = [analyzer.stage(read_image(png(p), "f.png")) for p, _ in fields[::5]]
    certain = [r for r in results if r.status == "classified"]
    assert certain
    assert all(r.blasts is r.analysis is None for r in certain)


@given(st.integers(16, 300), st.integers(16, 300), st.floats(0.02, 20))
def test_parts_are_the_field_and_near_the_size_that_is_known(height, width, scale):
    field = np.arange(height * width * 3).reshape(height, width, 3).astype(np.uint8)
    rows = field_tiles(field, scale)
    np.testing.assert_array_equal(np.vstack([np.hstack(row) for row in rows]), field)
    for count, side in ((len(rows), height), (len(rows[0]), width)):
        ratio = side * scale / count / FIELD_MICROMETRES
        assert count <= 8
        assert count == 8 or ratio <= 2**0.5 + 1e-9
        assert count == 1 or ratio >= 0.5**0.5 - 1e-9
    assert len(field_tiles(field, None)) == len(field_tiles(field, None)[0]) == 1


def test_the_scale_bar_corner_changes_nothing(analyzer, fields):
    for pixels, _ in fields[::4]:
        plain = analyzer.field_classifier.predict(read_image(png(pixels), "f.png"))
        for colour in (0, 255, (255, 0, 0)):
            painted = pixels.copy()
            corner = round(224 * (1 - CORNER))
            painted[corner:, corner:] = colour
            answer = analyzer.field_classifier.predict(read_image(png(painted), "f.png"))
            assert answer.probabilities == plain.probabilities


def test_the_painted_corner_holds_nothing_of_the_old_one(fields):
    pixels = fields[0][0]
    painted = without_corner(pixels)
    corner = round(224 * (1 - CORNER))
    assert np.ptp(painted[corner:, corner:].reshape(-1, 3), axis=0).max() == 0
    np.testing.assert_array_equal(painted[:corner], pixels[:corner])


THRESHOLDS = DecisionThresholds(0.8)


def result(weights, status="classified"):
    values = np.array(weights, float) + 1e-6
    values /= values.sum()
    best = int(values.argmax())
    keys = list(STAGES)
    return StageResult(
        "f", keys[best], dict(zip(keys, values, strict=True)), float(values[best]), status
    )


fields_of_a_patient = st.lists(
    st.lists(st.floats(0, 1), min_size=4, max_size=4).map(result), min_size=1, max_size=8
)


@given(fields_of_a_patient)
def test_pooled_probabilities_are_a_distribution_that_ignores_order(results):
    pooled = pool(results, THRESHOLDS)
    assert abs(sum(pooled.probabilities.values()) - 1) < 1e-9
    backwards = pool(results[::-1], THRESHOLDS)
    for key in STAGES:
        assert abs(pooled.probabilities[key] - backwards.probabilities[key]) < 1e-9


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).map(result), st.integers(1, 5))
def test_equal_fields_pool_to_one_of_them(one, times):
    pooled = pool([one] * times, THRESHOLDS)
    assert pooled.stage == one.stage
    assert abs(pooled.confidence - one.confidence) < 1e-9


def test_fields_that_disagree_pool_to_an_uncertain_answer():
    pooled = pool([result([0, 1, 0, 0]), result([0, 0, 1, 0])], THRESHOLDS)
    assert pooled.status == "uncertain"
    assert pool([result([0, 1, 0, 0])] * 2, THRESHOLDS).status == "classified"


def test_fields_of_a_contradicted_scale_do_not_decide():
    held = result([0, 0, 0, 1], "uncertain")
    good = result([0, 1, 0, 0])
    pooled = pool([good, held], THRESHOLDS)
    assert (pooled.stage, pooled.status) == (good.stage, "classified")
    assert "1 field has a warning: left out" in pooled.warnings[0]
    alone = pool([held, held], THRESHOLDS)
    assert (alone.stage, alone.status) == (held.stage, "uncertain")
    assert "2 fields have a warning: the class is uncertain" in alone.warnings[0]
    assert pool([good], THRESHOLDS).warnings == ()


def test_fields_analysed_against_quality_control_are_left_out_and_named():
    good = result([0, 1, 0, 0])
    forced = replace(result([0, 0, 0, 1]), qc_override="no stain colours")
    pooled = pool([good, forced], THRESHOLDS)
    assert (pooled.stage, pooled.status) == (good.stage, "classified")
    assert "1 field was analysed against quality control: left out" in pooled.warnings[0]
    alone = pool([forced, forced], THRESHOLDS)
    assert (alone.stage, alone.status) == (None, "out_of_scope")
    assert alone.warnings == (
        "2 fields were analysed against quality control: left out of the pooled answer.",
    )


def test_one_field_in_several_files_counts_once():
    early, pre = result([0, 1, 0, 0]), result([0, 0, 1, 0])
    first = replace(early, pixels_sha256="a")
    pooled = pool([first, replace(pre, pixels_sha256="b"), first, first], THRESHOLDS)
    assert pooled.probabilities == pool([early, pre], THRESHOLDS).probabilities
    assert pooled.warnings == (
        "2 images are the same as another and left out of the pooled answer.",
    )


def unlike(count, white_cells, sha256):
    blasts = PossibleBlasts(count, 0, white_cells)
    return StageResult("u", None, {}, 0.0, "out_of_scope", blasts=blasts, pixels_sha256=sha256)


def test_fields_without_a_class_give_their_blasts_to_the_pooled_answer():
    good = result([0, 1, 0, 0])
    pooled = pool([good, unlike(2, 5, "a"), unlike(1, 3, "b"), unlike(2, 5, "a")], THRESHOLDS)
    assert pooled.probabilities == pool([good], THRESHOLDS).probabilities
    assert pooled.blasts == PossibleBlasts(3, 0, 8)
    assert pooled.warnings == (
        "3 fields are unlike those that the model knows: left out of the pooled answer.",
    )
    alone = pool([unlike(2, 5, "a")], THRESHOLDS)
    assert (alone.stage, alone.status, alone.reject_reason) == (None, "out_of_scope", None)
    assert alone.blasts == PossibleBlasts(2, 0, 5)
    assert "No class is suggested" in alone.warnings[0]


def test_rejected_fields_do_not_count():
    good = result([0, 1, 0, 0])
    refused = StageResult("x", None, {}, 0.0, "out_of_scope", "blank")
    assert pool([good, refused], THRESHOLDS).probabilities == pool([good], THRESHOLDS).probabilities
    assert pool([refused], THRESHOLDS).status == "out_of_scope"
