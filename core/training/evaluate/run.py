"""`python -m core evaluate`: writes every figure of the metrics page.

Without `--data` the standard sets are measured and `models/<name>/metrics.json` and
`predictions.csv.gz` are written. With `--data DIR` a user's own set is measured and nothing in
`models/` changes (`core.adaptation.own_set` describes the folder; the page Model metrics measures
the same); a folder that holds the data pack's zip files is used in their place.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import DataError
from core.evaluation.report import RUNS
from core.evaluation.schema import ClassifierFigures, DetectorFigures, ModelFigures
from core.model_card import load_card
from core.settings import Settings, get_settings

if TYPE_CHECKING:
    import pandas as pd

_STANDARD = "standard"
_MEASURES = {
    "detector": ("detector", _STANDARD),
    "smear": ("detector", "smear"),
    "wbc": ("wbc", _STANDARD),
    "attributes": ("wbc", "attributes"),
    "blast_flags": ("wbc", "field_flags"),
    "all_stage": ("all_stage", _STANDARD),
    "all_light": ("all_stage", "light"),
}
"""The model, which names the module here too, and the function that measures the standard sets.

Functions but `standard` give the one part of the model's figures that is called as they are.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m core evaluate`."""
    parser.add_argument("what", choices=tuple(_MEASURES), help="what to measure")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a set of your own, or another folder with the standard sets",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures here")
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE.csv.gz",
        help="write the predictions on a set of your own here, to compare two models",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, write and return the exit status."""
    settings = get_settings()
    model, function = _MEASURES[args.what]
    standard = getattr(importlib.import_module(f"core.training.evaluate.{model}"), function)
    if args.data is None:
        measured, predictions = standard(settings)
        metrics = _write(args.what, measured, predictions, settings)
    elif any(args.data.glob("*.zip")):
        metrics = standard(settings.model_copy(update={"data": args.data}))[0]
    elif function != _STANDARD:
        raise DataError(f"{args.what} is measured on its own data set only: leave out --data.")
    else:
        # Imported here: `--help` must not load the models' runtime.
        from core.adaptation.own_set import measure_own_set
        from core.datasets.repack import files_of
        from core.inference.pipeline import get_analyzer

        report = measure_own_set(args.what, args.data.name, files_of(args.data), get_analyzer())
        metrics = report.metrics
        if args.predictions:
            write_predictions(report.predictions, args.predictions)
    text = json.dumps(metrics.json_object(), indent=1, allow_nan=False) + "\n"
    if args.out is None:
        sys.stdout.write(text)
    else:
        args.out.write_text(text)
    return 0


def _write(
    what: str,
    measured: ClassifierFigures | DetectorFigures,
    predictions: "pd.DataFrame | None",
    settings: Settings,
) -> ClassifierFigures | DetectorFigures:
    """Write the metrics and predictions of the standard sets beside the model."""
    name, part = _MEASURES[what]
    folder = settings.models / name
    path = folder / "metrics.json"
    if path.exists():
        known = type(measured).model_validate_json(path.read_text())
        # Several measures share a file: keep what the others wrote.
        if part != _STANDARD:
            measured = known.model_copy(update={part: getattr(measured, part)})
        else:
            parts = {key for model, key in _MEASURES.values() if model == name} - {_STANDARD}
            update = {key: own for key in parts if (own := getattr(known, key))}
            measured = measured.model_copy(update=update)
    version = load_card(name, settings).version
    if isinstance(measured, ClassifierFigures) and predictions is not None and path.exists():
        _keep_earlier(folder, version)
    written = measured.model_copy(
        update={
            "model": name,
            "version": version,
            "generated_by": f"python -m core evaluate {name}",
        }
    )
    text = json.dumps(written.json_object(), indent=1, allow_nan=False)
    path.write_text(text + "\n")
    if predictions is not None:
        write_predictions(predictions, folder / "predictions.csv.gz")
    return written


def _keep_earlier(folder: Path, version: str) -> None:
    """Move the predictions of another version aside, so that pages can compare the two."""
    earlier = ModelFigures.model_validate_json((folder / "metrics.json").read_text()).version
    predictions = folder / "predictions.csv.gz"
    if earlier and earlier != version and predictions.exists():
        (folder / RUNS).mkdir(exist_ok=True)
        predictions.rename(folder / RUNS / f"{earlier}.csv.gz")


def write_predictions(predictions: "pd.DataFrame", path: Path) -> None:
    """Write predictions as compressed CSV, the same bytes for the same predictions."""
    predictions.to_csv(
        path, index=False, float_format="%.7g", compression={"method": "gzip", "mtime": 0}
    )
