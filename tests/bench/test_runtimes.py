import numpy as np
import pytest

from benchmarks import runtimes
from core.model_card import load_card, read_checked


def test_runtimes_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda _name: None)
    # The file in floats takes half a minute to make; any network does here.
    monkeypatch.setattr(runtimes, "_float_file", lambda _size: read_checked(load_card("wbc")))
    assert list(runtimes.runtimes(threads=1)) == ["litert_shipped", "litert"]


def test_openvino_runs_the_very_network(monkeypatch):
    pytest.importorskip("openvino", reason="OpenVINO is optional: requirements-speed.txt")
    monkeypatch.setattr(runtimes, "find_spec", lambda name: name == "openvino" or None)
    found_runtimes = runtimes.runtimes(threads=1)
    size = load_card("wbc").input_width
    pixels = np.random.default_rng(2).integers(0, 256, (1, size, size, 3)).astype(np.float32)
    found = sorted(found_runtimes["openvino"](pixels).values(), key=np.size)
    expected = sorted(found_runtimes["litert"](pixels).values(), key=np.size)
    assert [output.shape for output in found] == [output.shape for output in expected]
    np.testing.assert_allclose(found[-1], expected[-1], atol=2e-3)
