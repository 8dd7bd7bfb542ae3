import pandas as pd
import pytest
from scipy.stats import binom

from core.evaluation.paired import compare


def predictions(called: str, truth: str = "aaaaaaaabb", columns: str = "abc") -> pd.DataFrame:
    rows = [
        {"set": "s", "file": str(k), "truth": true} | {f"p_{c}": float(c == one) for c in columns}
        for k, (true, one) in enumerate(zip(truth, called, strict=True))
    ]
    return pd.DataFrame(rows)


def test_mcnemar_looks_at_the_images_that_one_model_has_right():
    first, second = predictions("abbbbbbabb"), predictions("aaaaaaabbb")
    paired = compare(first, second.sample(frac=1, random_state=1), ["a", "b"])
    counted = (paired.both_right, paired.first_only, paired.second_only, paired.neither)
    assert counted == (3, 1, 6, 0)
    assert paired.p_value == pytest.approx(2 * binom.cdf(1, 7, 0.5))
    assert paired.difference.value == pytest.approx(0.5)
    assert paired.difference.low < 0.5 < paired.difference.high
    gained = paired.matrix("second", ["a", "b"]) - paired.matrix("first", ["a", "b"])
    assert gained.to_numpy().tolist() == [[5, -5], [0, 0]]


def test_a_model_without_a_class_never_names_it():
    first = predictions("abbbbbbaab", columns="ab").drop(columns="p_b")
    paired = compare(first, predictions("aaaaaaaabb"), ["a", "b"])
    assert set(paired.cells.loc[paired.cells["truth"] == "b", "first"]) <= {"a", "none"}
    assert paired.both_right == 2


def test_sets_without_a_common_image_are_not_compared():
    other = predictions("aaaaaaaabb").assign(file=lambda rows: "x" + rows["file"])
    with pytest.raises(ValueError, match="no image"):
        compare(predictions("aaaaaaaabb"), other, ["a", "b"])
