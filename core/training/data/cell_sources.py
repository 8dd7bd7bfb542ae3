"""The sources of the cell classifier: where its cells come from, and what is known of each.

Every image is corrected first: the light of fields, the white point of single cells. Then the
detector finds the cell and the crop is cut at the scale that the red cells give.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm.contrib.concurrent import thread_map

from core.datasets.readers import DataSet, Example, open_set
from core.domain.boxes import Box
from core.domain.results import Pixels
from core.evaluation.calibration import softmax
from core.imaging.illumination import flatten, set_white_point
from core.imaging.scale import RED_CELL_MICROMETRES
from core.inference.cell_classifier import CellRegion, tta_outputs
from core.inference.detector import Detector
from core.inference.pipeline import region_of_crop, region_of_field
from core.inference.runtime import LiteRTEngine
from core.model_card import load_card, read_checked
from core.settings import Settings
from core.training.data.all_fields import FOLDS
from core.training.data.cells import (
    DETAILS,
    NO_SUBTYPE,
    NO_TYPE,
    SUBTYPES,
    TYPES,
    CellCrop,
    TrainingCells,
    central_crops,
    cut_out,
)
from core.training.data.detection_fields import Labelled, real_fields

_LOG = logging.getLogger(__name__)
SHARES = {
    "pbc": 0.36,
    "deepapl": 0.34,
    "taleqani": 0.06,
    "kaggle": 0.13,
    "lisc": 0.06,
    "fields": 0.08,
    "negatives": 0.09,
}
"""Sources of a training, with the share of the views that each gets."""
VALIDATION = ("pbc_val", "kaggle_val", "negatives_val")
"""Sources that temperature and thresholds are chosen on."""
AUGMENTATIONS_PER_FIELD = 12
"""Images of one Kaggle field that are used: more add nothing but time."""
Negative = Literal["red cell", "anywhere", "rim"]
"""On a red cell; anywhere off the white cells; on the rim of a white cell."""
NEGATIVES: tuple[Negative, ...] = get_args(Negative)
MAX_COVERED: dict[Negative, float] = {"red cell": 0.1, "anywhere": 0.1, "rim": 0.5}
"""Largest fraction of the box that a white cell may cover."""
_CONFIDENT, _LIKELY = 0.95, 0.6
"""Confidence from which on the shipped classifier's prediction counts as the type of a cell; the
lower one where the field's label speaks for it too."""
_NOISY_TYPES = ("eosinophil", "basophil")
"""Types of DeepAPL of which about half look wrong: learnt only where networks agree on them."""
CORRECTIONS = Path(__file__).with_name("deepapl_corrections.csv")
"""Doubted cells of DeepAPL as networks agree on them that did not see the patient: path, type
(empty: not learnt), subtype (empty: unknown). `python -m research labels deepapl` writes it."""
_OTHER_THAN_BLASTS = ("neutrophil", "eosinophil", "basophil", "erythroblast", "smudge_cell")
"""Types that the shipped classifier rarely confuses with blasts on fields of leukaemia."""
_WEAK_LABEL = 0.7
"""Weight of a type that was taken from the field's label."""
_NAMES_VARIANTS = ("pbc", "deepapl")
_WITH_VARIANTS = ("lymphocyte", "monocyte", "platelet")
"""In these sources a cell of these types without a subtype is an ordinary one."""
_TYPE_WEIGHTS = {"band": 0.4, "plasma_cell": 0.5, "promonocyte": 0.0}
"""Weight of the type of a DeepAPL cell by subtype. About a third of the bands look wrong; a
promonocyte is a monocyte by lineage and counts as a blast, so its type is left open."""


def shipped_detector(settings: Settings) -> Detector:
    """Return the detector that finds the cells. Raises ModelError."""
    card = load_card("detector", settings)
    return Detector(LiteRTEngine(read_checked(card, settings)), card)


def training_sources(
    settings: Settings,
    folder: Path,
    *,
    folds: Sequence[str],
    without: Sequence[str] = (),
    correct: bool = True,
) -> list[tuple[TrainingCells, float]]:
    """Return the sources of a training with their shares.

    `folds` are those of DeepAPL and Taleqani, `without` the sources to leave out whole; their
    shares go to the others. Parts of one source share by the square root of their numbers of cells.
    Doubted labels of DeepAPL are corrected here, unless `correct` is false, and nowhere else: what
    is measured keeps them.
    """
    names = {"pbc": ["pbc_train"], "kaggle": ["kaggle_train"]}
    for source in ("deepapl", "taleqani"):
        names[source] = [f"{source}_{fold}" for fold in folds]
    found = []
    for source, share in SHARES.items():
        if source in without:
            continue
        parts = sources(settings, folder, names.get(source, [source]))
        if source == "deepapl" and correct:
            parts = {name: corrected(part) for name, part in parts.items()}
        lengths = {name: len(part) ** 0.5 for name, part in parts.items()}
        for name, part in parts.items():
            found.append((part, share * lengths[name] / sum(lengths.values())))
            _LOG.info("%s: %d cells, share %.3f", name, len(part), found[-1][1])
    return found


def corrected(cells: TrainingCells) -> TrainingCells:
    """Return cells of DeepAPL with the types and subtypes of `CORRECTIONS`, trusted in full."""
    rows = pd.read_csv(CORRECTIONS, keep_default_na=False).set_index("path")
    types, details, weights = cells.types.copy(), cells.details.copy(), cells.weights.copy()
    subtype = list(DETAILS).index("subtype")
    for k, member in enumerate(cells.members):
        if member in rows.index:
            found = rows.loc[member]
            weights[k] = 1.0 if found["type"] else 0.0
            if found["type"]:
                types[k] = TYPES.index(found["type"])
            details[k, subtype] = SUBTYPES.index(found["subtype"]) if found["subtype"] else -1
    return replace(cells, types=types, details=details, weights=weights)


def sources(settings: Settings, folder: Path, names: Sequence[str]) -> dict[str, TrainingCells]:
    """Return the cells of the named sources, cut out once and kept in a folder.

    Names: `pbc_train`, `pbc_val`, `pbc_test`, `kaggle_train`, `kaggle_val`, `deepapl_0` to
    `deepapl_4` (the folds), `taleqani_0` to `taleqani_4` (weak labels), `lisc`, `cellavision`,
    `fields` (white cells of TXL-PBC and BCCD, typed by the shipped classifier), `negatives`,
    `negatives_val` (no white cells).
    Raises DataNotFoundError when a set is not on this machine.
    """

    @cache
    def detector() -> Detector:
        return shipped_detector(settings)

    @cache
    def labelled() -> tuple[list[Labelled], list[Labelled]]:
        training, validation = (
            [Labelled(flatten(field.pixels), field.boxes) for field in part]
            for part in real_fields(settings)
        )
        return training, validation

    def single(name: str, split: str) -> TrainingCells:
        data = open_set(name, settings)
        return cells_of(data, data.of_split(split), detector())

    def kaggle(part: Literal["train", "val"]) -> TrainingCells:
        data = open_set("kaggle", settings)
        return cells_of(data, kaggle_examples(data, part), detector())

    def leukaemic(fold: str) -> TrainingCells:
        data = open_set("taleqani", settings)
        return cells_of_all_fields(data, data.of_split(fold), detector(), settings)

    makers: dict[str, Callable[[], TrainingCells]] = {
        **{f"pbc_{s}": partial(single, "pbc", s) for s in ("train", "val", "test")},
        **{f"deepapl_{k}": partial(single, "deepapl", k) for k in FOLDS},
        **{f"taleqani_{k}": partial(leukaemic, k) for k in FOLDS},
        "lisc": partial(single, "lisc", "test"),
        "cellavision": partial(single, "cellavision", "test"),
        "kaggle_train": partial(kaggle, "train"),
        "kaggle_val": partial(kaggle, "val"),
        # TXL-PBC's 360-px images are PBC's, the test cells among them.
        "fields": lambda: typed_by_shipped(
            untyped_cells([f for f in labelled()[0] if max(f.pixels.shape) > 400]), settings
        ),
        "negatives": lambda: negative_cells(labelled()[0], 2400),
        "negatives_val": lambda: negative_cells(labelled()[1], 400),
    }
    found = {}
    for name in names:
        kept = folder / name
        if not (kept / "groups.npy").exists():
            makers[name]().save(kept)
        found[name] = TrainingCells.load(kept)
    return found


def cells_of(data: DataSet, examples: Sequence[Example], detector: Detector) -> TrainingCells:
    """Return the cells that the detector finds in the corrected images of a set.

    Kaggle's images are fields: those without a white cell, or with several, are left out, for
    their label could belong to another cell. All other sets hold single cells.
    """
    if data.name == "kaggle":
        return cells_at(data, examples, partial(region_of_field, detector=detector, alone=True))
    return cells_at(data, examples, partial(region_of_crop, detector=detector))


def cells_at(
    data: DataSet, examples: Sequence[Example], choose: Callable[[Pixels], CellRegion | None]
) -> TrainingCells:
    """Return the cells at the places that `choose` gives for corrected images.

    Images where it gives None are left out.
    """
    correct = flatten if data.name == "kaggle" else set_white_point

    def cut(example: Example) -> CellCrop | None:
        pixels = correct(data.read(example))
        region = choose(pixels)
        return None if region is None else cut_out(pixels, region)

    crops = thread_map(cut, examples, max_workers=2, desc=data.name, mininterval=30)
    found = [(c, e) for c, e in zip(crops, examples, strict=True) if c is not None]
    known = [e for _, e in found]
    return TrainingCells(
        crops=np.stack([c.pixels for c, _ in found]),
        types=np.array([TYPES.index(str(e.label)) for e in known]),
        details=np.array([_details_of(data.name, e) for e in known]),
        weights=np.array([_weight(data.name, e) for e in known], np.float32),
        unscaled=np.array([c.unscaled for c, _ in found], np.float32),
        members=np.array([e.member for e in known]),
        groups=np.array([str(e.group) for e in known]),
    )


def cells_of_all_fields(
    data: DataSet, examples: Sequence[Example], detector: Detector, settings: Settings
) -> TrainingCells:
    """Return the white cells of Taleqani fields under weak labels.

    On a field of leukaemia they are blasts, except those of a type that the shipped classifier
    rarely confuses with blasts. On a benign field they have the type that it is confident of;
    those that it calls blasts are left out, because haematogones resemble them.
    """

    def cut(example: Example) -> list[CellCrop]:
        pixels = flatten(data.read(example))
        found = detector.detect(pixels)
        scale = _micrometres_per_pixel([d.box for d in found if d.kind == "rbc"])
        white = [CellRegion(d.box, scale) for d in found if d.kind == "wbc"]
        return [cut_out(pixels, region) for region in white]

    crops = thread_map(cut, examples, max_workers=2, desc=data.name, mininterval=30)
    found = [(crop, e) for own, e in zip(crops, examples, strict=True) for crop in own]
    cells = replace(
        TrainingCells.of_crops([crop for crop, _ in found], [NO_TYPE] * len(found)),
        weights=np.full(len(found), _WEAK_LABEL, np.float32),
        members=np.array([e.member for _, e in found]),
        groups=np.array([str(e.group) for _, e in found]),
    )
    probabilities = shipped_probabilities(cells, settings)
    called = probabilities.argmax(1)
    blast = TYPES.index("blast")
    others = [TYPES.index(name) for name in _OTHER_THAN_BLASTS]
    benign = np.array([e.label == "Benign" for _, e in found])
    kept = np.where(
        benign,
        (called != blast) & (probabilities.max(1) >= _LIKELY),
        ~np.isin(called, others),
    )
    return replace(cells, types=np.where(benign, called, blast)).chosen(kept)


def _details_of(source: str, example: Example) -> list[int]:
    subtype = example.subtype
    if subtype is None and source in _NAMES_VARIANTS and example.label in _WITH_VARIANTS:
        subtype = NO_SUBTYPE
    known = {**example.attributes, "subtype": subtype}
    return [
        values.index(value) if (value := known.get(name)) in values else -1
        for name, values in DETAILS.items()
    ]


def _weight(source: str, example: Example) -> float:
    if source != "deepapl":
        return 1.0
    if example.label in _NOISY_TYPES:
        return 0.0
    return _TYPE_WEIGHTS.get(str(example.subtype), 1.0)


def kaggle_examples(data: DataSet, part: Literal["train", "val"]) -> list[Example]:
    """Return the Kaggle TRAIN fields of a part.

    Every sixth source field goes to validation, so that none of its augmentations is trained on.
    """
    by_source: dict[str, list[Example]] = {}
    for example in data.of_split("train"):
        by_source.setdefault(str(example.group), []).append(example)
    return [
        example
        for number, (_, augmentations) in enumerate(sorted(by_source.items()))
        for example in augmentations[:AUGMENTATIONS_PER_FIELD]
        if ("val" if number % 6 == 0 else "train") == part
    ]


def untyped_cells(fields: Sequence[Labelled]) -> TrainingCells:
    """Return the white cells of labelled fields, whose type is not known: NO_TYPE."""
    crops = [
        cut_out(field.pixels, CellRegion(box, _micrometres_per_pixel(field.of_kind("rbc"))))
        for field in fields
        for box in field.of_kind("wbc")
    ]
    return TrainingCells.of_crops(crops, [NO_TYPE] * len(crops))


def typed_by_shipped(cells: TrainingCells, settings: Settings) -> TrainingCells:
    """Return the cells whose type the shipped classifier is confident of, under that type.

    Pseudo-labels: Lee 2013, ICML Workshop on Challenges in Representation Learning.
    """
    probabilities = shipped_probabilities(cells, settings)
    confident = probabilities.max(1) >= _CONFIDENT
    return replace(cells, types=probabilities.argmax(1)).chosen(confident)


def shipped_probabilities(cells: TrainingCells, settings: Settings) -> NDArray[np.float64]:
    """Return the probabilities of the shipped classifier, n x len(TYPES)."""
    card = load_card("wbc", settings)
    engine = LiteRTEngine(read_checked(card, settings))
    crops = central_crops(cells, card.input_width)
    logits = np.stack([tta_outputs(engine, crop)["type"] for crop in crops])
    columns = [card.labels.index(label) for label in TYPES]
    return softmax(logits[:, columns], card.temperature)


def negative_cells(fields: Sequence[Labelled], count: int) -> TrainingCells:
    """Return crops that are no whole white cell: as many of each of `NEGATIVES`."""
    rng = np.random.default_rng(5)
    crops: list[CellCrop] = []
    while len(crops) < count:
        field = fields[int(rng.integers(len(fields)))]
        whites, reds = field.of_kind("wbc"), field.of_kind("rbc")
        if not whites or not reds:
            continue
        box = _negative_box(field.pixels, whites, reds, rng, NEGATIVES[len(crops) % len(NEGATIVES)])
        if box is not None:
            scale = _micrometres_per_pixel(reds) if rng.random() < 0.7 else None
            crops.append(cut_out(field.pixels, CellRegion(box, scale)))
    return TrainingCells.of_crops(crops, [NO_TYPE] * count)


def _negative_box(
    pixels: Pixels, whites: list[Box], reds: list[Box], rng: Generator, kind: Negative
) -> Box | None:
    """Return a box that is not on a white cell, or None when the one drawn is."""
    height, width = pixels.shape[:2]
    white = whites[int(rng.integers(len(whites)))]
    if kind == "red cell":
        box = reds[int(rng.integers(len(reds)))]
    elif kind == "anywhere":
        side = white.diameter * rng.uniform(0.4, 1.2)
        box = Box(rng.uniform(0, width - side), rng.uniform(0, height - side), side, side)
    else:
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 1.1)
        x = white.x + distance * white.width * np.cos(angle)
        y = white.y + distance * white.height * np.sin(angle)
        box = Box(x, y, white.width, white.height)
    x, y = box.centre
    if not (0 <= x < width and 0 <= y < height):
        return None
    most = MAX_COVERED[kind]
    return None if max(box.covered_by(other) for other in whites) > most else box


def _micrometres_per_pixel(red_cells: Sequence[Box]) -> float | None:
    if not red_cells:
        return None
    return RED_CELL_MICROMETRES / float(np.median([box.diameter for box in red_cells]))
