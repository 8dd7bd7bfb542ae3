"""The files that a stored sample can be downloaded as."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from core.cases.database import Database
from core.cases.samples import load_image
from core.reports.case_answer import case_answer
from core.reports.case_summary import CaseSummary, case_cells_table, differential_frame
from core.reports.coco import coco
from core.reports.fhir import fhir_bundle
from core.reports.pdf import case_pdf
from core.reports.tables import csv_bytes
from core.reports.workbook import case_workbook
from core.results import Pixels

REPORT_KEYS = ("pdf", "xlsx", "differential_csv", "cells_csv", "json", "coco", "fhir")
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A report that is made when somebody downloads it."""

    key: str
    """In addresses of the API."""
    label: str
    file: str
    mime: str
    make: Callable[[], bytes | str]


def report_files(database: Database, summary: CaseSummary) -> tuple[ReportFile, ...]:
    """Return every report of a sample. Making the PDF may raise PictureMissingError."""
    case = summary.case
    fields = {stored.analysis.sha256: stored.id for stored in case.fields}

    def read_pixels(sha256: str) -> Pixels:
        return load_image(database, fields[sha256]).pixels

    identifier = re.sub(r"[^\w-]+", "_", case.patient.identifier)
    name = f"leukoscope_{identifier}_{case.sample.taken:%Y-%m-%d}_{case.sample.id}"
    return (
        ReportFile(
            "pdf",
            "Report, PDF",
            f"{name}.pdf",
            "application/pdf",
            lambda: case_pdf(summary, read_pixels),
        ),
        ReportFile(
            "xlsx", "Workbook, XLSX", f"{name}.xlsx", _SHEET, lambda: case_workbook(summary)
        ),
        ReportFile(
            "differential_csv",
            "Differential, CSV",
            f"{name}_differential.csv",
            "text/csv",
            lambda: csv_bytes(differential_frame(summary)),
        ),
        ReportFile(
            "cells_csv",
            "Cells, CSV",
            f"{name}_cells.csv",
            "text/csv",
            lambda: csv_bytes(case_cells_table(case)),
        ),
        ReportFile(
            "json",
            "All, JSON",
            f"{name}.json",
            "application/json",
            lambda: json.dumps(case_answer(summary), indent=1),
        ),
        ReportFile(
            "coco",
            "COCO, JSON",
            f"{name}_coco.json",
            "application/json",
            lambda: json.dumps(coco(case.analyses), indent=1),
        ),
        ReportFile(
            "fhir",
            "FHIR, JSON",
            f"{name}_fhir.json",
            "application/fhir+json",
            lambda: fhir_bundle(summary),
        ),
    )
