"""Names, order and colours of cell types, stages, kinds of cell and statuses.

The order of `CELL_TYPES` and `STAGES` is the order of model outputs, of matrix rows and of legends.
"""

from dataclasses import dataclass
from typing import Literal

CellKind = Literal["wbc", "rbc", "platelet"]
Status = Literal["classified", "uncertain", "out_of_scope"]

Sex = Literal["female", "male"]
Material = Literal["peripheral_blood", "bone_marrow", "other"]
"""The material of a smear."""


STATUS_LINES: dict[Status, tuple[float, ...]] = {
    "classified": (),
    "uncertain": (5, 3),
    "out_of_scope": (1, 3),
}
"""How a box is outlined: drawn and skipped lengths in line widths; empty for a solid line.

In every drawing colour shows the type and the line shows the status.
"""

CELL_KINDS: tuple[CellKind, ...] = ("wbc", "rbc", "platelet")


@dataclass(frozen=True, slots=True)
class CellType:
    """One cell type: its key in contracts, its name on pages and its colour in every drawing."""

    key: str
    name: str
    colour: str
    description: str

    @property
    def plural(self) -> str:
        """The name of several cells."""
        return f"{self.name}s"

    def noun(self, number: int) -> str:
        """Return the name of so many cells inside a sentence."""
        return (self.name if number == 1 else self.plural).lower()


@dataclass(frozen=True, slots=True)
class Subtype:
    """A finer class of a cell type."""

    key: str
    name: str
    plural: str
    type: str
    """The cell type that it belongs to."""

    def noun(self, number: int) -> str:
        """Return the name of so many cells inside a sentence."""
        return (self.name if number == 1 else self.plural).lower()


@dataclass(frozen=True, slots=True)
class Stage:
    """One class of the ALL field model, a maturation subtype confirmed by flow cytometry."""

    key: str
    name: str
    colour: str
    description: str


# Colours are spaced in hue and lightness so that they stay apart for colour-blind readers
# (Okabe and Ito 2008) and on both light and dark backgrounds.
_TYPES = (
    CellType(
        "neutrophil",
        "Neutrophil",
        "#E69F00",
        "Nucleus in two to five lobes joined by thin strands; pale pink cytoplasm with fine "
        "lilac granules. 12-15 µm. Bands are counted here.",
    ),
    CellType(
        "lymphocyte",
        "Lymphocyte",
        "#0072B2",
        "Round, dense nucleus that nearly fills the cell; a thin rim of clear blue cytoplasm. "
        "7-15 µm.",
    ),
    CellType(
        "monocyte",
        "Monocyte",
        "#009E73",
        "The largest white cell. Folded or kidney-shaped nucleus with lacy chromatin; grey-blue "
        "cytoplasm, often with vacuoles. 15-20 µm.",
    ),
    CellType(
        "eosinophil",
        "Eosinophil",
        "#D55E00",
        "Two-lobed nucleus; cytoplasm packed with coarse, even, orange-red granules. 12-17 µm.",
    ),
    CellType(
        "basophil",
        "Basophil",
        "#7B4FA3",
        "Coarse, dark violet granules that cover the nucleus. 10-14 µm.",
    ),
    CellType(
        "immature_granulocyte",
        "Immature granulocyte",
        "#CC79A7",
        "Promyelocyte, myelocyte or metamyelocyte: round to indented nucleus, cytoplasm with "
        "primary or secondary granules. Normally absent from blood.",
    ),
    CellType(
        "erythroblast",
        "Erythroblast",
        "#8C564B",
        "Nucleated red cell: small, round, very dense nucleus in grey-blue to pink cytoplasm. "
        "Reported per 100 white cells, outside the differential.",
    ),
    CellType(
        "platelet",
        "Platelet",
        "#56B4E9",
        "Fragment of megakaryocyte cytoplasm, 2-3 µm, purple granules, no nucleus. Counted apart.",
    ),
    CellType(
        "blast",
        "Blast",
        "#C80420",
        "Large immature cell: fine chromatin, often nucleoli, little basophilic cytoplasm. "
        "Normally absent from blood. Counted with the leukocytes; always reviewed again.",
    ),
    CellType(
        "smudge_cell",
        "Smudge cell",
        "#5F6B6D",
        "Ruptured white cell: a smear of chromatin without a cell border. Reported per 100 white "
        "cells, outside the differential.",
    ),
)

CELL_TYPES: dict[str, CellType] = {cell_type.key: cell_type for cell_type in _TYPES}

SUBTYPES: dict[str, Subtype] = {
    subtype.key: subtype
    for subtype in (
        Subtype("band", "Band", "Bands", "neutrophil"),
        Subtype("segmented", "Segmented", "Segmented", "neutrophil"),
        Subtype("metamyelocyte", "Metamyelocyte", "Metamyelocytes", "immature_granulocyte"),
        Subtype("myelocyte", "Myelocyte", "Myelocytes", "immature_granulocyte"),
        Subtype("promyelocyte", "Promyelocyte", "Promyelocytes", "immature_granulocyte"),
        Subtype("variant_lymphocyte", "Variant lymphocyte", "Variant lymphocytes", "lymphocyte"),
        Subtype("promonocyte", "Promonocyte", "Promonocytes", "monocyte"),
        Subtype("plasma_cell", "Plasma cell", "Plasma cells", "lymphocyte"),
        Subtype("giant_platelet", "Giant platelet", "Giant platelets", "platelet"),
    )
}
"""Finer classes of some types, in the order of the model's outputs."""

FORMER_LABELS: dict[str, str] = {"suspected_blast": "blast"}
"""Labels of earlier versions, in reviews and in the audit trail, and what they are called now."""
NOT_A_WHITE_CELL = "not_a_white_cell"
"""The label of a box that holds no white cell."""

LEUKOCYTES: tuple[str, ...] = (
    "neutrophil",
    "lymphocyte",
    "monocyte",
    "eosinophil",
    "basophil",
    "immature_granulocyte",
    "blast",
)
"""The types that make up the denominator of the differential (CLSI H20-A2). Blasts count with the
leukocytes (Palmer et al. 2015, Int J Lab Hematol 37:287, for the ICSH)."""

MATURE_FIVE: tuple[str, ...] = LEUKOCYTES[:5]
KAGGLE_FOUR: tuple[str, ...] = LEUKOCYTES[:4]
DEEPAPL_SEVEN: tuple[str, ...] = (
    "neutrophil",
    "lymphocyte",
    "monocyte",
    "immature_granulocyte",
    "erythroblast",
    "blast",
    "smudge_cell",
)
"""Types of DeepAPL with enough trusted labels to measure."""
PBC_EIGHT: tuple[str, ...] = tuple(CELL_TYPES)[:8]

KIND_NAMES: dict[CellKind, str] = {"wbc": "White cell", "rbc": "Red cell", "platelet": "Platelet"}
KIND_COLOURS: dict[CellKind, str] = {"wbc": "#444444", "rbc": "#C44E52", "platelet": "#56B4E9"}
UNDETERMINED_COLOUR = "#808080"

# The classes of the training set, whose subtypes flow cytometry established (Ghaderzadeh et al.
# 2021, Int J Intell Syst). The texts do not describe their morphology, because a smear does not
# distinguish them.
_LEUKAEMIA = (
    "Acute lymphoblastic leukaemia of B-cell precursors. The smear shows lymphoblasts; flow "
    "cytometry named them {}."
)
_STAGES = (
    Stage(
        "Benign",
        "Benign (hematogones)",
        "#009E73",
        "Hematogones: normal precursors of B cells, not leukaemia. On a smear they can look like "
        "lymphoblasts.",
    ),
    Stage("Early", "Early pre-B ALL", "#E69F00", _LEUKAEMIA.format("early pre-B")),
    Stage("Pre", "Pre-B ALL", "#0072B2", _LEUKAEMIA.format("pre-B")),
    Stage("Pro", "Pro-B ALL", "#CC79A7", _LEUKAEMIA.format("pro-B")),
)

STAGES: dict[str, Stage] = {stage.key: stage for stage in _STAGES}

UNANSWERED = "none"
"""The prediction where the model gave no type any probability."""

_NAMED: tuple[CellType | Subtype | Stage, ...] = (*_STAGES, *_TYPES, *SUBTYPES.values())
_LABEL_NAMES: dict[str, str] = {
    **{str(kind): name for kind, name in KIND_NAMES.items()},
    **{known.key: known.name for known in _NAMED},
    NOT_A_WHITE_CELL: "Not a white cell",
    UNANSWERED: "No cell found",
}
_LABEL_COLOURS: dict[str, str] = {
    **{str(kind): colour for kind, colour in KIND_COLOURS.items()},
    **{stage.key: stage.colour for stage in _STAGES},
    **{cell_type.key: cell_type.colour for cell_type in _TYPES},
    **{subtype.key: CELL_TYPES[subtype.type].colour for subtype in SUBTYPES.values()},
}


def label_name(label: str) -> str:
    """Return the name of a cell type, a stage, a kind of cell or a reviewer's label."""
    return _LABEL_NAMES.get(FORMER_LABELS.get(label, label), label)


def label_colour(label: str | None) -> str:
    """Return the hex colour of a cell type, a stage or a kind of cell; grey for none of these."""
    return _LABEL_COLOURS.get(label or "", UNDETERMINED_COLOUR)


STAGE_NOTE = (
    "The classes are maturation subtypes: how far the cells had come on the way to a B cell. Flow "
    "cytometry confirmed them in the training set; they are called stages here by custom. A smear "
    "image alone does not establish them."
)

RESEARCH_NOTICE = "For research and teaching use. Not for diagnosis."

# The eleven morphological attributes of WBCAtt (Tsutsui et al. 2023, NeurIPS Datasets and
# Benchmarks) with their values in the order of the model's outputs.
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "cell_size": ("small", "big"),
    "cell_shape": ("round", "irregular"),
    "nucleus_shape": (
        "irregular",
        "segmented-bilobed",
        "segmented-multilobed",
        "unsegmented-band",
        "unsegmented-indented",
        "unsegmented-round",
    ),
    "nuclear_cytoplasmic_ratio": ("low", "high"),
    "chromatin_density": ("densely", "loosely"),
    "cytoplasm_vacuole": ("no", "yes"),
    "cytoplasm_texture": ("clear", "frosted"),
    "cytoplasm_colour": ("blue", "light blue", "purple blue"),
    "granule_type": ("coarse", "nil", "round", "small"),
    "granule_colour": ("nil", "pink", "purple", "red"),
    "granularity": ("no", "yes"),
}
