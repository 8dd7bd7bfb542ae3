"""Real cells for the atlas: PBC, when the set is on this machine.

Acevedo et al. 2020, Data in Brief 30:105474, CC BY 4.0.
"""

import hashlib

import cv2
import numpy as np

from core.datasets.readers import DataSet, Example
from core.domain.results import Pixels
from core.synthetic.portraits import SIDE_MICROMETRES
from core.teaching.atlas import Entry

PBC_MICROMETRES_PER_PIXEL = 0.17
"""Of the images as they are packed (192 px), by red cells of 7.5 µm."""
CREDIT = (
    "Real cells: PBC, Acevedo et al. 2020 (Data in Brief 30:105474), CC BY 4.0, cropped. Labels of "
    "its authors; some are disputed."
)


def typical_examples(cells: DataSet, entry: Entry, count: int) -> list[Example]:
    """Return cells of an entry's type or subtype, those with the most usual attributes first.

    Cells with equally usual attributes come in a fixed random order. Empty for types that the set
    lacks.
    """

    def rank(example: Example) -> tuple[int, str]:
        unusual = sum(
            entry.attributes[name].index(value) if value in entry.attributes[name] else 3
            for name, value in example.attributes.items()
            if name in entry.attributes
        )
        return unusual, hashlib.sha256(example.member.encode()).hexdigest()

    fitting = (e for e in cells.examples if entry.key in (e.label, e.subtype))
    return sorted(fitting, key=rank)[:count]


def read_cell(cells: DataSet, example: Example, size: int) -> Pixels:
    """Return a PBC cell at the scale of the portraits, size x size x 3 RGB."""
    image = cells.read(example)
    side = min(round(SIDE_MICROMETRES / PBC_MICROMETRES_PER_PIXEL), *image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    crop = image[top : top + side, left : left + side]
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
