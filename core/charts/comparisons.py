"""Tables and figures of what was compared: networks, sources, fields, precisions."""

from collections.abc import Mapping
from typing import TypeVar

import pandas as pd
import plotly.graph_objects as go

from core.charts.metrics import LEGEND_ABOVE, MAIN, SECOND
from core.domain.intervals import Estimate
from core.evaluation.comparisons import (
    ARCHITECTURES,
    Architecture,
    ArchitectureRow,
    Comparisons,
    FieldsRow,
    FoundCells,
    PrecisionRow,
    ScoredCells,
    SourcesRow,
    StagedFields,
    TypedCells,
)
from core.evaluation.tables import percent, percent_or_none, three_digits

TITLES: dict[Architecture, str] = {
    "convnet": "Plain convolutional network",
    "vgg19": "VGG19",
    "resnet50": "ResNet50",
    "mobilenetv2": "MobileNetV2 (shipped)",
    "mobilenetv2_skcab": "MobileNetV2 with SK and channel attention",
}
SOURCES = {"pbc": "PBC", "kaggle": "Kaggle", "cellavision": "CellaVision"}
FIELDS = {"bccd": "BCCD", "txl_575": "TXL, 575 px", "txl_360": "TXL, 360 px"}
RECIPES = {
    "nothing": "Everything",
    "appearance": "No changed stain, camera, sharpness",
    "stain_transfer": "No stain transfer",
    "edge_truncation": "No cells cut by an edge",
    "cytoplasm": "No drawn cytoplasm",
    "imagenet": "No ImageNet start",
}
PRECISIONS = {"float32": "32-bit floats", "int8": "8-bit integers", "float32_smaller": "Floats"}
NOTHING = "nothing"
_THIRD = "#3E8E7E"
_Row = TypeVar("_Row")


def architectures_table(rows: Mapping[str, ArchitectureRow]) -> pd.DataFrame:
    """Return a row a network: accuracy and macro F1 at home and elsewhere, size and speed."""
    return pd.DataFrame(
        {
            "Network": TITLES[name],
            "Start": row.start,
            "PBC accuracy": percent(row.sets["pbc"].accuracy),
            "PBC macro F1": percent(row.sets["pbc"].macro_f1),
            "CellaVision": percent(row.sets["cellavision"].accuracy),
            "Weights, M": row.parameters / 1e6,
            "File, MB": row.file_bytes / 1e6,
            "ms": row.milliseconds,
            "Training, min": row.training_seconds / 60,
        }
        for name in ARCHITECTURES
        if (row := rows.get(name))
    )


def sources_table(rows: Mapping[str, SourcesRow]) -> pd.DataFrame:
    """Return a row a training: what it was trained on, its accuracy and ECE on each source.

    A star marks a source that the training did not see.
    """
    return pd.DataFrame(
        {
            "Trained on": " and ".join(SOURCES[key] for key in row.trained_on),
            **{
                SOURCES[key]: f"{percent(own.accuracy)}, ECE {100 * own.ece:.0f} %"
                + ("" if key in row.trained_on else " *")
                for key, own in row.sets.items()
            },
        }
        for row in _in_order(rows, SOURCES).values()
    )


def recipe_table(rows: Mapping[str, SourcesRow]) -> pd.DataFrame:
    """Return a row a training: the part of the recipe left out, accuracy and ECE on each set."""
    return pd.DataFrame(
        {
            "Recipe": RECIPES[without],
            **{
                SOURCES[key]: f"{percent(own.accuracy)}, ECE {100 * own.ece:.0f} %"
                for key, own in row.sets.items()
            },
        }
        for without, row in _in_order(rows, RECIPES).items()
    )


def sources_figure(rows: Mapping[str, SourcesRow]) -> go.Figure:
    """Draw the accuracy on each source, a bar a training; hatched where it was left out."""
    figure = go.Figure()
    ordered = _in_order(rows, SOURCES).values()
    for row, colour in zip(ordered, (MAIN, SECOND, _THIRD), strict=False):
        shares = [row.sets[key].accuracy for key in SOURCES]
        values = [100 * share.value for share in shares]
        figure.add_bar(
            x=list(SOURCES.values()),
            y=values,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * s.high - v for s, v in zip(shares, values, strict=True)],
                "arrayminus": [v - 100 * s.low for s, v in zip(shares, values, strict=True)],
                "thickness": 1.5,
                "width": 4,
            },
            marker={
                "color": colour,
                "pattern": {"shape": ["" if key in row.trained_on else "/" for key in SOURCES]},
            },
            name="Trained on " + " and ".join(SOURCES[key] for key in row.trained_on),
            hovertemplate="%{x}: %{y:.1f} %<extra></extra>",
        )
    figure.update_layout(
        barmode="group",
        height=380,
        margin={"l": 0, "r": 10, "t": 40, "b": 0},
        legend=LEGEND_ABOVE,
        dragmode=False,
    )
    figure.update_yaxes(title="Accuracy, %", range=[0, 101], zeroline=False, automargin=True)
    return figure


def fields_table(rows: Mapping[str, FieldsRow]) -> pd.DataFrame:
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


def precisions_table(rows: Mapping[str, PrecisionRow]) -> pd.DataFrame:
    """Return a row a file of one model: its figures on the test sets, time and size.

    `Time` is that of a forward pass, as a share of the one in floats at full size.
    """
    ordered = _in_order(rows, PRECISIONS)
    full = rows["float32"]
    return pd.DataFrame(
        {
            "Precision": PRECISIONS[key] + ("" if row.side == full.side else f", {row.side} px"),
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


def run_titles(comparisons: Comparisons) -> dict[tuple[str, str], str]:
    """Return the trainings of cell classifiers by section and key, as pages name them."""
    titles: dict[tuple[str, str], str] = {
        ("architectures", name): TITLES[name]
        for name in ARCHITECTURES
        if name in comparisons.architectures
    }
    for key, row in comparisons.sources.items():
        trained = " and ".join(SOURCES[name] for name in row.trained_on)
        titles["sources", key] = f"MobileNetV2, mature types of {trained}"
    for key in _in_order(comparisons.recipe, RECIPES):
        titles["recipe", key] = f"MobileNetV2, recipe: {RECIPES[key].lower()}"
    return titles


def difference_table(
    first: Mapping[str, ScoredCells], second: Mapping[str, ScoredCells]
) -> pd.DataFrame:
    """Return two trainings side by side on the sets that both were measured on.

    Columns: Figure, First, Second, Difference (second less first, in points).
    """

    def shares(name: str, one: Estimate, other: Estimate) -> dict[str, str]:
        return _difference(name, percent(one), percent(other), other.value - one.value)

    rows = []
    for key in [key for key in first if key in second]:
        one, other, source = first[key], second[key], SOURCES[key]
        rows += [
            shares(f"{source}, accuracy", one.accuracy, other.accuracy),
            shares(f"{source}, macro F1", one.macro_f1, other.macro_f1),
            _difference(
                f"{source}, ECE",
                percent_or_none(one.ece),
                percent_or_none(other.ece),
                other.ece - one.ece,
            ),
        ]
    return pd.DataFrame(rows)


def _difference(figure: str, first: str, second: str, gap: float) -> dict[str, str]:
    return {
        "Figure": figure,
        "First": first,
        "Second": second,
        "Difference": f"{100 * gap:+.1f}",
    }
