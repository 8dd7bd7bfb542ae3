"""The public data sets that models are trained and measured on: where they are, and their terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Commits where they are known, so that the files cannot change under their address.
_GITHUB = "https://github.com/{}/archive/{}.zip"
_WBCATT = (
    "https://raw.githubusercontent.com/apple2373/wbcatt/3121eea24a0977184bbedcb61b90f7a528f7b4e9/"
    "submission/pbc_attr_v1_{}.csv"
)
_PBC = (
    "https://data.mendeley.com/public-files/datasets/snkd93bnjr/files/"
    "2fc38728-2ae7-4a62-a857-032af82334c3/file_downloaded"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A public data set with its licence and citation."""

    name: str
    content: str
    use: str
    licence: str
    citation: str
    url: str
    archive: str = ""
    """File name in the data folder; empty for what is no set of its own."""
    images: int = 0
    parts: Mapping[str, str] = field(default_factory=dict)
    """Address of each file by its part in the set, `kaggle:owner/name` for Kaggle; empty for a set
    that is packed by hand."""


SOURCES: dict[str, Source] = {
    "pbc": Source(
        "PBC",
        "17,092 single cells of healthy donors, CellaVision DM96, May-Grünwald-Giemsa",
        "Training and test of white-cell types",
        "CC BY 4.0",
        "Acevedo A, Merino A, Alférez S, et al. A dataset of microscopic peripheral blood cell "
        "images for development of automatic recognition systems. Data in Brief 2020;30:105474.",
        "https://data.mendeley.com/datasets/snkd93bnjr",
        "pbc.zip",
        17_092,
        {"images": _PBC} | {split: _WBCATT.format(split) for split in ("train", "val", "test")},
    ),
    "wbcatt": Source(
        "WBCAtt",
        "Eleven morphological attributes of 10,298 PBC cells, with an official split",
        "Training and test of attributes; test split of the five mature types",
        "MIT (the table of attributes); the images are those of PBC, CC BY 4.0",
        "Tsutsui S, Pang W, Wen B. WBCAtt: a white blood cell dataset annotated with detailed "
        "morphological attributes. NeurIPS Datasets and Benchmarks 2023.",
        "https://github.com/apple2373/wbcatt",
    ),
    "kaggle": Source(
        "Kaggle blood cells",
        "12,515 fields of 320 × 240 px, four types; most are augmented copies",
        "Training (TRAIN) and test (TEST, TEST_SIMPLE) of white-cell types in fields",
        "MIT",
        "Mooney P. Blood Cell Images. Kaggle 2018.",
        "https://www.kaggle.com/datasets/paultimothymooney/blood-cells",
        "kaggle_blood_cells.zip",
        12_515,
        {"images": "kaggle:paultimothymooney/blood-cells"},
    ),
    "taleqani": Source(
        "Taleqani ALL",
        "2,926 fields of 224 × 224 px of suspected ALL, four classes by flow cytometry",
        "Training and cross-validation of ALL classes; weak labels for lymphoblasts",
        "None named by its authors; used here for research",
        "Ghaderzadeh M, Aria M, Hosseini A, et al. A fast and efficient CNN model for B-ALL "
        "diagnosis and its subtypes classification using peripheral blood smear images. "
        "Int J Intell Syst 2021.",
        "https://www.kaggle.com/datasets/mehradaria/leukemia",
        "taleqani_all.zip",
        3_256,
        {"images": "kaggle:mehradaria/leukemia"},
    ),
    "deepapl": Source(
        "DeepAPL",
        "12,101 single cells of 82 patients with acute leukaemia (AML and APL, one hospital, "
        "CellaVision DM), labelled by its staff; its rare classes are noisy, and no patient is "
        "healthy",
        "Training and test of blasts, smudge cells, other types and subtypes, split by patient",
        "No explicit licence; the authors publish the images to replicate their paper: research "
        "use only",
        "Sidhom JW, Siddarthan IJ, Lai BS, et al. Deep learning for diagnosis of acute "
        "promyelocytic leukemia via recognition of genomically imprinted morphologic features. "
        "npj Precision Oncology 2021;5:38.",
        "https://github.com/sidhomj/DeepAPL",
        "deepapl.zip",
        12_101,
    ),
    "lisc": Source(
        "LISC",
        "268 single cells of 224 × 224 px of healthy donors, five types, Axioskop 40 with a Sony "
        "camera; the donor of a cell is not known",
        "Test of white-cell types in another laboratory; the temperature for images unlike the "
        "training images was fitted to it",
        "Free for research, by its authors",
        "Rezatofighi SH, Soltanian-Zadeh H. Automatic recognition of five types of white blood "
        "cells in peripheral blood. Comput Med Imaging Graph 2011;35:333-343.",
        "http://users.cecs.anu.edu.au/~hrezatofighi/Data/Leukocyte%20Data.htm",
        "lisc.zip",
        268,
    ),
    "txl": Source(
        "TXL-PBC",
        "1,440 fields and crops with boxes of white cells, red cells and platelets",
        "Training and test of the detector",
        "MIT",
        "Gan L, Li X. TXL-PBC: a freely accessible labeled peripheral blood cell dataset. 2024.",
        "https://github.com/lugan113/TXL-PBC_Dataset",
        "txl_pbc.zip",
        1_440,
        {
            "images": _GITHUB.format(
                "lugan113/TXL-PBC_Dataset", "bcafb7af67467b02b3bac19a95d0e43ebcc5b983"
            )
        },
    ),
    "bccd": Source(
        "BCCD",
        "364 fields of 640 × 480 px with boxes of white cells, red cells and platelets",
        "Training and test of the detector",
        "MIT",
        "Shenggan. BCCD Dataset: blood cell count and detection.",
        "https://github.com/Shenggan/BCCD_Dataset",
        "bccd.zip",
        364,
        {
            "images": _GITHUB.format(
                "Shenggan/BCCD_Dataset", "d272fb14cdff6e473fafeeeba32aba5f560e9e43"
            )
        },
    ),
    "cellavision": Source(
        "CellaVision cells",
        "100 single cells of 300 × 300 px from the CellaVision teaching blog, with masks",
        "Test of white-cell types in another laboratory only",
        "None named by its authors; research use, acknowledge the CellaVision blog",
        "Zheng X, Wang Y, Wang G, Liu J. Fast and robust segmentation of white blood cell images "
        "by self-supervised learning. Micron 2018;107:55-71.",
        "https://github.com/zxaoyou/segmentation_WBC",
        "cellavision_cells.zip",
        100,
        {"images": _GITHUB.format("zxaoyou/segmentation_WBC", "refs/heads/master")},
    ),
    "pig_fields": Source(
        "WBC detection dataset",
        "459 fields of 416 × 416 px of warty pig blood, telephone on an Olympus CX23, with boxes "
        "of white cells only",
        "Checks of cells of few pixels and of strange stains; no model was trained on it",
        "CC0",
        "FrancescaIE. WBC-detection-dataset.",
        "https://github.com/FrancescaIE/WBC-detection-dataset",
        "pig_fields.zip",
        459,
    ),
    "mobilenet": Source(
        "MobileNetV2 weights",
        "ImageNet weights that training starts from",
        "Start of all three models",
        "Apache-2.0",
        "Sandler M, Howard A, Zhu M, et al. MobileNetV2: inverted residuals and linear "
        "bottlenecks. CVPR 2018.",
        "https://keras.io/api/applications/mobilenet/",
    ),
}

PUBLIC_SETS = {key: source for key, source in SOURCES.items() if source.archive}
"""The sets that readers open, by the names they are opened by."""


def how_to_get(name: str) -> str:
    """Return how a user gets a set, as a sentence without its full stop."""
    source = PUBLIC_SETS[name]
    if source.parts:
        return f"Fetch it with `python -m core data get {name}`"
    return f"Get it from {source.url}, pack it as {source.archive}"
