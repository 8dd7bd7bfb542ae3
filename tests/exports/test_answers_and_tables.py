"""Answers and tables are two views of the same analyses and never disagree."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.boxes import Box
from core.domain.differential import differential
from core.domain.results import (
    Cell,
    CropResult,
    FailedFile,
    FieldAnalysis,
    FieldImage,
    ImageProperties,
    PossibleBlasts,
    Scale,
    StageResult,
)
from core.domain.taxonomy import ATTRIBUTES, CELL_TYPES, LEUKOCYTES, STAGES
from core.exports.schema import AnalyzeAnswer, AnalyzedField, ClassifyAnswer, StageAnswer
from core.exports.tables import (
    cells_table,
    csv_bytes,
    differential_table,
    files_table,
    stages_table,
)
from tests.cases.made import analysis_of, white

SIDES = st.floats(0.5, 3000)
BOXES = st.builds(Box, st.floats(-5, 5000), st.floats(-5, 5000), SIDES, SIDES)
UNIT = st.floats(0, 1)
STATUS = st.sampled_from(["classified", "uncertain", "out_of_scope"])
PROBABILITIES = st.lists(UNIT, min_size=len(CELL_TYPES), max_size=len(CELL_TYPES)).map(
    lambda values: dict(zip(CELL_TYPES, values, strict=True))
)
WHITE = st.builds(
    Cell,
    st.just("wbc"),
    BOXES,
    UNIT,
    STATUS,
    st.sampled_from(list(CELL_TYPES)),
    PROBABILITIES,
    attributes=st.fixed_dictionaries({k: st.sampled_from(v) for k, v in ATTRIBUTES.items()}),
    in_distribution=st.booleans(),
)
OTHER = st.builds(Cell, st.sampled_from(["rbc", "platelet"]), BOXES, UNIT)
ANALYSES = st.lists(
    st.builds(
        FieldAnalysis,
        st.text(max_size=20),
        st.just("0" * 64),
        st.integers(48, 5000),
        st.integers(48, 5000),
        st.just(ImageProperties("PNG", "RGB", 8, 1000)),
        st.lists(st.one_of(WHITE, OTHER), max_size=15).map(tuple),
        st.one_of(st.none(), st.builds(Scale, st.floats(0.02, 2), st.just("file"))),
        st.one_of(st.none(), st.just("Not a smear.")),
        # Rejected images are not searched.
    ).map(lambda analysis: replace(analysis, cells=()) if analysis.reject_reason else analysis),
    max_size=4,
)
MODELS = {"detector": "1", "wbc": "2"}


def strict(answer):
    """Through JSON as the standard has it, without NaN or Infinity."""
    return json.loads(json.dumps(answer, allow_nan=False))


@given(ANALYSES)
def test_the_answer_has_the_keys_of_the_contract_in_order(analyses):
    answer = strict(AnalyzeAnswer.of(analyses, [FailedFile("b", "Why.")], models=MODELS).dump())
    assert list(answer) == ["models", "images", "errors"]
    assert answer["errors"] == [{"file": "b", "error": "Why."}]
    for image in answer["images"]:
        assert list(image) == [
            "file", "page", "width", "height", "micrometres_per_pixel", "cells", "counts",
            "differential", "flags", "warnings", "refused",
        ]  # fmt: skip
        assert list(image["counts"]) == ["wbc", "rbc", "platelet"]
        assert list(image["differential"]) == [*LEUKOCYTES, "erythroblast", "smudge_cell"]
        for cell in image["cells"]:
            white = ["type", "subtype", "probabilities"] if cell["kind"] == "wbc" else []
            assert list(cell) == ["kind", "box", *white, "confidence", "status"]


@given(ANALYSES)
def test_counts_in_answers_equal_counts_in_tables(analyses):
    answer = AnalyzeAnswer.of(analyses, models=MODELS).dump()
    cells, files = cells_table(analyses), files_table(analyses)
    assert len(cells) == sum(len(image["cells"]) for image in answer["images"])
    for kind in ("wbc", "rbc", "platelet"):
        counted = cells[(cells["kind"] == kind) & (cells["status"] != "out_of_scope")]
        assert sum(image["counts"][kind] for image in answer["images"]) == len(counted)
        assert files[kind].sum() == len(counted)
    for key in LEUKOCYTES:
        named = cells[(cells["type"] == key) & (cells["status"] == "classified")]
        assert sum(i["differential"][key]["count"] for i in answer["images"]) == len(named)
    table = differential_table(differential(analyses)).set_index("type")
    assert table.loc[list(LEUKOCYTES), "count"].sum() == differential(analyses).total
    assert files["uncertain"].sum() == (cells["status"] == "uncertain").sum()
    assert files["unfamiliar"].sum() == sum(a.counts.out_of_distribution for a in analyses)


@given(ANALYSES)
def test_a_downloaded_table_holds_the_boxes_of_the_answer(analyses):
    answer = strict(AnalyzeAnswer.of(analyses, models=MODELS).dump())
    frame = pd.read_csv(io.BytesIO(csv_bytes(cells_table(analyses))))
    boxes = [cell["box"] for image in answer["images"] for cell in image["cells"]]
    assert frame[["x", "y", "width", "height"]].to_numpy().tolist() == boxes
    cells = [cell for analysis in analyses for cell in analysis.cells]
    for name in ATTRIBUTES:
        stated = [cell.attributes[name] if cell.attributes else None for cell in cells]
        assert frame[name].astype(object).where(frame[name].notna(), None).tolist() == stated


def test_blasts_and_smudge_cells_are_in_the_answer():
    cells = (
        Cell("wbc", Box(1, 1, 9, 9), 0.5, "uncertain", "lymphocyte", {}).reviewed("blast", "Ada"),
        Cell("wbc", Box(1, 1, 9, 9), 0.9, "classified", "lymphocyte", {}).reviewed(
            "smudge_cell", "Ada"
        ),
    )
    field = FieldAnalysis("a", "0", 99, 99, ImageProperties("PNG", "RGB", 8, 1), cells)
    image = strict(AnalyzeAnswer.of([field], models=MODELS).dump())["images"][0]
    assert set(image["differential"]) == {*LEUKOCYTES, "erythroblast", "smudge_cell"}
    assert image["differential"]["blast"]["count"] == 1
    assert image["differential"]["smudge_cell"]["count"] == 1
    assert image["flags"][0]["code"] == "possible_blasts"
    assert image["flags"][0]["severity"] == "urgent"
    assert image["cells"][0]["type"] == "blast"


def test_limits_without_cells_are_null_where_nothing_is_known():
    empty = FieldAnalysis("a", "0", 99, 99, ImageProperties("PNG", "RGB", 8, 1), ())
    image = strict(AnalyzeAnswer.of([empty], models=MODELS).dump())["images"][0]
    assert image["differential"]["erythroblast"] == {
        "count": 0, "percent": 0.0, "low": 0.0, "high": None,
    }  # fmt: skip
    assert image["differential"]["basophil"]["high"] == 100.0
    assert image["micrometres_per_pixel"] is None


def test_classify_and_stage_answer_as_in_the_contract():
    crop = CropResult("a", "basophil", {"basophil": 0.98765}, 0.98765, "classified")
    assert ClassifyAnswer(images=[crop], errors=[FailedFile("b", "Why.")]).dump() == {
        "images": [
            {
                "file": "a",
                "page": 1,
                "type": "basophil",
                "subtype": None,
                "probabilities": {"basophil": 0.9877},
                "confidence": 0.9877,
                "status": "classified",
                "warnings": [],
                "refused": None,
            }
        ],
        "errors": [{"file": "b", "error": "Why."}],
    }
    even = dict.fromkeys(STAGES, 0.25)
    field = StageResult("a", "Pre", even, 0.25, "uncertain")
    answer = StageAnswer(
        images=[field], pooled=StageResult("pooled", None, even, 0.25, "uncertain"), errors=[]
    ).dump()
    assert list(answer) == ["images", "pooled", "errors"]
    assert list(answer["images"][0]) == [
        "file", "page", "stage", "probabilities", "confidence", "status", "warnings", "refused",
    ]  # fmt: skip
    assert answer["pooled"]["stage"] is None
    assert StageAnswer(images=[], pooled=None, errors=[]).dump()["pooled"] is None


def test_an_answer_warns_of_many_uncertain_cells():
    properties = ImageProperties("PNG", "RGB", 8, 1)
    image = FieldImage("a", np.zeros((90, 90, 3), np.uint8), "0" * 64, properties)
    cells = [white() for _ in range(9)]
    few = AnalyzedField.of(analysis_of(image, *cells)).dump()
    many = AnalyzedField.of(analysis_of(image, *cells, white("monocyte", 0.4, "uncertain"))).dump()
    assert few["warnings"] == []
    assert many["warnings"][0].startswith("1 of 10 white cells is uncertain (10 %) and not in")
    assert many["differential"]["monocyte"]["high"] > few["differential"]["monocyte"]["high"]


def test_warnings_reach_answers_and_tables():
    sentences = ("The scale is doubtful.", "The colours are doubtful.")
    analysis = FieldAnalysis(
        "a", "0" * 64, 9, 9, ImageProperties("PNG", "RGB", 8, 1), (), warnings=sentences
    )
    (image,) = AnalyzeAnswer.of([analysis], models=MODELS).dump()["images"]
    assert image["warnings"] == list(sentences)
    assert files_table([analysis])["warnings"].tolist() == [" ".join(sentences)]
    even = dict.fromkeys(STAGES, 0.25)
    stage = StageResult("a", "Pre", even, 0.25, "uncertain", warnings=sentences)
    assert StageAnswer(images=[stage], pooled=None, errors=[]).dump()["images"][0][
        "warnings"
    ] == list(sentences)
    assert stages_table([stage])["warnings"].tolist() == [" ".join(sentences)]


def test_fields_without_an_all_class_answer_with_their_blasts():
    blasts = PossibleBlasts(3, 2, 12)
    unlike = StageResult("a", None, {}, 0.0, "out_of_scope", blasts=blasts)
    known = StageResult("b", "Pre", {"Pre": 1.0}, 1.0, "classified")
    pooled = replace(unlike, file="pooled")
    answer = StageAnswer(images=[unlike, known], pooled=pooled, errors=[]).dump()
    first, second = answer["images"]
    assert (first["stage"], first["refused"]) == (None, None)
    assert first["blasts"] == answer["pooled"]["blasts"] == {
        "count": 3, "uncertain": 2, "white_cells": 12, "percent": 25.0, "low": 5.49, "high": 57.19,
    }  # fmt: skip
    (flag,) = first["flags"]
    assert (flag["code"], flag["severity"]) == ("possible_blasts", "urgent")
    assert flag["sentence"].startswith(
        "3 possible blasts, 2 of them uncertain: 25 % (5-57) of 12 white cells."
    )
    assert "blasts" not in second
    assert "flags" not in second
    table = stages_table([unlike, known])
    assert table["possible_blasts"].tolist() == [3, pd.NA]
    assert table["white_cells"].tolist() == [12, pd.NA]


@given(ANALYSES.filter(len))
def test_patients_stand_beside_their_files(analyses):
    patients = [f"P{i}" for i in range(len(analyses))]
    files = files_table(analyses, patients)
    assert files["patient"].tolist() == patients
    assert "patient" not in files_table(analyses).columns
    cells = cells_table(analyses, patients)
    assert len(cells) == sum(len(a.cells) for a in analyses)


def test_a_rejected_image_has_empty_counts_not_zeros():
    properties = ImageProperties("PNG", "RGB", 8, 1)
    accepted = FieldAnalysis("a", "0", 99, 99, properties, ())
    refused = replace(accepted, reject_reason="Not a smear.")
    frame = pd.read_csv(io.BytesIO(csv_bytes(files_table([accepted, refused]))), dtype=str)
    for column in ("wbc", "rbc", "platelet", "uncertain"):
        assert frame[column][0] == "0"
        assert pd.isna(frame[column][1])


def test_patients_must_match_the_analyses():
    analysis = FieldAnalysis("a", "0", 99, 99, ImageProperties("PNG", "RGB", 8, 1), ())
    with pytest.raises(ValueError, match="Length of values"):
        files_table([analysis], ["P1", "P2"])


@given(st.text(min_size=1, max_size=20))
def test_no_downloaded_name_is_a_formula(name):
    for dangerous in (name, "=" + name, "@" + name, "-1+" + name, "\t=" + name):
        data = csv_bytes(pd.DataFrame({"file": [dangerous], "x": [-1.5]}))
        text = data.decode("utf-8-sig")
        _, (shown, x) = csv.reader(io.StringIO(text, newline=""))
        assert shown in (dangerous, "'" + dangerous)
        assert not shown.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert x == "-1.5"
