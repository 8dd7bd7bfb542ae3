"""`python -m core train`: trains a model, exports it and writes its card and history.

A model that shipped with 8-bit integers before is shipped so again (`core.training.quantize`).
"""

import argparse
import logging
import shutil
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from core.errors import DataError
from core.model_card import MODEL_NAMES, ModelCard, load_card, model_path
from core.settings import Settings, get_settings

_LOG = logging.getLogger(__name__)
_WBC_ONLY = ("minutes", "folds", "without", "start", "cells", "size", "steps", "checkpoint")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m core train`."""
    parser.add_argument("model", choices=MODEL_NAMES, help="what to train")
    parser.add_argument(
        "--epochs",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="factor on the planned number of epochs (%(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="seed of the augmentations (%(default)s); nothing is random in all_stage",
    )
    parser.add_argument(
        "--run",
        # The command line keeps the command itself under `run`.
        dest="folder",
        type=Path,
        metavar="DIR",
        help="folder of checkpoints (runs/MODEL); a run found there is resumed",
    )
    parser.add_argument(
        "--publish-version",
        metavar="VERSION",
        help="version written into the model's card (the patch number after the shipped one)",
    )
    parser.add_argument(
        "--no-publish", action="store_true", help="only train: the shipped model stays"
    )
    wbc = parser.add_argument_group("wbc only")
    wbc.add_argument("--minutes", type=float, help="length by the clock instead of epochs")
    wbc.add_argument("--folds", nargs="*", metavar="FOLD", help="folds of DeepAPL to train on")
    wbc.add_argument("--without", nargs="*", metavar="SOURCE", help="sources to leave out")
    wbc.add_argument("--start", help="imagenet, shipped, or a folder with weights.npz")
    wbc.add_argument("--cells", type=Path, metavar="DIR", help="cut-out cells (runs/wbc_cells)")
    wbc.add_argument("--size", type=int, metavar="PX", help="side of the input")
    wbc.add_argument("--steps", type=int, metavar="N", help="batches an epoch")
    wbc.add_argument(
        "--checkpoint", type=Path, metavar="DIR", help="publish these weights, train nothing"
    )
    wbc.add_argument(
        "--calibrate",
        action="store_true",
        help="choose temperatures and thresholds of the shipped file again, with the folds and "
        "sources that it was trained on",
    )


def run(args: argparse.Namespace) -> int:
    """Train, export into `models/<name>` and return the exit status."""
    # The command line has set up logging, for warnings alone.
    logging.getLogger("core.training").setLevel(logging.INFO)
    settings = get_settings()
    folder = args.folder or settings.runs / args.model
    started = time.monotonic()
    shipped = _shipped_card(args.model, settings)
    version = args.publish_version or (_next_patch(shipped.version) if shipped else "0.1.0")
    recipe: Any = import_module(f"core.training.recipes.{args.model}")
    chosen = {name: value for name in _WBC_ONLY if (value := getattr(args, name)) is not None}
    if args.calibrate and args.model == "wbc":
        from core.training.recalibrate import recalibrate

        options = _options(recipe, args, chosen)
        recalibrate(settings, folder, options, version)
        return 0
    if args.model == "wbc":
        trained = _wbc(recipe, settings, folder, args, chosen)
    elif chosen or args.calibrate:
        raise DataError(f"Only wbc can be trained with --{next(iter(chosen), 'calibrate')}.")
    else:
        trained = recipe.train(settings, folder, epochs=args.epochs, seed=args.seed)
    if args.no_publish:
        _LOG.info("%s trained; its weights are in %s", args.model, folder)
        return 0
    recipe.publish(trained, settings, version)
    if shipped and shipped.precision != "float32":
        from core.training.quantize import ship

        ship(args.model, shipped.precision, settings, chosen.get("cells"))
    _publish_history(args.model, args.checkpoint or folder, settings)
    _LOG.info(
        "%s trained and exported in %.0f minutes; measure it with `python -m core evaluate %s`",
        args.model,
        (time.monotonic() - started) / 60,
        args.model,
    )
    return 0


def _wbc(
    recipe: Any, settings: Settings, folder: Path, args: argparse.Namespace, chosen: dict[str, Any]
) -> Any:
    """Train the cell classifier, or load the checkpoint to publish."""
    checkpoint = chosen.pop("checkpoint", None)
    options = _options(recipe, args, chosen)
    if checkpoint is not None:
        return recipe.load_checkpoint(checkpoint, options)
    return recipe.train(settings, folder, options)


def _options(recipe: Any, args: argparse.Namespace, chosen: dict[str, Any]) -> Any:
    """Return how the cell classifier is trained. Raises DataError for unknown folds or sources."""
    _known(chosen.get("folds", ()), recipe.FOLDS, "fold")
    _known(chosen.get("without", ()), tuple(recipe.SHARES), "source")
    lists = {name: tuple(chosen[name]) for name in ("folds", "without") if name in chosen}
    return recipe.Options(epochs=args.epochs, seed=args.seed, **chosen | lists)


def _known(names: list[str] | tuple[str, ...], known: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in known:
            raise DataError(f"There is no {what} {name}. Known: {', '.join(known)}.")


def _publish_history(model: str, folder: Path, settings: Settings) -> None:
    """Copy the history of a run, or of the run that a checkpoint belongs to."""
    places = [folder / "fold_0", folder, folder.parent]
    for place in places if model == "all_stage" else places[1:]:
        if (place / "history.csv").exists():
            shutil.copyfile(place / "history.csv", settings.models / model / "history.csv")
            return


def _shipped_card(name: str, settings: Settings) -> ModelCard | None:
    """Return the card of the model that was shipped before, None where there is none."""
    if not model_path(name, settings).with_name("card.json").exists():
        return None
    return load_card(name, settings)


def _next_patch(version: str) -> str:
    major, minor, patch = version.split(".")
    return f"{major}.{minor}.{int(patch) + 1}"
