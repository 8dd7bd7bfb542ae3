"""The counts of a sample, and the ranges that hold for it."""

import pytest

from core.cases.counting import ranges_of
from core.cases.records import Patient
from core.settings import Settings
from tests.cases.counted import counted, sample
from tests.shipped_ranges import file_ranges


def test_volumes_and_ratio_are_of_blood_with_a_count():
    cells = {"neutrophil": 60, "lymphocyte": 30, "erythroblast": 10}
    blood = counted(cells, white_cell_count=10.0)
    assert blood.white_cell_count == pytest.approx(10 * 100 / (100 + 100 * 10 / 90))
    assert blood.absolute["neutrophil"].value == pytest.approx(blood.white_cell_count * 60 / 90)
    assert blood.nlr is not None
    assert blood.nlr.value == 2
    marrow = counted(cells, white_cell_count=10.0, material="bone_marrow")
    assert (marrow.white_cell_count, marrow.absolute, marrow.nlr) == (None, {}, None)
    assert not counted(cells).absolute


def test_ranges_follow_the_age_at_the_sample_and_hold_for_blood_only():
    ranges = file_ranges(Settings(_env_file=None))
    adult, child = (Patient(1, "P", birth_year=year) for year in (1970, 2020))
    assert "neutrophil" in ranges_of(adult, sample(), "10^9/L", ranges)
    assert not ranges_of(child, sample(), "10^9/L", ranges)
    assert not ranges_of(adult, sample(material="bone_marrow"), "10^9/L", ranges)
