"""`python -m core train`: trains a model, exports it and writes its card and history."""

import argparse
import logging
import shutil
import time
from pathlib import Path

from core.inference.card import MODEL_NAMES
from core.settings import get_settings

_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m core train`."""
    parser.add_argument("model", choices=MODEL_NAMES, help="what to train")
    parser.add_argument(
        "--epochs", type=float, default=1.0, help="factor on the planned number of epochs"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the random changes")
    parser.add_argument(
        "--run", type=Path, help="folder of checkpoints; a run found there is resumed"
    )
    parser.add_argument(
        "--publish-version",
        default="0.1.0",
        metavar="VERSION",
        help="version written into the model's card",
    )


def run(args: argparse.Namespace) -> int:
    """Train, export into `models/<name>` and return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = get_settings()
    folder = args.run or settings.runs / args.model
    started = time.monotonic()
    if args.model == "detector":
        from core.learning import train_detector as recipe
    elif args.model == "wbc":
        from core.learning import train_wbc as recipe  # type: ignore[no-redef]
    else:
        from core.learning import train_all_stage as recipe  # type: ignore[no-redef]
    trained = recipe.train(settings, folder, epochs=args.epochs, seed=args.seed)
    recipe.publish(trained, settings, args.publish_version)
    history = folder / ("fold_0" if args.model == "all_stage" else "") / "history.csv"
    shutil.copyfile(history, settings.models / args.model / "history.csv")
    _LOG.info(
        "%s trained and exported in %.0f minutes; measure it with `python -m core evaluate %s`",
        args.model,
        (time.monotonic() - started) / 60,
        args.model,
    )
    return 0
