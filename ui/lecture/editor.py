"""The first screen of the page Lecture: tours to start, and the editor of an own tour."""

import random
from collections.abc import Callable
from functools import partial

import streamlit as st

from core.errors import LeukoscopeError, TourError
from core.teaching.atlas import Atlas
from core.teaching.tours import (
    LARGEST_FILE,
    LONGEST_TEXT,
    LONGEST_TITLE,
    MOST_WHITE_CELLS,
    CaseStep,
    ComparisonStep,
    EntryStep,
    Step,
    SyntheticStep,
    Tour,
    case_tour,
    check_case,
    read_tour,
    shipped_tours,
)
from ui.components.actions import action_button
from ui.components.shared import number_of, plain
from ui.components.tours import add, keep, my_tour, revision
from ui.lecture.slides import open_lecture_case, step_title

PAGE = "pages/lecture.py"
MINE, ATLAS = "mine", "atlas"
_KINDS = {
    "entry": "Cell of the atlas",
    "comparison": "Two cells side by side",
    "synthetic": "Synthetic field",
    "case": "Stored field or cell",
}
_IMPORTED = "lecture_imported"


def show_tours(atlas: Atlas) -> None:
    """Offer the tours that come with the app."""
    st.header("Ready tours")
    with st.grid("auto", min_column_width=260):
        for key, tour in shipped_tours().items():
            with st.container(border=True, height="stretch"):
                st.markdown(f"**{plain(tour.title)}**")
                st.caption(number_of(len(tour.steps), "step"))
                with st.container(horizontal=True, vertical_alignment="center"):
                    _start(key)
                    st.button(
                        "Edit a copy",
                        key=f"lecture_copy_{key}",
                        icon=":material/edit:",
                        on_click=_offer,
                        args=(tour,),
                    )
        with st.container(border=True, height="stretch"):
            st.markdown("**The whole atlas**")
            st.caption(number_of(len(atlas.entries), "step"))
            _start(ATLAS)
    st.caption(
        "In the lecture: → and ← go on and back, a field shows its boxes type by type, L hides and "
        "shows labels, F fills the screen, Escape ends. Hold P or the mouse button for a pointer. "
        "A presenter's remote works too. A lecture of a stored case starts on its page."
    )


def _start(key: str) -> None:
    st.page_link(
        PAGE,
        label="Start",
        icon=":material/play_arrow:",
        query_params={"tour": key, "step": "1"},
    )


def _offer(tour: Tour) -> None:
    """Take a tour where there is none yet, else ask what becomes of the present one."""
    if my_tour().steps:
        st.session_state[_IMPORTED] = tour
    else:
        keep(tour)


def show_editor(atlas: Atlas) -> None:
    """Let the visitor put a tour together, export and import it."""
    st.header("My tour")
    _import(atlas)
    _ask()
    tour = my_tour()
    key = f"lecture_title_{revision()}"
    st.text_input(
        "Title",
        tour.title,
        key=key,
        max_chars=LONGEST_TITLE,
        on_change=_rename,
        args=(key,),
        width=420,
    )
    for index, step in enumerate(tour.steps):
        _show_step(atlas, tour, index, step)
    if tour.steps:
        with st.container(horizontal=True, vertical_alignment="center"):
            _start(MINE)
            st.download_button(
                "Export (JSON)",
                tour.to_json(),
                "leukoscope_tour.json",
                "application/json",
                icon=":material/download:",
                on_click="ignore",
            )
            st.button(
                "Remove all steps",
                icon=":material/delete:",
                on_click=_change,
                args=(lambda kept: kept.model_copy(update={"steps": ()}),),
            )
        st.caption(
            "A tour stays until this page is closed or loaded again. Export it to keep it. The "
            "file holds numbers and your words, no images: write no names of patients."
        )
    else:
        st.info(
            "No steps yet. Add one below, or press *Add to my tour* on a page of the atlas, or "
            "*Tour* in the viewer of a slide.",
            icon=":material/playlist_add:",
        )
    _add_step(atlas)


def _rename(key: str) -> None:
    title = st.session_state[key].strip()
    if title:
        keep(my_tour().model_copy(update={"title": title}), reordered=False)


def _text_key(index: int) -> str:
    return f"lecture_text_{revision()}_{index}"


def _change(make: Callable[[Tour], Tour]) -> None:
    """Change the order or number of the steps, after the texts that were typed until now."""
    tour = my_tour()
    for index in range(len(tour.steps)):
        tour = tour.with_text(index, st.session_state.get(_text_key(index), ""))
    keep(make(tour))


def _show_step(atlas: Atlas, tour: Tour, index: int, step: Step) -> None:
    key = f"lecture_step_{revision()}_{index}"

    def written(shown: int) -> None:
        # A button that was pressed at the same time has kept the text already.
        if shown == revision():
            text = st.session_state[_text_key(index)]
            keep(my_tour().with_text(index, text), reordered=False)

    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{index + 1}** {plain(step_title(atlas, step))}", width="stretch")
            for label, icon, by, off in (
                ("Up", "arrow_upward", -1, index == 0),
                ("Down", "arrow_downward", 1, index == len(tour.steps) - 1),
            ):
                st.button(
                    label,
                    key=f"{key}_{label}",
                    icon=f":material/{icon}:",
                    on_click=_change,
                    args=(lambda kept, by=by: kept.moved(index, by),),
                    disabled=off,
                )
            st.button(
                "Remove",
                key=f"{key}_remove",
                icon=":material/delete:",
                on_click=_change,
                args=(lambda kept: kept.without(index),),
            )
        st.text_area(
            "Text on the screen",
            step.text,
            key=_text_key(index),
            max_chars=LONGEST_TEXT,
            height=68,
            on_change=written,
            args=(revision(),),
            placeholder="A question, or what to look at",
            label_visibility="collapsed",
        )


def _add_step(atlas: Atlas) -> None:
    with st.expander("Add a step", icon=":material/add:", expanded=not my_tour().steps):
        kind = st.segmented_control(
            "What to show",
            list(_KINDS),
            format_func=_KINDS.__getitem__,
            default="entry",
            required=True,
            key="lecture_kind",
        )
        if kind == "case":
            _add_case()
            return
        if kind == "synthetic":
            _choose_synthetic()
        else:
            _choose_cells(atlas, 1 if kind == "entry" else 2)
        action_button("Add", "lecture_add", partial(_take, kind), type="primary")


def _choose_cells(atlas: Atlas, cells: int) -> None:
    for number, place in enumerate(st.columns(cells)):
        place.selectbox(
            "With" if number else "Cell",
            list(atlas.entries),
            number,
            lambda key: atlas.entries[key].name,
            key=f"lecture_cell_{number}",
        )


def _choose_synthetic() -> None:
    first, second = st.columns(2)
    if "lecture_seed" not in st.session_state:
        st.session_state["lecture_seed"] = random.randrange(10_000)
    first.number_input(
        "Number of the field",
        0,
        2**32 - 1,
        key="lecture_seed",
        help="The same number, the same field.",
    )
    second.number_input("White cells", 1, MOST_WHITE_CELLS, 5, key="lecture_white_cells")


def _take(kind: str) -> None:
    """Add what is chosen when the button is pressed. Raises TourError."""
    # What was typed last comes with the press: it is in the session, not yet on the page.
    chosen = st.session_state
    if kind == "entry":
        add(EntryStep(cell=chosen["lecture_cell_0"]))
    elif kind == "synthetic":
        cells = int(chosen["lecture_white_cells"])
        add(SyntheticStep(seed=int(chosen["lecture_seed"]), white_cells=cells))
    elif chosen["lecture_cell_0"] == chosen["lecture_cell_1"]:
        raise TourError("These are the same cell. Choose two different ones.")
    else:
        add(ComparisonStep(cell=chosen["lecture_cell_0"], other=chosen["lecture_cell_1"]))


def _add_case() -> None:
    first, second, third = st.columns(3)
    first.number_input(
        "Sample", 1, 2**31, key="lecture_sample", help="Its number on the page Patients."
    )
    second.number_input("Field (0: all)", 0, 10_000, 0, key="lecture_field")
    third.number_input("Cell (0: the whole field)", 0, 100_000, 0, key="lecture_case_cell")
    action_button("Add", "lecture_add_case", _take_case, type="primary")


def _take_case() -> None:
    """Add fields of a stored case, or one cell. Raises LeukoscopeError."""
    chosen = st.session_state
    field, cell = int(chosen["lecture_field"]), int(chosen["lecture_case_cell"])
    case = open_lecture_case(int(chosen["lecture_sample"]))
    steps = case_tour(case).steps
    if not field:
        if cell:
            raise TourError("Say in which field the cell is.")
        add(*steps)
        return
    if field > len(steps):
        raise TourError(f"The sample has {number_of(len(steps), 'field')}. Choose one of them.")
    step = steps[field - 1]
    assert isinstance(step, CaseStep)
    step = step.model_copy(update={"cell": cell or None})
    check_case(step, case)
    add(step)


def _import(atlas: Atlas) -> None:
    file = st.file_uploader(
        "Import a tour (JSON)", type="json", key=f"lecture_import_{revision()}", max_upload_size=1
    )
    if file is None:
        return
    try:
        if file.size > LARGEST_FILE:
            read_tour(b" " * (LARGEST_FILE + 1), atlas)
        tour = read_tour(file.getvalue(), atlas)
    except LeukoscopeError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if my_tour().steps:
        st.session_state[_IMPORTED] = tour
    else:
        keep(tour)
        st.rerun()


def _ask() -> None:
    """Ask what becomes of the present tour when another one comes."""
    other: Tour | None = st.session_state.get(_IMPORTED)
    if other is None:
        return
    mine = my_tour()

    def answered(kept: Tour | None, *more: Step) -> None:
        st.session_state.pop(_IMPORTED, None)
        keep(kept or mine)
        if more:
            add(*more)

    with st.container(border=True):
        st.markdown(
            f"“{plain(other.title)}” has {number_of(len(other.steps), 'step')}. My tour has "
            f"{number_of(len(mine.steps), 'step')} already."
        )
        with st.container(horizontal=True):
            st.button("Replace my tour", on_click=answered, args=(other,))
            st.button("Add its steps to mine", on_click=answered, args=(None, *other.steps))
            st.button("Cancel", on_click=answered, args=(None,))
