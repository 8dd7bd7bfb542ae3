"""Writes the rows of `models/<name>/comparisons.json`; a training replaces its own row."""

import json
from pathlib import Path

from core.evaluation.comparisons import COMPARISONS_FILE, Comparisons, PrecisionRow, Row
from core.training.export import git_revision


def write_row(
    folder: Path, section: str, key: str, row: Row | PrecisionRow, revision: str = ""
) -> None:
    """Write one row of a section, a field of `Comparisons`, into a model's folder.

    It names the present revision unless another one is given.
    """
    path = folder / COMPARISONS_FILE
    known = Comparisons.model_validate_json(path.read_text()) if path.exists() else Comparisons()
    rows = getattr(known, section) | {
        key: row.model_copy(update={"git_revision": revision or git_revision()})
    }
    written = known.model_copy(update={section: rows})
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(written.json_object(), indent=1, allow_nan=False) + "\n")
