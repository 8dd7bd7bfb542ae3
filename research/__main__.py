"""`python -m research`: compares networks, sources, fields and precisions on small protocols.

Each run measures at once and writes its row to `models/<name>/comparisons.json`; nothing is
shipped.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from core.errors import LeukoscopeError
from core.evaluation.comparisons import ARCHITECTURES
from core.evaluation.tables import FIELDS, NOTHING
from core.model_card import MODEL_NAMES
from core.settings import Settings, get_settings

_KNOWN = {
    "network": ARCHITECTURES,
    "source": ("pbc", "kaggle", "cellavision"),
    "recipe": ("appearance", "stain_transfer", "edge_truncation", "imagenet", NOTHING),
    "fields": (*FIELDS, NOTHING),
    "precision": MODEL_NAMES,
}
"""What is compared, and the names that it takes: networks, or what a training leaves out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one comparison and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m research", description=__doc__)
    parser.add_argument(
        "what",
        choices=_KNOWN,
        help="a network for the cell classifier; a source or a component of its recipe to leave "
        "out; fields that the detector is trained without; a model in floats and 8 bits",
    )
    parser.add_argument("name", help="; ".join(f"{k}: {', '.join(v)}" for k, v in _KNOWN.items()))
    parser.add_argument(
        "--epochs",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="factor on the protocol's length",
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="folder of cells and checkpoints")
    chosen = parser.parse_args(arguments)
    if chosen.name not in _KNOWN[chosen.what]:
        parser.error(f"{chosen.what} must be one of {', '.join(_KNOWN[chosen.what])}")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    settings = get_settings()
    try:
        row = compare(chosen.what, chosen.name, settings, chosen.run, chosen.epochs)
    except LeukoscopeError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    sys.stdout.write(json.dumps(row, indent=1) + "\n")
    return 0


def compare(
    what: str, name: Any, settings: Settings, run: Path | None, epochs: float
) -> dict[str, object]:
    """Train, measure and keep the row of one comparison; returns what was written."""
    if what == "precision":
        from research.compare_precision import compare_precisions

        rows = compare_precisions(name, settings, run)
        return {key: row.json_object() for key, row in rows.items()}
    if what == "fields":
        from research import compare_fields as fields

        length = max(round(fields.EPOCHS * epochs), 1)
        folder = run or settings.runs / "compared" / "detector"
        return fields.compare_parts(name, settings, folder, epochs=length).json_object()
    from research import compare_cells as cells

    folder = run or settings.runs / "compared" / "wbc"
    if what == "network":
        protocol = cells.ARCHITECTURE_PROTOCOL.scaled(epochs)
        return cells.compare_architecture(name, settings, folder, protocol).json_object()
    protocol = cells.SOURCE_PROTOCOL.scaled(epochs)
    section: Literal["sources", "recipe"] = "sources" if what == "source" else "recipe"
    return cells.compare_ablation(section, name, settings, folder, protocol).json_object()


if __name__ == "__main__":
    sys.exit(main())
