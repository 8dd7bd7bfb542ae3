"""The sets that models are measured on: their names, their caveats and their images."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

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

# In the order of pages: other laboratories first, home last.
EVALUATION_SETS: dict[str, EvaluationSet] = {
    "cellavision": EvaluationSet(
        "CellaVision cells, another laboratory",
        "100 single cells from a teaching collection, many of them atypical. Its labels were not "
        "checked and a few are debatable. It was not used for training.",
        "cellavision_cells.zip",
    ),
    "lisc": EvaluationSet(
        "LISC cells, another laboratory",
        "268 cells of five types from another camera, microscope and stain (Tehran). Nothing of it "
        "was trained on; the temperature for unfamiliar images was fitted to it.",
        "lisc.zip",
    ),
    "deepapl_fold": EvaluationSet(
        "DeepAPL, patients left out",
        "Cells of 17 patients with acute leukaemia, one fold of five by patient, in the hospital "
        "that blasts and smudge cells were learnt from. Nothing of these patients was trained on; "
        "the limits that keep blasts from healthy names were chosen on them. Eosinophils and "
        "basophils, about half of whose labels look wrong, are left out.",
        "deepapl.zip",
        "fold 4 of 5 by patient",
        r"(Patient_\d+)",
    ),
    "kaggle_test_simple": EvaluationSet(
        "Kaggle fields, originals",
        "71 unaugmented fields (13 eosinophil, 6 lymphocyte, 4 monocyte, 48 neutrophil), typed "
        "through the detector. About a dozen labels are disputed. The training half of this "
        "collection was trained on.",
        "kaggle_blood_cells.zip",
        "TEST_SIMPLE",
    ),
    "kaggle_test": EvaluationSet(
        "Kaggle fields, TEST",
        "Rotated, sheared and mirrored copies of only 71 originals (13 eosinophil, 6 lymphocyte, "
        "4 monocyte, 48 neutrophil), typed through the detector. The limits treat copies as "
        "independent and are too narrow; about a dozen labels are disputed. The training half of "
        "this collection was trained on.",
        "kaggle_blood_cells.zip",
        "TEST",
    ),
    "pbc_test": EvaluationSet(
        "PBC test cells",
        "Healthy donors, one analyser and one stain, the same as in training. The split is by "
        "image: donors are not named, so cells of one donor lie on both sides.",
        "pbc.zip",
        "test split",
    ),
    "wbcatt_test": EvaluationSet(
        "WBCAtt test cells",
        "The five mature types of PBC in WBCAtt's official split. The split is by image: donors "
        "are not named, so cells of one donor lie on both sides.",
        "pbc.zip",
        "test split",
    ),
    "taleqani_folds_stain_jitter": EvaluationSet(
        "Taleqani folds, stain changed",
        "Every fourth field with stain colours shifted at random: the stain differs by class "
        "in this set, and this score shows how much the model relies on it. Folds as below.",
        "taleqani_all.zip",
        "five folds",
    ),
    "taleqani_folds_tone_swapped": EvaluationSet(
        "Taleqani folds, colours swapped",
        "Every fourth field with the colour statistics of another class (mean and deviation in "
        "CIELAB), each class in turn: the accuracy when colour points to the wrong class. Folds as "
        "below.",
        "taleqani_all.zip",
        "five folds",
    ),
    "taleqani_folds_closer": EvaluationSet(
        "Taleqani folds, magnified",
        "The middle of every fourth field, 70 % to a side. Each class was taken at a scale of its "
        "own, and this score shows how much the model relies on it. Folds as below.",
        "taleqani_all.zip",
        "five folds",
    ),
    "taleqani_folds_farther": EvaluationSet(
        "Taleqani folds, reduced",
        "Every fourth field with a quarter more to a side, imitated by its mirror image. Folds as "
        "below.",
        "taleqani_all.zip",
        "five folds",
    ),
    "taleqani_folds": EvaluationSet(
        "Taleqani folds",
        "Each field is graded by the model that was not trained on its fold. Patients are not "
        "named; folds are grouped by near-duplicates and neighbouring file numbers in their place. "
        "The stain differs by class. One laboratory only.",
        "taleqani_all.zip",
        "five folds",
    ),
    "bccd_test": EvaluationSet(
        "BCCD test fields",
        "Labels as published: many boxes at the borders are missing, which counts right detections "
        "there as wrong.",
        "bccd.zip",
        "test split",
    ),
    "txl_test": EvaluationSet(
        "TXL-PBC test fields",
        "Labels as published, with known errors: two images annotated twice, three white cells "
        "labelled as red. A perfect detector with one box a cell reaches mAP50 .980 "
        "and the labelled number of white cells in 136 of the 144 images.",
        "txl_pbc.zip",
        "test split",
    ),
    "txl_test_corrected": EvaluationSet(
        "TXL-PBC test fields, labels corrected",
        "The same fields with 43 plain label errors corrected: cells labelled twice, white cells "
        "labelled red and the other way round. Doubtful border cells were left as published.",
        "txl_pbc.zip",
        "test split",
    ),
}


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
