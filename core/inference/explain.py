"""Shows where the cell type network looked."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.imaging.crop import crop_square
from core.inference.cell_classifier import Subject
from core.inference.field_classifier import evidence_map
from core.inference.runtime import LiteRTEngine
from core.model_card import ModelCard, load_card, read_checked


@cache
def _network() -> tuple[LiteRTEngine, ModelCard]:
    """Return the network apart from the classifier's, which drops what has a position."""
    card = load_card("wbc")
    return LiteRTEngine(read_checked(card), interpreters=1), card


def explain_cell(
    pixels: Pixels, subject: Subject, cell_type: str
) -> tuple[Pixels, NDArray[np.float32]]:
    """Return the square that the network sees and what in it speaks for a type of the model.

    The square is side x side x 3; the evidence (h x w, 0..1) covers it. Raises ModelError, and
    ValueError for a type that the model does not know.
    """
    engine, card = _network()
    crop = crop_square(pixels, subject.box, subject.crop_side, card.input_width)
    evidence = engine.run(crop[None])["evidence"][0]
    return crop, evidence_map(evidence, card.labels.index(cell_type))
