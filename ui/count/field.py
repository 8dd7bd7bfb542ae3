"""One field of the WBC count: its cells, the clicked cell, the properties of the file."""

from collections.abc import Mapping

import streamlit as st

from core.charts.field import field_figure
from core.domain.probability import probability_text
from core.domain.results import FieldAnalysis
from core.domain.taxonomy import CELL_TYPES, KIND_NAMES, CellKind, label_name
from core.imaging.segmentation import SegmentationMethod
from ui.components import shared
from ui.components.light import is_light_corrected
from ui.components.segmentation import (
    SegmentedCell,
    boxes_of,
    choose_method,
    measures_table,
    outlines,
    segmented_cells,
)
from ui.upload.controls import choose_field, properties_table, remove_button
from ui.upload.session import SessionImage, UploadSession, decode_again

CELL = "wbc_cell"
LEAST_SHOWN = 0.001
"""Probability below which a type is not listed."""
UNLIKE_TRAINING = "unlike the training images"


def status_line(analyses: list[FieldAnalysis]) -> None:
    """Show how many cells are classified, uncertain, or not counted."""
    cells = [cell for a in analyses for _, cell in a.white_cells() if not cell.duplicate]
    number = {s: sum(c.status == s for c in cells) for s in ("classified", "uncertain")}
    other = len(cells) - sum(number.values())
    refused = sum(a.reject_reason is not None for a in analyses)
    badges = []
    if refused:
        badges.append(f":red-badge[:material/block: {shared.number_of(refused, 'image')} rejected]")
    if number["uncertain"]:
        badges.append(
            f":orange-badge[:material/help: {number['uncertain']} uncertain: not counted]"
        )
    if unfamiliar := sum(a.counts.out_of_distribution for a in analyses):
        badges.append(f":orange-badge[:material/palette: {unfamiliar} {UNLIKE_TRAINING}]")
    if number["classified"]:
        named = shared.number_of(number["classified"], "white cell")
        badges.append(f":green-badge[:material/check: {named} classified]")
    elif refused < len(analyses):
        badges.append(":gray-badge[:material/search_off: no white cell classified]")
    if other:
        what = "1 is not a white cell" if other == 1 else f"{other} are not white cells"
        badges.append(f":gray-badge[:material/block: {what}]")
    if again := sum(a.counts.duplicates["wbc"] for a in analyses):
        badges.append(f":gray-badge[:material/content_copy: {again} counted in another field]")
    badges += [
        f":blue-badge[:material/tune: site profile {shared.plain(name)}]"
        for name in sorted({a.profile for a in analyses if a.profile is not None})
    ]
    st.markdown(" ".join(badges))


@st.fragment
def field_view(
    session: UploadSession[FieldAnalysis], images: list[SessionImage[FieldAnalysis]]
) -> None:
    """Show one field with its boxes, the clicked cell and the properties of the file."""
    image = choose_field(session, images)
    analysis = image.result
    drawing, facts = st.columns([2.4, 1])
    with facts:
        st.markdown(f"**{shared.plain(analysis.title)}**")
        status_line([analysis])
        kinds: list[CellKind] = ["wbc"]
        cells_shown = bool(analysis.white_cells())
        if analysis.reject_reason is None:
            for kind in ("rbc", "platelet"):
                label = f"Show {KIND_NAMES[kind].lower()}s ({analysis.counts.kinds[kind]})"
                if st.checkbox(label, key=f"wbc_{kind}", persist_state="session"):
                    kinds.append(kind)
        method = choose_method() if cells_shown else None
        segmented = _segmented(image, method, is_light_corrected()) if method else {}
        if method and image.raw is None:
            st.caption("The page did not keep this image, so nothing can be outlined.")
        show_cell(image, segmented if method else None)
        show_properties(image)
        remove_button(session, image)
    with drawing:
        show_drawing(image, kinds, segmented)


@st.cache_resource(
    max_entries=8,
    ttl="1h",
    show_spinner="Outlining the cells",
    hash_funcs={SessionImage: lambda image: boxes_of(image.own_result)},
)
def _segmented(
    image: SessionImage[FieldAnalysis], method: SegmentationMethod, corrected: bool
) -> dict[int, SegmentedCell]:
    for kept, decoded in decode_again([image]):
        return segmented_cells(decoded.pixels, kept.own_result, method, corrected=corrected)
    return {}


def show_drawing(
    image: SessionImage[FieldAnalysis],
    kinds: list[CellKind],
    segmented: Mapping[int, SegmentedCell],
) -> None:
    """Draw the field; a click on a white cell chooses it."""
    analysis = image.result
    numbers = [number for number, _ in analysis.white_cells()]

    def clicked(number: int) -> None:
        if number in numbers:
            st.session_state[CELL] = number

    if analysis.reject_reason:
        st.warning(analysis.reject_reason, title="Rejected", icon=":material/block:")
    shared.show_field_warnings(analysis)
    shared.image_chart(
        field_figure(
            image.shown.image, analysis, kinds, shared.shown_width(720), outlines(segmented)
        ),
        "wbc_drawing",
        f"Field {analysis.title} with {len(numbers)} white cells boxed and numbered",
        clicked,
    )
    if analysis.reject_reason:
        return
    st.caption(
        "Colour shows the type. Solid line: classified. Dashed: uncertain. Dotted grey: not a "
        "white cell. Click a white cell for details. Scroll or pinch to zoom, drag to move, "
        "double-click to reset."
    )


def show_cell(
    image: SessionImage[FieldAnalysis], segmented: Mapping[int, SegmentedCell] | None
) -> None:
    """Let the reader choose a white cell by click or number; show its results.

    `segmented` has the cells that were outlined; None where outlines are not wanted.
    """
    cells = dict(image.result.white_cells())
    if not cells:
        return
    if st.session_state.get(CELL) not in cells:
        st.session_state[CELL] = None
    chosen = st.selectbox(
        "White cell",
        list(cells),
        index=None,
        placeholder="Click one, or choose its number",
        key=CELL,
    )
    if chosen is None:
        return
    cell, scale = cells[chosen], image.result.scale
    outlined = segmented.get(chosen) if segmented else None
    if outlined is None:
        st.image(image.shown.cells[chosen], width=120, alt=f"White cell {chosen}")
    else:
        st.image(outlined.jpeg, width=200, alt=f"White cell {chosen}, outlined")
    if segmented is not None and image.raw is not None:
        measures_table(outlined.measures if outlined else None, has_scale=scale is not None)
    diameter = (
        {"Diameter": f"{cell.box.diameter * scale.micrometres_per_pixel:.1f} µm"} if scale else {}
    )
    likely = sorted((cell.probabilities or {}).items(), key=lambda item: -item[1])
    types = {
        CELL_TYPES[key].name: shared.plain(probability_text(probability))
        for key, probability in likely
        if probability >= LEAST_SHOWN
    }
    st.table(
        {
            "Status": cell.status.replace("_", " "),
            **(
                {"Subtype": f"likely {label_name(cell.likely_subtype).lower()}"}
                if cell.likely_subtype
                else {}
            ),
            **({"Counted": "in another field that shows the same cell"} if cell.duplicate else {}),
            **types,
            **diameter,
            "Detection score": f"{100 * cell.detection_score:.0f} %",
            **(
                {"Appearance": "unlike the training images"}
                if cell.in_distribution is False
                else {}
            ),
        },
        border="horizontal",
    )
    if cell.attributes:
        with st.expander("Attributes", icon=":material/list_alt:"):
            shared.attributes_table(cell.attributes)


def show_properties(image: SessionImage[FieldAnalysis]) -> None:
    """Show the scale of the image and the properties of its file."""
    scale, sides = image.result.scale, (image.width, image.height)
    known = {"Scale": "unknown"}
    if scale:
        um_per_px = scale.micrometres_per_pixel
        known = {
            "Scale": f"{um_per_px:.3f} µm per px, from the {scale.source}",
            "Field": " × ".join(f"{side * um_per_px:.0f}" for side in sides) + " µm",
        }
    properties_table(image, {**known, "Analysis": f"{image.result.seconds:.2f} s"})
