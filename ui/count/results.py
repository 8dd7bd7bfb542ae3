"""Results of the WBC count: counts, differential, gallery, answer key."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

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
from core.domain.blood_counts import platelet_estimate
from core.domain.differential import (
    FULL_COUNT,
    MINIMUM_FOR_PERCENTAGES,
    RECOMMENDED_CELLS,
    Differential,
    Share,
    differential,
)
from core.domain.flags import flags
from core.domain.probability import probability_text
from core.domain.reference_ranges import ReferenceRange
from core.domain.results import Cell, FieldAnalysis
from core.domain.taxonomy import CELL_KINDS, CELL_TYPES, KIND_NAMES, label_name
from core.errors import NoEstimateError
from core.evaluation.model_error import accuracy_of, smear_error
from core.exports.summary import Judged, Row
from core.exports.tables import differentials_by_patient
from core.imaging.red_cells import smear_findings
from core.settings import get_settings
from core.synthetic.answer_key import answer_key
from core.synthetic.examples import synthetic_truth
from ui.all_stage.results import offer_grading, show_grading
from ui.components import findings, shared
from ui.components.browser import has_drawn
from ui.components.cases import errors_shown
from ui.components.fields import light_toggle
from ui.count.field import CELL, field_view, status_line
from ui.count.files import downloads, show_files
from ui.upload.controls import choose_patient, field_key, show_problems
from ui.upload.images import SessionImage
from ui.upload.saving import save_section
from ui.upload.session import UploadSession

GALLERY_LIMIT = 24
"""Cells of a type that are shown at first."""

GalleryCell = tuple[str, SessionImage, int, Cell]
"""What the cell is called, its image, its number there, and the cell."""


def show_blasts(session: UploadSession, images: list[SessionImage]) -> None:
    """Say first of all that there are possible blasts; one press opens the first such cell."""
    analyses, patients = [i.result for i in images], [i.patient for i in images]

    def open_first(index: int, number: int) -> None:
        st.session_state[field_key(session)] = index
        st.session_state[CELL] = number

    findings.show_possible_blasts(
        differentials_by_patient(analyses, patients), analyses, open_first, key="wbc"
    )


@st.fragment
def gallery(images: list[SessionImage]) -> None:
    """Show the white cells by type: blasts, uncertain cells, then the others."""
    several = len(images) > 1
    groups: dict[str, list[GalleryCell]] = {}
    for index, image in enumerate(images, 1):
        for number, cell in image.result.white_cells():
            label = f"{index}.{number}" if several else str(number)
            groups.setdefault(group_of(cell), []).append((label, image, number, cell))
    st.header("White cells")
    if not groups:
        st.info("No white cells were found.", icon=":material/search_off:")
        return
    numbers = "field.cell, as in the image of that field" if several else "as in the image"
    st.caption(f"Number ({numbers}) · calibrated probability of the type.")
    grid = st.container(key="wbc_gallery").grid(3, min_column_width=330)
    for group in GROUP_ORDER:
        cells = groups.get(group, [])
        if group == "blast":
            cells.sort(key=lambda item: -item[-1].confidence)
        if group == UNCERTAIN:
            cells.sort(key=lambda item: _order_of_uncertain(item[-1]))
        if cells:
            wide = len(cells) > 9 or group in ("blast", UNCERTAIN)
            with grid.cell(column_span="all" if wide else 1):
                gallery_group(group, cells)


def _order_of_uncertain(cell: Cell) -> tuple[int, float]:
    """Sort as a review does, but the likeliest blasts first."""
    place, confidence = order_in_group(cell)
    return place, -confidence if cell.is_possible_blast else confidence


def gallery_group(group: str, cells: list[GalleryCell]) -> None:
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
        for label, _, _, cell in cells
    ]
    jpegs = [image.shown.cells[number] for _, image, number, _ in cells]
    shared.thumbnails(jpegs, captions, width=104)


def show_shares(counted: Differential) -> None:
    """Show the percentages of the types in a line: the answer, above the field.

    Of few cells the counts are shown, with the limits of the percentages.
    """
    if counted.total == 0:
        return
    are_few = counted.total < MINIMUM_FOR_PERCENTAGES

    def number(share: Share) -> str:
        value, unit = (f"{share.count}", " %") if are_few else (f"{share.percent:.1f} %", "")
        limits = f"{share.low:.0f}–{share.high:.0f}{unit}"
        return f'<b>{value}</b> <span style="opacity: 0.78">({limits})</span>'

    parts = "".join(
        f'<span style="white-space: nowrap"><span style="display: inline-block; width: 0.7em; '
        f"height: 0.7em; margin-right: 0.4em; border-radius: 2px; background: "
        f'{CELL_TYPES[key].colour}"></span>{CELL_TYPES[key].plural} {number(share)}</span>'
        for key, share in counted.shares.items()
        if share.count
    )
    st.html(
        '<div style="display: flex; flex-wrap: wrap; gap: 0.1rem 1.1rem; font-size: 0.95rem">'
        f"<span>Of {counted.total:,} classified:</span>{parts}</div>"
    )


def show_differential(analyses: list[FieldAnalysis], *, flagged: bool) -> None:
    """Show the differential and how many cells it still needs.

    `flagged` shows flags too, which make sense for the fields of one patient only.
    """
    counted = differential(analyses)
    st.header("Differential")
    if counted.warning:
        st.warning(counted.warning, icon=":material/warning:")
    goal = RECOMMENDED_CELLS if counted.total < RECOMMENDED_CELLS else FULL_COUNT
    st.progress(
        min(counted.total / goal, 1.0),
        text=f"{counted.total} of {goal} classified white cells",
    )
    if counted.total == 0:
        return
    ranges: Mapping[str, ReferenceRange] = {}
    about = ""
    with errors_shown():
        in_force = ranges_in_force(get_database())
        ranges = in_force.of("%")
        about = f"Ranges: {in_force.title}. They differ between populations."
    if flagged:
        found = flags(counted, percent_ranges=ranges, absolute_ranges={})
        findings.list_flags(
            flag for flag in found if flag.severity != "urgent" and flag.sentence != counted.warning
        )
    shares = {
        **counted.shares,
        "erythroblast": counted.erythroblasts,
        "smudge_cell": counted.smudge_cells,
    }
    rows = [
        Row(key, CELL_TYPES[key].plural, share, Judged(share, ranges.get(key)), Judged(None))
        for key, share in shares.items()
    ]
    # Site profiles were not measured.
    has_profile = any(analysis.profile is not None for analysis in analyses)
    version = shared.open_analyzer().versions["wbc"]
    accuracy = () if has_profile else accuracy_of(version, get_settings())
    findings.show_differential(counted, rows, accuracy, about, key="wbc_differential")


def show_red_cells(analyses: list[FieldAnalysis]) -> None:
    """Show the sizes of the red cells and the number of platelets."""
    smear, settings = smear_findings(analyses), get_settings()
    if not smear.red_cells:
        return
    platelets = None
    with suppress(NoEstimateError):
        platelets = platelet_estimate(analyses, settings.platelet_factor)
    version = shared.open_analyzer().versions["detector"]
    findings.show_smear(smear, platelets, smear_error(version, settings), key="wbc_red_cells")


def show_key(analyses: list[FieldAnalysis]) -> None:
    """Compare the found cells with the true cells of the synthetic slides."""
    key = answer_key(analyses, synthetic_truth())
    if key.empty:
        return
    st.header("Answer key of the synthetic slides")
    drawn = key[key["truth"].notna()]
    found, right = drawn["found"].notna().sum(), (drawn["answer"] == "right").sum()
    st.markdown(
        f"{found} of {len(drawn)} drawn white cells were found and {right} typed correctly; "
        f"{(drawn['answer'] == 'needs review').sum()} need review. "
        f"Found, but not white cells: {(key['answer'] == 'not a white cell').sum()}. "
        "A program drew these slides: they show how the page works, not how accurate the models "
        "are."
    )
    names = {key: cell_type.name for key, cell_type in CELL_TYPES.items()}
    with st.expander("Cell by cell"):
        st.dataframe(
            key.assign(truth=key["truth"].map(names), found=key["found"].map(names)),
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


def show_results(session: UploadSession, bar: DeltaGenerator) -> None:
    """Show all results of the uploaded images; `bar` is the row of the page's header."""
    images = session.of_patient(choose_patient(session))
    analyses = [image.result for image in images]
    if any(a.sha256 in synthetic_truth() for a in analyses):
        st.info("These slides are synthetic: a program drew them.", icon=":material/draw:")
    show_blasts(session, images)
    offer_grading(session, images)
    show_problems(session)
    warn_out_of_distribution(analyses)
    analysed = [a for a in analyses if a.reject_reason is None]
    if analysed:
        kinds = sum((Counter(a.counts.kinds) for a in analysed), Counter())
        numbers = {f"{KIND_NAMES[kind]}s": kinds[kind] for kind in CELL_KINDS}
        shown = numbers | {"Fields": len(analysed)}
        with bar:
            for name, n in shown.items():
                st.metric(name, f"{n:,}", width="content")
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container():
            status_line(analyses)
        with st.container(width="content"):
            light_toggle()
    if analysed:
        show_shares(differential(analysed))
    if session.is_graded:
        session.grade(images)
    field_view(session, images)
    if not has_drawn("wbc"):
        return
    if analysed:
        show_grading(session, images)
        show_differential(analysed, flagged=len({image.patient for image in images}) == 1)
        show_red_cells(analysed)
        gallery(images)
        show_key(analysed)
    show_files(session)
    save_section(session, images)
    downloads(session, images)
