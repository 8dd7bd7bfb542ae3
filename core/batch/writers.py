"""Writes the result of a batch from its journal, one field at a time.

Fields are compared in their order: cells that an earlier one shows too are marked, and counted once
in `pooled`. The formats are those of `core.exports.batch`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from core.batch.jobs import FINGERPRINT
from core.batch.journal import Journal
from core.domain.boxes import Box
from core.domain.results import Cell, CellCounts, image_title
from core.exports.batch import BATCH_FORMATS, BatchExport, write_json
from core.exports.schema import Answer
from core.files import open_atomically
from core.imaging.duplicates import Finder, Repeats, from_stored


def write_result(batch: BatchExport, out: Path) -> None:
    """Write the file whole or not at all, in the format of its suffix. Raises OSError."""
    write = BATCH_FORMATS.get(out.suffix, write_json)
    with open_atomically(out) as stream:
        write(batch, stream)


def batch_export(
    journal: Journal, models: Mapping[str, str], *, keep_duplicates: bool = False
) -> BatchExport:
    """Return the answers of a journal, compared with each other as they are read."""
    counts = CellCounts()
    images = _compared(journal.images(), counts, keep=keep_duplicates)
    return BatchExport(models, images, counts, journal.errors())


def _compared(images: Iterable[Answer], counts: CellCounts, *, keep: bool) -> Iterator[Answer]:
    """Yield answers with the cells marked that an earlier one shows too; count all in `counts`."""
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
        counts.add(cells)
        yield image


def _cell_of(answer: Answer) -> Cell:
    return Cell(
        answer["kind"],
        Box(*answer["box"]),
        answer["confidence"],
        answer["status"],
        answer.get("type"),
    )
