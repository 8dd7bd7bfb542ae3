"""Small trainings for comparison: the networks are what they are called, the rows are whole."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.datasets.readers import Example
from core.domain.intervals import Estimate
from core.evaluation.comparisons import (
    ARCHITECTURES,
    Comparisons,
    ScoredCells,
    SourcesRow,
)
from core.settings import get_settings
from research.__main__ import main
from research.architectures import compared_network
from research.comparisons import write_row

pytestmark = pytest.mark.training

# Without a top, as `keras.applications` publishes them.
PUBLISHED = {"vgg19": 20_024_384, "resnet50": 23_587_712}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_are_of_their_size_and_answer_with_logits(name):
    network = compared_network(name, 8, 64)
    head = network.get_layer("type").count_params()
    if name in PUBLISHED:
        assert network.count_params() - head == PUBLISHED[name]
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    logits = np.asarray(network(pixels, training=False))
    assert logits.shape == (2, 8)
    assert np.isfinite(logits).all()


def test_a_selective_kernel_shares_each_channel_between_its_branches():
    import keras

    network = compared_network("mobilenetv2_skcab", 8, 64)
    names = ("sk_1_relu", "sk_2_relu", "sk_select", "sk_selected")
    parts = keras.Model(network.input, [network.get_layer(n).output for n in names])
    pixels = np.random.default_rng(2).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    narrow, wide, share, selected = (np.asarray(part) for part in parts(pixels))
    np.testing.assert_allclose(selected, share * narrow + (1 - share) * wide, atol=1e-4)


@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=4), each=st.integers(1, 12))
def test_samples_take_up_to_so_many_of_each_label(counts, each):
    from research.compare_cells import sampled

    examples = [
        Example(f"{label}/{k}", "train", str(label))
        for label, count in enumerate(counts)
        for k in range(count)
    ]
    drawn = sampled(examples, each)
    assert len({e.member for e in drawn}) == len(drawn)
    for label, count in enumerate(counts):
        assert sum(e.label == str(label) for e in drawn) == min(count, each)
    assert drawn == sampled(examples, each)


def test_a_row_replaces_only_its_own(tmp_path):
    scored = ScoredCells(n=9, accuracy=Estimate(1, 0.7, 1), macro_f1=Estimate(1, 0.7, 1), ece=0.1)

    def row(seconds):
        return SourcesRow(
            protocol="p", training_seconds=seconds, trained_on=["pbc"], sets={"pbc": scored}
        )

    write_row(tmp_path, "sources", "pbc", row(1))
    write_row(tmp_path, "sources", "kaggle", row(2))
    write_row(tmp_path, "recipe", "nothing", row(3))
    write_row(tmp_path, "sources", "pbc", row(4))
    written = Comparisons.model_validate_json((tmp_path / "comparisons.json").read_text())
    seconds = {key: own.training_seconds for key, own in written.sources.items()}
    assert seconds == {"pbc": 4, "kaggle": 2}
    assert written.recipe["nothing"].sets == {"pbc": scored}


def test_the_smallest_trainings_leave_whole_rows(
    pack, settings_with_detector, tmp_path, monkeypatch
):
    del pack
    from research import compare_cells
    from research.compare_cells import (
        SOURCES,
        Protocol,
        compare_architecture,
        compare_recipe,
    )

    tiny = Protocol(epochs=1, steps=1, size=32, cells_a_type=2, tested_a_type=2)
    row = compare_architecture("convnet", settings_with_detector, tmp_path, tiny)
    assert row.start == "random"
    assert row.sets["pbc"].n == 16
    assert row.sets["cellavision"].n == 10
    assert row.file_bytes > 3 * row.parameters
    assert row.milliseconds > 0
    again = compare_architecture("convnet", settings_with_detector, tmp_path, tiny)
    assert again.sets == row.sets, "a finished run is measured, not trained again"
    assert again.training_seconds == row.training_seconds
    # The plain network stands for MobileNetV2, which takes long to compile.
    plain = compared_network
    monkeypatch.setattr(compare_cells, "compared_network", lambda _, *size: plain("convnet", *size))
    row = compare_recipe("appearance", settings_with_detector, tmp_path, tiny)
    assert row.trained_on == ["pbc", "kaggle"]
    assert tuple(row.sets) == SOURCES
    compare_recipe("taught", settings_with_detector, tmp_path, tiny)
    taught = {path.name for path in tmp_path.glob("recipe_*")}
    assert taught >= {f"recipe_{name}_1x1" for name in ("nothing", "style_mixing", "taught")}


def test_mixed_styles_change_maps_in_training_alone():
    from research.architectures import with_mixed_styles

    network = compared_network("mobilenetv2", 5, 64)
    mixing = with_mixed_styles(network)
    pixels = np.random.default_rng(3).uniform(0, 255, (4, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(
        mixing(pixels, training=False), network(pixels, training=False), atol=1e-5
    )
    first, _second = [layer for layer in mixing.layers if "mixed_styles" in layer.name]
    maps = np.random.default_rng(4).normal(3, 2, (4, 8, 8, 2)).astype(np.float32)
    mixed = [np.asarray(first(maps, training=True)) for _ in range(20)]
    changed = [own for own in mixed if not np.allclose(own, maps, atol=1e-3)]
    assert 0 < len(changed) < 20  # half of the batches
    assert np.asarray(first(maps)) == pytest.approx(maps)
    for own in changed:  # the place of what a map shows stays
        assert np.corrcoef(own[0, ..., 0].ravel(), maps[0, ..., 0].ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    "arguments", [("source", "txl_575"), ("fields", "pbc"), ("network", "densenet")]
)
def test_what_cannot_be_compared_is_said(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "must be one of" in capsys.readouterr().err


@pytest.mark.parametrize("folder", [None, "elsewhere"])
def test_the_command_trains_into_its_folder(monkeypatch, tmp_path, capsys, folder):
    from research import compare_cells

    calls = []

    class Row:
        def json_object(self):
            return {"n": 1}

    monkeypatch.setattr(
        compare_cells, "compare_architecture", lambda *given: calls.append(given) or Row()
    )
    chosen = ["--run", str(tmp_path / folder)] if folder else []
    assert main(["network", "vgg19", "--epochs", "0.5", *chosen]) == 0
    assert json.loads(capsys.readouterr().out) == {"n": 1}
    ((name, _, run, protocol),) = calls
    assert name == "vgg19"
    assert run == (tmp_path / folder if folder else get_settings().runs / "compared" / "wbc")
    assert protocol.epochs == compare_cells.ARCHITECTURE_PROTOCOL.epochs // 2
