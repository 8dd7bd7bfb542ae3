"""Where the images come from that models were trained and measured on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A public data set with its licence and citation."""

    name: str
    content: str
    use: str
    licence: str
    citation: str
    url: str


SOURCES: tuple[Source, ...] = (
    Source(
        "PBC",
        "17,092 single cells of healthy donors, CellaVision DM96, May-Grünwald-Giemsa",
        "Training and test of white-cell types",
        "CC BY 4.0",
        "Acevedo A, Merino A, Alférez S, et al. A dataset of microscopic peripheral blood cell "
        "images for development of automatic recognition systems. Data in Brief 2020;30:105474.",
        "https://data.mendeley.com/datasets/snkd93bnjr",
    ),
    Source(
        "WBCAtt",
        "Eleven morphological attributes of 10,298 PBC cells, with an official split",
        "Training and test of attributes; test split of the five mature types",
        "MIT (the table of attributes); the images are those of PBC, CC BY 4.0",
        "Tsutsui S, Pang W, Wen B. WBCAtt: a white blood cell dataset annotated with detailed "
        "morphological attributes. NeurIPS Datasets and Benchmarks 2023.",
        "https://github.com/apple2373/wbcatt",
    ),
    Source(
        "Kaggle blood cells",
        "12,515 fields of 320 × 240 px, four types; most are augmented copies",
        "Training (TRAIN) and test (TEST, TEST_SIMPLE) of white-cell types in fields",
        "MIT",
        "Mooney P. Blood Cell Images. Kaggle 2018.",
        "https://www.kaggle.com/datasets/paultimothymooney/blood-cells",
    ),
    Source(
        "Taleqani ALL",
        "2,926 fields of 224 × 224 px of suspected ALL, four classes by flow cytometry",
        "Training and cross-validation of ALL classes",
        "None named by its authors; used here for research",
        "Ghaderzadeh M, Aria M, Hosseini A, et al. A fast and efficient CNN model for B-ALL "
        "diagnosis and its subtypes classification using peripheral blood smear images. "
        "Int J Intell Syst 2021.",
        "https://www.kaggle.com/datasets/mehradaria/leukemia",
    ),
    Source(
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
    ),
    Source(
        "LISC",
        "268 single cells of 224 × 224 px of healthy donors, five types, Axioskop 40 with a Sony "
        "camera; the donor of a cell is not known",
        "Training and test of white-cell types in another laboratory",
        "Free for research, by its authors",
        "Rezatofighi SH, Soltanian-Zadeh H. Automatic recognition of five types of white blood "
        "cells in peripheral blood. Comput Med Imaging Graph 2011;35:333-343.",
        "http://users.cecs.anu.edu.au/~hrezatofighi/Data/Leukocyte%20Data.htm",
    ),
    Source(
        "TXL-PBC",
        "1,440 fields and crops with boxes of white cells, red cells and platelets",
        "Training and test of the detector",
        "MIT",
        "Gan L, Li X. TXL-PBC: a freely accessible labeled peripheral blood cell dataset. 2024.",
        "https://github.com/lugan113/TXL-PBC_Dataset",
    ),
    Source(
        "BCCD",
        "364 fields of 640 × 480 px with boxes of white cells, red cells and platelets",
        "Training and test of the detector",
        "MIT",
        "Shenggan. BCCD Dataset: blood cell count and detection.",
        "https://github.com/Shenggan/BCCD_Dataset",
    ),
    Source(
        "CellaVision cells",
        "100 single cells of 300 × 300 px from the CellaVision teaching blog, with masks",
        "Test of white-cell types in another laboratory only",
        "None named by its authors; research use, acknowledge the CellaVision blog",
        "Zheng X, Wang Y, Wang G, Liu J. Fast and robust segmentation of white blood cell images "
        "by self-supervised learning. Micron 2018;107:55-71.",
        "https://github.com/zxaoyou/segmentation_WBC",
    ),
    Source(
        "MobileNetV2 weights",
        "ImageNet weights that training starts from",
        "Start of all three models",
        "Apache-2.0",
        "Sandler M, Howard A, Zhu M, et al. MobileNetV2: inverted residuals and linear "
        "bottlenecks. CVPR 2018.",
        "https://keras.io/api/applications/mobilenet/",
    ),
)
