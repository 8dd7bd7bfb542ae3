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
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from core.datasets.sources import PUBLIC_SETS, how_to_get
from core.domain.boxes import Box
from core.domain.results import Pixels
from core.domain.taxonomy import ATTRIBUTES, CELL_KINDS, MATURE_FIVE, CellKind
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
DEEPAPL_CLASSES: dict[str, tuple[str, str | None]] = {
    "blast": ("blast", None),
    "smudge_cell": ("smudge_cell", None),
    "lymphocyte": ("lymphocyte", None),
    "lymphocyte_variant": ("lymphocyte", "variant_lymphocyte"),
    "plasma_cell": ("lymphocyte", "plasma_cell"),
    "monocyte": ("monocyte", None),
    "promonocyte": ("monocyte", "promonocyte"),
    "neutrophil_segmented": ("neutrophil", "segmented"),
    "neutrophil_band": ("neutrophil", "band"),
    "promyelocyte": ("immature_granulocyte", "promyelocyte"),
    "myelocyte": ("immature_granulocyte", "myelocyte"),
    "metamyelocyte": ("immature_granulocyte", "metamyelocyte"),
    "erythroblast": ("erythroblast", None),
    "eosinophil": ("eosinophil", None),
    "basophil": ("basophil", None),
    "giant_platelet": ("platelet", "giant_platelet"),
}
"""Type and subtype of each class of the set. A platelet clump and the single prolymphocyte have
none."""
_PIG_RUN, _PIG_VALIDATION_EVERY = 40, 5
"""Field numbers in a run; one run in five validates."""
BCCD_KINDS: dict[str, CellKind] = {"WBC": "wbc", "RBC": "rbc", "Platelets": "platelet"}


@dataclass(frozen=True, slots=True)
class KindBox(Box):
    """A labelled box in pixels of its image."""

    kind: CellKind


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
                # The cards of the models have this text of the boxes.
                boxes = ", ".join(
                    "KindBox(kind={!r}, x={}, y={}, width={}, height={})".format(b.kind, *b.xywh)
                    for b in e.boxes
                )
                boxes = f"({boxes}{',' if len(e.boxes) == 1 else ''})"
                digest.update(f"{e.member}|{e.label}|{e.split}|{boxes}|{crc}\n".encode())
        return digest.hexdigest()


def _image_names(archive: zipfile.ZipFile) -> list[str]:
    return sorted(n for n in archive.namelist() if n.endswith(".webp"))


def _listed(rows: Path, archive: zipfile.ZipFile) -> Iterator[Any]:
    """Yield the rows of a list of splits whose `path` is in the archive."""
    present = set(archive.namelist())
    return (row for row in pd.read_csv(rows).itertuples() if row.path in present)


def _pbc(folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    with archive.open("wbcatt.csv") as stream:
        rows = pd.read_csv(stream, keep_default_na=False).set_index("path")
    described = rows[list(ATTRIBUTES)].to_dict("index")
    return [
        Example(
            member=row.path,
            split=row.split,
            label=PBC_LABELS.get(row.label, row.label),
            group=row.path,
            attributes=described.get(row.path, {}),
            subtype=PBC_SUBTYPES.get(row.fine_label),
        )
        for row in _listed(folder / "pbc_split.csv", archive)
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
    rows = _listed(folder / "taleqani_folds.csv", archive)
    return [Example(row.path, str(row.fold), row.label, row.group) for row in rows]


def yolo_boxes(text: str, width: int, height: int) -> tuple[KindBox, ...]:
    """Read a YOLO label file: a line a box of class, centre x, y, width, height in shares.

    Raises ValueError for a line that is not five numbers, or of a class that is none of
    `CELL_KINDS`.
    """
    boxes = []
    for line in filter(str.strip, text.splitlines()):
        kind, x, y, w, h = map(float, line.split()[:5])
        if kind not in range(len(CELL_KINDS)):
            raise ValueError(f"{kind:g} is no class")
        corner = (x - w / 2) * width, (y - h / 2) * height
        boxes.append(KindBox(*corner, w * width, h * height, CELL_KINDS[int(kind)]))
    return tuple(boxes)


def _yolo(archive: zipfile.ZipFile) -> Iterator[tuple[PurePosixPath, tuple[KindBox, ...]]]:
    """Yield every image with the boxes that its label file has."""
    for name in _image_names(archive):
        with Image.open(io.BytesIO(archive.read(name))) as image:
            size = image.size
        lines = archive.read(name.replace("images/", "labels/").replace(".webp", ".txt"))
        yield PurePosixPath(name), yolo_boxes(lines.decode(), *size)


def _txl(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    return [
        Example(str(path), path.parts[1], group=str(path), boxes=boxes)
        for path, boxes in _yolo(archive)
    ]


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
                boxes.append(KindBox(x0, y0, x1 - x0, y1 - y0, kind))
        examples.append(Example(name, split_of.get(stem, "train"), group=stem, boxes=tuple(boxes)))
    return examples


def _cellavision(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    with archive.open("labels.csv") as stream:
        labels = pd.read_csv(stream).set_index("image ID")["class"].to_dict()
    names = {
        int(PurePosixPath(n).stem): n for n in _image_names(archive) if n.startswith("images/")
    }
    types = dict(enumerate(MATURE_FIVE, 1))
    return [
        Example(names[number], "test", types[label], group=names[number])
        for number, label in sorted(labels.items())
        if number in names
    ]


def _deepapl(folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    examples = []
    for row in _listed(folder / "deepapl_folds.csv", archive):
        if row.label in DEEPAPL_CLASSES:
            label, subtype = DEEPAPL_CLASSES[row.label]
            examples.append(Example(row.path, str(row.fold), label, row.patient, subtype=subtype))
    return examples


def _lisc(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    return [
        Example(name, "test", label=PurePosixPath(name).parts[0], group=name)
        for name in _image_names(archive)
    ]


def _pig_fields(_folder: Path, archive: zipfile.ZipFile) -> list[Example]:
    examples = []
    for path, boxes in _yolo(archive):
        # `103_002.webp`: the first number is the field's. Neighbours may show one slide, so whole
        # runs of them are kept for validation.
        run = int(path.stem.split("_")[0]) // _PIG_RUN
        split = "val" if run % _PIG_VALIDATION_EVERY == 0 else "train"
        examples.append(Example(str(path), split, group=f"run {run}", boxes=boxes))
    return examples


_READERS: dict[str, Callable[[Path, zipfile.ZipFile], list[Example]]] = {
    "pbc": _pbc,
    "kaggle": _kaggle,
    "taleqani": _taleqani,
    "txl": _txl,
    "bccd": _bccd,
    "cellavision": _cellavision,
    "deepapl": _deepapl,
    "lisc": _lisc,
    "pig_fields": _pig_fields,
}


def open_set(name: str, settings: Settings | None = None) -> DataSet:
    """Open one of `PUBLIC_SETS` by its name.

    Raises DataNotFoundError when it is not in `settings.data`, DataError when it is damaged.
    """
    if name not in _READERS:
        raise DataError(f"There is no data set called {name}. Known: {', '.join(_READERS)}.")
    folder = (settings or get_settings()).data
    path = folder / PUBLIC_SETS[name].archive
    if not path.is_file():
        raise DataNotFoundError(
            f"The data set {name} is not on this machine. {how_to_get(name)} or set "
            "LEUKOSCOPE_DATA to its folder."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            examples = tuple(_READERS[name](folder, archive))
    except FileNotFoundError as error:
        raise DataNotFoundError(
            f"The list of splits of the data set {name} is missing beside {path.name}. Delete the "
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
