"""Every file format that pages and API offer, by what is exported.

To add a format, write its function and add one entry to the tuple of the place that offers it: the
page, the API, its documentation and the access record follow. The formats of a batch are in
`core.exports.batch`, because the command line loads none of the libraries for PDF, FHIR and XLSX.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import pandas as pd

from core.cases import audit
from core.cases.counting import SampleCounts
from core.cases.database import Database
from core.cases.records import Case, Patient, User
from core.cases.samples import load_image
from core.domain.reference_ranges import ReferenceRanges
from core.domain.results import FailedFile, FieldAnalysis, Pixels, StageResult
from core.exports.annotated import annotated_zip
from core.exports.case_answer import case_answer
from core.exports.coco import coco
from core.exports.fhir import fhir_bundle
from core.exports.pdf.report import case_pdf
from core.exports.schema import AnalyzeAnswer, Answer, StageAnswer
from core.exports.summary import (
    CaseSummary,
    case_cells_table,
    case_sheets,
    differential_frame,
    summarise,
)
from core.exports.tables import (
    cells_table,
    csv_bytes,
    differentials_by_patient,
    differentials_table,
    files_table,
    history_table,
    measures_table,
    stages_table,
)
from core.exports.xlsx import workbook
from core.imaging.illumination import flatten
from core.imaging.segmentation import SegmentationMethod, segment_field
from core.settings import Settings

T = TypeVar("T")

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True, slots=True)
class ExportFormat(Generic[T]):
    """One way to write something as a file."""

    key: str
    """In addresses of the API, and in the access record."""
    label: str
    """On the download button."""
    ending: str
    """What follows the stem in the file's name."""
    media_type: str
    write: Callable[[T], bytes]


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file that is written when a user downloads it."""

    key: str
    label: str
    name: str
    media_type: str
    write: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class CaseExport:
    """A stored case and the pixels (H x W x 3) of its fields by their ids."""

    summary: CaseSummary
    read_pixels: Callable[[int], Pixels]

    def pdf(self) -> bytes:
        """Return the printed report."""
        return case_pdf(self.summary, self.read_pixels)

    def differential(self) -> pd.DataFrame:
        """Return the differential with ranges and verdicts."""
        return differential_frame(self.summary)

    def fhir(self) -> bytes:
        """Return the FHIR bundle."""
        return fhir_bundle(self.summary).encode()


@dataclass(frozen=True, slots=True)
class CountExport:
    """Analysed fields, each of a patient; `images` yields their pixels with what was found."""

    analyses: Sequence[FieldAnalysis]
    patients: Sequence[str]
    failures: Sequence[FailedFile]
    models: Mapping[str, str]
    images: Callable[[], Iterable[tuple[Pixels, FieldAnalysis]]]
    segmentation: SegmentationMethod | None = None
    """How nucleus and cell are segmented for the table of cells; None: they are not."""

    def differentials(self) -> pd.DataFrame:
        """Return the differential of each patient."""
        return differentials_table(differentials_by_patient(self.analyses, self.patients))

    def cells(self) -> pd.DataFrame:
        """Return a row for each cell, with its measures if `segmentation` asks for them."""
        table = cells_table(self.analyses, self.patients)
        if self.segmentation is None:
            return table
        segmented = {
            analysis.identity: segment_field(flatten(pixels), analysis, self.segmentation)
            for pixels, analysis in self.images()
        }
        measured = measures_table(self.analyses, segmented)
        return pd.concat([table, measured.assign(segmentation=self.segmentation)], axis=1)

    def files(self) -> pd.DataFrame:
        """Return a row for each image."""
        return files_table(self.analyses, self.patients)

    def answer(self) -> Answer:
        """Return the answer of `analyze`."""
        return AnalyzeAnswer.of(self.analyses, self.failures, models=self.models).dump()

    def sheets(self) -> dict[str, pd.DataFrame]:
        """Return all three tables."""
        return {"Differential": self.differentials(), "Cells": self.cells(), "Files": self.files()}


@dataclass(frozen=True, slots=True)
class StageExport:
    """Graded ALL fields, each of a patient, and the pooled result of each patient."""

    results: Sequence[StageResult]
    patients: Sequence[str]
    pooled: Mapping[str, StageResult]
    failures: Sequence[FailedFile]

    def fields(self) -> pd.DataFrame:
        """Return a row for each field."""
        return stages_table(self.results, self.patients)

    def sheets(self) -> dict[str, pd.DataFrame]:
        """Return a row for each field, and one for each patient."""
        by_patient = stages_table(list(self.pooled.values()), list(self.pooled))
        return {"Fields": self.fields(), "Pooled": by_patient}

    def answer(self) -> Answer:
        """Return the answer of `stage`; fields of several patients have no pooled result."""
        pooled = next(iter(self.pooled.values())) if len(self.pooled) == 1 else None
        return StageAnswer(images=self.results, pooled=pooled, errors=self.failures).dump()


def _csv(key: str, label: str, part: str, table: Callable[[T], pd.DataFrame]) -> ExportFormat[T]:
    """Return the format of a table; `part` stands between stem and suffix of the file's name."""
    return ExportFormat(
        key, f"{label}, CSV", f"{part}.csv", "text/csv", lambda exported: csv_bytes(table(exported))
    )


def _xlsx(
    key: str, label: str, sheets: Callable[[T], Mapping[str, pd.DataFrame]]
) -> ExportFormat[T]:
    """Return the format of tables by name of their sheet."""
    return ExportFormat(
        key, f"{label}, XLSX", ".xlsx", XLSX, lambda exported: workbook(sheets(exported))
    )


def _json(key: str, label: str, part: str, answer: Callable[[T], object]) -> ExportFormat[T]:
    """Return the format of a JSON answer."""
    return ExportFormat(
        key,
        f"{label}, JSON",
        f"{part}.json",
        "application/json",
        lambda exported: json.dumps(answer(exported), indent=1).encode(),
    )


CASE_FORMATS: tuple[ExportFormat[CaseExport], ...] = (
    ExportFormat("pdf", "Report, PDF", ".pdf", "application/pdf", CaseExport.pdf),
    _xlsx("xlsx", "Workbook", lambda case: case_sheets(case.summary)),
    _csv("differential_csv", "Differential", "_differential", CaseExport.differential),
    _csv("cells_csv", "Cells", "_cells", lambda case: case_cells_table(case.summary.case)),
    _json("json", "All", "", lambda case: case_answer(case.summary).dump()),
    _json("coco", "COCO", "_coco", lambda case: coco(case.summary.case.analyses)),
    ExportFormat("fhir", "FHIR, JSON", "_fhir.json", "application/fhir+json", CaseExport.fhir),
)
"""A stored case: the page Patients and the API."""

HISTORY_FORMATS: tuple[ExportFormat[pd.DataFrame], ...] = (
    _xlsx("samples_xlsx", "Samples", lambda table: {"Samples": table}),
    _csv("samples_csv", "Samples", "", lambda table: table),
)
"""All samples of a patient: the page Patients."""

COUNT_FORMATS: tuple[ExportFormat[CountExport], ...] = (
    _xlsx("xlsx", "Workbook", CountExport.sheets),
    _csv("differential_csv", "Differential", "_differential", CountExport.differentials),
    _csv("cells_csv", "Cells", "_cells", CountExport.cells),
    _csv("files_csv", "Files", "_files", CountExport.files),
    _json("json", "All", "", CountExport.answer),
    ExportFormat(
        "annotated",
        "Annotated images, ZIP",
        "_images.zip",
        "application/zip",
        lambda count: annotated_zip(count.images()),
    ),
)
"""The fields on the page WBC count."""

STAGE_FORMATS: tuple[ExportFormat[StageExport], ...] = (
    _xlsx("xlsx", "Workbook", StageExport.sheets),
    _csv("csv", "Fields", "", StageExport.fields),
    _json("json", "All", "", StageExport.answer),
)
"""The fields on the page ALL stage."""

RANGE_FORMATS: tuple[ExportFormat[pd.DataFrame], ...] = (
    _xlsx("xlsx", "Table in force", lambda table: {"Ranges": table}),
    _csv("csv", "Table in force", "", lambda table: table),
)
"""The reference ranges on the page Settings."""


def export_files(
    formats: Iterable[ExportFormat[T]],
    exported: T,
    stem: str,
    record: Callable[[str], None] | None = None,
) -> tuple[ExportFile, ...]:
    """Return a file in each format, its name beginning with `stem`.

    Nothing is written before `ExportFile.write` is called; `record` then gets the format's key.
    """

    def write(form: ExportFormat[T]) -> bytes:
        content = form.write(exported)
        if record is not None:
            record(form.key)
        return content

    return tuple(
        ExportFile(form.key, form.label, stem + form.ending, form.media_type, partial(write, form))
        for form in formats
    )


def case_files(  # noqa: PLR0913 - the last two by name
    database: Database,
    case: Case,
    ranges: ReferenceRanges,
    user: User,
    *,
    settings: Settings | None = None,
    file_names: bool = False,
) -> tuple[ExportFile, ...]:
    """Return a stored case in every format; each download is in the access record.

    The fields are named `field 1`, `field 2` unless `file_names` is set. Writing the PDF may raise
    PictureMissingError.
    """
    patient, sample = case.patient, case.sample
    shown = case if file_names else case.with_neutral_names()
    return export_files(
        CASE_FORMATS,
        CaseExport(
            summarise(shown, ranges, settings),
            lambda field_id: load_image(database, field_id).pixels,
        ),
        f"leukoscope_{file_name_part(patient.identifier)}_{sample.taken:%Y-%m-%d}_{sample.id}",
        partial(_record_export, database, user, patient.id, sample.id),
    )


def history_files(
    database: Database, patient: Patient, counts: Sequence[SampleCounts], user: User
) -> tuple[ExportFile, ...]:
    """Return a patient's samples in every format; each download is in the access record."""
    return export_files(
        HISTORY_FORMATS,
        history_table(patient, counts),
        f"leukoscope_{file_name_part(patient.identifier)}_samples",
        partial(_record_export, database, user, patient.id, None),
    )


def _record_export(
    database: Database, user: User, patient_id: int, sample_id: int | None, key: str
) -> None:
    audit.record_access(
        database, user.name, "export", patient_id=patient_id, sample_id=sample_id, report=key
    )


def file_name_part(identifier: str) -> str:
    """Return an identifier as a part of a file's name."""
    return re.sub(r"[^\w-]+", "_", identifier)
