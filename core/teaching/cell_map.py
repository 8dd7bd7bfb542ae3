"""The map of cells: labelled PBC cells, laid out by what the cell classifier sees in them.

Cells with similar features of the network lie close together. `assets/atlas/cell_map.npz` holds
places, names and numbers, no images and no labels of attributes: the attributes are the model's.
`python -m core.teaching.cell_map assets/atlas/cell_map.npz` computes it again (`make atlas`).

t-SNE: van der Maaten and Hinton, J Mach Learn Res 2008;9:2579.
"""

import argparse
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.datasets.readers import Example, open_set
from core.domain.taxonomy import ATTRIBUTES, MATURE_FIVE
from core.errors import AtlasError
from core.imaging.illumination import set_white_point
from core.inference.cell_classifier import CellPrediction
from core.inference.pipeline import get_analyzer
from core.model_card import load_card
from core.settings import Settings
from core.teaching.atlas import FOLDER
from core.teaching.reference_cells import shuffled

MAP = FOLDER / "cell_map.npz"
CELLS_A_TYPE = 200
_COMPONENTS = 16
"""Of the principal components that distances are measured in: 95 % of the variance."""
_NO_VALUE = 255


@dataclass(frozen=True, slots=True)
class MapCell:
    """One cell of the map."""

    member: str
    """Name of its image in PBC."""
    type: str
    """Label of PBC's authors."""
    subtype: str | None
    attributes: Mapping[str, str]
    """As the model reads them; empty for types that WBCAtt does not describe."""
    x: float
    y: float
    """In 0..1, y down."""

    @property
    def name(self) -> str:
        """Its name for readers, such as `BA_100102`."""
        return Path(self.member).stem

    @property
    def entry(self) -> str:
        """Key of its entry in the atlas."""
        return self.subtype or self.type


@dataclass(frozen=True, slots=True, eq=False)
class CellMap:
    """All cells of the map, and what finds the nearest ones of a new cell."""

    cells: tuple[MapCell, ...]
    model_sha256: str
    """Of the classifier whose features these are; those of another one cannot be compared."""
    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    """Components x features."""
    reduced: NDArray[np.float32]
    """Cells x components."""

    def nearest(
        self, features: NDArray[np.float32], count: int, *, apart_from: str | None = None
    ) -> list[int]:
        """Return the indices of the cells with the most similar features, nearest first.

        `features` are those of a `CellPrediction`; the cell named `apart_from` is left out.
        """
        place = self.components @ (features - self.mean)
        order = np.argsort(np.linalg.norm(self.reduced - place, axis=1))
        return [int(i) for i in order if self.cells[i].member != apart_from][:count]


def matching(
    cell_map: CellMap, wanted: Mapping[str, tuple[str, ...]], types: tuple[str, ...] = ()
) -> list[int]:
    """Return the indices of cells that have one of the wanted values of every attribute.

    `types` limits them to some types; all when empty.
    """
    return [
        index
        for index, cell in enumerate(cell_map.cells)
        if (not types or cell.type in types)
        and all(cell.attributes.get(name) in values for name, values in wanted.items() if values)
    ]


def read_map(path: Path = MAP) -> CellMap:
    """Read a map. Raises AtlasError for a missing or damaged one."""
    try:
        with np.load(path, allow_pickle=False) as data:
            rows = bytes(data["names"]).decode().splitlines()
            places, values = data["places"] / np.float32(65535), data["attributes"]
            cells = tuple(
                _cell(row, place, codes)
                for row, place, codes in zip(rows, places, values, strict=True)
            )
            found = CellMap(
                cells,
                bytes(data["model"]).decode(),
                *(data[key].astype(np.float32) for key in ("mean", "components", "reduced")),
            )
    except (OSError, EOFError, KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise AtlasError(
            "The map of cells is missing or damaged. Restore assets/atlas/cell_map.npz, or compute "
            "it again with `make atlas`."
        ) from error
    if found.reduced.shape != (len(cells), len(found.components)):
        raise AtlasError("The map of cells is damaged. Compute it again with `make atlas`.")
    return found


def _cell(row: str, place: NDArray[np.float32], codes: NDArray[np.uint8]) -> MapCell:
    member, cell_type, subtype = row.split(",")
    attributes = {
        name: values[code]
        for (name, values), code in zip(ATTRIBUTES.items(), codes, strict=True)
        if code != _NO_VALUE
    }
    return MapCell(member, cell_type, subtype or None, attributes, float(place[0]), float(place[1]))


@cache
def get_map() -> CellMap:
    """Return the shipped map, read once. Raises AtlasError."""
    return read_map()


def write_map(path: Path, settings: Settings | None = None) -> None:
    """Compute the map from training cells of PBC and write it. Raises DataError, ModelError."""
    # Only here: importing them takes seconds.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    cells = open_set("pbc", settings)
    chosen = _chosen(cells.of_split("train"))
    analyzer = get_analyzer()
    predictions = [analyzer.predict_cell(set_white_point(cells.read(one))) for one in chosen]
    features = np.stack([prediction.features for prediction in predictions])
    pca = PCA(_COMPONENTS, random_state=0)
    reduced = pca.fit_transform(features)
    places = TSNE(perplexity=30, init="pca", random_state=0).fit_transform(reduced)
    places = (places - places.min(axis=0)) / np.ptp(places, axis=0)
    names = "\n".join(f"{one.member},{one.label},{one.subtype or ''}" for one in chosen)
    np.savez_compressed(
        path,
        names=np.frombuffer(names.encode(), np.uint8),
        places=np.rint(65535 * places).astype(np.uint16),
        attributes=np.array(
            [_codes(one, said) for one, said in zip(chosen, predictions, strict=True)], np.uint8
        ),
        model=np.frombuffer(load_card("wbc", settings).sha256.encode(), np.uint8),
        mean=pca.mean_.astype(np.float16),
        components=pca.components_.astype(np.float16),
        reduced=reduced.astype(np.float16),
    )


def _chosen(examples: tuple[Example, ...]) -> list[Example]:
    """Return as many cells of each type, in a fixed random order."""
    by_type: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        if example.label:
            by_type[example.label].append(example)
    return [
        example
        for _, group in sorted(by_type.items())
        for example in sorted(group, key=shuffled)[:CELLS_A_TYPE]
    ]


def _codes(example: Example, prediction: CellPrediction) -> list[int]:
    """Return the value of each attribute by its place in `ATTRIBUTES`."""
    if example.label not in MATURE_FIVE:
        return [_NO_VALUE] * len(ATTRIBUTES)
    return [values.index(prediction.attributes[name]) for name, values in ATTRIBUTES.items()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compute the map of PBC cells.")
    parser.add_argument("map", type=Path)
    write_map(parser.parse_args().map)
