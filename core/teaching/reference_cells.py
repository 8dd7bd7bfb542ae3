"""Real cells for the attributes and the quiz: PBC, when the set is on this machine.

Acevedo et al. 2020, Data in Brief 30:105474, CC BY 4.0.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

import cv2
import numpy as np

from core.datasets.readers import DataSet, Example
from core.datasets.reference_cells import MICROMETRES_PER_PIXEL
from core.domain.results import Pixels
from core.synthetic.portraits import SIDE_MICROMETRES

_USUAL = 0.2
"""Least share of the cells of a type with a value from which on the type is shown for it."""
CREDIT = (
    "Real cells: PBC, Acevedo et al. 2020 (Data in Brief 30:105474), CC BY 4.0, cropped. Labels of "
    "its authors; some are disputed."
)


def read_cell(cells: DataSet, example: Example, size: int) -> Pixels:
    """Return a PBC cell at the scale of the portraits, size x size x 3 RGB."""
    return at_scale(cells.read(example), size)


def at_scale(image: Pixels, size: int) -> Pixels:
    """Return the middle of a packed cell of PBC or DeepAPL as `read_cell`."""
    side = min(round(SIDE_MICROMETRES / MICROMETRES_PER_PIXEL), *image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    crop = image[top : top + side, left : left + side]
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


def examples_with(cells: DataSet, attribute: str, value: str, count: int) -> list[Example]:
    """Return cells whose labelled attribute has a value, of the types in which it is usual.

    Types in which the value is most frequent come first, by turns; those where less than a fifth
    have it are left out. Cells of a type come in a fixed random order.
    """
    totals: Counter[str] = Counter()
    having: dict[str, list[Example]] = {}
    for example in sorted(cells.examples, key=shuffled):
        if example.label and example.attributes:
            totals[example.label] += 1
            if example.attributes[attribute] == value:
                having.setdefault(example.label, []).append(example)
    shares = {label: len(found) / totals[label] for label, found in having.items()}
    usual = sorted((k for k, s in shares.items() if s >= _USUAL), key=shares.__getitem__)[::-1]
    turns = zip_longest(*(having[label] for label in usual))
    return [example for turn in turns for example in turn if example][:count]


def examples_by_member(cells: DataSet) -> dict[str, Example]:
    """Return the cells of a set by the name of their image."""
    return {example.member: example for example in cells.examples}


def contact_sheet(cells: DataSet, members: Sequence[str], columns: int, tile: int) -> Pixels:
    """Return cells row by row on one sheet, `tile` pixels a side each; missing ones are white."""
    named = examples_by_member(cells)
    rows = -(-len(members) // columns)
    sheet = np.full((rows * tile, columns * tile, 3), 255, np.uint8)
    for number, member in enumerate(members):
        if member in named:
            row, column = divmod(number, columns)
            place = slice(row * tile, (row + 1) * tile), slice(column * tile, (column + 1) * tile)
            sheet[place] = read_cell(cells, named[member], tile)
    return sheet


def shuffled(example: Example) -> str:
    """Return a key that sorts cells in a fixed random order."""
    return hashlib.sha256(example.member.encode()).hexdigest()
