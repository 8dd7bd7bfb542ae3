"""`python -m core train`: trains a model, exports it and writes its card and history.

A model that shipped in 8-bit integers before is shipped so again (`core.training.quantize`).

With `--architecture` or `--without` a small network is trained for comparison instead: it is
measured at once, its figures go to `models/<name>/comparisons.json`, and nothing is shipped.
"""

import argparse
import json
import logging
import shutil
import sys
import time
from importlib import import_module
from pathlib import Path

from core.errors import DataError
from core.model_card import MODEL_NAMES, load_card, model_path
from core.settings import Settings, get_settings
from research.architectures import ARCHITECTURES

_LOG = logging.getLogger(__name__)


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
        help="seed of the random changes (%(default)s); nothing is random in all_stage",
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
        default="0.1.0",
        metavar="VERSION",
        help="version written into the model's card (%(default)s)",
    )
    parser.add_argument(
        "--architecture",
        choices=ARCHITECTURES,
        help="wbc: train this network on a small protocol, to compare",
    )
    parser.add_argument(
        "--without",
        metavar="PART",
        help="leave a laboratory or a part of the recipe out on a small protocol, to compare: pbc, "
        "kaggle, cellavision, looks, tones, cuts, cytoplasm, imagenet, nothing for wbc; bccd, "
        "txl_575, txl_360, nothing for detector",
    )


def run(args: argparse.Namespace) -> int:
    """Train, export into `models/<name>` and return the exit status."""
    # The command line has set up logging, for warnings alone.
    logging.getLogger("core.training").setLevel(logging.INFO)
    settings = get_settings()
    if args.architecture or args.without:
        return _compare(args, settings)
    folder = args.folder or settings.runs / args.model
    numbers = _shipped_numbers(args.model, settings)
    started = time.monotonic()
    recipe = import_module(f"core.training.recipes.{args.model}")
    trained = recipe.train(settings, folder, epochs=args.epochs, seed=args.seed)
    recipe.publish(trained, settings, args.publish_version)
    if numbers == "int8":
        from core.training.quantize import ship

        ship(args.model, "int8", settings, folder)
    history = folder / ("fold_0" if args.model == "all_stage" else "") / "history.csv"
    shutil.copyfile(history, settings.models / args.model / "history.csv")
    _LOG.info(
        "%s trained and exported in %.0f minutes; measure it with `python -m core evaluate %s`",
        args.model,
        (time.monotonic() - started) / 60,
        args.model,
    )
    return 0


def _shipped_numbers(name: str, settings: Settings) -> str:
    """Return what a model that was shipped before computes with: it stays so."""
    if not model_path(name, settings).with_name("card.json").exists():
        return "float32"
    return load_card(name, settings).numbers


def _compare(args: argparse.Namespace, settings: Settings) -> int:
    """Train a small network, write its row and return the exit status."""
    folder = args.folder or settings.runs / "compared" / args.model
    if args.model == "wbc":
        from research import compare_cells as cells

        if args.architecture:
            protocol = cells.ARCHITECTURE_PROTOCOL.scaled(args.epochs)
            row = cells.compare_architecture(args.architecture, settings, folder, protocol)
        else:
            if args.without not in (*cells.LABORATORIES, *cells.RECIPE_PARTS):
                raise _no_part(args, (*cells.LABORATORIES, *cells.RECIPE_PARTS))
            laboratory = args.without in cells.LABORATORIES
            compare = cells.compare_laboratories if laboratory else cells.compare_recipes
            protocol = cells.DOMAIN_PROTOCOL.scaled(args.epochs)
            row = compare(args.without, settings, folder, protocol)
    elif args.model == "detector" and args.without:
        from research import compare_fields as fields

        parts = (*fields.PARTS, fields.NOTHING)
        if args.without not in parts:
            raise _no_part(args, parts)
        epochs = max(round(fields.EPOCHS * args.epochs), 1)
        row = fields.compare_parts(args.without, settings, folder, epochs=epochs)
    else:
        raise DataError(f"There is no small protocol of this kind for the model {args.model}.")
    sys.stdout.write(json.dumps(row, indent=1) + "\n")
    return 0


def _no_part(args: argparse.Namespace, parts: tuple[str, ...]) -> DataError:
    return DataError(
        f"{args.without!r} cannot be left out of {args.model}. Known: {', '.join(parts)}."
    )
