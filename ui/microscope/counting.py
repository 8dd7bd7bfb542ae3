"""Counting on a slide: start and stop, and what was found so far."""

import streamlit as st

from core.domain.differential import differential
from core.domain.results import FieldAnalysis
from core.settings import get_settings
from core.slides.counting import (
    COUNTABLE,
    GLASS,
    TARGETS,
    THICK,
    SlideCount,
    chance_of_missing,
)
from core.slides.current import get_count, open_count
from core.slides.folders import SlideFile
from core.slides.tiles import SlideView
from ui.components.actions import action_button
from ui.components.cases import errors_shown
from ui.components.shared import number_of, on_phone, plain
from ui.count.field import status_line
from ui.count.results import show_differential
from ui.microscope.card import show_cell
from ui.microscope.comments import comments_of, show_comments
from ui.microscope.regions import regions_of, show_regions
from ui.microscope.saving import show_saving
from ui.microscope.tour import show_tour
from ui.microscope.viewer import PINNED, VIEWED, kept_view, show_viewer

SECONDS = 2.0
"""Between two looks at a count that runs."""
_RARE = 0.01


def show_slide(slide: SlideFile, view: SlideView) -> None:
    """Show a slide with what its count found; drawn again and again while the count runs."""
    with errors_shown(end_page=True):
        count = get_count(slide, view)
    running = count is not None and count.running
    st.fragment(_show, run_every=SECONDS if running else None)(slide, view, was_running=running)


def _show(slide: SlideFile, view: SlideView, *, was_running: bool) -> None:
    count = get_count(slide, view)
    if (count is not None and count.running) != was_running:
        st.rerun()
    analysis = count.analysis() if count else None
    comments = comments_of(slide)
    if on_phone():  # where columns follow one another, the clicked cell comes first
        shown, card, controls, results = (st.container() for _ in range(4))
    else:
        main, aside = st.columns([3, 1])
        shown, results = main.container(), main.container()
        controls, card = aside.container(), aside.container()
    with shown:
        show_viewer(slide, view, count.version if count else "", regions_of(slide.id), comments)
        if view.micrometres_per_pixel is None:
            st.caption(
                "The file does not say its scale: lengths are in pixels, objectives are not known."
            )
    with controls:
        _show_controls(slide, view, count)
        if count:
            _show_progress(count)
    if kept_view(PINNED, slide) or kept_view(VIEWED, slide):  # what is asked for comes first
        words, cell = card.container(), card.container()
    else:
        cell, words = card.container(), card.container()
    with cell:
        if count:
            show_cell(view, count)
    with words:
        show_comments(slide, comments)
        show_tour(slide, view)
    with results:
        if count and analysis:
            _show_count(view, count, analysis)
        show_regions(slide.id, analysis, comments)


def _show_controls(slide: SlideFile, view: SlideView, count: SlideCount | None) -> None:
    st.header("Count")
    if view.planes.note:
        st.caption(view.planes.note)
    if count is not None and count.running:
        action_button("Stop", "slide_stop", count.stop, icon=":material/stop:")
        return
    # Not in segments, which a narrow column cuts.
    wanted = st.selectbox(
        "White cells",
        [*TARGETS, 0],
        index=1,
        format_func=lambda number: f"{number}" if number else "Whole area",
        key="slide_target",
        help="The count follows a battlement path through the area worth counting and ends with "
        "this many classified white cells.",
    )

    def start() -> None:
        open_count(slide, view).start(wanted or None)

    label = "Go on" if count is not None and count.done else "Count"
    action_button(label, "slide_count", start, icon=":material/play_arrow:", type="primary")
    if count is None:
        st.caption(
            "Empty glass and thick parts are left out. The count stays with the slide for "
            f"{get_settings().draft_days} days after it was last opened; save it to a patient to "
            "keep it."
        )


def _show_count(view: SlideView, count: SlideCount, analysis: FieldAnalysis) -> None:
    """Show the differential of a count, and what it cannot say."""
    if not count.path:
        states = count.states()
        st.warning(
            f"No part of the slide is worth counting: {states.count(GLASS)} tiles are glass, "
            f"{states.count(THICK)} are too thick.",
            icon=":material/search_off:",
        )
        return
    if not count.done:
        return
    if not count.is_kept:
        st.warning(
            "The store could not be written: parts of this count are only in memory and are lost "
            "when the server is restarted.",
            icon=":material/cloud_off:",
        )
    status_line([analysis])
    poor = sum(cell.poor_area is not None for _, cell in analysis.white_cells())
    if poor:
        st.caption(
            f"{number_of(poor, 'white cell')} in poor areas (blurred, pale, dark or crowded). "
            "Check them; the viewer marks them with a corner."
        )
    for reason, number in count.rejections().most_common(3):
        st.caption(f"{number_of(number, 'tile')} rejected: {plain(reason)}")
    show_differential([analysis], flagged=True)
    counted = differential([analysis]).total
    if counted:
        missed = chance_of_missing(_RARE, counted)
        st.caption(
            f"With {counted} cells, blasts that are 1 % of the white cells are missed altogether "
            f"with a probability of {100 * missed:.1f} %."
        )
    if counted and not count.running:
        show_saving(view, count)
    outside = [state for state in count.states() if state != COUNTABLE]
    st.caption(
        f"Left out by the look at low power: {number_of(outside.count(GLASS), 'tile')} of glass, "
        f"{number_of(outside.count(THICK), 'thick tile')}. The map *Tiles* of the viewer shows "
        "them; the maps *Focus*, *Stain* and *Density* show where types can be relied on."
    )


def _show_progress(count: SlideCount) -> None:
    """Show how far a count is, who analyses the tiles, and why it stopped."""
    if count.error:
        st.error(plain(count.error), icon=":material/error:")
    if count.cluster_error:
        st.warning(
            f"{plain(count.cluster_error)} This server analyses the tiles instead.",
            icon=":material/cloud_off:",
        )
    if count.running:
        left = count.seconds_left
        time_left = f", {_duration(left)} left" if left is not None else ""
        by = ""
        if count.is_on_cluster:
            by = " by the Ray cluster" if time_left else ", waiting for the Ray cluster"
        st.caption(f"{count.done:,} of {len(count.path):,} tiles done{by}{time_left}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
