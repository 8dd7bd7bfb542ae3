"""From results to rows and back: what is loaded equals what was saved."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from core.cases.orm import Base, CellRow, FieldRow
from core.cases.records import NewField, Patient, Sample, SampleField
from core.domain.boxes import Box
from core.domain.results import (
    Cell,
    FieldAnalysis,
    ImageProperties,
    Scale,
    StageResult,
    image_title,
)
from core.imaging.duplicates import stored_form

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")


def record_of(record: type[R], row: Base) -> R:
    """Detach a row: return a record of the columns that are named as its fields."""
    return record(**{field.name: getattr(row, field.name) for field in fields(record)})


patient_of = partial(record_of, Patient)
sample_of = partial(record_of, Sample)


def set_values(row: Base, values: Mapping[str, Any]) -> list[str]:
    """Set columns of a row and return the names of those that changed."""
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    return changed


def _values(found: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(found, name) for name in names}


_OF_FIELD = ("file", "sha256", "width", "height", "reject_reason", "qc_override", "seconds", "page")
"""Columns of a field, and of a white cell, that are named as in its result."""
_PREDICTED = (
    "type",
    "subtype",
    "probabilities",
    "status",
    "confidence",
    "attributes",
    "in_distribution",
    "typed_by",
)
"""Those of them that follow from the crop of the cell."""
_OF_CELL = (*_PREDICTED, "detection_score", "duplicate", "poor_area")


def field_row(sample_id: int, new: NewField, image: str) -> FieldRow:
    """Make the row of a field; its white cells go to `cell_rows`."""
    found = new.analysis
    return FieldRow(
        **_values(found, _OF_FIELD),
        sample_id=sample_id,
        image=image,
        properties=asdict(found.properties),
        micrometres_per_pixel=found.scale.micrometres_per_pixel if found.scale else None,
        scale_source=found.scale.source if found.scale else None,
        warnings=list(found.warnings),
        pixels=found.fingerprint.pixels_sha256 if found.fingerprint else None,
        fingerprint=stored_form(found.fingerprint) if found.fingerprint else None,
        header_scale=new.image.micrometres_per_pixel,
        models=dict(new.models),
        stage=stage_values(new.stage) if new.stage else None,
        other_cells=other_cells(found),
    )


def field_values(row: FieldRow) -> dict[str, Any]:
    """Return the columns of a field that came from its analysis, by their attributes."""
    names = FieldRow.__mapper__.column_attrs.keys()
    return {name: getattr(row, name) for name in names if name not in ("id", "sample_id")}


def other_cells(found: FieldAnalysis) -> list[Any]:
    """Return red cells and platelets as their column keeps them."""
    return [_other_values(cell) for cell in found.cells if cell.kind != "wbc"]


def cell_rows(field_id: int, new: NewField) -> list[dict[str, Any]]:
    """Make the rows of a field's white cells, for one bulk insert."""
    same = {"field_id": field_id, "origin": "model"}
    return [
        {"number": number, **same, **asdict(cell.box), **_values(cell, _OF_CELL)}
        for number, cell in new.analysis.white_cells()
    ]


def prediction_values(cell: Cell) -> dict[str, Any]:
    """Return the columns of a white cell that follow from its crop."""
    return _values(cell, _PREDICTED)


def cell_of(row: CellRow) -> Cell:
    """Rebuild a white cell as it counts now."""
    cell = Cell(kind="wbc", box=row.box, **_values(row, _OF_CELL))
    if row.label is None or row.reviewer is None:
        return cell
    return cell.reviewed(row.label, row.reviewer)


LABELLED = (CellRow, FieldRow.file, FieldRow.page, FieldRow.micrometres_per_pixel)
"""What `labelled_values` needs of a query."""


def labelled_values(row: CellRow, file: str, page: int, scale: float | None) -> dict[str, Any]:
    """Return the fields of a `LabelledCell`, named by its number and file."""
    name = f"{row.number} of {image_title(file, page)}"
    return {
        "id": row.id,
        "field_id": row.field_id,
        "name": name,
        "cell": cell_of(row),
        "micrometres_per_pixel": scale,
    }


def sample_field_of(row: FieldRow, white: Iterable[CellRow]) -> SampleField:
    """Rebuild a field from its row and those of its white cells, in the order of their numbers."""
    by_number = {cell.number: cell for cell in white}
    others = map(_other_of, row.other_cells)
    places = range(1, len(by_number) + len(row.other_cells) + 1)
    white_or_none = [by_number.get(number) for number in places]
    return SampleField(
        id=row.id,
        analysis=FieldAnalysis(
            **_values(row, _OF_FIELD),
            properties=ImageProperties(**row.properties),
            cells=tuple(cell_of(cell) if cell else next(others) for cell in white_or_none),
            scale=_scale_of(row),
            warnings=tuple(row.warnings),
            profile=row.models.get("profile"),
        ),
        cell_ids=tuple(cell.id if cell else None for cell in white_or_none),
        models=row.models,
        stage=stage_of(row.stage) if row.stage else None,
    )


def header_scale(row: FieldRow) -> float | None:
    """Return micrometres per pixel when the file's header gave them."""
    if row.header_scale is not None:
        return row.header_scale
    return row.micrometres_per_pixel if row.scale_source == "file" else None


def _scale_of(row: FieldRow) -> Scale | None:
    if row.micrometres_per_pixel is None or row.scale_source is None:
        return None
    return Scale(row.micrometres_per_pixel, row.scale_source)


def _other_values(cell: Cell) -> list[Any]:
    values = [cell.kind, *cell.box.xywh, cell.confidence, cell.status, cell.detection_score]
    return [*values, True] if cell.duplicate else values


def _other_of(values: list[Any]) -> Cell:
    kind, x, y, width, height, confidence, status, score, *duplicate = values
    box = Box(x, y, width, height)
    return Cell(kind, box, confidence, status, detection_score=score, duplicate=bool(duplicate))


_OF_STAGE = {
    **{key: key for key in ("file", "stage", "probabilities", "confidence", "status")},
    **{key: key for key in ("warnings", "page")},
    "refused": "reject_reason",
    "overruled": "qc_override",
}
"""Fields of `StageResult` by their keys in the stored JSON."""


def stage_of(values: Mapping[str, Any]) -> StageResult:
    """Rebuild an ALL class from what its column keeps; rows stored before have no warnings."""
    kept = {_OF_STAGE[key]: value for key, value in values.items()}
    return StageResult(**{**kept, "warnings": tuple(kept.get("warnings", ()))})


def stage_values(stage: StageResult) -> dict[str, Any]:
    """Give an ALL class as its column keeps it, without the class activation map."""
    return {key: getattr(stage, name) for key, name in _OF_STAGE.items()}
