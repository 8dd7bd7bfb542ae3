"""Writes the result of a batch from its journal, one field at a time: JSON or Parquet.

Fields are compared in their order: cells that an earlier one shows too are marked, and counted once
in `pooled`. JSON is the answer of `analyze`, a picture a line. Parquet has a row a cell with the
columns of its field repeated. A field without cells has one row whose cell columns are null, and so
has a file that could not be analysed; its sentence is in `error`. The models are in the file's
metadata under `models`, as JSON.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from core.batch.journal import Journal
from core.batch.work import FINGERPRINT
from core.domain.boxes import Box
from core.domain.results import Cell, image_title
from core.domain.taxonomy import CELL_KINDS, CELL_TYPES
from core.exports.answers import Answer, Pooled
from core.files import open_atomically
from core.imaging.duplicates import Finder, Repeats, from_stored

PARQUET = ".parquet"
_ROWS_A_GROUP = 50_000

Row = dict[str, Any]


def write_result(
    journal: Journal, models: Mapping[str, str], out: Path, *, keep_duplicates: bool = False
) -> None:
    """Write the file whole or not at all, as Parquet when it is named so. Raises OSError."""
    write = _write_parquet if out.suffix == PARQUET else write_json
    with open_atomically(out) as stream:
        write(journal, models, stream, keep_duplicates=keep_duplicates)


def write_json(
    journal: Journal,
    models: Mapping[str, str],
    stream: BinaryIO,
    *,
    keep_duplicates: bool = False,
) -> None:
    """Write the answer of `analyze`."""
    pooled = Pooled()
    stream.write(b'{\n"models": ' + _json(dict(models)))
    _write_list(stream, "images", _compared(journal.images(), pooled, keep=keep_duplicates))
    if together := pooled.answer():
        stream.write(b',\n"pooled": ' + _json(together["pooled"]))
    _write_list(stream, "errors", journal.errors())
    stream.write(b"\n}\n")
    stream.flush()


def _write_list(stream: BinaryIO, key: str, entries: Iterable[Answer]) -> None:
    stream.write(f',\n"{key}": ['.encode())
    separator = b"\n"
    for entry in entries:
        stream.write(separator + _json(entry))
        separator = b",\n"
    stream.write(b"\n]")


def _compared(images: Iterable[Answer], pooled: Pooled, *, keep: bool) -> Iterator[Answer]:
    """Yield answers with the cells marked that an earlier one shows too; count all in `pooled`."""
    finder = Finder(keep=keep)
    for image in images:
        cells = [_cell_of(cell) for cell in image["cells"]]
        found = Repeats()
        if stored := image.pop(FINGERPRINT, None):
            title = image_title(image["file"], image["page"])
            found = finder.add(title, from_stored(stored, cells, image["width"]))
        if found.cells:
            image["duplicates"] = sorted(i + 1 for i in found.cells)
        for i in found.cells:
            cells[i] = replace(cells[i], duplicate=True)
        if found.sentences:
            image["warnings"] += found.sentences
        pooled.add(cells)
        yield image


def _cell_of(answer: Answer) -> Cell:
    return Cell(
        answer["kind"],
        Box(*answer["box"]),
        answer["confidence"],
        answer["status"],
        answer.get("type"),
    )


def _json(value: Answer) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _write_parquet(
    journal: Journal,
    models: Mapping[str, str],
    stream: BinaryIO,
    *,
    keep_duplicates: bool = False,
) -> None:
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
            "status": text,
            "duplicate": pa.bool_(),
            "confidence": real,
            **dict.fromkeys(("x", "y", "width", "height"), real),
            **{f"p_{key}": real for key in CELL_TYPES},
        },
        metadata={"models": json.dumps(dict(models))},
    )
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        images = _compared(journal.images(), Pooled(), keep=keep_duplicates)
        rows = _rows(images, journal.errors())
        while group := list(islice(rows, _ROWS_A_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _rows(images: Iterable[Answer], errors: Iterable[Answer]) -> Iterator[Row]:
    for image in images:
        of_field = {
            "file": image["file"],
            "page": image["page"],
            "image_width": image["width"],
            "image_height": image["height"],
            "um_per_px": image["micrometres_per_pixel"],
            **image["counts"],
            "refused": image["refused"],
            "warnings": " ".join(image.get("warnings", ())) or None,
        }
        if not image["cells"]:
            yield of_field
        again = frozenset(image.get("duplicates", ()))
        for number, cell in enumerate(image["cells"], 1):
            yield {
                **of_field,
                "number": number,
                "duplicate": number in again,
                **_cell_columns(cell),
            }
    yield from errors  # whose keys are columns


def _cell_columns(cell: Answer) -> Row:
    x, y, width, height = cell["box"]
    return {
        "kind": cell["kind"],
        "type": cell.get("type"),
        "status": cell["status"],
        "confidence": cell["confidence"],
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        **{f"p_{key}": p for key, p in cell.get("probabilities", {}).items()},
    }
