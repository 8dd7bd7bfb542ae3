"""A case that was saved, reviewed, signed and loaded again can be reported whole."""

import io
from datetime import date

import openpyxl
import pypdfium2
from fhir.resources.R4B.bundle import Bundle

from core.cases.database import open_database
from core.cases.patients import create_patient
from core.cases.range_tables import ranges_in_force
from core.cases.records import MissedCell, NewField, PatientDetails, SampleDetails
from core.cases.reviews import add_cell, label_cells
from core.cases.samples import load_case, load_image, save_sample
from core.cases.signing import mark_reviewed, sign
from core.cases.users import user_of
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis
from core.domain.taxonomy import CELL_TYPES
from core.exports.case_answer import case_answer
from core.exports.fhir import fhir_bundle
from core.exports.pdf.report import case_pdf
from core.exports.summary import case_sheets, summarise
from core.exports.xlsx import workbook
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.images import read_image


def new_field(image):
    cells = tuple(
        Cell(
            "wbc",
            Box(20 + 40 * place, 30, 36, 36),
            0.9 if place else 0.4,
            "classified" if place else "uncertain",
            "lymphocyte",
            dict.fromkeys(CELL_TYPES, 1 / 8),
        )
        for place in range(4)
    )
    cells += (Cell("rbc", Box(5, 90, 30, 30), 0.8),)
    analysis = FieldAnalysis(
        image.name, image.sha256, image.width, image.height, image.properties, cells
    )
    return NewField(image, analysis, {"detector": "1", "wbc": "1"})


def test_the_reports_of_a_stored_case(tmp_path):
    settings = Settings(_env_file=None, store=tmp_path, database_url=None)
    database = open_database(settings)
    user = user_of(database, "local")
    patient = create_patient(database, user, PatientDetails("P-7", "Ada", "female", 1980))
    images = [read_image(data, name) for name, data in synthetic_slides()][:2]
    details = SampleDetails(date(2026, 3, 1), white_cell_count=6.0)
    sample = save_sample(database, user, patient.id, details, [new_field(i) for i in images])
    case = load_case(database, sample.id)
    labels = {
        case.fields[0].cell_ids[0]: "blast",
        case.fields[1].cell_ids[0]: "not_a_white_cell",
    }
    sample, _ = label_cells(database, user, sample, labels)
    missed = MissedCell(case.fields[1].id, Box(20, 150, 36, 36), "monocyte")
    sample, _ = add_cell(database, user, sample, missed)
    sign(database, user, mark_reviewed(database, user, sample))

    case = load_case(database, sample.id)
    summary = summarise(case, ranges_in_force(database))
    pdf = case_pdf(summary, lambda field_id: load_image(database, field_id).pixels)
    counts = {row.key: row.share.count for row in summary.rows if row.share.count}
    assert counts == {"lymphocyte": 6, "monocyte": 1, "blast": 1}
    text = pypdfium2.PdfDocument(pdf)[0].get_textpage().get_text_bounded()
    assert "Blasts 1 12.5" in text
    answer = case_answer(summary).dump()["case"]
    assert answer["sample"]["state"] == "signed"
    book = openpyxl.load_workbook(io.BytesIO(workbook(case_sheets(summary))))
    assert book["Cells"].max_row == 1 + 2 * 5 + 1
    bundle = Bundle.model_validate_json(fhir_bundle(summary))
    assert bundle.entry[2].resource.status == "final"
    database.engine.dispose()
