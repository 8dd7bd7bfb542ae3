"""The review queue: filters, the cell that is shown, cells to compare with, and the decision."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import streamlit as st

from core.cases.listing import search_patients
from core.cases.queue import pending_counts, queue
from core.cases.records import QueuedCell, QueueFilter
from core.cases.reviews import reviews_of
from core.cases.users import users
from core.charts.field import data_uri
from core.domain.probability import probability_text
from core.domain.results import Cell
from core.domain.taxonomy import CELL_TYPES, NOT_A_WHITE_CELL, Status, label_name
from core.inference.cell_classifier import ASSUMED_CELL_MICROMETRES
from ui.components import fields, stored
from ui.components.browser import mount
from ui.components.cases import (
    errors_shown,
    local_time,
    no_cases,
    sample_link,
    sample_name,
    state_badge,
)
from ui.components.cell_images import SIDE_MICROMETRES
from ui.components.references import Reviewed, show_reference_cells
from ui.components.shared import attributes_table, on_phone, plain
from ui.review.session import (
    KEYS,
    ReviewSession,
    review_button,
    show_review_error,
    suggestion,
    undo_button,
)

POSITION = "review_position"
SHOWN = "review_shown"
"""Id of the cell on the screen; None from a decision or a step until the next cell is drawn."""
UNCERTAIN, UNREVIEWED, ALL = "Uncertain", "Unreviewed", "All"
LABELS = (*CELL_TYPES, NOT_A_WHITE_CELL)
AGREE = "A"
CHOICES = "review_choices_"
COMMENT = "review_comment"
STATUS_BADGES: dict[Status, str] = {
    "classified": ":green-badge[:material/check: classified]",
    "uncertain": ":orange-badge[:material/help: uncertain: not counted]",
    "out_of_scope": ":gray-badge[:material/block: not a white cell]",
}


@st.fragment
def show_queue(session: ReviewSession, within: QueueFilter) -> None:
    """Show the first cell that passes the filters; after a decision the next one."""
    show_review_error(session)
    with errors_shown(end_page=True):
        wanted = _choose_filter(session, within)
        before, index = st.session_state.get(POSITION, (wanted, 0))
        index = index if before == wanted else 0
        uncertain, confident = pending_counts(session.database, within)
        found = queue(session.database, wanted, offset=index, limit=1)
        if not found.items and found.total:
            index = found.total - 1
            found = queue(session.database, wanted, offset=index, limit=1)
    st.session_state[POSITION] = (wanted, index)
    _show_counts(wanted, uncertain, confident)
    if not found.items:
        _show_empty(session, wanted, confident)
        return

    def step(by: int) -> None:
        st.session_state[POSITION] = (wanted, max(0, index + by))
        st.session_state[SHOWN] = None

    def decided() -> None:
        if not wanted.unreviewed:  # else the decided cell has left the list
            step(1)

    with st.container(horizontal=True, vertical_alignment="center"):
        fields.step_buttons("review", index, found.total - 1, step, by_arrows=True)
        undo_button(session)
        st.markdown(
            f"**{index + 1}** of {found.total:,}, possible blasts first, then least confident"
        )
    _show_cell(session, found.items[0], decided)


def _choose_filter(session: ReviewSession, within: QueueFilter) -> QueueFilter:
    """Let the reader filter the cells of a patient or sample; the address keeps the filter."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cells = st.segmented_control(
            "Cells",
            [UNCERTAIN, UNREVIEWED, ALL],
            default=UNCERTAIN,
            required=True,
            key="cells",
            bind="query-params",
            help="Uncertain: the model is uncertain or took it for no white cell. Unreviewed: also "
            "confident cells. Neither contains cells of signed cases.",
        )
        with st.popover("Filter", icon=":material/filter_list:"):
            cell_type = st.selectbox(
                "Type",
                list(CELL_TYPES),
                index=None,
                format_func=label_name,
                placeholder="All types",
                key="type",
                bind="query-params",
            )
            lowest, highest = st.slider(
                "Model's confidence, %",
                0,
                100,
                (0, 100),
                key="confidence",
                bind="query-params",
            )
            reviewer = None
            if cells == ALL:
                reviewer = st.selectbox(
                    "Last labelled by",
                    [user.name for user in users(session.database)],
                    index=None,
                    placeholder="Anyone or no one",
                    key="reviewer",
                    bind="query-params",
                )
    return replace(
        within,
        type=cell_type,
        lowest=lowest / 100,
        highest=highest / 100,
        reviewer=reviewer,
        unreviewed=cells != ALL,
        uncertain=cells == UNCERTAIN,
    )


def _show_counts(wanted: QueueFilter, uncertain: int, confident: int) -> None:
    """Show the number of cells to review, and the filters."""
    first = (
        f":orange-badge[:material/help: {uncertain:,} uncertain, to be reviewed]"
        if uncertain
        else ":green-badge[:material/check: no uncertain cell left]"
    )
    st.markdown(f"{first} :gray-badge[:material/visibility: {confident:,} confident, not reviewed]")
    only = [label_name(wanted.type).lower()] if wanted.type else []
    if (wanted.lowest, wanted.highest) != (0.0, 1.0):
        only.append(f"confidence {100 * wanted.lowest:.0f}-{100 * wanted.highest:.0f} %")
    if wanted.reviewer:
        only.append(f"last labelled by {plain(wanted.reviewer)}")
    if only:
        st.caption(f"Filtered: {', '.join(only)}.")


def _show_empty(session: ReviewSession, wanted: QueueFilter, confident: int) -> None:
    if wanted.draft_id is None and not search_patients(session.database, limit=1).total:
        no_cases()
        return
    within = QueueFilter(
        patient_id=wanted.patient_id, sample_id=wanted.sample_id, draft_id=wanted.draft_id
    )
    uncertain = replace(within, uncertain=True)
    if wanted == uncertain and confident:
        where = "the gallery of a sample" if wanted.sample_id is None else "the gallery"
        st.success(
            f"All uncertain cells are reviewed. In {where} you can check confident cells by type "
            "and agree to them together; **Unreviewed** shows them one by one.",
            icon=":material/check_circle:",
        )
    elif wanted in (within, uncertain):
        st.success("No white cell to review here.", icon=":material/check_circle:")
    else:
        st.info(
            "No white cell matches these filters. Widen the confidence, or show all types.",
            icon=":material/filter_alt_off:",
        )
    undo_button(session)


def _show_cell(session: ReviewSession, queued: QueuedCell, decided: Callable[[], None]) -> None:
    """Show a cell and its labels to choose from; `decided` is called after each saved decision."""
    session.saw(queued.sample)
    st.session_state[SHOWN] = queued.id
    images, choice = st.columns([1.15, 1], gap="large")
    with images, errors_shown():
        _show_images(queued)
    with choice:
        _show_state(session, queued)
        _hold_early_presses(queued)
        _show_choice(session, queued, decided)
    # On a phone, where columns follow one another, the decision comes before the comparison.
    with st.container() if on_phone() else images, errors_shown():
        _show_references(queued)
    with st.expander("Attributes and history", icon=":material/list_alt:"):
        _show_details(session, queued)


def _likeliest(cell: Cell) -> list[tuple[str, float]]:
    """Return the three most likely types with their probabilities; none for an added cell."""
    return sorted((cell.probabilities or {}).items(), key=lambda item: -item[1])[:3]


def _show_images(queued: QueuedCell) -> None:
    suggested, scale = suggestion(queued.cell), queued.micrometres_per_pixel
    images = st.container()  # above the controls: the cell is to be seen without scrolling
    fields.light_toggle()
    show_cam = suggested is not None and st.toggle(
        f"Show the class activation map of {label_name(suggested).lower()}",
        key="review_cam",
        persist_state="session",
        help="Yellow: regions that support this type most. The map shows what the model used, not "
        "the morphology that defines the type.",
    )
    name, corrected = f"Cell {queued.name}", fields.is_light_corrected()
    method = None if show_cam else fields.choose_method()
    drawn = method and stored.outlined(queued, method, corrected)
    if show_cam and suggested:
        jpeg, caption = stored.cam_jpeg(queued, suggested), "Input of the model"
        alt = f"{name} with the class activation map"
    elif drawn:
        jpeg, caption, alt = drawn.jpeg, "Nucleus and cell", f"{name}, outlined"
    else:
        jpeg, alt = stored.cell_jpeg(queued, stored.LARGE, corrected), name
        caption = _sides(SIDE_MICROMETRES, scale)
    with images, st.grid(2, min_column_width=140):
        # As data, not as addresses: the cell is there before the buttons that label it are.
        st.image(data_uri(jpeg), width="stretch", caption=caption, alt=alt)
        neighbours, side = stored.surroundings_jpeg(queued, corrected)
        alt = f"{name} among its neighbours"
        st.image(data_uri(neighbours), width="stretch", caption=_sides(side, scale), alt=alt)
    if method:
        fields.show_measures(drawn or None, has_scale=scale is not None)


def _sides(micrometres: float, scale: float | None) -> str:
    if scale:
        return f"{micrometres:.0f} µm across"
    return f"Scale unknown: the cell is assumed to be {ASSUMED_CELL_MICROMETRES} µm across"


def agreement_of(cell: Cell) -> str | None:
    """Return the label that agrees with the model: its type, or not a white cell."""
    ruled_out = cell.status == "out_of_scope" and cell.reviewer is None
    if ruled_out and cell.type != "platelet":
        return NOT_A_WHITE_CELL
    return suggestion(cell)


def _show_state(session: ReviewSession, queued: QueuedCell) -> None:
    cell = queued.cell
    if session.draft_id is None:
        sample_link(queued.sample.id, f"{queued.patient.identifier}, {sample_name(queued.sample)}")
    badges = [
        cell.is_possible_blast and ":red-badge[:material/priority_high: possible blast]",
        STATUS_BADGES[cell.status],
        state_badge(queued.sample.state),
        cell.in_distribution is False
        and ":orange-badge[:material/palette: unlike the training images]",
    ]
    lines = [" ".join(badge for badge in badges if badge)]
    if cell.likely_subtype:
        lines.append(f"The model suggests: {cell.type_name.lower()}")
    if cell.reviewer:
        label = NOT_A_WHITE_CELL if cell.status == "out_of_scope" else str(cell.type)
        lines.append(f"Labelled **{label_name(label).lower()}** by {plain(cell.reviewer)}")
    st.markdown("  \n".join(lines))


def _hold_early_presses(queued: QueuedCell) -> None:
    """Show the name of the cell; let the browser hold back presses meant for the one before."""
    keys = [key.lower() for key in (*KEYS.values(), AGREE)]
    with st.container(gap=None):  # the component takes no place
        held = {
            "cell": queued.id,
            "keys": [k.lower() for k in keys],
            "buttons": f"st-key-{CHOICES}",
        }
        mount("settle", "review_settle", held)
        st.caption(f"Cell {plain(queued.name)}")


def _show_choice(session: ReviewSession, queued: QueuedCell, decided: Callable[[], None]) -> None:
    barred = session.why_not(queued.sample)
    if barred:
        st.info(plain(barred), icon=":material/lock:")

    def name(label: str) -> None:
        # A second press that was made before the next cell was drawn belongs to no cell.
        if st.session_state.get(SHOWN) != queued.id:
            return
        st.session_state[SHOWN] = None
        session.name_cells(queued.sample, {queued.id: label}, st.session_state.get(COMMENT, ""))
        st.session_state[COMMENT] = ""
        decided()

    def button(label: str, text: str, shortcut: str = "") -> None:
        review_button(
            text,
            # The key has the id of the cell: the browser sends it back with a press.
            f"review_{'agree' if shortcut else label}_{queued.id}",
            partial(name, label),
            type="primary" if shortcut else "secondary",
            shortcut=shortcut or KEYS.get(label),
            disabled=barred is not None,
            width="stretch",
        )

    likely = _likeliest(queued.cell)
    answer = agreement_of(queued.cell)
    with st.container(key=f"{CHOICES}{queued.id}"):
        if answer is not None:
            button(answer, f"Agree: {label_name(answer)}", AGREE)
        if likely:
            st.caption("Most likely types, calibrated probability")
            for key, probability in likely:
                button(key, f"{label_name(key)} · {probability_text(probability)}")
        st.caption("Other types" if likely else "Types")
        shown = {key for key, _ in likely}
        with st.grid(2, min_column_width=170, gap="xsmall"):
            for key in LABELS:
                if key not in shown:
                    button(key, label_name(key))
    st.text_input(
        "Comment, saved with the next decision",
        key=COMMENT,
        max_chars=500,
        placeholder="Reason",
        disabled=barred is not None,
    )


def _show_references(queued: QueuedCell) -> None:
    likely = [key for key, _ in _likeliest(queued.cell)[:2]]
    if not likely:
        return
    finer = queued.cell.likely_subtype
    keys = [likely[0], *([finer] if finer else []), *likely[1:]]
    corrected = fields.is_light_corrected()
    own = stored.cell_jpeg(queued, stored.SMALL, corrected)
    st.markdown("**Compare**, all at the same scale")
    show_reference_cells(keys, own, Reviewed(corrected, queued.id))


def _show_details(session: ReviewSession, queued: QueuedCell) -> None:
    left, right = st.columns(2)
    with left, errors_shown():
        # Cells that users added, and the oldest stored cells, have none in the database.
        attributes_table(queued.cell.attributes or stored.cell_attributes(queued))
    with right, errors_shown():
        reviews = reviews_of(session.database, queued.id, session.draft_id)
        if not reviews:
            st.caption("No reviews yet.")
        for review in reviews:
            said = f": {plain(review.comment)}" if review.comment else ""
            done = f"**{review.sentence}**{said}"
            st.markdown(f"{local_time(review.at)}, {plain(review.reviewer)}: {done}")
