"""Every data set of the project behind one interface.

A data set is a zip of WebP images with its labels, in the folder `settings.data`
(`python -m core data get NAME` fetches it from its public source). Images are read straight
from the zip.
"""

import hashlib
import io
import threading
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from PIL import Image

from core.domain.results import Pixels
from core.domain.taxonomy import ATTRIBUTES, CellKind
from core.errors import DataError, DataNotFoundError
from core.settings import Settings, get_settings

PBC_LABELS = {"ig": "immature_granulocyte"}
PBC_SUBTYPES = {
    "BNE": "band",
    "SNE": "segmented",
    "MMY": "metamyelocyte",
    "MY": "myelocyte",
    "PMY": "promyelocyte",
}
CELLAVISION_LABELS = {
    1: "neutrophil",
    2: "lymphocyte",
    3: "monocyte",
    4: "eosinophil",
    5: "basophil",
}
DEEPAPL_LABELS = {
    "blast": "blast",
    "smudge_cell": "smudge_cell",
    "lymphocyte": "lymphocyte",
    "lymphocyte_variant": "lymphocyte",
    "plasma_cell": "lymphocyte",
    "monocyte": "monocyte",
    "promonocyte": "monocyte",
    "neutrophil_segmented": "neutrophil",
    "neutrophil_band": "neutrophil",
    "promyelocyte": "immature_granulocyte",
    "myelocyte": "immature_granulocyte",
    "metamyelocyte": "immature_granulocyte",
    "erythroblast": "erythroblast",
    "eosinophil": "eosinophil",
    "basophil": "basophil",
    "giant_platelet": "platelet",
}
"""Type of each class of the set. A platelet clump and the single prolymphocyte have none."""
DEEPAPL_SUBTYPES = {
    "neutrophil_segmented": "segmented",
    "neutrophil_band": "band",
    "promyelocyte": "promyelocyte",
    "myelocyte": "myelocyte",
    "metamyelocyte": "metamyelocyte",
    "lymphocyte_variant": "variant_lymphocyte",
    "promonocyte": "promonocyte",
    "plasma_cell": "plasma_cell",
    "giant_platelet": "giant_platelet",
}
_PIG_RUN, _PIG_VALIDATION_EVERY = 40, 5
"""Field numbers in a run; one run in five validates."""
BCCD_KINDS: dict[str, CellKind] = {"WBC": "wbc", "RBC": "rbc", "Platelets": "platelet"}
YOLO_KINDS: tuple[CellKind, ...] = ("wbc", "rbc", "platelet")


@dataclass(frozen=True, slots=True)
class KindBox:
    """A labelled box in pixels of its image."""

    kind: CellKind
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled image of a set."""

    member: str
    """Path inside the zip; the image's identity."""
    split: str
    """`train`, `val`, `test`; a fold number for Taleqani and DeepAPL."""
    label: str | None = None
    group: str | None = None
    """Images of one group must not be divided between training and testing."""
    boxes: tuple[KindBox, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    subtype: str | None = None
    """Finer class within the type, where the set names it."""


class DataSet:
    """Examples of one set and their images. Safe to read from several threads."""

    def __init__(self, name: str, path: Path, examples: tuple[Example, ...]) -> None:
        self.name = name
        self.examples = examples
        self._path = path
        self._local = threading.local()

    def read(self, example: Example) -> Pixels:
        """Return the image of an example, H x W x 3 RGB uint8."""
        archive = getattr(self._local, "archive", None)
        if archive is None:
            archive = self._local.archive = zipfile.ZipFile(self._path)
        with Image.open(io.BytesIO(archive.read(example.member))) as image:
            return np.asarray(image.convert("RGB"))

    def of_split(self, *splits: str) -> tuple[Example, ...]:
        """Return the examples of the named splits."""
        return tuple(e for e in self.examples if e.split in splits)

    def __iter__(self) -> Iterator[tuple[Pixels, Example]]:
        """Yield every image with its example."""
        return ((self.read(example), example) for example in self.examples)

    def __len__(self) -> int:
        return len(self.examples)

    def fingerprint(self) -> str:
        """Return a SHA-256 over the identities, labels, splits and sizes of all examples."""
        digest = hashlib.sha256()
        with zipfile.ZipFile(self._path) as archive:
            for e in sorted(self.examples, key=lambda e: e.member):
                crc = archive.getinfo(e.member).CRC
                digest.update(f"{e.member}|{e.label}|{e.split}|{e.boxes}|{crc}\n".encode())
        return digest.hexdigest()


def _image_names(archive: zipfile.ZipFile) -> list[str]:
    return sorted(n for n in archive.namelist() if n.endswith(".webp"))


def _pbc(folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    split = pd.read_csv(folder / "pbc_split.csv")
    with archive.open("wbcatt.csv") as stream:
        rows = pd.read_csv(stream, keep_default_na=False).set_index("path")
    described = rows[list(ATTRIBUTES)].to_dict("index")
    present = set(archive.namelist())
    return [
        Example(
            member=row.path,
            split=row.split,
            label=PBC_LABELS.get(row.label, row.label),
            group=row.path,
            attributes=described.get(row.path, {}),
            subtype=PBC_SUBTYPES.get(row.fine_label),
        )
        for row in split.itertuples()
        if row.path in present
    ]


def _kaggle(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    splits = {"TRAIN": "train", "TEST": "test", "TEST_SIMPLE": "test_simple"}
    examples = []
    for name in _image_names(archive):
        top, label, file = PurePosixPath(name).parts[-3:]
        # `_17_2339.webp`: the first number is the field the copy was made from.
        source = file.split("_")[1]
        examples.append(Example(name, splits[top], label.lower(), group=f"{top}/{label}/{source}"))
    return examples


def _taleqani(folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    folds = pd.read_csv(folder / "taleqani_folds.csv")
    present = set(archive.namelist())
    return [
        Example(row.path, split=str(row.fold), label=row.label, group=row.group)
        for row in folds.itertuples()
        if row.path in present
    ]


def _size(archive: zipfile.ZipFile, member: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(archive.read(member))) as image:
        return image.size


def yolo_boxes(text: str, width: int, height: int) -> tuple[KindBox, ...]:
    """Read a YOLO label file: a line a box of class, centre x, y, width, height in shares.

    Raises ValueError for a line that is not five numbers, or of a class that is none of
    `YOLO_KINDS`.
    """
    boxes = []
    for line in filter(str.strip, text.splitlines()):
        kind, x, y, w, h = map(float, line.split()[:5])
        if kind not in range(len(YOLO_KINDS)):
            raise ValueError(f"{kind:g} is no class")
        corner_x, corner_y = (x - w / 2) * width, (y - h / 2) * height
        boxes.append(KindBox(YOLO_KINDS[int(kind)], corner_x, corner_y, w * width, h * height))
    return tuple(boxes)


def _txl(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    examples = []
    for name in _image_names(archive):
        width, height = _size(archive, name)
        lines = archive.read(name.replace("images/", "labels/").replace(".webp", ".txt"))
        boxes = yolo_boxes(lines.decode(), width, height)
        examples.append(Example(name, PurePosixPath(name).parts[1], group=name, boxes=boxes))
    return examples


def _bccd(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    split_of = {
        stem: split
        for split in ("train", "val", "test")
        for stem in archive.read(f"ImageSets/{split}.txt").decode().split()
    }
    examples = []
    for name in _image_names(archive):
        stem = PurePosixPath(name).stem
        tree = ET.fromstring(archive.read(f"Annotations/{stem}.xml"))  # noqa: S314
        boxes = []
        for item in tree.iter("object"):
            x0, y0, x1, y1 = (
                float(item.findtext(f"bndbox/{key}", "nan"))
                for key in ("xmin", "ymin", "xmax", "ymax")
            )
            if x1 > x0 and y1 > y0:
                kind = BCCD_KINDS[item.findtext("name", "")]
                boxes.append(KindBox(kind, x0, y0, x1 - x0, y1 - y0))
        examples.append(Example(name, split_of.get(stem, "train"), group=stem, boxes=tuple(boxes)))
    return examples


def _cellavision(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    with archive.open("labels.csv") as stream:
        labels = pd.read_csv(stream).set_index("image ID")["class"].to_dict()
    names = {
        int(PurePosixPath(n).stem): n for n in _image_names(archive) if n.startswith("images/")
    }
    return [
        Example(names[number], "test", CELLAVISION_LABELS[label], group=names[number])
        for number, label in sorted(labels.items())
        if number in names
    ]


def _deepapl(folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    folds = pd.read_csv(folder / "deepapl_folds.csv")
    present = set(archive.namelist())
    return [
        Example(
            row.path,
            split=str(row.fold),
            label=DEEPAPL_LABELS[row.label],
            group=row.patient,
            subtype=DEEPAPL_SUBTYPES.get(row.label),
        )
        for row in folds.itertuples()
        if row.path in present and row.label in DEEPAPL_LABELS
    ]


def _lisc(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    return [
        Example(name, "test", label=PurePosixPath(name).parts[0], group=name)
        for name in _image_names(archive)
    ]


def _pig_fields(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    examples = []
    for name in _image_names(archive):
        width, height = _size(archive, name)
        lines = archive.read(name.replace("images/", "labels/").replace(".webp", ".txt"))
        boxes = yolo_boxes(lines.decode(), width, height)
        # `103_002.webp`: the first number is the field's. Neighbours may show one slide, so whole
        # runs of them are kept for validation.
        run = int(PurePosixPath(name).stem.split("_")[0]) // _PIG_RUN
        split = "val" if run % _PIG_VALIDATION_EVERY == 0 else "train"
        examples.append(Example(name, split, group=f"run {run}", boxes=boxes))
    return examples


_READERS: dict[str, tuple[str, Callable[[Path, zipfile.ZipFile], list[Example]]]] = {
    "pbc": ("pbc.zip", _pbc),
    "kaggle": ("kaggle_blood_cells.zip", _kaggle),
    "taleqani": ("taleqani_all.zip", _taleqani),
    "txl": ("txl_pbc.zip", _txl),
    "bccd": ("bccd.zip", _bccd),
    "cellavision": ("cellavision_cells.zip", _cellavision),
    "deepapl": ("deepapl.zip", _deepapl),
    "lisc": ("lisc.zip", _lisc),
    "pig_fields": ("pig_fields.zip", _pig_fields),
}


_PACKED_BY_HAND = {
    "deepapl": "https://github.com/sidhomj/DeepAPL",
    "lisc": "http://users.cecs.anu.edu.au/~hrezatofighi/Data/Leukocyte%20Data.htm",
    "pig_fields": "https://github.com/FrancescaIE/WBC-detection-dataset",
}
"""Pages of the sets that `python -m core data get` does not fetch yet."""


def open_set(name: str, settings: Settings | None = None) -> DataSet:
    """Open a data set by name.

    Names: pbc, kaggle, taleqani, txl, bccd, cellavision, deepapl, lisc, pig_fields.
    Raises DataNotFoundError when it is not in `settings.data`, DataError when it is damaged.
    """
    if name not in _READERS:
        raise DataError(f"There is no data set called {name}. Known: {', '.join(_READERS)}.")
    folder = (settings or get_settings()).data
    file_name, reader = _READERS[name]
    path = folder / file_name
    if not path.is_file():
        fetch = f"Fetch it with `python -m core data get {name}`"
        if name in _PACKED_BY_HAND:
            fetch = f"Get it from {_PACKED_BY_HAND[name]}, pack it as {file_name}"
        raise DataNotFoundError(
            f"The data set {name} is not on this machine. {fetch} or set LEUKOSCOPE_DATA to its "
            "folder."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            examples = tuple(reader(folder, archive))
    except FileNotFoundError as error:
        raise DataNotFoundError(
            f"The list of splits of the data set {name} is missing beside {file_name}. Delete the "
            f"zip and fetch the set again with `python -m core data get {name}`."
        ) from error
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise DataError(f"The data set {name} is damaged: fetch it again.") from error
    return DataSet(name, path, examples)


def labelled_files(folder: Path, labels: Sequence[str]) -> list[tuple[Path, str]]:
    """Return the files in `folder/<label>/` with their label; hidden ones are left out.

    Raises DataError when there are none.
    """
    found = [
        (path, label)
        for label in labels
        for path in sorted((folder / label).glob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    if not found:
        raise DataError(f"No images found: expected folders named {', '.join(labels)}.")
    return found
