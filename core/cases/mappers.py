"""From results to rows and back: what is loaded equals what was saved."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from core.cases.orm import CellRow, FieldRow, PatientRow, SampleRow
from core.cases.records import NewField, Patient, Sample, SampleField
from core.domain.boxes import Box
from core.domain.results import Cell, FieldAnalysis, ImageProperties, Scale, StageResult
from core.imaging.duplicates import stored_form


def patient_of(row: PatientRow) -> Patient:
    """Detach a patient."""
    return Patient(row.id, row.identifier, row.name, row.sex, row.birth_year)


def sample_of(row: SampleRow) -> Sample:
    """Detach a sample."""
    return Sample(
        id=row.id,
        patient_id=row.patient_id,
        taken=row.taken,
        material=row.material,
        white_cell_count=row.white_cell_count,
        state=row.state,
        version=row.version,
    )


def field_row(sample_id: int, new: NewField, image: str) -> FieldRow:
    """Make the row of a field; its white cells go to `cell_rows`."""
    found = new.analysis
    return FieldRow(
        sample_id=sample_id,
        image=image,
        sha256=found.sha256,
        page=found.page,
        file=found.file,
        width=found.width,
        height=found.height,
        properties=asdict(found.properties),
        micrometres_per_pixel=found.scale.micrometres_per_pixel if found.scale else None,
        scale_source=found.scale.source if found.scale else None,
        reject_reason=found.reject_reason,
        qc_override=found.qc_override,
        warnings=list(found.warnings),
        seconds=found.seconds,
        pixels=found.fingerprint.pixels_sha256 if found.fingerprint else None,
        fingerprint=stored_form(found.fingerprint) if found.fingerprint else None,
        models=dict(new.models),
        stage=stage_values(new.stage) if new.stage else None,
        other_cells=[_other_values(cell) for cell in found.cells if cell.kind != "wbc"],
    )


def cell_rows(field_id: int, new: NewField) -> list[dict[str, Any]]:
    """Make the rows of a field's white cells, for one bulk insert."""
    return [
        {
            "field_id": field_id,
            "number": number,
            "origin": "model",
            "x": cell.box.x,
            "y": cell.box.y,
            "width": cell.box.width,
            "height": cell.box.height,
            "type": cell.type,
            "subtype": cell.subtype,
            "probabilities": None if cell.probabilities is None else dict(cell.probabilities),
            "status": cell.status,
            "confidence": cell.confidence,
            "detection_score": cell.detection_score,
            "attributes": None if cell.attributes is None else dict(cell.attributes),
            "in_distribution": cell.in_distribution,
            "duplicate": cell.duplicate,
        }
        for number, cell in new.analysis.white_cells()
    ]


def cell_of(row: CellRow) -> Cell:
    """Rebuild a white cell as it counts now."""
    cell = Cell(
        kind="wbc",
        box=Box(row.x, row.y, row.width, row.height),
        confidence=row.confidence,
        status=row.status,
        type=row.type,
        subtype=row.subtype,
        probabilities=row.probabilities,
        detection_score=row.detection_score,
        attributes=row.attributes,
        in_distribution=row.in_distribution,
        duplicate=row.duplicate,
    )
    if row.label is None or row.reviewer is None:
        return cell
    return cell.reviewed(row.label, row.reviewer)


def sample_field_of(row: FieldRow, white: Iterable[CellRow]) -> SampleField:
    """Rebuild a field from its row and those of its white cells, in the order of their numbers."""
    others = iter(row.other_cells)
    cells: list[Cell] = []
    ids: list[int | None] = []
    for cell_row in white:
        while len(cells) + 1 < cell_row.number:  # what stands before it
            cells.append(_other_of(next(others)))
            ids.append(None)
        cells.append(cell_of(cell_row))
        ids.append(cell_row.id)
    rest = [_other_of(values) for values in others]
    return SampleField(
        id=row.id,
        analysis=FieldAnalysis(
            file=row.file,
            sha256=row.sha256,
            width=row.width,
            height=row.height,
            properties=ImageProperties(**row.properties),
            cells=(*cells, *rest),
            scale=_scale_of(row),
            reject_reason=row.reject_reason,
            qc_override=row.qc_override,
            warnings=tuple(row.warnings),
            profile=row.models.get("profile"),
            seconds=row.seconds,
            page=row.page,
        ),
        cell_ids=(*ids, *(None for _ in rest)),
        models=row.models,
        stage=stage_of(row.stage) if row.stage else None,
    )


def header_scale(row: FieldRow) -> float | None:
    """Return micrometres per pixel when the file's header gave them."""
    return row.micrometres_per_pixel if row.scale_source == "file" else None


def _scale_of(row: FieldRow) -> Scale | None:
    if row.micrometres_per_pixel is None or row.scale_source is None:
        return None
    return Scale(row.micrometres_per_pixel, row.scale_source)


def _other_values(cell: Cell) -> list[Any]:
    box = cell.box
    place = list(box.xywh)
    values = [cell.kind, *place, cell.confidence, cell.status, cell.detection_score]
    return [*values, True] if cell.duplicate else values


def _other_of(values: list[Any]) -> Cell:
    kind, x, y, width, height, confidence, status, detection_score, *duplicate = values
    return Cell(
        kind,
        Box(x, y, width, height),
        confidence,
        status,
        detection_score=detection_score,
        duplicate=bool(duplicate),
    )


_STAGE_KEYS = {"refused": "reject_reason", "overruled": "qc_override"}
"""Fields of `StageResult` by the keys of the stored JSON, where they differ."""


def stage_of(values: Mapping[str, Any]) -> StageResult:
    """Rebuild an ALL class from what its column keeps; rows stored before have no warnings."""
    kept = {_STAGE_KEYS.get(key, key): value for key, value in values.items()}
    return StageResult(**{**kept, "warnings": tuple(kept.get("warnings", ()))})


def stage_values(stage: StageResult) -> dict[str, Any]:
    """Give an ALL class as its column keeps it, without the evidence map."""
    return {
        "file": stage.file,
        "stage": stage.stage,
        "probabilities": dict(stage.probabilities),
        "confidence": stage.confidence,
        "status": stage.status,
        "refused": stage.reject_reason,
        "overruled": stage.qc_override,
        "warnings": list(stage.warnings),
        "page": stage.page,
    }
