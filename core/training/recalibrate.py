"""`python -m core train wbc --calibrate`: chooses temperatures and thresholds of the shipped file.

The network stays as it is. The OOD temperature takes networks that are trained without a source.
"""

import logging
from pathlib import Path

from core.model_card import MODEL_FILE, ModelCard, load_card
from core.settings import Settings
from core.training.export import rewrite_card, shipped_network
from core.training.quantize import source_of
from core.training.recipes.wbc import Options, Trained, fit_ood_temperature

_LOG = logging.getLogger(__name__)


def recalibrate(settings: Settings, run: Path, options: Options, version: str) -> ModelCard:
    """Write the card of the shipped cell classifier with temperatures and thresholds chosen again.

    `options` are those that it was trained with; `run` keeps the networks without a source.
    """
    card = load_card("wbc", settings)
    trained = Trained(shipped_network("wbc", settings), run, options)
    card = card.changed(ood_temperature=fit_ood_temperature(trained, settings))
    folder = settings.models / "wbc"
    source = source_of(card, settings, options.cells_folder(settings))
    changes = source.calibration((folder / MODEL_FILE).read_bytes(), card)
    _LOG.info("wbc: %s", changes)
    return rewrite_card(folder, card, version=version, **changes)
