"""The files that a stored sample, and a patient's samples together, can be downloaded as."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pandas as pd

from core.cases import audit
from core.cases.database import Database
from core.cases.records import Case, Patient, Person
from core.cases.samples import load_image
from core.charts.trends import SampleCounts, history_table
from core.domain.reference_ranges import ReferenceRanges
from core.domain.results import Pixels
from core.exports.case_answer import case_answer
from core.exports.coco import coco
from core.exports.fhir import fhir_bundle
from core.exports.pdf.report import case_pdf
from core.exports.summary import case_cells_table, differential_frame, summarise
from core.exports.tables import csv_bytes
from core.exports.xlsx import XLSX, case_workbook, workbook
from core.settings import Settings

ReportKey = Literal["pdf", "xlsx", "differential_csv", "cells_csv", "json", "coco", "fhir"]
REPORTS: dict[ReportKey, str] = {
    "pdf": "application/pdf",
    "xlsx": XLSX,
    "differential_csv": "text/csv",
    "cells_csv": "text/csv",
    "json": "application/json",
    "coco": "application/json",
    "fhir": "application/fhir+json",
}
"""Media types of all reports by key."""


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report that is made when somebody downloads it."""

    key: str
    """In addresses of the API, and in the audit trail."""
    label: str
    file: str
    mime: str
    make: Callable[[], bytes | str]


def report_files(  # noqa: PLR0913 - the last two by name
    database: Database,
    case: Case,
    ranges: ReferenceRanges,
    person: Person,
    *,
    settings: Settings | None = None,
    file_names: bool = False,
) -> tuple[ReportFile, ...]:
    """Return every report of a sample; making one is audited as an export by the person.

    Files are called `field 1`, `field 2` unless their names are asked for. Making the PDF may
    raise PictureMissingError.
    """
    if not file_names:
        case = case.with_neutral_names()
    summary = summarise(case, ranges, settings)

    def read_pixels(field_id: int) -> Pixels:
        return load_image(database, field_id).pixels

    export = partial(_export, database, person, case.patient.id, case.sample.id)
    identifier = file_name_part(case.patient.identifier)
    name = f"leukoscope_{identifier}_{case.sample.taken:%Y-%m-%d}_{case.sample.id}"
    reports: tuple[tuple[ReportKey, str, str, Callable[[], bytes | str]], ...] = (
        ("pdf", "Report, PDF", ".pdf", lambda: case_pdf(summary, read_pixels)),
        ("xlsx", "Workbook, XLSX", ".xlsx", lambda: case_workbook(summary)),
        (
            "differential_csv",
            "Differential, CSV",
            "_differential.csv",
            lambda: csv_bytes(differential_frame(summary)),
        ),
        ("cells_csv", "Cells, CSV", "_cells.csv", lambda: csv_bytes(case_cells_table(case))),
        ("json", "All, JSON", ".json", lambda: json.dumps(case_answer(summary), indent=1)),
        ("coco", "COCO, JSON", "_coco.json", lambda: json.dumps(coco(case.analyses), indent=1)),
        ("fhir", "FHIR, JSON", "_fhir.json", lambda: fhir_bundle(summary)),
    )
    return tuple(
        ReportFile(key, label, name + ending, REPORTS[key], partial(export, key, make))
        for key, label, ending, make in reports
    )


def history_files(
    database: Database, patient: Patient, counts: Sequence[SampleCounts], person: Person
) -> tuple[ReportFile, ...]:
    """Return a patient's samples, one below the other, as a workbook and as CSV; both audited."""
    name = f"leukoscope_{file_name_part(patient.identifier)}_samples"
    export = partial(_export, database, person, patient.id, None)

    def table() -> pd.DataFrame:
        return history_table(patient, counts)

    files: tuple[tuple[str, str, str, str, Callable[[], bytes | str]], ...] = (
        ("samples_xlsx", "Samples, XLSX", ".xlsx", XLSX, lambda: workbook({"Samples": table()})),
        ("samples_csv", "Samples, CSV", ".csv", "text/csv", lambda: csv_bytes(table())),
    )
    return tuple(
        ReportFile(key, label, name + ending, mime, partial(export, key, make))
        for key, label, ending, mime, make in files
    )


def _export(  # noqa: PLR0913, PLR0917 - what is exported of whom, and by whom
    database: Database,
    person: Person,
    patient_id: int,
    sample_id: int | None,
    key: str,
    make: Callable[[], bytes | str],
) -> bytes | str:
    """Make a file and record that it was taken along."""
    made = make()
    audit.record_access(
        database, person.name, "export", patient_id=patient_id, sample_id=sample_id, report=key
    )
    return made


def file_name_part(identifier: str) -> str:
    """Return an identifier as a part of a file's name."""
    return re.sub(r"[^\w-]+", "_", identifier)
