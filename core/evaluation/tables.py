"""Figures of the models as tables and text for pages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pandas as pd

from core.domain.intervals import Estimate
from core.domain.taxonomy import label_name
from core.evaluation import comparisons, schema
from core.evaluation.blasts import LEUKAEMIC, leukaemic_patients
from core.evaluation.comparisons import FoundCells, StagedFields, TypedCells
from core.evaluation.report import ClassifierReport, DetectorReport
from core.evaluation.sets import DATA_SETS, evaluation_set

TITLES = {
    "convnet": "Plain convolutional network",
    "vgg19": "VGG19",
    "resnet50": "ResNet50",
    "mobilenetv2": "MobileNetV2, as shipped",
    "mobilenetv2_skcab": "MobileNetV2 with SK and channel attention",
}
SOURCES = {
    "pbc": "PBC",
    "kaggle": "Kaggle",
    "cellavision": "CellaVision",
    "lisc": "LISC",
    "deepapl": "DeepAPL",
}
"""Sources of typed cells; each names itself in the training data of a card."""
NOT_MEASURED = "not measured"
FIELDS = {"bccd": "BCCD", "txl_575": "TXL, 575 px", "txl_360": "TXL, 360 px"}
RECIPES = {
    "nothing": "Everything",
    "appearance": "No changed stain, camera, sharpness",
    "stain_transfer": "No stain transfer",
    "edge_truncation": "No cells cut by an edge",
    "imagenet": "No ImageNet start",
    "averaging": "No averaged weights",
    "label_smoothing": "No smoothed labels",
    "style_mixing": "With mixed styles in features",
    "taught": "Taught by three networks",
    "side_160": "160 px",
    "side_192": "192 px",
}
"""Trainings by what they lack of the recipe, or have besides."""
PRECISIONS = {"float32": "32-bit floats", "int8": "8-bit integers", "float32_smaller": "Floats"}
NOTHING = "nothing"
_Row = TypeVar("_Row")


def percent(share: Estimate | None) -> str:
    """Write a proportion with its 95 % limits, if it has any, such as `97.9 % (97.3-98.3)`."""
    if share is None:
        return "no images"
    limits = (100 * part for part in (share.value, share.low, share.high))
    return Estimate(*limits).text(" %")


def percent_or_none(value: float | None) -> str:
    """Write a fraction of 1 in percent, `none` where it does not exist."""
    return "none" if value is None else f"{100 * value:.1f} %"


def three_digits(value: float | None) -> str:
    """Write a figure with three digits, `none` where it does not exist."""
    return "none" if value is None else f"{value:.3f}"


def class_table(figures: schema.ClassificationFigures) -> pd.DataFrame:
    """Return one row a class: its name, images, and figures with 95 % limits as text."""
    return pd.DataFrame(
        {
            "Class": label_name(label),
            "Images": own.support,
            "Precision": percent(own.precision),
            "Recall": percent(own.recall),
            "F1": percent(own.f1),
            "ROC AUC": own.roc_auc,
            "Average precision": own.average_precision,
        }
        for label, own in figures.per_class.items()
    )


def kind_table(figures: schema.DetectionFigures) -> pd.DataFrame:
    """Return one row a kind of cell: boxes and figures of the detector, limits as text."""
    return pd.DataFrame(
        {
            "Cell": label_name(kind),
            "True boxes": own.truths,
            "Boxes found": own.predictions,
            "Score threshold": own.threshold,
            "Precision": percent(own.precision),
            "Recall": percent(own.recall),
            "mAP50": own.map50,
            "mAP50-95": own.map50_95,
        }
        for kind, own in figures.per_kind.items()
    )


def sets_table(report: ClassifierReport | DetectorReport) -> pd.DataFrame:
    """Return one row a set of a model, other sources first."""
    return pd.DataFrame(
        {"Set": evaluation_set(key).name, **_set_figures(report.metrics.sets[key])}
        for key in report.sets
    )


def _set_figures(own: schema.ClassificationFigures | schema.DetectionFigures) -> dict[str, str]:
    if isinstance(own, schema.DetectionFigures):
        return {
            "Images": f"{own.images:,}",
            "mAP50": three_digits(own.map50),
            "mAP50-95": three_digits(own.map50_95),
            "WBC count exact": percent(own.wbc_count_exact),
            "RBC count error": percent_or_none(own.rbc_count_error),
        }
    return {
        "Images": f"{own.n:,}",
        "Classes": f"{len(own.labels)}",
        "Accuracy": percent(own.accuracy),
        "Macro F1": percent(own.macro_f1),
        "ECE": f"{100 * own.ece:.1f} %",
    }


def blast_table(figures: schema.BlastFigures) -> pd.DataFrame:
    """Return how blasts and smudge cells are told from other cells, by cell and by patient."""
    error, patients = figures.median_share_error, figures.patients
    found, false_alarms = leukaemic_patients(patients)
    rows = (
        (f"Blasts ({figures.blasts}) that raise the flag", percent(figures.possible)),
        ("Blasts called a healthy type with certainty", percent(figures.certain_healthy)),
        ("Blast against all other white cells, AUROC", f"{figures.auroc:.3f}"),
        ("Other white cells called blasts, certain or not", percent(figures.others_possible)),
        ("Other white cells that are uncertain", percent(figures.others_uncertain)),
        ("Smudge cells excluded", percent(figures.smudge_excluded)),
        (
            f"Blast share of {len(patients)} patients, median error",
            "not measured" if error is None else f"{100 * error:.1f} points",
        ),
        (f"Patients with {100 * LEUKAEMIC:.0f} % blasts or more, found", percent(found)),
        ("Other patients counted with as many", percent(false_alarms)),
    )
    return pd.DataFrame(rows, columns=["Figure", "Measured (95 % interval)"])


def patients_table(row: comparisons.PatientsRow) -> pd.DataFrame:
    """Return the figures over all patients, each by a network that did not see the patient."""
    own = pd.DataFrame(
        [
            (
                f"Balanced accuracy over {len(row.figures.labels)} types",
                percent(row.figures.balanced_accuracy),
            ),
            ("ECE", percent_or_none(row.figures.ece)),
        ],
        columns=["Figure", "Measured (95 % interval)"],
    )
    return pd.concat([own, blast_table(row.blasts)], ignore_index=True)


def corruptions_table(measured: schema.CorruptionFigures) -> pd.DataFrame:
    """Return a row for each corruption: accuracy with 95 % limits, points lost, and percentages.

    Percentages: images that are classified, those of them that are right and, where the model
    tells, those out of distribution.
    """

    def row(name: str, lost: float, own: schema.CorruptedFigures) -> dict[str, Any]:
        shares = {
            "Classified": own.classified,
            "Of them right": own.classified_right,
            "Out of distribution": own.out_of_distribution,
        }
        return {
            "Corruption": name,
            "Accuracy": percent(own.accuracy),
            "Points lost": round(100 * lost, 1) + 0.0,
            **{title: 100 * share.value for title, share in shares.items() if share},
        }

    return pd.DataFrame(
        [
            row("Unchanged", 0.0, measured.unchanged),
            *(row(own.corruption, own.drop, own) for own in measured.rows),
        ]
    )


def ood_table(
    out_of_distribution: Mapping[str, Estimate | None], names: Mapping[str, str]
) -> pd.DataFrame:
    """Return a row for each set: the proportion of its cells that is out of distribution.

    `names` gives the sets the names that pages use.
    """
    return pd.DataFrame(
        {"Cells": names.get(key, key), "Out of distribution": percent(share)}
        for key, share in out_of_distribution.items()
    )


def quality_control_table(
    measured: schema.QualityControlFigures, names: Mapping[str, str]
) -> pd.DataFrame:
    """Return a row for each kind of image: how many, percent rejected, AUROC against smears.

    `names` gives the sets of smears the names that pages use.
    """

    def row(images: str, n: str, rejected: Estimate | None, auroc: str = "") -> dict[str, str]:
        return {
            "Images": images,
            "n": n,
            "Rejected": percent(rejected),
            "AUROC against smears": auroc,
        }

    smears = measured.smears
    return pd.DataFrame(
        [
            row("Smears of all sets", f"{smears.n:,}", smears.rejected),
            *(row(f"… {names.get(key, key)}", "", own) for key, own in smears.by_set.items()),
            *(
                row(kind, f"{own.n:,}", own.rejected, f"{own.auroc:.4f}")
                for kind, own in measured.others.items()
            ),
        ]
    )


def adaptation_sentence(adaptation: schema.AdaptationFigures) -> str:
    """Say what a site profile gained."""
    types = ", ".join(key.replace("_", " ") for key in adaptation.types)
    calibration = ""
    if error := adaptation.ece:
        calibration = (
            f" The expected calibration error is {100 * error.after:.1f} %, "
            f"{100 * error.before:.1f} % before."
        )
    return (
        f"With {adaptation.cells_a_type} reviewed CellaVision cells of each of {types}, the "
        f"classifier names {percent(adaptation.after)} of the other cells right, "
        f"{percent(adaptation.before)} before. Mean of {adaptation.draws} random draws; "
        f"profiles rejected because they did not help: {adaptation.rejected}.{calibration}"
    )


def unseen_table(unseen: schema.UnseenFigures) -> pd.DataFrame:
    """Return a row for each kind of images that are unlike the detector's training."""
    fields, nuclei = unseen.kaggle_test_simple, unseen.taleqani
    rows = [
        ("Kaggle fields, originals", fields.n, "A white cell found", fields.found),
        ("ALL fields (Taleqani)", nuclei.n, f"{nuclei.nuclei:,} nuclei found", nuclei.recall),
        ("ALL fields (Taleqani)", nuclei.n, "Boxes with a nucleus", nuclei.precision),
    ]
    for images, boxes in (
        ("Fields at low magnification (pig)", unseen.small_cells),
        ("Composed clumps", unseen.clumps),
    ):
        if boxes is not None:
            own = f"{boxes.cells:,} white cells with a box of their own, IoU {boxes.least_iou:g}"
            rows.append((images, boxes.n, own, boxes.recall))
            rows.append((images, boxes.n, "Boxes on a white cell", boxes.precision))
    return pd.DataFrame(
        {"Images": images, "n": n, "Measured": what, "Result": percent(share)}
        for images, n, what, share in rows
    )


def synthetic_fields_table(synthetic: schema.SyntheticFields) -> pd.DataFrame:
    """Return a row for each corruption of synthetic fields."""
    return pd.DataFrame(
        {
            "Corruption": row.corruption,
            "White cells found": percent(row.recall),
            "Boxes on white cells": percent(row.precision),
            "RBC count error": percent_or_none(row.rbc_count_error),
        }
        for row in synthetic.rows
    )


def cam_sentence(cam: schema.CamFigures) -> str:
    """Say how much of the ALL model's class activation maps lies on white cells."""
    return (
        f"In {cam.n:,} fields, {100 * cam.inside:.1f} % of the class activation map lies inside "
        f"the white cells that the detector finds; they cover {100 * cam.area:.1f} % of the image. "
        f"A map spread evenly would have a ratio of 1; here it is {cam.inside / cam.area:.2f}. A "
        "map has 7 × 7 positions, wider than a cell."
    )


def data_set_title(name: str) -> str:
    """Return the name of a data set as pages write it."""
    return DATA_SETS[name].title if name in DATA_SETS else name


def data_table(data: Mapping[str, schema.DataSetFigures]) -> pd.DataFrame:
    """Return a row a set: images, sizes and mean colour."""
    return pd.DataFrame(
        {
            "Set": data_set_title(name),
            "Images": own.images,
            "Usual sizes, px": ", ".join(f"{size.width} × {size.height}" for size in own.sizes[:3]),
            "L*": _with_deviation(own.colour, 0),
            "a*": _with_deviation(own.colour, 1),
            "b*": _with_deviation(own.colour, 2),
        }
        for name, own in data.items()
    )


def _with_deviation(colour: schema.MeanColour, channel: int) -> str:
    return f"{colour.mean[channel]:.0f} ± {colour.deviation[channel]:.0f}"


def _by_recipe(title: str, row: comparisons.Row | comparisons.PrecisionRow) -> str:
    """Name a row with the recipe of its training where it matters."""
    return f"{title} ({row.recipe.removesuffix(' recipe')})" if row.recipe else title


def recipe_sentence(rows: Iterable[comparisons.Row | comparisons.PrecisionRow]) -> str:
    """Say which recipe the rows follow and what it lacks; empty where rows name none."""
    recipes = sorted({row.recipe for row in rows if row.recipe})
    if not recipes:
        return ""
    sentence = f" Trained by the {' and the '.join(recipes)}."
    if "eight-type recipe" in recipes:
        sentence += (
            " The eight-type recipe is that of version 0.6: it knows no blasts and no smudge "
            "cells, and the shipped classifier is another one."
        )
    return sentence


def left_out_table(report: ClassifierReport, compared: comparisons.Comparisons) -> pd.DataFrame:
    """Return a row a source of cells: what was measured where nothing of it was trained on.

    The shipped classifier counts where its card names no training data of the source; the shorter
    trainings that were `compared` are measured on the source that each of them lacks.
    """
    shipped, shorter = _shipped_away(report), _trained_without(compared)

    def row(key: str) -> dict[str, str]:
        balanced, ece = _figures(shipped.get(key))
        if key in _trained_on(report):
            balanced = ece = "trained on it"
        without, without_ece = _figures(shorter.get(key))
        return {
            "Source": SOURCES[key],
            "Shipped, balanced accuracy": balanced,
            "ECE": ece,
            "Trained without it, balanced accuracy": without,
            "ECE, trained without it": without_ece,
        }

    return pd.DataFrame(row(key) for key in SOURCES)


_Scored = comparisons.ScoredCells | schema.ClassificationFigures


def _trained_on(report: ClassifierReport) -> set[str]:
    lines = report.card.training_data
    return {key for key, title in SOURCES.items() if any(title in line for line in lines)}


def _shipped_away(report: ClassifierReport) -> dict[str, _Scored]:
    """Return the shipped classifier's figures on sources that it was not trained on."""
    unseen = SOURCES.keys() - _trained_on(report)
    return {key: own for key, own in report.metrics.sets.items() if key in unseen}


def _trained_without(compared: comparisons.Comparisons) -> dict[str, _Scored]:
    """Return the figures of each shorter training on the source that it lacks."""
    return {key: row.sets[key] for key, row in compared.sources.items() if key in row.sets}


def _figures(own: _Scored | None) -> tuple[str, str]:
    if own is None:
        return NOT_MEASURED, NOT_MEASURED
    return percent(_balanced(own)), percent_or_none(own.ece)


def _balanced(own: _Scored) -> Estimate:
    """Return the balanced accuracy. Rows of before it was kept have as many cells of each type."""
    return own.balanced_accuracy or own.accuracy


def scores_left_out(
    report: ClassifierReport, compared: comparisons.Comparisons
) -> dict[str, _Scored]:
    """Return what was measured on each source by a network that did not learn from it."""
    return _shipped_away(report) | _trained_without(compared)


def left_out_sentence(report: ClassifierReport, compared: comparisons.Comparisons) -> str:
    """Return mean and worst over the sources that some training did not see."""
    measured = scores_left_out(report, compared)
    values = {key: _balanced(own).value for key, own in measured.items()}
    if not values:
        return "No training left a source out."
    worst = min(values, key=values.__getitem__)
    mean, ece = (
        100 * sum(numbers) / len(values)
        for numbers in (values.values(), [measured[key].ece for key in values])
    )
    return (
        f"{len(values)} of {len(SOURCES)} sources were left out in turn: mean balanced accuracy "
        f"{mean:.1f} %, worst {100 * values[worst]:.1f} % ({SOURCES[worst]}), mean ECE {ece:.1f} %."
    )


def subtypes_table(figures: Mapping[str, schema.SubtypeFigures]) -> pd.DataFrame:
    """Return a row a subtype: cells, and the percentage that gets the subtype."""
    return pd.DataFrame(
        {
            "Subtype": label_name(key),
            "Cells": own.n,
            "Right": percent(own.right),
            "Right where the type is right": percent(own.right_of_type),
        }
        for key, own in figures.items()
    )


def uneven_light_table(rows: Sequence[schema.UnevenLightFigures]) -> pd.DataFrame:
    """Return a row a set and kind of uneven light: white cells found, and still found."""
    return pd.DataFrame(
        {
            "Fields": evaluation_set(row.set).name,
            "Light": row.corruption,
            "White cells": row.cells,
            "Found": percent(row.found),
            "Of those found unchanged": percent(row.kept),
        }
        for row in rows
    )


def architectures_table(rows: Mapping[str, comparisons.ArchitectureRow]) -> pd.DataFrame:
    """Return a row a network: accuracy and macro F1 at home, accuracy elsewhere, size and speed."""

    def figures(key: str, own: comparisons.ScoredCells) -> dict[str, str]:
        title = SOURCES.get(key) or data_set_title(key)
        if key == "cellavision":
            return {title: percent(own.accuracy)}
        return {f"{title} accuracy": percent(own.accuracy), f"{title} F1": percent(own.macro_f1)}

    return pd.DataFrame(
        {
            "Network": _by_recipe(TITLES[name], row),
            "Start": row.start,
            **{
                column: value
                for key, own in row.sets.items()
                for column, value in figures(key, own).items()
            },
            "Weights, M": row.parameters / 1e6,
            "File, MB": row.file_bytes / 1e6,
            "ms": row.milliseconds,
            "Training, min": row.training_seconds / 60,
        }
        for name, row in _in_order(rows, TITLES).items()
    )


def sources_table(rows: Mapping[str, comparisons.SourcesRow]) -> pd.DataFrame:
    """Return a row a training: what it was trained on, its accuracy and ECE on each source.

    A star marks a source that the training did not see.
    """
    return pd.DataFrame(
        {
            "Trained on": ", ".join(SOURCES[key] for key in row.trained_on),
            **_by_source(row, {key: " *" for key in row.sets if key not in row.trained_on}),
        }
        for row in _in_order(rows, SOURCES).values()
    )


def recipe_table(rows: Mapping[str, comparisons.SourcesRow]) -> pd.DataFrame:
    """Return a row a training: how it differs from the recipe, accuracy and ECE on each set."""
    return pd.DataFrame(
        {"Recipe": _by_recipe(RECIPES[without], row), **_by_source(row, {})}
        for without, row in _in_order(rows, RECIPES).items()
    )


def _by_source(row: comparisons.SourcesRow, marks: Mapping[str, str]) -> dict[str, str]:
    """Return accuracy and ECE on each source, with its mark; those not trained on come first."""
    return {
        SOURCES[key]: f"{percent(_balanced(own))}, ECE {100 * own.ece:.0f} %{marks.get(key, '')}"
        for key, own in sorted(row.sets.items(), key=lambda item: item[0] in row.trained_on)
    }


def fields_table(rows: Mapping[str, comparisons.FieldsRow]) -> pd.DataFrame:
    """Return a row a kind of fields: mAP50 and white-cell recall of each training on it.

    A star marks the training that did not see these fields.
    """
    titles = {NOTHING: "With all fields"} | {
        key: f"Without {title}" for key, title in FIELDS.items()
    }
    return pd.DataFrame(
        {
            "Test fields": title,
            **{
                titles[without]: (
                    f"{three_digits(own.map50)}, {percent(own.wbc_recall)}"
                    + (" *" if without == fields else "")
                )
                for without, row in _in_order(rows, titles).items()
                for own in (row.sets[fields],)
            },
        }
        for fields, title in FIELDS.items()
    )


def precisions_table(rows: Mapping[str, comparisons.PrecisionRow]) -> pd.DataFrame:
    """Return a row a file of one model: its figures on the test sets, time and size.

    `Time` is that of a forward pass, as a share of the one in floats at full size.
    """
    ordered = _in_order(rows, PRECISIONS)
    full = rows["float32"]
    return pd.DataFrame(
        {
            "Precision": _by_recipe(
                PRECISIONS[key] + ("" if row.side == full.side else f", {row.side} px"), row
            ),
            **_precision_figures(row.sets),
            "ms": row.milliseconds,
            "Time": row.milliseconds / full.milliseconds,
            "File, MB": row.file_bytes / 1e6,
        }
        for key, row in ordered.items()
    )


def _precision_figures(
    sets: Mapping[str, TypedCells | FoundCells | StagedFields],
) -> dict[str, str]:
    match sets:
        case {"wbcatt_test": TypedCells() as five, "pbc_test": TypedCells() as eight}:
            return {
                "WBCAtt accuracy": percent(five.accuracy),
                "PBC accuracy": percent(eight.accuracy),
                "PBC ECE": f"{100 * eight.ece:.1f} %",
                "PBC classified": percent(eight.classified),
                "Right of these": percent(eight.classified_right),
            }
        case {"txl_test": FoundCells() as raw, "txl_test_corrected": FoundCells() as corrected}:
            return {
                "mAP50": f"{raw.map50:.3f}",
                "mAP50-95": f"{raw.map50_95:.3f}",
                "mAP50, corrected": f"{corrected.map50:.3f}",
                "mAP50-95, corrected": f"{corrected.map50_95:.3f}",
                "White cell count exact": percent(corrected.wbc_count_exact),
            }
        case {"taleqani": StagedFields() as own}:
            return {
                "Same class": percent(own.same_class),
                "Largest change of a probability": f"{100 * own.largest_change:.1f} points",
            }
    return {}


def _in_order(rows: Mapping[str, _Row], order: Mapping[str, str]) -> dict[str, _Row]:
    return {key: rows[key] for key in order if key in rows}


def run_titles(compared: comparisons.Comparisons) -> dict[tuple[str, str], str]:
    """Return the trainings of cell classifiers by section and key, as pages name them."""
    titles = {
        ("architectures", key): _by_recipe(TITLES[key], row)
        for key, row in _in_order(compared.architectures, TITLES).items()
    }
    for key, row in _in_order(compared.sources, SOURCES).items():
        titles["sources", key] = _by_recipe(f"MobileNetV2, without {SOURCES[key]}", row)
    for key, row in _in_order(compared.recipe, RECIPES).items():
        titles["recipe", key] = _by_recipe(f"MobileNetV2, recipe: {RECIPES[key].lower()}", row)
    return titles


def difference_table(
    first: Mapping[str, comparisons.ScoredCells], second: Mapping[str, comparisons.ScoredCells]
) -> pd.DataFrame:
    """Return two trainings side by side on the sets that both were measured on.

    Columns: Figure, First, Second, Difference (second less first, in points).
    """

    def row(figure: str, one: Estimate, other: Estimate) -> dict[str, str]:
        return {
            "Figure": figure,
            "First": percent(one),
            "Second": percent(other),
            "Difference": f"{100 * (other.value - one.value):+.1f}",
        }

    rows = []
    for key in [key for key in first if key in second]:
        one, other, source = first[key], second[key], SOURCES.get(key) or data_set_title(key)
        rows += [
            row(f"{source}, accuracy", one.accuracy, other.accuracy),
            row(f"{source}, macro F1", one.macro_f1, other.macro_f1),
            row(f"{source}, ECE", Estimate.exact(one.ece), Estimate.exact(other.ece)),
        ]
    return pd.DataFrame(rows)
