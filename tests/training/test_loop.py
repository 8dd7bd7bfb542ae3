import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.training


class Stopped(Exception):
    """Stands for a power cut."""


@pytest.fixture
def parts():
    import keras

    from core.training.loop import Plan, Stage

    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)

    class Batches(keras.utils.PyDataset):
        calls = 0
        stop_at = None

        def __len__(self):
            return 4

        def __getitem__(self, index):
            type(self).calls += 1
            if self.stop_at is not None and type(self).calls > self.stop_at:
                raise Stopped
            return x[index * 16 : (index + 1) * 16], y[index * 16 : (index + 1) * 16]

    def network():
        keras.utils.set_random_seed(1)
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])

    plan = Plan(
        stages=(Stage("first", 2, 0.05, "", 4), Stage("second", 3, 0.02, "", 4)),
        batches=lambda _: Batches(),
        validation=lambda _: (x, y),
        compile_arguments={"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
    )
    return network, plan, Batches


def test_phases_leave_history_state_and_a_picture(tmp_path, parts):
    from core.training.loop import fit

    network, plan, _ = parts
    fit(network(), plan, tmp_path, verbose=0)
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["phase"].tolist() == ["first"] * 2 + ["second"] * 3
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert json.loads((tmp_path / "state.json").read_text()) == ["first", "second"]
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("stop_at", [6, 14])
def test_a_stopped_run_goes_on_where_it_was(tmp_path, parts, stop_at):
    from core.training.loop import fit

    network, plan, batches = parts
    batches.stop_at = stop_at
    with pytest.raises(Exception):  # noqa: B017, PT011 - Keras wraps what the data raises
        fit(network(), plan, tmp_path, verbose=0)
    before = len(pd.read_csv(tmp_path / "history.csv"))
    assert before >= 1
    batches.stop_at = None
    fit(network(), plan, tmp_path, verbose=0)
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["phase"].tolist() == ["first"] * 2 + ["second"] * 3
    done = batches.calls
    fit(network(), plan, tmp_path, verbose=0)
    assert batches.calls == done, "a finished run trains no more"


def test_a_phase_by_the_clock_ends_in_time_and_hands_out_averaged_weights(
    tmp_path, parts, monkeypatch
):
    from core.training import loop
    from core.training.loop import Stage, fit

    # A second passes each time the clock is read, however fast the machine is.
    seconds = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))

    network, plan, _ = parts
    seen = []
    plan = replace(
        plan,
        stages=(Stage("clock", 100_000, 0.05, "", 4, minutes=5),),
        patience=100_000,
        each_epoch=lambda model, epoch: seen.append((epoch, model.get_weights()[0])),
    )
    trained = network()
    fit(trained, plan, tmp_path, verbose=0)
    history = pd.read_csv(tmp_path / "history.csv")
    assert [epoch for epoch, _ in seen] == history["epoch"].tolist()
    assert 25 < len(seen) < 40, "300 seconds at 8 to 12 an epoch"
    assert history["learning_rate"].max() == pytest.approx(0.05)
    assert history["learning_rate"].iloc[-1] < 0.2 * 0.05
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    # The run ends with the average that the last epoch handed out.
    np.testing.assert_allclose(seen[-1][1], trained.get_weights()[0], rtol=1e-5)
