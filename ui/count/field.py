"""One field of the WBC count: its cells, the clicked cell, the properties of the file."""

from collections import Counter
from collections.abc import Mapping

import streamlit as st

from core.charts.field import field_drawing
from core.domain.boxes import Box
from core.domain.results import FieldAnalysis
from core.imaging.crop import crop_cell
from core.imaging.illumination import flatten
from core.imaging.preview import preview_jpeg
from core.imaging.segmentation import SegmentationMethod, segment_field
from ui.all_stage.results import show_class
from ui.components import fields, shared
from ui.components.cases import follow_address, keep_in_address
from ui.upload.controls import choose_field, properties_table, remove_button
from ui.upload.images import SessionImage, decode_again
from ui.upload.session import UploadSession

CELL = "wbc_cell"
_ROOM = "max(320px, 100vh - 305px)"
"""Most height of a field: with what stands above it, it fits into the window."""
_LARGE_SIDE = 320
"""Pixels a side of the image of the chosen cell."""
_LARGE_SHOWN = 250
"""CSS pixels: its probabilities stand in the window too."""


def status_line(analyses: list[FieldAnalysis]) -> None:
    """Show how many cells are classified, uncertain, or not counted."""
    cells = [cell for a in analyses for _, cell in a.white_cells() if not cell.duplicate]
    status = Counter(cell.status for cell in cells)
    rejected = sum(a.reject_reason is not None for a in analyses)
    unlike = sum(a.counts.out_of_distribution for a in analyses)
    again = sum(a.counts.duplicates["wbc"] for a in analyses)
    named = shared.number_of(status["classified"], "white cell")
    nothing = not status["classified"] and rejected < len(analyses)
    other = status["out_of_scope"]
    badges = [
        (rejected, "red", "block", f"{shared.number_of(rejected, 'image')} rejected"),
        (status["uncertain"], "orange", "help", f"{status['uncertain']} uncertain: not counted"),
        (unlike, "orange", "palette", f"{unlike} unlike the training images"),
        (status["classified"], "green", "check", f"{named} classified"),
        (nothing, "gray", "search_off", "no white cell classified"),
        (
            other,
            "gray",
            "block",
            "1 is not a white cell" if other == 1 else f"{other} are not white cells",
        ),
        (again, "gray", "content_copy", f"{again} counted in another field"),
        *(
            (True, "blue", "tune", f"site profile {shared.plain(name)}")
            for name in sorted({a.profile for a in analyses if a.profile is not None})
        ),
    ]
    st.markdown(
        " ".join(
            f":{colour}-badge[:material/{icon}: {text}]"
            for shown, colour, icon, text in badges
            if shown
        )
    )


@st.fragment
def field_view(session: UploadSession, images: list[SessionImage]) -> None:
    """Show one field with its boxes, the clicked cell and the properties of the file."""
    image = choose_field(session, images)
    analysis = image.result
    drawing, about = st.columns([1.5, 1])
    with about:
        if len(images) == 1:
            st.markdown(f"**{shared.plain(analysis.title)}**")
        else:  # of one field the page says it above
            status_line([analysis])
        cell = st.container()  # what is chosen stands above how the field is drawn
        kinds = [] if analysis.reject_reason else fields.choose_kinds(analysis, "wbc")
        method = fields.choose_method() if analysis.white_cells() else None
        outlined = _outlined(image, method, fields.is_light_corrected()) if method else {}
        if image.lost:
            st.error(shared.plain(image.lost), icon=":material/broken_image:")
        if method and not image.is_kept:
            st.caption("The page did not keep this image, so nothing can be outlined.")
        with cell:
            chosen = show_cell(image, outlined if method else None)
        with st.expander("Properties of the file", icon=":material/info:"):
            show_properties(image)
        remove_button(session, image)

    def clicked(number: int) -> None:
        st.session_state[CELL] = number

    with drawing:
        if analysis.reject_reason:
            st.warning(analysis.reject_reason, title="Rejected", icon=":material/block:")
        outlines = [cell.segmentation for cell in outlined.values()]
        drawn = field_drawing(image.shown.image, analysis, kinds, outlines)
        fields.show_warnings(analysis)
        fields.show_drawing(drawn, "wbc_drawing", clicked, chosen=chosen, room=_ROOM)
        if not analysis.reject_reason:
            st.caption(
                "Colour shows the type. Solid line: classified. Dashed: uncertain. Dotted grey: "
                "not a white cell. Click a white cell for details. Scroll or press + to zoom, drag "
                "to move, double-click to reset. The legend hides and shows types."
            )
    if session.is_graded:
        show_class(image)


@st.cache_resource(
    max_entries=8,
    ttl="1h",
    show_spinner="Outlining the cells",
    hash_funcs={SessionImage: lambda image: fields.segmentation_key(image.own_result)},
)
def _outlined(
    image: SessionImage, method: SegmentationMethod, corrected: bool
) -> dict[int, fields.OutlinedCell]:
    """Return the white cells with their outlines, by number; none of an image that is not kept."""
    analysis = image.own_result
    scale = analysis.scale.micrometres_per_pixel if analysis.scale else None
    for _, decoded in decode_again([image]):
        even = flatten(decoded.pixels)
        shown = even if corrected else decoded.pixels
        return {
            number: fields.outlined_cell(shown, analysis.cells[number - 1].box, one, scale)
            for number, one in segment_field(even, analysis, method).items()
        }
    return {}


@st.cache_data(
    max_entries=200,
    ttl="1h",
    show_spinner=False,
    hash_funcs={SessionImage: lambda image: image.identity},
)
def _large(image: SessionImage, box: Box, corrected: bool) -> bytes | None:
    """Return a white cell large enough to look at; None of an image that is not kept."""
    for _, decoded in decode_again([image]):
        shown = flatten(decoded.pixels) if corrected else decoded.pixels
        return preview_jpeg(crop_cell(shown, box, size=_LARGE_SIDE))
    return None


def show_cell(
    image: SessionImage, outlined: Mapping[int, fields.OutlinedCell] | None
) -> int | None:
    """Let the reader choose a white cell by click or number; show its results, return its number.

    `outlined` has the cells with outlines; None where outlines are not wanted.
    """
    cells = dict(image.result.white_cells())
    if not cells:
        return None
    follow_address("cell", CELL, first=0)
    if st.session_state.get(CELL) not in cells:
        st.session_state[CELL] = None
    chosen = st.selectbox(
        "White cell",
        list(cells),
        index=None,
        placeholder="Click one, or choose its number",
        key=CELL,
    )
    keep_in_address("cell", CELL, chosen)
    if chosen is None:
        return None
    cell, scale = cells[chosen], image.result.scale
    drawn = outlined.get(chosen) if outlined else None
    jpeg = drawn.jpeg if drawn else None
    if jpeg is None and not image.lost:
        jpeg = _large(image, cell.box, fields.is_light_corrected())
    shown = jpeg or image.shown.cells[chosen]
    st.image(shown, width=_LARGE_SHOWN, alt=f"White cell {chosen}{', outlined' if drawn else ''}")
    if outlined is not None and image.is_kept:
        fields.show_measures(drawn, has_scale=scale is not None)
    fields.show_cell_facts(cell, scale.micrometres_per_pixel if scale else None)
    return chosen


def show_properties(image: SessionImage) -> None:
    """Show the scale of the image and the properties of its file."""
    known = {"Scale": fields.scale_text(image.result)}
    if scale := image.result.scale:
        sides = (side * scale.micrometres_per_pixel for side in (image.width, image.height))
        known["Field"] = " × ".join(f"{side:.0f}" for side in sides) + " µm"
    properties_table(image, {**known, "Analysis": f"{image.result.seconds:.2f} s"})
