"""One patient over time: distribution, trends, ALL classes, two samples compared."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.cases.counting import SampleCounts, count_summary, ranges_of
from core.cases.database import Database
from core.cases.range_tables import ranges_in_force
from core.cases.records import Patient, SampleSummary, User
from core.charts.differential import patients_figure, stages_figure
from core.charts.trends import series, trend_figure
from core.domain.flags import ratio_text
from core.domain.reference_ranges import ReferenceRanges, Unit
from core.domain.results import StageResult
from core.domain.taxonomy import CELL_TYPES, STAGE_NOTE
from core.exports.registry import history_files
from core.exports.summary import MATERIAL_NAMES
from core.exports.tables import comparison_table
from ui.components import shared
from ui.components.cases import errors_shown, patient_facts, sample_line, sample_link, sample_name

PERCENT, VOLUMES = "Percentages, %", "Counts, 10⁹/L"
_UNITS: dict[str, Unit] = {PERCENT: "%", VOLUMES: "10^9/L"}
_DIRECTIONS = {
    "up": "▲ higher",
    "down": "▼ lower",
    "few": "too few cells",
    "excluded": "not said",
    "": "within chance",
}


def show_history(
    database: Database,
    patient: Patient,
    samples: Sequence[SampleSummary],
    stages: Mapping[int, Sequence[StageResult]],
    user: User,
) -> None:
    """Show everything about a patient."""
    st.header(shared.plain(patient.identifier))
    if known := patient_facts(patient):
        st.markdown(known)
    if not samples:
        st.info("This patient has no samples yet.", icon=":material/folder_open:")
        return
    counts = [count_summary(summary) for summary in samples]
    _show_samples(counts)
    material = _choose_material(counts)
    counts = [one for one in counts if one.sample.material == material]
    _show_distribution(counts)
    _show_trends(database, patient, counts)
    _show_stages(counts, stages)
    _show_comparison(counts)
    st.header("Download")
    shared.download_buttons(history_files(database, patient, counts, user), "history")
    st.caption("One row for each sample and type of the chosen material.")


def _show_samples(counts: Sequence[SampleCounts]) -> None:
    st.markdown("**Samples**, latest first")
    for one in reversed(counts):
        counted = one.counted
        facts = [
            shared.number_of(one.fields, "field"),
            f"{counted.total} classified",
            f"{counted.uncertain} uncertain" if counted.uncertain else "",
            f"NLR {ratio_text(one.nlr)}" if one.nlr else "",
            "limits include the uncertain cells" if counted.excluded else "",
        ]
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            sample_link(one.sample.id, sample_name(one.sample))
            st.markdown(sample_line(one.sample), width="content")
            st.caption(" · ".join(filter(None, facts)), width="content")


def _choose_material(counts: Sequence[SampleCounts]) -> str:
    """Let the reader choose a material when there are several: they are not comparable."""
    materials = list(dict.fromkeys(one.sample.material for one in reversed(counts)))
    if len(materials) == 1:
        return materials[0]
    return st.segmented_control(
        "Material",
        materials,
        default=materials[0],
        required=True,
        format_func=lambda name: MATERIAL_NAMES[name],
        key="history_material",
    )


def _show_distribution(counts: Sequence[SampleCounts]) -> None:
    st.header("Distribution")
    counted = {sample_name(one.sample): one.counted for one in counts if one.counted.total}
    if not counted:
        st.info("No white cells are classified yet.", icon=":material/search_off:")
        return
    shared.chart(
        patients_figure(counted, shared.shown_width(900)),
        "history_distribution",
        "Percentage of each white cell type by sample",
    )


def _show_trends(database: Database, patient: Patient, counts: Sequence[SampleCounts]) -> None:
    st.header("Over time")
    has_volumes = any(one.absolute for one in counts)
    shown = PERCENT
    if has_volumes:
        shown = st.segmented_control(
            "Unit", list(_UNITS), default=VOLUMES, required=True, key="history_unit"
        )
    ranges: ReferenceRanges | None = None
    with errors_shown():
        ranges = ranges_in_force(database)
    last = counts[-1].sample
    found = [
        line
        for unit in (_UNITS[shown], "ratio")
        for line in series(counts, unit, ranges_of(patient, last, unit, ranges) if ranges else {})
    ]
    with st.grid(3, min_column_width=280):
        for line in found:
            with st.container():
                limits = f" · range {line.limits.text}" if line.limits else ""
                st.markdown(f"**{line.name}**{limits}")
                shared.chart(
                    trend_figure(line),
                    f"history_{line.key}_{line.unit}",
                    f"{line.name} by date with 95 % confidence intervals",
                )
    _warn_of_excluded(counts, "These samples are open circles: do not read a trend from them.")
    st.caption(
        "Points: samples. Bars: 95 % confidence intervals, sampling error only (Clopper-Pearson; "
        "for the ratio both counts are random). Triangle: a ratio without lymphocytes. "
        "Grey: reference range"
        + (f" of {shared.plain(ranges.title)}" if ranges else "")
        + ", for the patient's sex and age at the last sample. "
        + ("" if has_volumes else "Enter a white cell count to see counts per volume.")
    )


def _warn_of_excluded(counts: Sequence[SampleCounts], says: str) -> None:
    """Say which samples have many uncertain cells, and what follows."""
    many = [sample_name(one.sample) for one in counts if one.counted.excluded]
    if many:
        st.warning(
            f"{shared.plain('; '.join(many))}: a tenth or more of the white cells is uncertain. "
            f"The limits reach from none to all of them being of a type. {says}",
            icon=":material/warning:",
        )


def _show_stages(
    counts: Sequence[SampleCounts], stages: Mapping[int, Sequence[StageResult]]
) -> None:
    graded = {
        sample_name(one.sample): stages[one.sample.id] for one in counts if one.sample.id in stages
    }
    if not graded:
        return
    st.header("ALL class")
    shared.chart(
        stages_figure(graded, shared.shown_width(900)),
        "history_stages",
        "Percentage of fields by ALL class for each sample",
    )
    st.caption(STAGE_NOTE)


@st.fragment
def _show_comparison(counts: Sequence[SampleCounts]) -> None:
    if len(counts) < 2:
        return
    st.header("Two samples compared")
    by_id = {one.sample.id: one for one in counts}
    ids = list(by_id)
    with st.container(horizontal=True):
        before, after = (
            st.selectbox(
                label,
                ids,
                index=index,
                format_func=lambda key: sample_name(by_id[key].sample),
                key=f"history_{label}",
                width=280,
            )
            for label, index in (("Before", len(ids) - 2), ("After", len(ids) - 1))
        )
    # Above the table: on a phone its tool bar would cover the choice.
    st.caption(
        "Change in percentage points with 95 % confidence interval (Newcombe, method 10). There is "
        "no correction for several types: of twenty unchanged types, one seems to differ."
    )
    table = comparison_table(by_id[before], by_id[after])
    _warn_of_excluded(
        [by_id[before], by_id[after]], "Whether a change is beyond chance is not said."
    )
    table["type"] = [CELL_TYPES[key].plural for key in table["type"]]
    table["direction"] = [_DIRECTIONS[way] for way in table["direction"]]
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        placeholder="",
        column_config={
            "type": st.column_config.TextColumn("Type", pinned=True),
            "before": number("Before, %", format="%.1f"),
            "after": number("After, %", format="%.1f"),
            "change": number("Change, points", format="%+.1f"),
            "low": number("Low", format="%+.1f", help="Lower end of the 95 % interval"),
            "high": number("High", format="%+.1f", help="Upper end of the 95 % interval"),
            "direction": "Beyond chance",
        },
        alt="Percentage of each type in two samples and the change with 95 % interval",
    )
