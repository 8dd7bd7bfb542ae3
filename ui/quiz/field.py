"""A synthetic field to the teacher's wish, with its exact truth."""

import secrets
from functools import partial

import streamlit as st

from core.domain.taxonomy import label_name
from core.exports.synthetic import (
    checked_recipe,
    field_png,
    field_truth,
    json_bytes,
    made_field,
    truth_coco,
)
from core.synthetic.smears import (
    DIFFERENTIALS,
    FIELD_TYPES,
    MOST_CELLS,
    STAINS,
    FieldRecipe,
    counts_of,
    make_smear,
)
from ui.components.actions import action_button, kept_button
from ui.components.cases import errors_shown
from ui.components.shared import embed_image, may_fetch
from ui.quiz.images import field_jpeg
from ui.quiz.layout import beside
from ui.upload.session import PendingUpload, upload_session

_RECIPE = "quiz_field_recipe"
_OWN = "Own counts"


def show_field_maker() -> None:
    """Let somebody choose the cells of a field, draw it, and download it with its truth."""
    st.header("Make a field")
    st.markdown("A synthetic field with the cells that you choose. The exact count is known.")
    picture, controls = beside("quiz_maker", 440, 260)
    with controls:
        _choose()
    recipe: FieldRecipe | None = st.session_state.get(_RECIPE)
    with picture:
        if recipe is None:
            recipe = checked_recipe(seed=1, counts=counts_of(DIFFERENTIALS["Normal"], 15))
        with errors_shown():
            _show(recipe)


def _choose() -> None:
    picture = st.selectbox(
        "Blood picture", [*DIFFERENTIALS, _OWN], key="quiz_field_picture", persist_state="session"
    )
    if picture == _OWN:
        with st.grid(2, gap="xsmall", min_column_width=120):
            for key in FIELD_TYPES:
                st.number_input(
                    label_name(key),
                    0,
                    MOST_CELLS,
                    0,
                    key=f"quiz_field_{key}",
                    persist_state="session",
                )
    else:
        st.slider("White cells", 1, 40, 15, key="quiz_field_cells", persist_state="session")
    st.selectbox(
        "Stain",
        list(STAINS),
        format_func=str.capitalize,
        key="quiz_field_stain",
        persist_state="session",
    )
    st.slider(
        "Out of focus, µm", 0.0, 1.5, 0.0, 0.1, key="quiz_field_blur", persist_state="session"
    )
    st.slider("Red cells, % of the area", 0, 45, 30, key="quiz_field_red", persist_state="session")

    def make() -> None:
        state = st.session_state
        if picture == _OWN:
            counts = {key: n for key in FIELD_TYPES if (n := state[f"quiz_field_{key}"])}
        else:
            counts = counts_of(DIFFERENTIALS[picture], state["quiz_field_cells"])
        recipe = checked_recipe(
            seed=secrets.randbits(31),
            counts=counts,
            stain=state["quiz_field_stain"],
            blur=state["quiz_field_blur"],
            red_cells=state["quiz_field_red"] / 100,
        )
        made_field(recipe)
        state[_RECIPE] = recipe

    action_button(
        "Make a new field",
        "quiz_field_make",
        make,
        type="primary",
        icon=":material/draw:",
        for_everyone=True,
    )


def _show(recipe: FieldRecipe) -> None:
    named = st.toggle("Names of the cells", key="quiz_field_named", persist_state="session")
    text = recipe.model_dump_json()
    embed_image(
        field_jpeg(text, "stages" if named else None),
        width="stretch",
        alt="A synthetic field" + ", its white cells boxed and named" * named,
    )
    told = ", ".join(f"{n} {label_name(key).lower()}" for key, n in recipe.counts.items() if n)
    st.caption(f"Synthetic, drawn by the program, 0.125 µm a pixel. In it: {told}.")
    if not may_fetch():
        st.caption("Sign in to download the field or to count it.")
        return
    name = f"synthetic_{recipe.seed}"
    with st.container(horizontal=True):
        for label, ending, media, write in (
            ("Image, PNG", "png", "image/png", partial(_png, recipe)),
            ("Truth, JSON", "json", "application/json", partial(_truth, recipe, name)),
            ("COCO", "coco.json", "application/json", partial(_coco, recipe, name)),
        ):
            st.download_button(
                label,
                write,
                f"{name}.{ending}",
                media,
                icon=":material/download:",
                on_click="ignore",
                key=f"quiz_field_{ending}",
            )
        if kept_button("Open in WBC count", "quiz_field_open", icon=":material/blur_circular:"):
            upload = PendingUpload(name, f"{name}.png", "Synthetic field", partial(_png, recipe))
            upload_session().pending.append(upload)
            st.switch_page("pages/wbc_count.py")


def _png(recipe: FieldRecipe) -> bytes:
    return field_png(make_smear(recipe))


def _truth(recipe: FieldRecipe, name: str) -> bytes:
    return json_bytes(field_truth(recipe, make_smear(recipe), f"{name}.png"))


def _coco(recipe: FieldRecipe, name: str) -> bytes:
    return json_bytes(truth_coco([field_truth(recipe, make_smear(recipe), f"{name}.png")]))
