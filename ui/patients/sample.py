"""One stored sample: flags, differential, fields with their cells, reports, history."""

import streamlit as st

from core.cases.audit import history
from core.cases.database import Database
from core.cases.range_tables import ranges_in_force
from core.cases.records import Case, SampleField, User
from core.charts.differential import differential_figure
from core.charts.field import field_figure
from core.domain.probability import probability_text
from core.domain.results import Cell
from core.domain.taxonomy import KIND_NAMES, STAGES, CellKind
from core.evaluation.model_error import accuracy_text
from core.exports.registry import case_files
from core.exports.summary import CaseSummary, differential_frame, facts, summarise
from ui.components import shared
from ui.components.cases import errors_shown, review_link, sample_name, state_badge
from ui.components.light import light_toggle
from ui.components.segmentation import choose_method, outlines
from ui.review.images import SMALL, cell_jpeg, field_jpeg, outlined_field
from ui.review.sign import show_comments


def show_sample(database: Database, case: Case, user: User) -> None:
    """Show a stored sample."""
    with errors_shown(end_page=True):
        summary = summarise(case, ranges_in_force(database))
    sample = case.sample
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(sample_name(sample), width="content")
        st.markdown(state_badge(sample.state), width="content")
        review_link(sample.id, "Review and sign")
    shared.show_urgent(summary.flags)
    if summary.counted.possible_blasts:
        review_link(sample.id, "Show the possible blasts", view="Gallery")
    left, right = st.columns([1, 1.2], gap="large")
    with left:
        known = {name: shared.plain(value) for name, value in facts(summary).items()}
        st.table(known, border="horizontal")
    with right:
        show_flags(summary)
    show_differential(summary)
    show_fields(case)
    show_downloads(database, case, user)
    show_record(database, case)


def show_flags(summary: CaseSummary) -> None:
    """List the flags of a sample; the urgent ones stand above."""
    st.markdown("**Flags**")
    others = [flag for flag in summary.flags if flag.severity != "urgent"]
    if not others:
        st.caption("No others." if summary.flags else "None.")
    shared.list_flags(others)


def show_differential(summary: CaseSummary) -> None:
    """Show percentages and counts with confidence intervals and reference ranges."""
    st.subheader("Differential")
    if summary.counted.total == 0:
        st.info("No white cells are classified yet.", icon=":material/search_off:")
        return
    # With counts per volume the table is wide, so the chart goes below.
    has_volumes = summary.white_cell_count is not None
    table, chart = (st.container(), st.container()) if has_volumes else st.columns([1.2, 1])
    frame = differential_frame(summary)
    rows = (*summary.rows, *summary.beside)
    # Rounded once, by the table: rounding twice may differ from the printed report.
    for side in ("percent", "low", "high"):
        frame[side] = [getattr(row.share, side) for row in rows]
    frame["type"] = [row.name if row in summary.rows else f"{row.name}, per 100" for row in rows]
    frame["range"] = [row.percent.range_text for row in rows]
    frame["absolute_range"] = [row.absolute.range_text for row in rows]
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    columns = {
        "type": text("Type", pinned=True),
        "count": number("Cells"),
        "percent": number("%", format="%.1f"),
        "low": number("Low", format="%.1f", help="Lower end of the 95 % interval, %"),
        "high": number("High", format="%.1f", help="Upper end of the 95 % interval, %"),
        "range": text("Range, %"),
    }
    if has_volumes:
        columns |= {
            "absolute": number("10⁹/L", format="%.2f"),
            "absolute_low": number("Low", format="%.2f", help="Lower 95 % bound, 10⁹/L"),
            "absolute_high": number("High", format="%.2f", help="Upper 95 % bound, 10⁹/L"),
            "absolute_range": text("Range, 10⁹/L"),
        }
    with table:
        st.dataframe(
            frame,
            hide_index=True,
            column_order=list(columns),
            column_config=columns,
            placeholder="",
            alt="Differential with 95 % confidence intervals and reference ranges",
        )
        shared.list_subtypes(summary.counted)
        whose = f"Ranges: {shared.plain(summary.laboratory)}. " if summary.laboratory else ""
        left_out = shared.uncertain_text(summary.counted.uncertain)
        st.caption(
            f"{whose}Labels of reviewers replace those of the model; {left_out}. Confidence "
            "intervals: Clopper-Pearson, sampling error only. The error of the classifier adds to "
            f"it: {shared.plain(accuracy_text(summary.accuracy))}."
        )
    with chart:
        ranges = {row.key: row.percent.limits for row in summary.rows if row.percent.limits}
        st.plotly_chart(
            differential_figure(summary.counted, ranges),
            key="sample_differential",
            config={"displayModeBar": False},
            alt="Percentage of each type with 95 % confidence interval and reference range",
        )


@st.fragment
def show_fields(case: Case) -> None:
    """Show one field of the sample with its boxes and cells."""
    st.subheader("Fields")
    if not case.fields:
        st.info("This sample has no fields yet.", icon=":material/folder_open:")
        return
    stored = choose_field(case)
    analysis = stored.analysis
    corrected = light_toggle()
    with errors_shown():
        drawing, about = st.columns([2.4, 1])
        with about:
            kinds: list[CellKind] = ["wbc"]
            for kind in ("rbc", "platelet"):
                label = f"Show {KIND_NAMES[kind].lower()}s ({analysis.counts.kinds[kind]})"
                if st.checkbox(label, key=f"sample_{kind}"):
                    kinds.append(kind)
            scale = analysis.scale
            method = choose_method()
            outlined = outlined_field(stored.id, analysis, method) if method else {}
            st.table(
                {
                    "Size": f"{analysis.width} × {analysis.height} px",
                    "Scale": f"{scale.micrometres_per_pixel:.3f} µm per px, from the {scale.source}"
                    if scale
                    else "unknown",
                    "Models": ", ".join(
                        shared.plain(f"{name} {version}") for name, version in stored.models.items()
                    ),
                },
                border="horizontal",
            )
            if stored.stage is not None:
                show_stage(stored)
        with drawing:
            shared.show_field_warnings(analysis)
            shared.image_chart(
                field_figure(
                    field_jpeg(stored.id, corrected),
                    analysis,
                    kinds,
                    shared.shown_width(640),
                    outlines(outlined),
                ),
                "sample_drawing",
                f"Field {analysis.title} with {len(analysis.white_cells())} white cells boxed",
            )
        show_cells(stored, corrected)


def choose_field(case: Case) -> SampleField:
    """Let the reader choose a field of the sample."""
    by_id = {stored.id: stored for stored in case.fields}
    numbers = {key: number for number, key in enumerate(by_id, 1)}
    if len(by_id) == 1:
        return case.fields[0]
    chosen = st.selectbox(
        f"Field (of {len(by_id)})",
        list(by_id),
        format_func=lambda key: f"{numbers[key]} · {by_id[key].analysis.title}",
        key=f"sample_field_{case.sample.id}",
        width=420,
    )
    return by_id[chosen]


def show_stage(stored: SampleField) -> None:
    """Show the ALL class that the field was given."""
    stage = stored.stage
    if stage is None or stage.stage is None:
        return
    st.markdown(f"ALL class, {stage.status}: **{STAGES[stage.stage].name}**")
    st.table(
        {
            one.name: shared.plain(probability_text(stage.probabilities.get(key, 0.0)))
            for key, one in STAGES.items()
        },
        border="horizontal",
        alt="Calibrated probability of each ALL class",
    )


def show_cells(stored: SampleField, corrected: bool) -> None:
    """Show the white cells of a field with their labels."""
    cells = stored.analysis.white_cells()
    if not cells:
        st.caption("No white cells in this field.")
        return
    captions = [f"{number} · {_label(cell)}" for number, cell in cells]
    scale = stored.analysis.scale
    um_per_px = scale.micrometres_per_pixel if scale else None
    images = [cell_jpeg(stored.id, cell.box, um_per_px, SMALL, corrected) for _, cell in cells]
    st.image(images, caption=captions, width=120, alt=captions)
    st.caption(
        "Numbers as in the image; all cells at the same scale. R: label of a reviewer. Otherwise: "
        "type and calibrated probability of the model."
    )


def _label(cell: Cell) -> str:
    if cell.duplicate:
        return "counted in another field"
    if cell.status == "out_of_scope":
        return "not a white cell" + (" (R)" if cell.reviewer else "")
    name = cell.type_name
    if cell.reviewer:
        return f"{name} (R)"
    doubt = "?" if cell.status == "uncertain" else ""
    percent = probability_text(cell.confidence, 0).replace(" ", "\N{NO-BREAK SPACE}")
    return f"{name}{doubt} {percent}"


def show_downloads(database: Database, case: Case, user: User) -> None:
    """Offer every report of the sample."""
    st.subheader("Reports")
    file_names = st.toggle(
        "With file names",
        key="sample_file_names",
        help="File names often contain patient identifiers. Without them the files are called "
        "field 1, field 2, in the order of this page.",
    )
    ranges = ranges_in_force(database)
    files = case_files(database, case, ranges, user, file_names=file_names)
    shared.download_buttons(files, "sample")
    st.caption("The numbers are those of this page.")


def show_record(database: Database, case: Case) -> None:
    """Show comments and what was done with the sample."""
    show_comments(case)
    done = st.expander(
        "History", icon=":material/history:", on_change="rerun", key="sample_history"
    )
    if done.open:
        with done, errors_shown():
            st.dataframe(
                [
                    {"At (UTC)": f"{e.at:%Y-%m-%d %H:%M}", "Who": e.user, "What": e.action}
                    for e in history(database, case.sample.id)
                ],
                hide_index=True,
                alt="Actions on this sample, oldest first",
            )
