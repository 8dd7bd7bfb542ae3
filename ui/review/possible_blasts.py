"""The urgent flag above a case under review, and the way to the first possible blast."""

import streamlit as st

from core.cases.cell_groups import case_cells
from core.cases.records import Case, LabelledCell
from core.domain.differential import differential
from core.domain.flags import blast_flag
from core.imaging.scale import is_whole
from ui.components.shared import show_urgent
from ui.review.field import FIELDS, PICKED, field_key

_OPENED = "review_blast_opened"


def first_possible_blast(case: Case) -> LabelledCell | None:
    """Return the possible blast to look at first: not reviewed yet, certain, whole, the likeliest.

    None when the case has none.
    """
    cells = [c for c in case_cells(case) if c.cell.is_possible_blast and not c.cell.duplicate]
    sizes = {f.id: (f.analysis.width, f.analysis.height) for f in case.fields}
    return min(
        cells,
        key=lambda c: (
            c.cell.reviewer is not None,
            c.cell.status != "classified",
            not is_whole(c.cell.box, *sizes[c.field_id]),
            -c.cell.confidence,
        ),
        default=None,
    )


def show_possible_blasts(case: Case) -> None:
    """Show the flag when the case has possible blasts; one press opens the first in its field."""
    flag, first = blast_flag(differential(case.analyses)), first_possible_blast(case)
    if flag is None or first is None:
        return
    show_urgent([flag])

    def open_first() -> None:
        places = [stored.id for stored in case.fields]
        st.session_state[field_key(case.sample.id)] = places.index(first.field_id)
        st.session_state[PICKED] = first.id
        st.session_state["view"] = FIELDS
        st.session_state[_OPENED] = True

    st.button(
        "Show the first possible blast",
        key="review_first_blast",
        icon=":material/center_focus_strong:",
        type="primary",
        on_click=open_first,
    )
    if st.session_state.pop(_OPENED, False):
        st.rerun()  # the choice of the view lies outside this part of the page
