"""`python -m core train`: trains a model, exports it and writes its card and history.

A model that shipped in 8-bit integers before is shipped so again (`core.training.quantize`).
"""

import argparse
import logging
import shutil
import time
from importlib import import_module
from pathlib import Path

from core.model_card import MODEL_NAMES, load_card, model_path
from core.settings import Settings, get_settings

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


def run(args: argparse.Namespace) -> int:
    """Train, export into `models/<name>` and return the exit status."""
    # The command line has set up logging, for warnings alone.
    logging.getLogger("core.training").setLevel(logging.INFO)
    settings = get_settings()
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
    return load_card(name, settings).precision
