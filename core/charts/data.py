"""Figures and tables of the data sets behind a model, from what `evaluate` wrote of them."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from core.charts.metrics import LEGEND_ABOVE
from core.domain.taxonomy import label_name
from core.evaluation.schema import DataSetFigures, MeanColour
from core.evaluation.sets import DATA_SETS

_SPLITS = {"train": "Training", "val": "Validation", "test": "Test", "test_simple": "Test"}
"""Names of splits; every other split is a fold."""
_FOLDS = "All folds"
_COLOURS = {"Training": "#7A5CA8", "Validation": "#3E8E7E", "Test": "#D98A00", _FOLDS: "#7A5CA8"}
_ROW_HEIGHT = 30


def data_set_title(name: str) -> str:
    """Return the name of a data set as pages write it."""
    return DATA_SETS[name].title if name in DATA_SETS else name


def class_counts(described: DataSetFigures) -> pd.DataFrame:
    """Return label, split, count of one described set, the most frequent label first."""
    rows = [
        {"label": label_name(label), "split": _SPLITS.get(split, _FOLDS), "count": count}
        for split, own in described.counts.items()
        for label, count in own.items()
    ]
    counts = pd.DataFrame(rows).groupby(["label", "split"], as_index=False)["count"].sum()
    totals = counts.groupby("label")["count"].transform("sum")
    order = counts.assign(total=totals).sort_values(
        ["total", "label"], ascending=[False, True], kind="stable"
    )
    return order[["label", "split", "count"]].reset_index(drop=True)


def distribution_figure(described: DataSetFigures) -> go.Figure:
    """Draw the counts of one set: a bar a label, its splits side by side in it."""
    counts = class_counts(described)
    labels = list(dict.fromkeys(counts["label"]))
    figure = go.Figure()
    for split, colour in _COLOURS.items():
        own = counts[counts["split"] == split]
        if not own.empty:
            figure.add_bar(
                x=own["count"],
                y=own["label"],
                orientation="h",
                name=split,
                marker_color=colour,
                hovertemplate="%{y}: %{x:,} in " + split.lower() + "<extra></extra>",
            )
    figure.update_layout(
        barmode="stack",
        showlegend=True,
        height=90 + _ROW_HEIGHT * len(labels),
        margin={"l": 0, "r": 10, "t": 30, "b": 0},
        legend=LEGEND_ABOVE,
        dragmode=False,
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=labels[::-1], automargin=True, zeroline=False
    )
    figure.update_xaxes(title=described.unit, zeroline=False)
    return figure


def data_table(data: Mapping[str, DataSetFigures]) -> pd.DataFrame:
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


def _with_deviation(colour: MeanColour, channel: int) -> str:
    return f"{colour.mean[channel]:.0f} ± {colour.deviation[channel]:.0f}"
