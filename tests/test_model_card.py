import shutil

import pytest

from core.domain.taxonomy import CELL_KINDS, CELL_TYPES, STAGES
from core.errors import ModelError
from core.inference.ood import load_appearance
from core.model_card import APPEARANCE_FILE, MODEL_NAMES, load_card, model_path, read_checked
from core.settings import get_settings


@pytest.fixture
def copied(tmp_path):
    settings = get_settings()
    shutil.copytree(settings.models / "wbc", tmp_path / "wbc")
    return settings.model_copy(update={"models": tmp_path})


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_shipped_file_is_the_one_its_card_describes(name):
    card = load_card(name)
    content = read_checked(card)
    assert len(content) == card.file_bytes == model_path(name).stat().st_size
    assert card.file_bytes < 20_000_000


def test_labels_are_those_of_the_taxonomy():
    """A model may lack the last types: they were added after its training."""
    labels = load_card("wbc").labels
    assert labels == list(CELL_TYPES)[: len(labels)]
    assert {"neutrophil", "lymphocyte"} <= set(labels)
    assert load_card("all_stage").labels == list(STAGES)
    assert load_card("detector").labels == list(CELL_KINDS)


def test_a_changed_file_is_rejected_by_name(copied):
    path = model_path("wbc", copied)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="wbc does not match its card"):
        read_checked(load_card("wbc", copied), copied)


def test_a_missing_file_is_named(copied):
    model_path("wbc", copied).unlink()
    with pytest.raises(ModelError, match="wbc is missing"):
        read_checked(load_card("wbc", copied), copied)


def test_damaged_or_missing_appearance_features_are_rejected(copied):
    card = load_card("wbc", copied)
    assert load_appearance(card.model_copy(update={"appearance_sha256": None}), copied) is None
    path = model_path("wbc", copied).with_name(APPEARANCE_FILE)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"appearance.npz of the model wbc does not match"):
        load_appearance(card, copied)
    path.unlink()
    with pytest.raises(ModelError, match=r"appearance.npz of the model wbc is missing"):
        load_appearance(card, copied)


@pytest.mark.parametrize("text", ["", "{", '{"name": "wbc"}', "[]"])
def test_a_damaged_card_is_named(copied, text):
    (copied.models / "wbc" / "card.json").write_text(text)
    with pytest.raises(ModelError, match="card of the model wbc is damaged"):
        load_card("wbc", copied)
