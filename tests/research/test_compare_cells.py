"""Small trainings for comparison: the networks are what they are called, the rows are whole."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cli import main
from core.datasets.readers import Example
from core.settings import get_settings
from research.architectures import ARCHITECTURES, compared_network
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
    from research.cells import sampled

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
    write_row(tmp_path, "domains", "pbc", {"value": 1})
    write_row(tmp_path, "domains", "kaggle", {"value": 2})
    write_row(tmp_path, "architectures", "vgg19", {"value": 3})
    write_row(tmp_path, "domains", "pbc", {"value": 4})
    rows = json.loads((tmp_path / "comparisons.json").read_text())
    assert {k: r["value"] for k, r in rows["domains"].items()} == {"pbc": 4, "kaggle": 2}
    assert rows["architectures"]["vgg19"]["value"] == 3


def test_the_smallest_trainings_leave_whole_rows(
    pack, settings_with_detector, tmp_path, monkeypatch
):
    del pack
    from research import compare_cells
    from research.compare_cells import (
        LABORATORIES,
        Protocol,
        compare_architecture,
        compare_laboratories,
        compare_recipes,
    )

    tiny = Protocol(epochs=1, steps=1, size=32, cells_a_type=2, tested_a_type=2)
    row = compare_architecture("convnet", settings_with_detector, tmp_path, tiny)
    assert row["start"] == "random"
    assert row["sets"]["pbc"]["n"] == 16
    assert row["sets"]["cellavision"]["n"] == 10
    assert row["file_bytes"] > 3 * row["parameters"]
    assert row["milliseconds"] > 0
    again = compare_architecture("convnet", settings_with_detector, tmp_path, tiny)
    assert again["sets"] == row["sets"], "a finished run is measured, not trained again"
    assert again["training_seconds"] == row["training_seconds"]
    # The plain network stands for MobileNetV2, which takes long to compile.
    plain = compared_network
    monkeypatch.setattr(compare_cells, "compared_network", lambda _, *size: plain("convnet", *size))
    row = compare_laboratories("kaggle", settings_with_detector, tmp_path, tiny)
    assert row["trained_on"] == ["pbc"]
    assert tuple(row["sets"]) == LABORATORIES
    written = json.loads((settings_with_detector.models / "wbc" / "comparisons.json").read_text())
    assert written["domains"]["kaggle"]["sets"] == json.loads(json.dumps(row["sets"]))
    row = compare_recipes("looks", settings_with_detector, tmp_path, tiny)
    assert row["trained_on"] == ["pbc", "kaggle"]
    assert tuple(row["sets"]) == LABORATORIES


@pytest.mark.parametrize(
    "arguments",
    [
        ("wbc", "--without", "txl_575"),
        ("detector", "--without", "pbc"),
        ("all_stage", "--architecture", "vgg19"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments, capsys):
    assert main(["train", *arguments]) == 2
    assert re.search(r"cannot be left out|no small protocol", capsys.readouterr().err)


@pytest.mark.parametrize("folder", [None, "elsewhere"])
def test_the_command_trains_into_its_folder(monkeypatch, tmp_path, capsys, folder):
    from research import compare_cells

    calls = []
    monkeypatch.setattr(
        compare_cells, "compare_architecture", lambda *given: calls.append(given) or {"n": 1}
    )
    chosen = ["--run", str(tmp_path / folder)] if folder else []
    assert main(["train", "wbc", "--architecture", "vgg19", "--epochs", "0.5", *chosen]) == 0
    assert json.loads(capsys.readouterr().out) == {"n": 1}
    ((name, _, run, protocol),) = calls
    assert name == "vgg19"
    assert run == (tmp_path / folder if folder else get_settings().runs / "compared" / "wbc")
    assert protocol.epochs == compare_cells.ARCHITECTURE_PROTOCOL.epochs // 2
