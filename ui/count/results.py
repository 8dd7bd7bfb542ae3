"""Results of the WBC count: counts, differential, gallery, answer key."""

from dataclasses import replace

import streamlit as st

from core.cases.cell_groups import (
    DUPLICATE,
    GROUP_ORDER,
    UNCERTAIN,
    group_name,
    group_of,
    order_in_group,
)
from core.cases.database import get_database
from core.cases.range_tables import ranges_in_force
from core.charts.differential import differential_figure
from core.domain.differential import FULL_COUNT, RECOMMENDED_CELLS, differential
from core.domain.flags import Flag, blast_flag, flags
from core.domain.probability import probability_text
from core.domain.results import Cell, FieldAnalysis
from core.domain.taxonomy import CELL_TYPES, KIND_NAMES, label_name
from core.errors import CaseError, RangesError
from core.evaluation.model_error import CallAccuracy, accuracy_of, accuracy_text
from core.exports.tables import differential_table
from core.imaging.scale import is_whole
from core.settings import get_settings
from core.synthetic.answer_key import answer_key
from core.synthetic.examples import synthetic_truth
from ui.components import shared
from ui.components.light import light_toggle
from ui.count.field import CELL, field_view, status_line
from ui.count.files import downloads, show_files
from ui.upload.controls import choose_patient, field_key
from ui.upload.saving import save_section
from ui.upload.session import SessionImage, UploadSession

GALLERY_LIMIT = 48
INTERVAL = "end of the exact 95 % confidence interval, %"


def count_metrics(analyses: list[FieldAnalysis]) -> None:
    """Show the number of cells of each kind."""
    counts = [a.counts.kinds for a in analyses]
    with st.grid(4, min_column_width=130):
        for kind, label in KIND_NAMES.items():
            st.metric(f"{label}s", f"{sum(c[kind] for c in counts):,}", border=True)
        st.metric("Fields", len(analyses), border=True)


def show_possible_blasts(
    session: UploadSession[FieldAnalysis], images: list[SessionImage[FieldAnalysis]]
) -> None:
    """Say first of all which patients may have blasts; one press opens the first such cell."""
    found: list[Flag] = []
    patients = dict.fromkeys(image.patient for image in images)
    for patient in patients:
        flag = blast_flag(differential(i.result for i in images if i.patient == patient))
        if flag and len(patients) > 1:
            flag = replace(flag, sentence=f"{patient}: {flag.sentence}")
        found += [flag] if flag else []
    if not found:
        return
    shared.show_urgent(found)
    cells = [
        (
            cell.status != "classified",
            not is_whole(cell.box, image.width, image.height),
            -cell.confidence,
            index,
            number,
        )
        for index, image in enumerate(images)
        for number, cell in image.result.white_cells()
        if cell.is_possible_blast and not cell.duplicate
    ]
    *_, index, number = min(cells)

    def open_first() -> None:
        st.session_state[field_key(session)] = index
        st.session_state[CELL] = number

    st.button(
        "Show the first possible blast",
        key="wbc_first_blast",
        icon=":material/center_focus_strong:",
        type="primary",
        on_click=open_first,
    )


@st.fragment
def gallery(images: list[SessionImage[FieldAnalysis]]) -> None:
    """Show the white cells by type: blasts, uncertain cells, then the others."""
    several = len(images) > 1
    groups: dict[str, list[tuple[str, Cell, bytes]]] = {}
    for index, image in enumerate(images, 1):
        for number, cell in image.result.white_cells():
            label = f"{index}.{number}" if several else str(number)
            groups.setdefault(group_of(cell), []).append((label, cell, image.shown.cells[number]))
    st.subheader("White cells")
    if not groups:
        st.info("No white cells were found.", icon=":material/search_off:")
        return
    numbers = "field.cell, as in the image of that field" if several else "as in the image"
    st.caption(f"Number ({numbers}) · calibrated probability of the type.")
    grid = st.container(key="wbc_gallery").grid(3, min_column_width=330)
    for group in GROUP_ORDER:
        cells = groups.get(group, [])
        if group == UNCERTAIN:
            cells.sort(key=lambda item: order_in_group(item[1]))
        if cells:
            wide = len(cells) > 9 or group in ("blast", UNCERTAIN)
            with grid.cell(column_span="all" if wide else 1):
                gallery_group(group, cells)


def gallery_group(group: str, cells: list[tuple[str, Cell, bytes]]) -> None:
    """Show the cells of one type with number and confidence."""
    st.markdown(f"**{group_name(group)}** ({len(cells)})")
    if len(cells) > GALLERY_LIMIT and not st.toggle(
        f"Show all {len(cells)}", key=f"wbc_all_{group}"
    ):
        cells = cells[:GALLERY_LIMIT]
    named = {*CELL_TYPES, DUPLICATE}
    captions = [
        f"{label} · {probability_text(cell.confidence, 0)}"
        + (f" {CELL_TYPES[cell.type].name}?" if group not in named and cell.type else "")
        + (f" {label_name(cell.likely_subtype).lower()}?" if cell.likely_subtype else "")
        for label, cell, _ in cells
    ]
    st.image([jpeg for _, _, jpeg in cells], caption=captions, width=104, alt=captions)


def show_differential(analyses: list[FieldAnalysis], *, flagged: bool) -> None:
    """Show percentages, confidence intervals and reference ranges.

    `flagged` shows flags too, which make sense for the fields of one patient only.
    """
    counted = differential(analyses)
    st.subheader("Differential")
    if counted.warning:
        st.warning(counted.warning, icon=":material/warning:")
    goal = RECOMMENDED_CELLS if counted.total < RECOMMENDED_CELLS else FULL_COUNT
    st.progress(
        min(counted.total / goal, 1.0),
        text=f"{counted.total} of {goal} classified white cells",
    )
    if counted.total == 0:
        return
    try:
        in_force = ranges_in_force(get_database())
        ranges, whose = (
            in_force.of("%"),
            f"Ranges: {shared.plain(in_force.title)}. They differ between populations. ",
        )
    except (RangesError, CaseError) as error:
        st.error(shared.plain(str(error)), icon=":material/error:")
        ranges, whose = {}, ""
    if flagged:
        found = flags(counted, percent_ranges=ranges, absolute_ranges={})
        shared.list_flags(
            flag for flag in found if flag.severity != "urgent" and flag.sentence != counted.warning
        )
    table, chart = st.columns([1, 1.15])
    with table:
        rows = differential_table(counted)
        # Rounded once, by the table.
        shares = (*counted.shares.values(), counted.erythroblasts)
        for side in ("percent", "low", "high"):
            rows[side] = [getattr(share, side) for share in shares]
        rows["reference"] = [ranges[key].text if key in ranges else "" for key in rows["type"]]
        rows["type"] = [
            "Erythroblasts, per 100" if key == "erythroblast" else CELL_TYPES[key].plural
            for key in rows["type"]
        ]
        number = st.column_config.NumberColumn
        st.dataframe(
            rows,
            hide_index=True,
            column_config={
                "type": st.column_config.TextColumn("Type", pinned=True),
                "count": number("Count"),
                "percent": number("%", format="%.1f"),
                "low": number("Low", format="%.1f", help=f"Lower {INTERVAL}"),
                "high": number("High", format="%.1f", help=f"Upper {INTERVAL}"),
                "reference": st.column_config.TextColumn("Range, %"),
            },
            alt="Differential with exact 95 % confidence intervals and reference ranges",
        )
        shared.list_subtypes(counted)
        st.caption(
            f"{whose}Confidence intervals: Clopper-Pearson, sampling error only. The error of the "
            f"classifier adds to it: {shared.plain(accuracy_text(measured_accuracy(analyses)))}."
        )
    with chart:
        st.plotly_chart(
            differential_figure(counted, ranges),
            key="wbc_differential",
            config={"displayModeBar": False},
            alt="Percentage of each type with 95 % confidence interval and reference range",
        )


def measured_accuracy(analyses: list[FieldAnalysis]) -> tuple[CallAccuracy, ...]:
    """Return the measured accuracy of the shipped classifier; site profiles were not measured."""
    if any(analysis.profile is not None for analysis in analyses):
        return ()
    return accuracy_of(shared.open_analyzer().versions["wbc"], get_settings())


def show_key(analyses: list[FieldAnalysis]) -> None:
    """Compare the found cells with the true cells of the synthetic slides."""
    key = answer_key(analyses, synthetic_truth())
    if key.empty:
        return
    st.subheader("Answer key of the synthetic slides")
    drawn = key[key["truth"].notna()]
    found, right = drawn["found"].notna().sum(), (drawn["answer"] == "right").sum()
    st.markdown(
        f"{found} of {len(drawn)} drawn white cells were found and {right} typed correctly; "
        f"{(drawn['answer'] == 'needs review').sum()} need review. "
        f"{(key['answer'] == 'not a white cell').sum()} found cells are not white cells. "
        "A program drew these slides: they show how the page works, not how accurate the models "
        "are."
    )
    shown = key.copy()
    for column in ("truth", "found"):
        shown[column] = shown[column].map({k: t.name for k, t in CELL_TYPES.items()})
    with st.expander("Cell by cell"):
        st.dataframe(
            shown,
            hide_index=True,
            column_config={
                "file": "File",
                "number": "No.",
                "truth": "True",
                "found": "Found",
                "status": "Status",
                "answer": "Answer",
            },
            alt="True and found type of every white cell of the synthetic slides",
        )


def warn_out_of_distribution(analyses: list[FieldAnalysis]) -> None:
    """Warn when most photographed white cells are unlike the training images."""
    trusted = [a for a in analyses if a.profile is None and a.sha256 not in synthetic_truth()]
    cells = sum(len(a.white_cells()) for a in trusted)
    unlike = sum(a.counts.out_of_distribution for a in trusted)
    if 2 * unlike <= cells:
        return
    st.warning(
        f"{unlike} of {cells} white cells differ in colour or sharpness from all training images. "
        "The classifier is less accurate on them, so its confidence is lowered and more cells are "
        "uncertain. Review a sample: five reviewed cells of each type make a site profile.",
        title="Stain, light or camera unlike the training images",
        icon=":material/palette:",
    )


def show_results(session: UploadSession[FieldAnalysis]) -> None:
    """Show all results of the uploaded images."""
    images = session.of_patient(choose_patient(session))
    analyses = [image.result for image in images]
    if any(a.sha256 in synthetic_truth() for a in analyses):
        st.info("These slides are synthetic: a program drew them.", icon=":material/draw:")
    show_possible_blasts(session, images)
    status_line(analyses)
    warn_out_of_distribution(analyses)
    analysed = [a for a in analyses if a.reject_reason is None]
    if analysed:
        count_metrics(analysed)
    light_toggle()
    field_view(session, images)
    if analysed:
        show_differential(analysed, flagged=len({image.patient for image in images}) == 1)
        gallery(images)
        show_key(analysed)
    show_files(session)
    save_section(session, images)
    downloads(session, images)
