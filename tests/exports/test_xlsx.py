"""Tables come out of a workbook as they went in; text stays text."""

import io

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.differential import differential_of_counts
from core.exports.tables import csv_bytes, differentials_table
from core.exports.xlsx import workbook

HOSTILE = ["=1+1", "{=1+1}", '=HYPERLINK("http://x","y")', "@SUM(A1)", "+1", "-2", "\t=3",
           "http://x.y/z", "mailto:a@b.c", "internal:Sheet1!A1", "0012", "1e5", "12345678901234567890"]  # fmt: skip # noqa: E501


def cells(data, name="T"):
    return list(openpyxl.load_workbook(io.BytesIO(data))[name].iter_rows())


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text):
    frame = pd.DataFrame({text: [text], "number": [0.25]})
    head, row = cells(workbook({"T": frame}))
    for cell in (head[0], row[0]):
        assert (cell.value, cell.data_type, cell.hyperlink) == (text, "s", None)
    assert (row[1].value, row[1].data_type) == (0.25, "n")


def test_numbers_are_exact_and_what_is_missing_is_empty():
    large = 1234567890123456789
    frame = pd.DataFrame(
        {
            "whole": pd.array([999_999_999_999_999, None], dtype="Int64"),
            "large": [large, 1],
            "real": [float("nan"), 1.5],
            "text": [None, "a"],
        }
    )
    _, first, second = cells(workbook({"T": frame}))
    assert [cell.value for cell in first] == [999_999_999_999_999, str(large), None, None]
    assert [cell.value for cell in second] == [None, 1, 1.5, "a"]


def test_a_table_without_rows_has_its_head():
    ((head,),) = cells(workbook({"T": pd.DataFrame(columns=["a"])}))
    assert head.value == "a"


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), min_size=1)
)
@settings(max_examples=20)
def test_any_text_can_be_written(texts):
    rows = cells(workbook({"T": pd.DataFrame({"a": texts})}))
    assert len(rows) == len(texts) + 1


def test_differentials_of_patients_are_not_mixed():
    counted = {
        "P-1": differential_of_counts({"neutrophil": 60}),
        "P-2": differential_of_counts({"lymphocyte": 40}),
    }
    table = differentials_table(counted)
    by_patient = table[table["count"] > 0].set_index("patient")
    assert by_patient["type"].to_dict() == {"P-1": "neutrophil", "P-2": "lymphocyte"}
    assert by_patient["percent"].tolist() == [100.0, 100.0]
    assert table.columns[0] == "patient"
    assert csv_bytes(table).count(b"P-1") == sum(table["patient"] == "P-1")
