"""`python -m research`: compares networks, sources, fields and precisions on small protocols.

Each run measures at once and writes its row to `models/<name>/comparisons.json`; nothing is
shipped.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import LeukoscopeError
from core.evaluation.comparisons import ARCHITECTURES, Row
from core.evaluation.tables import FIELDS, NOTHING, RECIPES
from core.model_card import MODEL_NAMES
from core.settings import Settings, get_settings
from core.training.data.all_fields import FOLDS

_KNOWN = {
    "network": ARCHITECTURES,
    "stages": ARCHITECTURES[:-1],
    "source": ("pbc", "kaggle", "lisc", "deepapl"),
    "patients": ("deepapl",),
    "labels": ("deepapl",),
    "recipe": tuple(RECIPES),
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
        help="a network for cells (network) or for ALL fields (stages); a source or a component of "
        "the recipe to leave out; a set whose patients are left out fold by fold, or whose doubted "
        "labels are corrected; fields that the detector is trained without; a model in floats and "
        "in 8 bits",
    )
    parser.add_argument("name", help="; ".join(f"{k}: {', '.join(v)}" for k, v in _KNOWN.items()))
    parser.add_argument(
        "--epochs",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="factor on the protocol's length",
    )
    parser.add_argument(
        "--folds", nargs="+", choices=FOLDS, default=FOLDS, help="of `stages`: folds to leave out"
    )
    parser.add_argument(
        "--kept",
        action="store_true",
        help="of `patients`: score what was kept, train nothing",
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="folder of cells and checkpoints")
    chosen = parser.parse_args(arguments)
    if chosen.name not in _KNOWN[chosen.what]:
        parser.error(f"{chosen.what} must be one of {', '.join(_KNOWN[chosen.what])}")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    settings = get_settings()
    try:
        row = compare(chosen, settings)
    except LeukoscopeError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    sys.stdout.write(json.dumps(row, indent=1) + "\n")
    return 0


def compare(chosen: argparse.Namespace, settings: Settings) -> dict[str, object]:
    """Train, measure and keep the row of one comparison; returns what was written."""
    name: Any = chosen.name
    row: Row
    if chosen.what == "precision":
        from research.compare_precision import compare_precisions

        rows = compare_precisions(name, settings, chosen.run)
        return {key: own.json_object() for key, own in rows.items()}

    def run(*parts: str) -> Path:
        return chosen.run or settings.runs.joinpath("compared", *parts)

    if chosen.what == "fields":
        from research import compare_fields as fields

        length = max(round(fields.EPOCHS * chosen.epochs), 1)
        row = fields.compare_parts(name, settings, run("detector"), epochs=length)
    elif chosen.what == "stages":
        from research import compare_stages as stages

        usual = stages.Protocol(folds=tuple(chosen.folds))
        stage_protocol = replace(usual, epochs=max(round(usual.epochs * chosen.epochs), 1))
        row = stages.compare_stages(name, settings, run("all_stage"), stage_protocol)
    elif chosen.what in {"source", "patients", "labels"}:
        from research import left_out

        lengths = left_out.Length().scaled(chosen.epochs)
        if chosen.what == "labels":
            from research.label_agreement import correct_labels

            corrections = correct_labels(settings, run("left_out"), lengths)
            return {"corrections": corrections["type"].value_counts().to_dict()}
        if chosen.what == "source":
            row = left_out.compare_source(name, settings, run("left_out"), lengths)
        elif chosen.kept:
            row = left_out.score_kept_patients(settings)
        else:
            row = left_out.compare_patients(settings, run("left_out"), lengths)
    else:
        from research import compare_cells as cells

        if chosen.what == "network":
            protocol = cells.ARCHITECTURE_PROTOCOL.scaled(chosen.epochs)
            row = cells.compare_architecture(name, settings, run("wbc"), protocol)
        else:
            protocol = cells.RECIPE_PROTOCOL.scaled(chosen.epochs)
            row = cells.compare_recipe(name, settings, run("wbc"), protocol)
    return row.json_object()


if __name__ == "__main__":
    sys.exit(main())
