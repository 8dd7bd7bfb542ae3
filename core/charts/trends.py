"""A patient over time: each sample's numbers as points with limits, and two samples compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import pandas as pd
import plotly.graph_objects as go

from core.cases.records import Patient, Sample, SampleSummary
from core.domain.blood_counts import absolute_counts, corrected_count
from core.domain.differential import (
    MINIMUM_FOR_PERCENTAGES,
    SUSPECTED_BLAST,
    Differential,
    differential_of_counts,
    neutrophil_lymphocyte_ratio,
    share_difference,
)
from core.domain.flags import ratio_text
from core.domain.intervals import Estimate, proportion
from core.domain.reference_ranges import NLR, WHITE_CELLS, ReferenceRange, ReferenceRanges, Unit
from core.domain.taxonomy import LEUKOCYTES, REVIEW_TYPES
from core.exports.answers import number

_BAND = "rgba(128, 128, 128, 0.25)"
_NEUTRAL = "#8A7F8D"
_AXES: Mapping[Unit, str] = {"%": "%", "10^9/L": "10⁹/L", "ratio": ""}
_ROOM = 1.15
"""Height of the axis as a multiple of what is drawn on it."""


@dataclass(frozen=True, slots=True, eq=False)
class SampleCounts:
    """A sample counted. Cells per volume and the ratio are of blood only."""

    sample: Sample
    fields: int
    counted: Differential
    white_cell_count: float | None
    """As entered, in 10⁹/L, corrected for erythroblasts."""
    absolute: Mapping[str, Estimate]
    """In 10⁹/L; empty without a white cell count."""
    nlr: Estimate | None


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One number over a patient's samples."""

    key: str
    name: str
    unit: Unit
    colour: str
    points: tuple[tuple[Sample, Estimate], ...]
    limits: ReferenceRange | None


def count_sample(summary: SampleSummary) -> SampleCounts:
    """Count a sample as `case_summary.summarise` does, from the numbers of its cells."""
    sample = summary.sample
    counted = differential_of_counts(summary.type_counts, summary.uncertain)
    is_blood = sample.material == "peripheral_blood"
    white_cells = None
    if is_blood and sample.white_cell_count is not None:
        white_cells = corrected_count(sample.white_cell_count, counted)
    return SampleCounts(
        sample=sample,
        fields=summary.fields,
        counted=counted,
        white_cell_count=white_cells,
        absolute={} if white_cells is None else absolute_counts(counted, white_cells),
        nlr=neutrophil_lymphocyte_ratio(counted) if is_blood else None,
    )


def series(
    counts: Sequence[SampleCounts], unit: Unit, ranges: Mapping[str, ReferenceRange]
) -> tuple[Series, ...]:
    """Return the series in a unit that have a point: types in `%` or `10^9/L`, or the ratio.

    Samples without classified cells have no shares, and so no points.
    """
    if unit == "ratio":
        wanted = {NLR: ("Neutrophil-lymphocyte ratio", _NEUTRAL)}
    else:
        keys = [*LEUKOCYTES]
        if any(one.counted.suspected_blasts for one in counts):
            keys.append(SUSPECTED_BLAST)
        wanted = {key: (REVIEW_TYPES[key].plural, REVIEW_TYPES[key].colour) for key in keys}
        if unit == "10^9/L":
            wanted = {WHITE_CELLS: ("White cells", _NEUTRAL)} | wanted
    made = []
    for key, (name, colour) in wanted.items():
        values = [(one.sample, _value(one, key, unit)) for one in counts]
        points = tuple((sample, value) for sample, value in values if value is not None)
        if points:
            made.append(Series(key, name, unit, colour, points, ranges.get(key)))
    return tuple(made)


def ranges_of(
    patient: Patient, sample: Sample, unit: Unit, ranges: ReferenceRanges
) -> dict[str, ReferenceRange]:
    """Return the ranges that hold for a patient at the time of a sample; none but for blood."""
    if sample.material != "peripheral_blood":
        return {}
    age = None if patient.birth_year is None else sample.taken.year - patient.birth_year
    return ranges.of(unit, sex=patient.sex, age=age)


def _value(one: SampleCounts, key: str, unit: Unit) -> Estimate | None:
    if unit == "ratio":
        return one.nlr
    if unit == "10^9/L":
        if key == WHITE_CELLS:
            entered = one.white_cell_count
            return None if entered is None else Estimate.exact(entered)
        return one.absolute.get(key)
    counted = one.counted
    if counted.total == 0:
        return None
    if key not in counted.shares:  # suspected blasts, of which this sample has none
        return proportion(0, counted.total, per=100)
    return counted.shares[key]


def trend_figure(shown: Series) -> go.Figure:
    """Draw a series as points with 95 % limits by date, over its reference range.

    What has no upper limit is drawn to the top of the axis and says so on hover; a ratio without
    lymphocytes is a triangle there.
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
            y0=shown.limits.low, y1=shown.limits.high, fillcolor=_BAND, line_width=0, layer="below"
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
            "symbol": ["circle" if value.value < inf else "triangle-up" for value in values],
        },
        cliponaxis=False,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [min(value.high, top) - y for value, y in zip(values, heights, strict=True)],
            "arrayminus": [y - value.low for value, y in zip(values, heights, strict=True)],
            "thickness": 1.5,
            "width": 4,
            "color": shown.colour,
        },
        text=[
            f"{sample.taken:%Y-%m-%d}, sample {sample.id}<br>{_text(value, shown.unit)}"
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
    figure.update_layout(height=210, margin={"l": 0, "r": 40, "t": 10, "b": 0})
    return figure


def _text(value: Estimate, unit: Unit) -> str:
    if unit == "ratio":
        return ratio_text(value)
    digits = ".1f" if unit == "%" else ".2f"
    text = f"{value.value:{digits}} {_AXES[unit]}"
    if value.is_exact:
        return text
    return f"{text} ({value.low:{digits}}-{value.high:{digits}})"


def history_table(patient: Patient, counts: Sequence[SampleCounts]) -> pd.DataFrame:
    """Return a row for each sample and type, samples in the order given.

    Columns: patient, sample, taken, material, state, fields, classified (all types of the sample),
    uncertain, white_cells (10⁹/L, corrected), nlr with its limits, type, count, percent with its
    limits (of erythroblasts and smudge cells per 100 leukocytes), absolute with its limits (10⁹/L).
    What is not known, or has no finite value, is empty.
    """
    return pd.DataFrame(
        [
            {
                "patient": patient.identifier,
                "sample": one.sample.id,
                "taken": one.sample.taken.isoformat(),
                "material": one.sample.material,
                "state": one.sample.state,
                "fields": one.fields,
                "classified": one.counted.total,
                "uncertain": one.counted.uncertain,
                "white_cells": one.white_cell_count and number(one.white_cell_count, 3),
                **_columns("nlr", one.nlr, 3),
                "type": key,
                "count": share.count,
                **_columns("percent", share if one.counted.total else None, 2),
                **_columns("absolute", one.absolute.get(key), 3),
            }
            for one in counts
            for key, share in {
                **one.counted.shares,
                "erythroblast": one.counted.erythroblasts,
                "smudge_cell": one.counted.smudge_cells,
            }.items()
        ]
    )


def _columns(name: str, value: Estimate | None, decimals: int) -> dict[str, float | None]:
    parts = (None, None, None) if value is None else (value.value, value.low, value.high)
    names = (name, f"{name}_low", f"{name}_high")
    return {
        key: None if part is None else number(part, decimals)
        for key, part in zip(names, parts, strict=True)
    }


def comparison_table(before: SampleCounts, after: SampleCounts) -> pd.DataFrame:
    """Return a row for each type: its share in two samples and the change between them.

    Columns: type, before and after (percent), change, low, high (percentage points with 95 %
    limits), direction: `up` or `down` where the limits leave out no change, `few` where a sample
    has too few cells for a verdict, else empty. Numbers are empty where a sample has no classified
    cells.
    """
    keys = dict.fromkeys((*before.counted.shares, *after.counted.shares))
    return pd.DataFrame(
        [_compared(key, before.counted, after.counted) for key in keys],
        columns=["type", "before", "after", "change", "low", "high", "direction"],
    )


def _compared(key: str, before: Differential, after: Differential) -> dict[str, object]:
    change = share_difference(before, after, key)
    shares = {"before": before, "after": after}
    row: dict[str, object] = {"type": key}
    for when, counted in shares.items():
        share = counted.shares.get(key)
        known = counted.total > 0
        row[when] = number(share.percent if share else 0.0, 2) if known else None
    if change is None:
        return row | {"change": None, "low": None, "high": None, "direction": "few"}
    direction = "up" if change.low > 0 else "down" if change.high < 0 else ""
    if min(before.total, after.total) < MINIMUM_FOR_PERCENTAGES:
        direction = "few"
    return row | {
        "change": number(change.value, 2),
        "low": number(change.low, 2),
        "high": number(change.high, 2),
        "direction": direction,
    }
