"""A site profile moves the last layer as far as the site's cells ask, and never to the worse."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adaptation.site import SiteCells, adapt, fit_head, leave_one_out, save_profile
from core.cli import main
from core.datasets.readers import open_set
from core.domain.decision import DecisionThresholds
from core.domain.taxonomy import CELL_TYPES
from core.errors import ProfileError
from core.inference.site_profile import load_profile

TYPES = len(CELL_TYPES)
SHA = "a" * 64
SHIPPED = SimpleNamespace(model_sha256=SHA, thresholds=DecisionThresholds(0.6), temperature=1.3)


def made_site(seed: int, *, shift: float, per_type: int = 6, types: int = 3) -> SiteCells:
    """Cells whose features tell the types apart and whose shipped logits confuse two of them."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(types), per_type)
    features = rng.normal(0, 1, (len(truth), 40))
    features[np.arange(len(truth)), truth] += 6
    logits = rng.normal(0, 0.3, (len(truth), TYPES))
    logits[np.arange(len(truth)), truth] += 2
    logits[truth == 1, 2] += shift
    return SiteCells(logits, features, truth)


def accuracy(logits, cells):
    return (logits.argmax(1) == cells.types).mean()


@given(st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_a_site_that_confuses_two_types_is_put_right(seed):
    cells = made_site(seed, shift=4)
    assert accuracy(cells.logits, cells) < 0.8
    assert accuracy(leave_one_out(cells, 0.01), cells) > 0.85


@given(st.integers(0, 100), st.floats(0.01, 10))
@settings(max_examples=15, deadline=None)
def test_a_stronger_penalty_never_moves_the_weights_further(seed, penalty):
    cells = made_site(seed, shift=4)
    near, far = (np.abs(fit_head(cells, p)[0]).sum() for p in (penalty * 4, penalty))
    assert near <= far * 1.05


def test_a_profile_survives_its_file(tmp_path):
    cells = made_site(1, shift=4)
    profile = adapt(cells, "site", SHIPPED)
    assert profile.accuracy_after > profile.accuracy_before
    path = tmp_path / "site.profile.json"
    save_profile(profile, path)
    again = load_profile(str(path), SHA)
    for row in range(len(cells)):
        logits, features = (a[row].astype(np.float32) for a in (cells.logits, cells.features))
        np.testing.assert_allclose(
            again.logits(logits, features), profile.logits(logits, features), atol=1e-5
        )
    with pytest.raises(ProfileError, match="another version"):
        load_profile(str(path), "b" * 64)
    whole = json.loads(path.read_text())
    for change in ({"bias": ""}, {"weights": whole["weights"][:8]}, {"temperature": 0}):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(ProfileError, match="damaged"):
            load_profile(str(path), SHA)
    path.write_text(json.dumps(whole)[:-40])
    with pytest.raises(ProfileError, match="damaged"):
        load_profile(str(path), SHA)


def test_a_site_where_the_model_is_sure_and_wrong_softens_it_first():
    right, wrong = made_site(4, shift=0), made_site(4, shift=4)
    sure = SiteCells(3 * wrong.logits, wrong.features, wrong.types)
    temperatures = [adapt(c, "s", SHIPPED).logit_temperature for c in (right, wrong, sure)]
    assert temperatures[0] == 1  # and where it is right it does not get more confident
    assert adapt(right, "s", SHIPPED).temperature >= 1.3
    assert temperatures[1] < temperatures[2]


def test_too_few_cells_are_rejected():
    with pytest.raises(ProfileError, match="Too few: neutrophils, lymphocytes, monocytes"):
        adapt(made_site(1, shift=4, per_type=4), "site", SHIPPED)
    with pytest.raises(ProfileError, match="two types"):
        adapt(made_site(1, shift=0, types=1), "site", SHIPPED)


def test_a_profile_that_does_harm_is_rejected(monkeypatch):
    monkeypatch.setattr("core.adaptation.site.PENALTIES", (1e-5,))
    right = made_site(2, shift=0)
    noise = np.random.default_rng(3).normal(0, 1, right.features.shape)
    with pytest.raises(ProfileError, match="was not saved"):
        adapt(SiteCells(right.logits, noise, right.types), "site", SHIPPED)


def test_from_reviewed_cells_to_a_profile_in_use(pack, tmp_path, capsys):
    data = open_set("cellavision")
    for label in ("neutrophil", "lymphocyte"):
        (tmp_path / "cells" / label).mkdir(parents=True)
        for number, example in enumerate([e for e in data.examples if e.label == label][:6]):
            content = pack.png(pack.read("cellavision_cells.zip", example.member))
            (tmp_path / "cells" / label / f"{number}.png").write_bytes(content)
    (tmp_path / "cells" / "lymphocyte" / "broken.png").write_bytes(b"no picture")
    profile = tmp_path / "blog.profile.json"
    for version in (1, 2):
        assert main(["adapt", str(tmp_path / "cells"), "--profile", str(profile)]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["version"] == version
        assert report["cells"] == {"neutrophil": 6, "lymphocyte": 6}
        assert report["accuracy_after"] >= report["accuracy_before"]
    cells = str(tmp_path / "cells" / "lymphocyte")
    assert main(["classify", cells, "--profile", str(profile)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [image["type"] for image in answer["images"]].count("lymphocyte") >= 5
    assert main(["classify", cells, "--profile", str(tmp_path / "none.json")]) == 2
