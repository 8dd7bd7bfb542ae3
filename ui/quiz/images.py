"""Pictures of the quiz, drawn once for all learners."""

from functools import cache

import streamlit as st

from core.datasets.readers import DataSet
from core.domain.taxonomy import label_name
from core.errors import DataError, ModelError
from core.imaging.preview import preview_jpeg
from core.settings import get_settings
from core.synthetic.fields import SyntheticCell, SyntheticField
from core.synthetic.smears import FieldRecipe, make_smear
from core.teaching.atlas import get_atlas
from core.teaching.confusions import Confusions, model_confusions
from core.teaching.figures import with_names
from core.teaching.quiz import Question, Rules, make_questions, read_item
from ui.atlas.images import open_pbc

SIZE = 512


@st.cache_data(max_entries=400, show_spinner=False)
def _item_jpeg(item: str, size: int, data: str) -> bytes:
    real = open_pbc(data) if item.startswith("pbc/") else None
    return preview_jpeg(read_item(item, size, real), quality=92)


def item_jpeg(item: str, size: int = SIZE) -> bytes:
    """Return the picture of a single cell. Raises DataError for a real one that is not here."""
    return _item_jpeg(item, size, str(get_settings().data))


@st.cache_data(max_entries=24, show_spinner="Drawing the field")
def _made(recipe: str) -> SyntheticField:
    return make_smear(FieldRecipe.model_validate_json(recipe))


def field_of(question: Question) -> SyntheticField:
    """Return the field of a question."""
    return _made(question.recipe().model_dump_json())


@st.cache_data(max_entries=48, show_spinner=False)
def field_jpeg(recipe: str, level: str | None = None) -> bytes:
    """Return a field by its recipe as JSON; with a level, its white cells boxed and named."""
    field = _made(recipe)
    if level is None:
        return preview_jpeg(field.pixels)

    def name(cell: SyntheticCell) -> str:
        key = cell.subtype if cell.subtype and level != "main" else cell.type
        return label_name(str(key))

    return preview_jpeg(with_names(field.pixels, field.cells, name))


def real_cells() -> DataSet | None:
    """Return PBC where it is on this machine."""
    try:
        return open_pbc(str(get_settings().data))
    except DataError:
        return None


@cache
def _confusions(models: str) -> dict[str, Confusions]:
    del models  # its folder: another one is read anew
    return model_confusions()


def confusions() -> dict[str, Confusions]:
    """Return what the model confuses; empty without its predictions."""
    try:
        return _confusions(str(get_settings().models))
    except ModelError:
        return {}


def new_questions(rules: Rules, seed: int) -> tuple[Question, ...]:
    """Return questions for rules. Raises as `make_questions`, and AtlasError."""
    real = real_cells() if rules.form == "cells" and rules.cells != "synthetic" else None
    return make_questions(rules, seed, get_atlas(), confusions(), real)
