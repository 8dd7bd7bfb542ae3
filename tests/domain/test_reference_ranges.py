"""The table of reference ranges answers for one laboratory, or says what is wrong with it."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.intervals import Estimate
from core.domain.reference_ranges import ANALYTES, judge, read_table
from core.errors import RangesError
from core.exports.tables import csv_bytes
from core.settings import Settings
from tests.shipped_ranges import file_ranges

HEADER = "laboratory,analyte,unit,sex,age_from,age_to,low,high,source\n"
ADULT = "A,neutrophil,%,any,18,,40,60,Book\n"


@pytest.fixture
def table(tmp_path):
    def write(lines, header=HEADER, encoding="utf-8"):
        path = tmp_path / "ranges.csv"
        path.write_text(header + lines, encoding=encoding)
        return path

    return write


def test_the_shipped_table_holds_the_published_ranges():
    ranges = file_ranges()
    absolute = {key: (r.low, r.high) for key, r in ranges.of("10^9/L", age=40).items()}
    assert absolute == {
        "white_cells": (4.0, 11.0),
        "neutrophil": (2.0, 7.0),
        "lymphocyte": (1.0, 3.0),
        "monocyte": (0.2, 1.0),
        "eosinophil": (0.02, 0.5),
        "basophil": (0.02, 0.1),
    }
    assert ranges.of("%")["basophil"].text == "0.5-1"
    assert ranges.of("%")["immature_granulocyte"].text == "absent"
    assert ranges.of("ratio")["nlr"].text == "0.78-3.53"


def test_a_laboratory_can_have_lower_limits():
    ranges = file_ranges(Settings(laboratory="Adults, Duffy-null"))
    assert ranges.of("10^9/L")["neutrophil"].low == 1.21


def test_adult_ranges_do_not_judge_children():
    assert file_ranges().of("%", age=17) == {}
    assert file_ranges().of("%", age=18) == file_ranges().of("%")


def test_age_bands_meet_without_overlap_and_sex_goes_first(table):
    path = table(
        "A,neutrophil,%,any,0,6,20,50,Book\n"
        "A,neutrophil,%,any,6,,40,60,Book\n"
        "A,neutrophil,%,female,12,50,45,70,Book\n"
    )
    ranges = file_ranges(Settings(ranges=path))
    low = {
        (sex, age): ranges.of("%", sex=sex, age=age)["neutrophil"].low
        for sex in (None, "female", "male")
        for age in (5.9, 6, 12, 50)
    }
    assert [low[None, age] for age in (5.9, 6, 12, 50)] == [20, 40, 40, 40]
    assert [low["female", age] for age in (5.9, 6, 12, 50)] == [20, 40, 45, 40]
    assert low["male", 12] == 40


@given(st.floats(0, 120), st.sampled_from([None, "female", "male"]))
def test_at_most_one_range_answers(age, sex):
    for unit in ("%", "10^9/L", "ratio"):
        for analyte, found in file_ranges().of(unit, sex=sex, age=age).items():
            assert analyte == found.analyte
            assert found.holds(age)
            assert found.sex in ("any", sex)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("A,neutrophil,%,any,18,,60,40,Book\n", "Line 2 .* low is above high"),
        (ADULT + "A,neutrophil,%,any,30,40,45,60,Book\n", "Lines 2 and 3 .* same age"),
        ("A,neutrophile,%,any,18,,40,60,Book\n", "Line 2 .* 'neutrophile' is none of neutrophil"),
        ("A,neutrophil,g/L,any,18,,40,60,Book\n", "Line 2 .* unit"),
        ("A,neutrophil,%,woman,18,,40,60,Book\n", "Line 2 .* sex"),
        (ADULT + "A,monocyte,%,any,18,,two,8,Book\n", "Line 3 .* low"),
        ("A,monocyte,%,any,18,,nan,8,Book\n", "Line 2 .* low"),
        ("A,monocyte,%,any,18,12,2,8,Book\n", "Line 2 .* age_to"),
        ("A,monocyte,%,any,18,,2,8,\n", "Line 2 .* source"),
        ("A,monocyte,%,any,18,,2\n", "Line 2 .* high"),
        ("A,monocyte,%,any,18,,2,8,Book,more\n", "Line 2"),
        ("", "is empty"),
    ],
)
def test_a_wrong_line_is_named(table, lines, words):
    with pytest.raises(RangesError, match=words):
        read_table(table(lines))


def test_what_is_no_table_is_said(table, tmp_path):
    with pytest.raises(RangesError, match=r"none\.csv is missing"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(RangesError, match="not a CSV file in UTF-8"):
        read_table(table("A,é\n", encoding="latin-1"))
    with pytest.raises(RangesError, match="Line 2"):
        read_table(table("1,2\n", header="a,b\n"))


def test_a_table_saved_by_a_spreadsheet_is_read(table):
    assert read_table(table(ADULT, encoding="utf-8-sig"))[0].high == 60


def test_an_unknown_laboratory_is_named_with_those_there(table):
    with pytest.raises(RangesError, match=r"'B'.*Choose one of: A"):
        file_ranges(Settings(ranges=table(ADULT), laboratory="B"))


def test_every_shipped_line_names_its_source():
    for line in read_table(Settings().ranges):
        assert line.analyte in ANALYTES
        assert len(line.source) > 5


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [(30, 25, 35, "low"), (38, 30, 45, "below"), (50, 30, 70, "normal"), (65, 55, 70, "above"),
     (80, 70, 90, "high")],
)  # fmt: skip
def test_a_value_is_judged_by_its_interval_and_from_fifty_cells(value, low, high, verdict):
    limits = file_ranges().of("%")["neutrophil"]  # 40-60
    assert judge(Estimate(value, low, high), limits, 50) == verdict
    assert judge(Estimate(value, low, high), limits, None) == verdict
    assert judge(Estimate(value, low, high), limits, 49) is None


def test_the_table_taken_from_the_page_is_a_table_of_ones_own(tmp_path):
    lines = read_table(Settings(_env_file=None).ranges)
    path = tmp_path / "taken.csv"
    path.write_bytes(csv_bytes(pd.DataFrame([line.model_dump() for line in lines])))
    assert read_table(path) == lines
