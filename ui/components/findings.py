"""What a count says: flags, possible blasts, and the differential as table and chart."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from core.charts.differential import differential_figure
from core.charts.red_cells import diameters_figure
from core.domain.differential import LARGEST_LIMIT, Differential, Share, subtypes_text
from core.domain.flags import Flag, Severity, blast_flag
from core.domain.intervals import Estimate
from core.domain.results import FieldAnalysis
from core.evaluation.model_error import CallAccuracy, accuracy_text
from core.exports.summary import CaseSummary, Judged, Row, facts, smear_facts
from core.imaging.red_cells import MINIMUM_RED_CELLS, SmearFindings
from core.imaging.scale import is_whole
from ui.components.shared import chart, plain, show_urgent, uncertain_text

_FLAG_MARKS: dict[Severity, str] = {
    "urgent": ":red-badge[:material/priority_high: urgent]",
    "warning": ":orange-badge[:material/warning: warning]",
    "note": ":gray-badge[:material/info: note]",
}


_IDENTIFYING = ("Patient", "Name", "Year of birth", "Sample", "Taken")
_TABLE_PIXELS = 450
"""Across of a differential without counts per volume."""


def show_summary(summary: CaseSummary, *, identified: bool = True) -> None:
    """Show what is known of a stored sample, its flags and its differential.

    Without `identified` nothing names the patient or the sample.
    """
    show_urgent(summary.flags)
    known, flags = st.columns([1, 1.2], gap="large")
    shown = {k: plain(v) for k, v in facts(summary).items() if identified or k not in _IDENTIFYING}
    known.table(shown, border="horizontal")
    with flags:
        st.markdown("**Flags**")
        others = [flag for flag in summary.flags if flag.severity != "urgent"]
        if not others:
            st.caption("No others." if summary.flags else "None.")
        list_flags(others)
    st.header("Differential")
    counted = summary.counted
    if counted.total == 0:
        st.info("No white cells are classified yet.", icon=":material/search_off:")
        _show_smear(summary)
        return
    whose = f"Ranges: {summary.laboratory}. " if summary.laboratory else ""
    show_differential(
        counted,
        (*summary.rows, *summary.beside),
        summary.accuracy,
        f"{whose}Labels of reviewers replace those of the model; "
        f"{uncertain_text(counted.uncertain)}.",
        key="sample_differential",
    )
    _show_smear(summary)


def _show_smear(summary: CaseSummary) -> None:
    if summary.smear and summary.smear.red_cells:
        show_smear(
            summary.smear, summary.platelet_count, summary.smear_error, key="sample_red_cells"
        )


def list_flags(found: Iterable[Flag]) -> None:
    """List flags, each with its severity as a word and a colour."""
    for flag in found:
        st.markdown(f"{_FLAG_MARKS[flag.severity]} {plain(flag.sentence)}")


def show_possible_blasts(
    counted: Mapping[str, Differential],
    analyses: Sequence[FieldAnalysis],
    open_first: Callable[[int, int], None],
    *,
    key: str,
) -> None:
    """Say in one line that there are possible blasts, if any; fold the details away.

    `counted` is the differential of every patient. `open_first` receives the index of the field and
    the number of the cell to look at first.
    """
    found = [
        (patient, flag) for patient, own in counted.items() if (flag := blast_flag(own.blasts))
    ]
    first = _first_possible_blast(analyses)
    if not found or first is None:
        return
    says = found[0][1].sentence.partition(". ")[0]
    if len(counted) > 1:
        says = f"Possible blasts of {len(found)} of {len(counted)} patients"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.error(f"**Urgent:** {says}.", icon=":material/priority_high:", width="stretch")
        st.button(
            "Show the first possible blast",
            key=f"{key}_first_blast",
            icon=":material/center_focus_strong:",
            type="primary",
            on_click=open_first,
            args=first,
        )
        with st.popover("Details"):
            for patient, flag in found:
                whose = f"{patient}: " if len(counted) > 1 else ""
                st.markdown(plain(f"{whose}{flag.sentence}"))


def _first_possible_blast(analyses: Sequence[FieldAnalysis]) -> tuple[int, int] | None:
    """Return index and number of a cell: not reviewed, certain, whole, the likeliest, if any."""
    ordered = [
        (
            cell.reviewer is not None,
            cell.status != "classified",
            not is_whole(cell.box, analysis.width, analysis.height),
            -cell.confidence,
            index,
            number,
        )
        for index, analysis in enumerate(analyses)
        for number, cell in analysis.white_cells()
        if cell.is_possible_blast and not cell.duplicate
    ]
    return min(ordered)[-2:] if ordered else None


def show_differential(
    counted: Differential,
    rows: Sequence[Row],
    accuracy: Sequence[CallAccuracy],
    about: str,
    *,
    key: str,
) -> None:
    """Show percentages and counts with confidence intervals and reference ranges, and `about`."""
    has_volumes = any(row.absolute.estimate for row in rows)
    columns = {
        "type": st.column_config.TextColumn("Type", pinned=True),
        "count": st.column_config.NumberColumn("Cells"),
        **_columns("percent", "%", "%.1f"),
        **(_columns("absolute", "10⁹/L", "%.2f") if has_volumes else {}),
    }
    # With counts per volume the table is wide, so the chart goes below; so it does where both side
    # by side would hide the last columns.
    box = st.container() if has_volumes else st.grid(2, min_column_width=_TABLE_PIXELS)
    table, drawing = box.container(), box.container()
    with table:
        st.dataframe(
            [
                {
                    "type": row.name if row.key in counted.shares else f"{row.name}, per 100",
                    "count": row.share.count,
                    **_values("percent", row.percent, row.share),
                    **_values("absolute", row.absolute, row.share),
                }
                for row in rows
            ],
            hide_index=True,
            column_order=list(columns),
            column_config=columns,
            placeholder="",
            alt="Differential with exact 95 % confidence intervals and reference ranges",
        )
        if subtypes := subtypes_text(counted):
            st.markdown(f"{subtypes[0].upper()}{subtypes[1:]}.")
            st.caption(
                "Subtypes as the model suggests them. Cells without a clear one are left out."
            )
        st.caption(
            f"{plain(about)} Confidence intervals: {counted.interval_note}. The error of the "
            f"classifier adds to it: {plain(accuracy_text(accuracy))}."
        )
    with drawing:
        chart(
            differential_figure(
                counted, {row.key: row.percent.limits for row in rows if row.percent.limits}
            ),
            key,
            "Percentage of each type with 95 % confidence interval and reference range",
        )


def show_smear(
    smear: SmearFindings, platelet_count: Estimate | None, error: str, *, key: str
) -> None:
    """Show the sizes of the red cells and the number of platelets, and how far they are off."""
    st.header("Red cells and platelets")
    left, right = st.columns([1, 1.15], gap="large")
    known = smear_facts(smear, platelet_count)
    left.table({name: plain(value) for name, value in known.items()}, border="horizontal")
    with right:
        if smear.variation is None:
            st.info(
                f"Size variation needs {MINIMUM_RED_CELLS} or more whole red cells; "
                f"{len(smear.diameters)} were measured.",
                icon=":material/straighten:",
            )
        else:
            chart(
                diameters_figure(smear.diameters),
                key,
                "Number of red cells by diameter in percent of the median of their field",
            )
    st.caption(
        "Size variation: coefficient of variation of the diameters of whole red cells, each over "
        "the median of its field. It comes from boxes around flattened cells and is not an "
        "analyser's RDW, which is of volumes; it was not measured on smears with anisocytosis. "
        f"{plain(error) or 'It was not measured for this detector.'}"
    )


def _columns(key: str, unit: str, form: str) -> dict[str, Any]:
    """Return the columns of an estimate with its interval and reference range."""
    number, end = st.column_config.NumberColumn, f"end of the exact 95 % interval, {unit}."
    beyond = f"Empty where more than {LARGEST_LIMIT:,.0f} per 100 leukocytes are possible."
    return {
        key: number(unit, format=form),
        f"{key}_low": number("Low", format=form, help=f"Lower {end}"),
        f"{key}_high": number("High", format=form, help=f"Upper {end} {beyond}"),
        f"{key}_range": st.column_config.TextColumn(f"Range, {unit}"),
    }


def _values(key: str, judged: Judged, share: Share) -> dict[str, float | str | None]:
    """Return what stands in `_columns`; the table rounds it once, as the printed report does."""
    text, estimate = judged.range_text, judged.estimate
    if estimate is None:
        return {f"{key}_range": text}
    high = None if share.upper_limit is None else estimate.high
    return {
        key: estimate.value,
        f"{key}_low": estimate.low,
        f"{key}_high": high,
        f"{key}_range": text,
    }
