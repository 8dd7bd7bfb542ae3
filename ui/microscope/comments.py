"""Comments at places of a slide: they belong to the samples that were saved from it."""

from typing import Any

import streamlit as st

from core.cases.database import get_database
from core.cases.names import LONGEST_COMMENT
from core.cases.records import PlacedComment
from core.cases.sharing import comment, comments_on_slide, samples_of_files
from core.cases.users import require
from core.errors import CaseError, LeukoscopeError
from core.slides.folders import SlideFile
from core.slides.origin import field_name
from ui.components import cases
from ui.components.actions import action_button
from ui.components.shared import plain
from ui.components.visitor import current_user
from ui.microscope.viewer import PINNED, kept_view, show_place

_KEY = "slide_comment"


def comments_of(slide: SlideFile) -> list[PlacedComment]:
    """Return the comments at places of a slide; none for those who may not read cases."""
    try:
        database = get_database()
        require(current_user(database), "viewer")
        return comments_on_slide(database, slide.id)
    except CaseError:
        return []


def show_comments(slide: SlideFile, comments: list[PlacedComment]) -> None:
    """List the comments at places, and ask for one at the place that was chosen in the viewer."""
    pinned = kept_view(PINNED, slide)
    if not comments and pinned is None:
        return
    st.header("Comments at places")
    for number, placed in enumerate(comments, 1):
        said = placed.comment
        with st.container(border=True, gap="xsmall"):
            st.caption(f"{number}. {plain(said.author)}, {cases.local_time(said.at)}")
            st.text(said.text)
            with st.container(horizontal=True):
                st.button(
                    "Show",
                    key=f"{_KEY}_show_{said.id}",
                    icon=":material/location_on:",
                    on_click=show_place,
                    args=(said.place or {},),
                )
                cases.sample_link(placed.sample_id, f"Sample {placed.sample_id}")
    if pinned is not None:
        _write(slide, pinned)


def _write(slide: SlideFile, pinned: dict[str, Any]) -> None:
    database = get_database()
    try:
        require(current_user(database), "viewer")
        samples = samples_of_files(database, field_name(slide.name, 0, 0).removesuffix("0, 0"))
    except LeukoscopeError as error:
        st.caption(plain(str(error)))
        return
    if not samples:
        st.caption("Comments belong to a case. Count cells and save the count to a patient first.")
        return
    st.markdown(f"**New comment** at {pinned['x']:,.0f}, {pinned['y']:,.0f} px")
    sample = samples[0]
    if len(samples) > 1:
        sample = st.selectbox(
            "Case", samples, format_func=lambda number: f"Sample {number}", key=f"{_KEY}_sample"
        )
    st.text_area("Your comment", key=f"{_KEY}_text", max_chars=LONGEST_COMMENT, height=90)

    def add() -> None:
        text = st.session_state[f"{_KEY}_text"]
        comment(database, current_user(database), sample, text, pinned)
        st.session_state[f"{_KEY}_text"] = ""
        st.session_state.pop(PINNED, None)

    with st.container(horizontal=True):
        action_button("Add comment", f"{_KEY}_add", add, icon=":material/comment:", type="primary")
        st.button("Cancel", key=f"{_KEY}_cancel", on_click=st.session_state.pop, args=(PINNED,))
