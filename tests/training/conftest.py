"""What several tests of training share."""

import shutil

import pytest

from core.datasets.readers import open_set
from core.inference.cell_classifier import CellRegion, central_box
from core.settings import get_settings
from core.training.data.cell_sources import cells_at
from core.training.data.cells import NO_TYPE
from core.training.data.detection_fields import labelled

PARTS = (
    *(f"pbc_{split}" for split in ("train", "val", "test")),
    "kaggle_train",
    "kaggle_val",
    "deepapl_0",
    "deepapl_4",
    "taleqani_0",
    "lisc",
    "cellavision",
    "fields",
    "negatives",
    "negatives_val",
)


@pytest.fixture(scope="session")
def labelled_fields(pack):
    """Give twelve BCCD training fields with their boxes."""
    del pack
    data = open_set("bccd")
    return [labelled(data, example) for example in data.of_split("train")[:12]]


@pytest.fixture
def settings_with_detector(tmp_path):
    """Give settings whose models folder holds the shipped detector alone."""
    settings = get_settings()
    shutil.copytree(settings.models / "detector", tmp_path / "models" / "detector")
    return settings.model_copy(update={"models": tmp_path / "models"})


@pytest.fixture(scope="session")
def cut_cells(pack, tmp_path_factory):
    """Give a folder of cut-out cells: four of each type a source has, cut around the middle."""
    folder = tmp_path_factory.mktemp("cells")
    sets = dict.fromkeys(("kaggle", "fields", "negatives", "taleqani"), "pbc")
    for part in PARTS:
        data = open_set(sets.get(part.split("_")[0], part.split("_")[0]))
        by_class = {}
        for example in data.examples:
            by_class.setdefault(example.member.split("/")[0], []).append(example)
        examples = [e for of_class in by_class.values() for e in of_class[:4]]
        cells = cells_at(data, examples, lambda p: CellRegion(central_box(p)))
        if part.startswith("negatives"):
            cells.types[:] = NO_TYPE
            cells.details[:] = -1
        cells.save(folder / part)
    return folder
