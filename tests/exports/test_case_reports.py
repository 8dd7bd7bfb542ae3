"""What a report says, read back by another program, is what was counted."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import PurePosixPath

import matplotlib.pyplot as plt
import openpyxl
import pandas as pd
import pytest
from faster_coco_eval import COCO
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import coco as pycoco
from supervision import DetectionDataset

from core.domain.differential import differential
from core.domain.taxonomy import LEUKOCYTES, RESEARCH_NOTICE
from core.errors import SettingsError
from core.exports.case_answer import case_answer
from core.exports.coco import CATEGORIES, UNCERTAIN, coco
from core.exports.conclusions import conclusion_templates, filled_conclusion
from core.exports.fhir import fhir_bundle
from core.exports.loinc import ABSOLUTE, PER_HUNDRED
from core.exports.schema import AnalyzeAnswer
from core.exports.summary import case_cells_table, case_sheets, differential_frame, facts, summarise
from core.exports.tables import csv_bytes
from core.exports.xlsx import workbook
from core.model_card import MODEL_NAMES, load_card
from core.settings import Settings
from tests.exports.cases import COUNTS, HEIGHT, WIDTH, make_case, make_cells
from tests.fake_models import write_models
from tests.shipped_ranges import file_ranges

RANGES = file_ranges()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Settings(models=write_models(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def summary(models):
    return summarise(make_case(), RANGES, models)


def sheet(data, name):
    rows = list(openpyxl.load_workbook(io.BytesIO(data))[name].values)
    return pd.DataFrame(rows[1:], columns=rows[0])


def resources(summary, kind):
    bundle = Bundle.model_validate_json(fhir_bundle(summary))
    return [e.resource for e in bundle.entry if e.resource.get_resource_type() == kind]


def test_a_case_is_counted_as_its_fields_are(summary):
    assert summary.counted == differential(summary.case.analyses)
    shares = {row.key: row.share.count for row in summary.rows}
    assert shares == {key: COUNTS.get(key, 0) for key in LEUKOCYTES} | {"blast": 3}
    assert {row.key: row.share.count for row in summary.beside} == {
        "erythroblast": 22,
        "smudge_cell": 4,
    }
    assert summary.counted.uncertain == 12


def test_absolute_counts_rest_on_the_corrected_white_cells(summary):
    per_hundred = 100 * 22 / summary.counted.total
    assert summary.white_cell_count == pytest.approx(14.2 * 100 / (100 + per_hundred))
    assert sum(row.absolute.estimate.value for row in summary.rows) == pytest.approx(
        summary.white_cell_count
    )


def test_thresholds_are_told_only_of_the_version_that_looked(summary, models):
    assert summary.models[1] == "wbc 1.2.3 (thresholds: uncertain 0.80, cellness 0.50)"
    assert summary.accuracy[0].name == "PBC test cells"
    other = summarise(make_case(models={"wbc": "0.9"}), RANGES, models)
    assert other.models == ("wbc 0.9 (thresholds not on record)",)
    assert other.accuracy == ()


def test_the_shipped_models_are_told_with_thresholds():
    versions = {name: load_card(name).version for name in MODEL_NAMES}
    told = summarise(make_case(models=versions), RANGES).models
    assert len(told) == len(versions)
    assert all("(thresholds: " in model for model in told)


def test_marrow_has_no_ranges_and_no_cells_per_volume(models):
    marrow = summarise(make_case(material="bone_marrow"), RANGES, models)
    assert marrow.white_cell_count is None
    assert marrow.nlr.estimate is None
    assert all(row.percent.limits is None and row.absolute.estimate is None for row in marrow.rows)
    assert {flag.key for flag in marrow.flags} == {"possible_blasts"}
    for observation in resources(marrow, "Observation"):
        assert observation.code.coding is None
        assert observation.referenceRange is None


def test_facts_leave_out_what_is_not_known(models):
    known = facts(summarise(make_case(name=None, white_cell_count=None), RANGES, models))
    assert not known.keys() & {"Name", "White cell count", "Corrected for erythroblasts"}
    assert known["ALL class, suggested"] == "Pre-B ALL 1 of 1 field"
    assert known["Reviewed"] == "8 white cells, by Ada, Bo; 222 seen by nobody"


def test_white_cells_are_estimated_only_with_a_factor_and_for_blood(models):
    case = make_case(fields=10)
    calibrated = models.model_copy(update={"white_cell_factor": 2000.0})
    estimate = summarise(case, RANGES, calibrated).estimate
    cells = sum(COUNTS.values()) - COUNTS["erythroblast"] + 12 + 3 + 4
    assert estimate.value == pytest.approx(cells / 10 * 2)
    shown = facts(summarise(case, RANGES, calibrated))["Estimated from the smear"]
    assert shown.endswith("method ±20-30 %)")
    assert summarise(case, RANGES, models).estimate is None
    assert summarise(make_case(fields=9), RANGES, calibrated).estimate is None
    assert summarise(make_case(fields=10, material="other"), RANGES, calibrated).estimate is None


def test_the_workbook_holds_the_numbers_of_the_tables(summary):
    data = workbook(case_sheets(summary))
    pd.testing.assert_frame_equal(
        sheet(data, "Differential"), differential_frame(summary), check_dtype=False
    )
    pd.testing.assert_frame_equal(
        sheet(data, "Cells"), case_cells_table(summary.case), check_dtype=False
    )
    assert sheet(data, "Flags")["key"].tolist() == [flag.key for flag in summary.flags]
    assert sheet(data, "Comments")["text"].tolist() == ["=Ask for a new smear."]
    shown = dict(sheet(data, "Summary").itertuples(index=False))
    assert shown["Patient"] == "P-0042"
    assert shown["Notice"] == RESEARCH_NOTICE


HOSTILE = ["=1+1", '=HYPERLINK("http://x","y")', "@SUM(A1)", "+1", "-2", "\t=3", "http://x.y/z"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_becomes_a_formula_or_a_link(models, text):
    case = make_case({"neutrophil": 3}, name=text, identifier=text, file=text)
    book = openpyxl.load_workbook(
        io.BytesIO(workbook(case_sheets(summarise(case, RANGES, models))))
    )
    found = 0
    for page in book:
        for row in page.iter_rows():
            for cell in row:
                assert cell.data_type != "f"
                assert cell.hyperlink is None
                found += cell.value == text
    assert found > 2


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=15)
def test_any_name_can_be_written(models, name):
    case = make_case({"neutrophil": 1}, cells=[], name=name, identifier=name or "x", file=name)
    summary = summarise(case, RANGES, models)
    openpyxl.load_workbook(io.BytesIO(workbook(case_sheets(summary))))
    assert json.loads(json.dumps(case_answer(summary).dump()))["case"]["patient"]["name"] == name
    for image in coco(case.analyses)["images"]:
        path = PurePosixPath(image["file_name"])
        assert path.name.endswith(f"-{image['id'] - 1}.png")
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert "\0" not in image["file_name"]
    assert len(resources(summary, "Patient")) == 1


def test_a_long_text_fits_into_a_sheet(models):
    case = make_case({"neutrophil": 1}, name="W" * 50_000)
    shown = sheet(workbook(case_sheets(summarise(case, RANGES, models))), "Summary").set_index(
        "what"
    )
    assert len(shown.loc["Name", "value"]) == 32_767


def test_a_row_a_cell_in_csv(summary):
    data = csv_bytes(case_cells_table(summary.case)).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(data)))
    cells = [cell for analysis in summary.case.analyses for cell in analysis.cells]
    ids = [row["cell_id"] for row in rows]
    assert ids == [str(place) if cell.kind == "wbc" else "" for place, cell in enumerate(cells, 1)]
    assert sum(row["reviewer"] == "Ada" for row in rows) == 7
    blasts = [row for row in rows if row["type"] == "blast"]
    assert {(row["suggested"], row["status"]) for row in blasts} == {("lymphocyte", "classified")}


def test_the_case_as_json_holds_the_answer_of_analyze(summary):
    answer = json.loads(json.dumps(case_answer(summary).dump(), allow_nan=False))
    case = answer.pop("case")
    models = {"detector": "1.2.3", "wbc": "1.2.3"}
    assert answer == json.loads(
        json.dumps(AnalyzeAnswer.of(summary.case.analyses, models=models).dump())
    )
    for key, counted in case["differential"].items():
        parts = [
            image["differential"][key]["count"]
            for image in answer["images"]
            if key in image["differential"]
        ]
        assert key == "smudge_cell" or sum(parts) == counted["count"]
    assert case["neutrophil_lymphocyte_ratio"]["value"] == pytest.approx(118 / 40)
    assert case["flags"][0]["key"] == "possible_blasts"
    for field, image in zip(case["fields"], answer["images"], strict=True):
        shown = {cell["number"]: cell for cell in field["white_cells"]}
        kinds = [cell["kind"] for cell in image["cells"]]
        assert [n for n, kind in enumerate(kinds, 1) if kind == "wbc"] == list(shown)
        assert None not in {cell["id"] for cell in shown.values()}
    assert case["comments"][0]["text"] == "=Ask for a new smear."
    assert case["signatures"] == [
        {"reviewer": "Ada", "at": "2026-03-05T09:30:00+00:00", "conclusion": ""}
    ]


def test_what_is_infinite_is_null_in_json(models):
    cells = make_cells({"neutrophil": 60}, uncertain=0, blasts=0, smudges=0)
    case = case_answer(summarise(make_case(cells=cells), RANGES, models)).dump()["case"]
    ratio = json.loads(json.dumps(case, allow_nan=False))["neutrophil_lymphocyte_ratio"]
    assert ratio["value"] is None
    assert ratio["high"] is None
    assert ratio["low"] > 10


def test_coco_loads_and_counts_by_category(summary):
    loaded = COCO(json.loads(json.dumps(coco(summary.case.analyses))))
    assert loaded.getImgIds() == [1, 2, 3]
    assert {c["name"]: c["id"] for c in loaded.loadCats(loaded.getCatIds())} == CATEGORIES
    found = {
        name: len(loaded.getAnnIds(catIds=[key]))
        for name, key in CATEGORIES.items()
        if loaded.getAnnIds(catIds=[key])
    }
    assert found == COUNTS | {
        "blast": 3, "smudge_cell": 4, UNCERTAIN: 12, "rbc": 1, "platelet": 1,
    }  # fmt: skip
    table = case_cells_table(summary.case)
    table = table[table["status"] != "out_of_scope"]
    annotations = loaded.loadAnns(loaded.getAnnIds())
    boxes = [annotation["bbox"] for annotation in annotations]
    assert boxes == table[["x", "y", "width", "height"]].to_numpy().tolist()
    assert all(
        a["area"] == pytest.approx(a["bbox"][2] * a["bbox"][3], abs=0.01) for a in annotations
    )


NAMES = ["a.png", "a.png", "a_2.png", "A.PNG", "u\u0308.png", "\u00fc.png", "../../etc/b.png",
         "/c.png", "C:\\d\\e.png", "..", "", "x/a.png"]  # fmt: skip


def renamed(names):
    """Return the analyses of a case with a field for each file name."""
    analyses = make_case(fields=len(names)).analyses
    return [replace(analysis, file=name) for analysis, name in zip(analyses, names, strict=True)]


def test_coco_names_each_image_once_and_below_its_folder():
    found = [image["file_name"] for image in coco(renamed(NAMES))["images"]]
    assert found == ["a.png", "a_3.png", "a_2.png", "A_4.PNG", "u\u0308.png", "\u00fc_2.png",
                     "etc/b.png", "c.png", "d/e.png", "image", "image_2", "x/a.png"]  # fmt: skip
    assert coco(renamed(["field.png"]))["images"][0]["file_name"] == "field.png"


def test_pycocotools_draws_every_cell(summary, tmp_path):
    path = tmp_path / "cells.json"
    path.write_text(json.dumps(coco(summary.case.analyses)))
    loaded = pycoco.COCO(str(path))
    annotations = loaded.loadAnns(loaded.getAnnIds())
    for annotation in annotations:
        x, y, width, height = annotation["bbox"]
        mask = loaded.annToMask(annotation)
        assert mask.shape == (HEIGHT, WIDTH)
        rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
        assert rows[[0, -1]] == pytest.approx([y, y + height - 1], abs=1)
        assert columns[[0, -1]] == pytest.approx([x, x + width - 1], abs=1)
        assert mask.sum() == pytest.approx(annotation["area"], rel=0.1)
    figure, axes = plt.subplots()
    loaded.showAnns(annotations)
    drawn = axes.collections[0].get_paths()
    plt.close(figure)
    assert len(drawn) == len(annotations)


def test_supervision_loads_every_cell(tmp_path):
    analyses = renamed(NAMES)
    answer = coco(analyses)
    (tmp_path / "cells.json").write_text(json.dumps(answer))
    data = DetectionDataset.from_coco(str(tmp_path), str(tmp_path / "cells.json"), force_masks=True)
    assert data.classes == list(CATEGORIES)
    assert len(data.image_paths) == len(NAMES)
    for image, path in zip(answer["images"], data.image_paths, strict=True):
        found = data.annotations[path]
        wanted = [a for a in answer["annotations"] if a["image_id"] == image["id"]]
        assert found.class_id.tolist() == [a["category_id"] - 1 for a in wanted]
        assert found.mask.shape == (len(wanted), HEIGHT, WIDTH)
        assert found.mask.any(axis=(1, 2)).all()


def test_fhir_observations_hold_the_differential(summary):
    by_code = {o.code.coding[0].code: o for o in resources(summary, "Observation") if o.code.coding}
    for row in (*summary.rows, *summary.beside):
        observation = by_code[PER_HUNDRED[row.key].code]
        parts = {c.code.text: float(c.valueQuantity.value) for c in observation.component}
        assert float(observation.valueQuantity.value) == round(row.share.percent, 2)
        assert parts == {
            "Cells counted": row.share.count,
            "Lower 95 % limit": round(row.share.low, 2),
            "Upper 95 % limit": round(row.share.high, 2),
        }
        if row.percent.limits:
            (limits,) = observation.referenceRange
            assert float(limits.low.value) == row.percent.limits.low
            assert float(limits.high.value) == row.percent.limits.high
    for row in summary.rows:
        quantity = by_code[ABSOLUTE[row.key].code].valueQuantity
        assert float(quantity.value) == pytest.approx(row.absolute.estimate.value, abs=5e-4)
        assert quantity.code == "10*9/L"
    assert float(by_code["26464-8"].valueQuantity.value) == 14.2
    corrected = float(by_code["12227-5"].valueQuantity.value)
    assert corrected == pytest.approx(summary.white_cell_count, abs=5e-4)


def test_fhir_interprets_only_what_the_whole_interval_says(models):
    cells = make_cells({"neutrophil": 150, "lymphocyte": 45, "monocyte": 18}, 0, 0, 0)
    case = make_case(cells=cells, white_cell_count=None)
    found = {
        o.code.coding[0].code: o.interpretation and o.interpretation[0].coding[0].code
        for o in resources(summarise(case, RANGES, models), "Observation")
        if o.code.coding
    }
    assert found[PER_HUNDRED["neutrophil"].code] == "H"
    assert found[PER_HUNDRED["lymphocyte"].code] == "N"
    assert found[PER_HUNDRED["monocyte"].code] is None  # 8.5 %: above 2-8, the interval spans it.
    assert found[PER_HUNDRED["eosinophil"].code] is None


@pytest.mark.parametrize(("neutrophils", "judged"), [(9, False), (49, False), (50, True)])
def test_no_export_judges_a_value_of_fewer_than_fifty_cells(models, neutrophils, judged):
    cells = make_cells({"neutrophil": neutrophils}, 0, 0, 0)
    case = summarise(make_case(cells=cells, white_cell_count=30.0), RANGES, models)
    shown = {o.code.text: o.interpretation for o in resources(case, "Observation")}
    # The white cell count was measured, not counted on the smear.
    assert shown.pop("White cells per volume, as entered")[0].coding[0].code == "H"
    assert any(shown.values()) == judged
    frame = differential_frame(case)
    assert frame[["verdict", "absolute_verdict"]].notna().any(axis=None) == judged
    written = sheet(workbook(case_sheets(case)), "Differential")
    assert written[["verdict", "absolute_verdict"]].notna().any(axis=None) == judged
    rows = case_answer(case).dump()["case"]["differential"].values()
    assert any(row["percent_verdict"] or row["absolute_verdict"] for row in rows) == judged
    outside = {flag.key for flag in case.flags} - {"under_50_cells", "under_100_cells"}
    assert (outside != {"white_cells_high"}) == judged


def test_fhir_references_lead_somewhere(summary):
    bundle = Bundle.model_validate_json(fhir_bundle(summary))
    (report,) = resources(summary, "DiagnosticReport")
    urls = {entry.fullUrl for entry in bundle.entry}
    assert len(urls) == len(bundle.entry)
    assert {result.reference for result in report.result} <= urls
    assert len(report.result) == len(resources(summary, "Observation"))
    assert report.code.coding[0].code == "24318-8"
    assert (report.status, report.issued.isoformat()) == ("final", "2026-03-05T09:30:00+00:00")
    assert report.conclusion.startswith(RESEARCH_NOTICE)
    for observation in resources(summary, "Observation"):
        assert observation.status == "final"
        assert {observation.subject.reference, observation.specimen.reference} <= urls
    (patient,) = resources(summary, "Patient")
    assert (patient.identifier[0].value, patient.gender) == ("P-0042", "female")


@pytest.mark.parametrize("state", ["draft", "reviewed"])
def test_what_is_not_signed_is_preliminary(models, state):
    case = summarise(make_case(state=state), RANGES, models)
    assert {o.status for o in resources(case, "Observation")} == {"preliminary"}
    assert resources(case, "DiagnosticReport")[0].status == "preliminary"


def test_an_empty_case_is_valid_fhir_without_values(models):
    empty = summarise(make_case(cells=[], name=None), RANGES, models)
    observations = resources(empty, "Observation")
    for observation in observations:
        if "share" in observation.code.text:
            assert observation.valueQuantity is None
            assert observation.dataAbsentReason.coding[0].code == "unknown"
    assert "NaN" not in fhir_bundle(empty)
    assert not re.search(r"\bInfinity\b", fhir_bundle(empty))


def test_every_type_of_a_differential_has_one_code():
    codes = [code.code for code in (*PER_HUNDRED.values(), *ABSOLUTE.values())]
    assert len(set(codes)) == len(codes)
    assert set(PER_HUNDRED) == {*ABSOLUTE, "erythroblast", "smudge_cell"}
    assert set(ABSOLUTE) == set(LEUKOCYTES)
    for code in codes:
        # The last digit is LOINC's Luhn check digit (mod 10).
        digits, check = code.split("-")
        doubled = [
            sum(divmod(int(digit) * (2 if place % 2 == 0 else 1), 10))
            for place, digit in enumerate(reversed(digits))
        ]
        assert -sum(doubled) % 10 == int(check)


def test_conclusion_and_comments_stand_in_every_report(models):
    case = make_case()
    signature = replace(case.signatures[0], conclusion="Reactive lymphocytes.\nNo blasts.")
    signed = summarise(replace(case, signatures=(signature,)), RANGES, models)
    (report,) = resources(signed, "DiagnosticReport")
    assert report.conclusion.startswith("Reactive lymphocytes.\nNo blasts.\n")
    (comments,) = (o for o in resources(signed, "Observation") if o.note)
    assert [(n.authorString, n.text) for n in comments.note] == [("Bo", "=Ask for a new smear.")]
    answer = case_answer(signed).dump()["case"]
    assert answer["conclusion"] == answer["signatures"][0]["conclusion"] == signature.conclusion
    sheets = case_sheets(signed)
    assert signature.conclusion in set(sheets["Summary"]["value"])
    review = sheets["Review"].set_index("type")
    assert tuple(review.loc["neutrophil", ["cells", "unseen"]]) == (118, 118)
    assert tuple(review.loc["not_a_white_cell", ["overridden", "taken_away"]]) == (1, 0)


@pytest.mark.parametrize(
    "content", [None, "no TOML", "[[template]]\nname = 'x'", b"\xff", "[other]\n"]
)
def test_damaged_templates_are_named(tmp_path, content):
    path = tmp_path / "conclusions.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError, match="CONCLUSIONS"):
        conclusion_templates(Settings(_env_file=None, conclusions=path))


def test_templates_are_filled_with_the_numbers_of_the_sample(summary):
    texts = conclusion_templates().values()
    filled = [filled_conclusion(text, summary.counted) for text in texts]
    assert not any("{" in text for text in filled)
    assert filled[0].startswith("Differential of 191 white cells: neutrophils 61.8 %, ")
