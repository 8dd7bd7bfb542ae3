"""The formats of a batch: JSON or Parquet, written one image at a time.

JSON is the answer of `analyze`, an image a line. Parquet has a row a cell with the columns of its
image repeated. An image without cells has one row whose cell columns are null, and so has a file
that could not be analysed; its sentence is in `error`. The models are in the file's metadata under
`models`, as JSON.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from core.domain.results import CellCounts
from core.domain.taxonomy import CELL_KINDS, CELL_TYPES
from core.exports.schema import Answer, PooledFields

_ROWS_PER_GROUP = 50_000
_SIDES = ("x", "y", "width", "height")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BatchExport:
    """The answers of a batch, read once and in order: first the images, then the errors."""

    models: Mapping[str, str]
    images: Iterable[Answer]
    counts: CellCounts
    """Holds the cells of all images once these are read."""
    errors: Iterable[Answer]


def write_json(batch: BatchExport, stream: BinaryIO) -> None:
    """Write the answer of `analyze`."""
    stream.write(b'{\n"models": ' + _json(dict(batch.models)))
    _write_list(stream, "images", batch.images)
    if pooled := PooledFields.of(batch.counts):
        stream.write(b',\n"pooled": ' + _json(pooled.dump()))
    _write_list(stream, "errors", batch.errors)
    stream.write(b"\n}\n")
    stream.flush()


def _write_list(stream: BinaryIO, key: str, entries: Iterable[Answer]) -> None:
    stream.write(f',\n"{key}": ['.encode())
    separator = b"\n"
    for entry in entries:
        stream.write(separator + _json(entry))
        separator = b",\n"
    stream.write(b"\n]")


def _json(value: Answer) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def write_parquet(batch: BatchExport, stream: BinaryIO) -> None:
    """Write a row for each cell."""
    import pyarrow as pa
    from pyarrow import parquet

    text, real, whole = pa.string(), pa.float64(), pa.int32()
    schema = pa.schema(
        {
            "file": text,
            "page": whole,
            "image_width": whole,
            "image_height": whole,
            "um_per_px": real,
            **dict.fromkeys(CELL_KINDS, whole),
            "refused": text,
            "warnings": text,
            "error": text,
            "number": whole,
            "kind": text,
            "type": text,
            "subtype": text,
            "status": text,
            "duplicate": pa.bool_(),
            "poor_area": text,
            "confidence": real,
            **dict.fromkeys(_SIDES, real),
            **{f"p_{key}": real for key in CELL_TYPES},
        },
        metadata={"models": json.dumps(dict(batch.models))},
    )
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        rows = _rows(batch)
        while group := list(islice(rows, _ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _rows(batch: BatchExport) -> Iterator[Row]:
    for image in batch.images:
        # What has no column of its name is left out.
        columns = {
            **image,
            **image["counts"],
            "image_width": image["width"],
            "image_height": image["height"],
            "um_per_px": image["micrometres_per_pixel"],
            "warnings": " ".join(image.get("warnings", ())) or None,
        }
        if not image["cells"]:
            yield columns | {"width": None, "height": None}
        duplicates = frozenset(image.get("duplicates", ()))
        for number, cell in enumerate(image["cells"], 1):
            probabilities = cell.get("probabilities", {})
            yield {
                **columns,
                **cell,
                **dict(zip(_SIDES, cell["box"], strict=True)),
                **{f"p_{key}": probability for key, probability in probabilities.items()},
                "number": number,
                "duplicate": number in duplicates,
            }
    yield from batch.errors  # their keys are columns


BATCH_FORMATS: dict[str, Callable[[BatchExport, BinaryIO], None]] = {
    ".json": write_json,
    ".parquet": write_parquet,
}
"""By suffix of the file; any other suffix gets JSON."""
