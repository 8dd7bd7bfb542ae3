"""Size variation and platelets follow from boxes, whatever the scale."""

import numpy as np
import pytest

from core.domain.blood_counts import platelet_estimate
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, ImageProperties, Scale
from core.errors import NoEstimateError
from core.imaging.red_cells import smear_findings, whole_diameters

SIDE = 2000


def field(diameters, platelets=0, scale=None, **more):
    cells = [
        *(
            Cell("rbc", Box(100, 100, d * 0.9, d * 1.1), 0.9, detection_score=0.9)
            for d in diameters
        ),
        *(Cell("platelet", Box(9, 9, 8, 8), 0.9) for _ in range(platelets)),
    ]
    properties = ImageProperties("PNG", "RGB", 8, 1)
    return FieldAnalysis("a", "0", SIDE, SIDE, properties, tuple(cells), scale=scale, **more)


def normal(cv, pixels, seed=0, number=500):
    return pixels * (1 + cv * np.random.default_rng(seed).standard_normal(number))


def test_variation_is_the_coefficient_of_variation_whatever_the_magnification():
    fields = [field(normal(0.06, 40)), field(normal(0.06, 80, seed=1))]
    found = smear_findings(fields)
    assert found.variation.value == pytest.approx(6, abs=0.5)
    assert smear_findings([field(normal(0.12, 40))]).variation.value == pytest.approx(12, abs=1)


def test_the_limits_hold_in_nineteen_of_twenty_samples():
    held = 0
    for seed in range(400):
        found = smear_findings([field(normal(0.08, 50, seed, 150))]).variation
        held += found.low <= 8 <= found.high
    assert 0.925 <= held / 400 <= 0.985


def test_few_cells_and_cut_cells_are_not_measured():
    found = smear_findings([field(normal(0.06, 40, number=99))])
    assert (found.variation, len(found.diameters)) == (None, 99)
    assert smear_findings([field([40] * 4)]).diameters.size == 0
    assert smear_findings([]).platelets_per_thousand is None
    cut = [Box(0, 50, 40, 40), Box(50, 50, 40, 40), Box(SIDE - 30, 50, 40, 40)]
    assert whole_diameters(cut, (SIDE, SIDE)).tolist() == [40]


def test_micrometres_are_said_only_where_the_files_give_them():
    ruled = field([40] * 9, scale=Scale(0.1875, "red cells"))
    assert smear_findings([ruled]).mean_diameter is None
    known = field([40] * 9, scale=Scale(0.2, "file"))
    assert smear_findings([known]).mean_diameter == pytest.approx(8.0)
    assert smear_findings([known, ruled]).mean_diameter is None


def test_platelets_are_counted_by_field_and_estimated_from_ten():
    fields = [field([40] * 50, platelets=12) for _ in range(10)]
    rejected = field([40] * 50, platelets=99, reject_reason="blurred")
    found = smear_findings([*fields, rejected])
    assert (found.fields, found.platelets, found.platelets_per_field.value) == (10, 120, 12)
    assert found.platelets_per_thousand.value == 240
    assert platelet_estimate([*fields, rejected], 15_000).value == pytest.approx(180)
    for few, factor in ((fields[:9], 15_000), (fields, None)):
        with pytest.raises(NoEstimateError, match="platelets per volume"):
            platelet_estimate(few, factor)
