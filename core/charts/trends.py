"""A patient over time: the numbers of each sample as points with their confidence intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import plotly.graph_objects as go

from core.cases.counting import SampleCounts
from core.cases.records import Sample
from core.charts.style import NEUTRAL, RANGE_BAND, error_bars, lay_out
from core.domain.flags import ratio_text
from core.domain.intervals import Estimate
from core.domain.reference_ranges import NLR, WHITE_CELLS, ReferenceRange, Unit
from core.domain.taxonomy import CELL_TYPES, LEUKOCYTES

_AXES: Mapping[Unit, str] = {"%": "%", "10^9/L": "10⁹/L", "ratio": ""}
_ROOM = 1.15
"""Height of the axis as a multiple of what is drawn on it."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One number over a patient's samples."""

    key: str
    name: str
    unit: Unit
    colour: str
    points: tuple[tuple[Sample, Estimate], ...]
    doubtful: frozenset[int]
    """Ids of samples whose limits include many uncertain cells."""
    limits: ReferenceRange | None


def series(
    counts: Sequence[SampleCounts], unit: Unit, ranges: Mapping[str, ReferenceRange]
) -> tuple[Series, ...]:
    """Return the series in a unit that have a point: types in `%` or `10^9/L`, or the ratio.

    Samples without classified cells have no shares, and so no points.
    """
    wanted: dict[str, tuple[str, str]] = {
        key: (CELL_TYPES[key].plural, CELL_TYPES[key].colour) for key in LEUKOCYTES
    }
    if unit == "ratio":
        wanted = {NLR: ("Neutrophil-lymphocyte ratio", NEUTRAL)}
    elif unit == "10^9/L":
        wanted = {WHITE_CELLS: ("White cells", NEUTRAL)} | wanted
    doubtful = frozenset(one.sample.id for one in counts if one.counted.excluded)
    made = []
    for key, (name, colour) in wanted.items():
        values = [(one.sample, _values(one, unit).get(key)) for one in counts]
        points = tuple((sample, value) for sample, value in values if value is not None)
        if points:
            made.append(Series(key, name, unit, colour, points, doubtful, ranges.get(key)))
    return tuple(made)


def _values(one: SampleCounts, unit: Unit) -> Mapping[str, Estimate | None]:
    if unit == "ratio":
        return {NLR: one.nlr}
    if unit == "%":
        return one.counted.shares if one.counted.total else {}
    entered = one.white_cell_count
    return {**one.absolute, WHITE_CELLS: None if entered is None else Estimate.exact(entered)}


def trend_figure(shown: Series) -> go.Figure:
    """Draw a series as points with 95 % limits by date, over its reference range.

    What has no upper limit is drawn to the top of the axis and says so on hover; a ratio without
    lymphocytes is a triangle there. Samples with many uncertain cells are open symbols.
    """
    values = [value for _, value in shown.points]
    finite = [v for value in values for v in (value.low, value.value, value.high) if v < inf]
    top = _ROOM * max([*finite, shown.limits.high if shown.limits else 0.0, 0.1])
    if shown.unit == "%":
        top = min(top, 100.0)
    days = [sample.taken.isoformat() for sample, _ in shown.points]
    figure = go.Figure()
    if shown.limits is not None:
        figure.add_hrect(
            y0=shown.limits.low,
            y1=shown.limits.high,
            fillcolor=RANGE_BAND,
            line_width=0,
            layer="below",
        )
    heights = [min(value.value, top) for value in values]
    figure.add_scatter(
        x=days,
        y=heights,
        mode="lines+markers",
        line={"color": shown.colour, "width": 1.5},
        marker={
            "color": shown.colour,
            "size": 9,
            "symbol": [
                ("circle" if value.value < inf else "triangle-up")
                + ("-open" if sample.id in shown.doubtful else "")
                for sample, value in shown.points
            ],
        },
        cliponaxis=False,
        error_y=error_bars(
            heights,
            [value.low for value in values],
            [min(value.high, top) for value in values],
            shown.colour,
        ),
        text=[
            f"{sample.taken:%Y-%m-%d}, sample {sample.id}<br>{_text(value, shown.unit)}"
            + ("<br>Limits include the uncertain cells" if sample.id in shown.doubtful else "")
            for sample, value in shown.points
        ],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    # Two dates are the ends of the axis; of more some would be written over one another.
    dates = sorted(set(days))
    axis = {"tickvals": dates, "type": "date"} if len(dates) <= 2 else {"nticks": 4}
    # Plotly leaves out labels that reach over the ends of a date axis.
    figure.update_xaxes(tickformat="%Y-%m-%d", ticklabeloverflow="allow", **axis)
    figure.update_yaxes(title=_AXES[shown.unit], range=[0, top], automargin=True)
    lay_out(figure, 210, top=10, right=40)
    return figure


def _text(value: Estimate, unit: Unit) -> str:
    if unit == "ratio":
        return ratio_text(value)
    return value.text(f" {_AXES[unit]}", 1 if unit == "%" else 2)
