"""Class activation maps of the cell classifier."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.imaging.crop import crop_square
from core.inference.cell_classifier import CellRegion
from core.inference.field_classifier import activation_map
from core.inference.runtime import LiteRTEngine
from core.model_card import ModelCard, load_card, read_checked


@cache
def _network() -> tuple[LiteRTEngine, ModelCard]:
    """Return a network of its own: the classifier averages over mirrored views."""
    card = load_card("wbc")
    return LiteRTEngine(read_checked(card), interpreters=1), card


def explain_cell(
    pixels: Pixels, region: CellRegion, cell_type: str
) -> tuple[Pixels, NDArray[np.float32]]:
    """Return the crop that the network sees, and the class activation map of a type.

    The crop is side x side x 3; the map (h x w, 0..1) covers it. Raises ModelError, and
    ValueError for a type that the model does not know.
    """
    engine, card = _network()
    crop = crop_square(pixels, region.box, region.crop_side, card.input_width)
    class_maps = engine.run(crop[None])["evidence"][0]
    return crop, activation_map(class_maps, card.labels.index(cell_type))
