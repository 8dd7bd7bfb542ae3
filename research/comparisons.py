"""What small trainings on one protocol measured, in `models/<name>/comparisons.json`.

The file holds sections (`architectures`, `domains`, `parts`), each with a row a training. A
training that is run again replaces its own row.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.training.export import git_revision

COMPARISONS_FILE = "comparisons.json"


def write_row(folder: Path, section: str, key: str, row: Mapping[str, Any]) -> None:
    """Write the row of one training beside a model; other rows stay as they are."""
    path = folder / COMPARISONS_FILE
    sections = json.loads(path.read_text()) if path.exists() else {}
    rows = sections.setdefault(section, {})
    rows[key] = {**row, "git_revision": git_revision()}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(sections, indent=1, allow_nan=False) + "\n")
