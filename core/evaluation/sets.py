"""The sets that models are measured on: names, caveats (`sets.toml`) and images."""

import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.settings import Settings, get_settings


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """A set that models are measured on, and what its figures cannot say."""

    name: str
    note: str
    archive: str
    """Zip in the data folder whose members are the files named in predictions."""
    split: str = "all images"
    patient: str = ""
    """Regular expression that finds a patient in a file name; empty where there are none."""


OWN_SET = "Own images"
"""Key and name of a user's own set on the page."""

_DESCRIBED = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
EVALUATION_SETS = {key: EvaluationSet(**described) for key, described in _DESCRIBED.items()}
"""In the order of pages."""


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A data set by the name that pages give it."""

    title: str
    archive: str
    """Zip in the data folder."""


DATA_SETS: dict[str, NamedSet] = {
    "cellavision": NamedSet("CellaVision cells", "cellavision_cells.zip"),
    "lisc": NamedSet("LISC cells", "lisc.zip"),
    "deepapl": NamedSet("DeepAPL cells", "deepapl.zip"),
    "kaggle": NamedSet("Kaggle fields", "kaggle_blood_cells.zip"),
    "pbc": NamedSet("PBC cells", "pbc.zip"),
    "taleqani": NamedSet("Taleqani ALL fields", "taleqani_all.zip"),
    "bccd": NamedSet("BCCD fields", "bccd.zip"),
    "txl": NamedSet("TXL-PBC fields", "txl_pbc.zip"),
}


def evaluation_set(key: str) -> EvaluationSet:
    """Return what is known of a set; a set of one's own has its key for a name."""
    return EVALUATION_SETS.get(key, EvaluationSet(key, "", ""))


def read_set_images(
    key: str, files: Iterable[str], settings: Settings | None = None
) -> dict[str, bytes]:
    """Return the encoded images of an evaluation set that are on this machine, by file name."""
    return read_members(evaluation_set(key).archive, files, settings)


def read_members(
    archive_name: str, files: Iterable[str], settings: Settings | None = None
) -> dict[str, bytes]:
    """Return members of a zip in the data folder by name; nothing when it is not there."""
    archive = (settings or get_settings()).data / archive_name
    if not archive.is_file():
        return {}
    with zipfile.ZipFile(archive) as members:
        present = set(members.namelist())
        return {file: members.read(file) for file in files if file in present}
