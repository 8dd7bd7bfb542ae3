"""Synthetic comparisons and data sets, in the shape that training and evaluate write."""

from dataclasses import asdict

import numpy as np

from core.evaluation import metrics
from core.evaluation.blasts import blast_figures
from core.evaluation.comparisons import Comparisons
from core.evaluation.schema import DataSetFigures


def comparisons(**sections: dict) -> Comparisons:
    return Comparisons.model_validate(sections)


def proportion(hits: int, total: int) -> dict:
    return asdict(metrics.wilson_estimate(hits, total))


def measured(hits: int, total: int = 100) -> dict:
    share = proportion(hits, total)
    return {
        "n": total,
        "accuracy": share,
        "balanced_accuracy": share,
        "macro_f1": share,
        "ece": 0.05,
    }


def architectures() -> dict:
    return {
        name: {
            "protocol": f"4,352 changed crops, {start} start",
            "recipe": "eight-type recipe",
            "start": start,
            "parameters": parameters,
            "file_bytes": 4 * parameters,
            "milliseconds": 1.25,
            "training_seconds": 90.0,
            "sets": {"pbc": measured(home), "cellavision": measured(away)},
        }
        for name, start, parameters, home, away in (
            ("vgg19", "random", 20_028_488, 60, 30),
            ("mobilenetv2", "ImageNet", 2_217_064, 95, 60),
        )
    }


def domains() -> dict:
    return {
        without: {
            "protocol": "15,360 changed crops, ImageNet start",
            "trained_on": trained_on,
            "training_seconds": 150.0,
            "sets": {key: measured(hits) for key, hits in accuracies.items()},
        }
        for without, trained_on, accuracies in (
            ("kaggle", ["pbc"], {"pbc": 97, "kaggle": 55, "cellavision": 58}),
            ("cellavision", ["pbc", "kaggle"], {"pbc": 96, "kaggle": 88, "cellavision": 63}),
        )
    }


def patients() -> dict:
    """Two patients, thirty cells each: one healthy, one with half of its cells blasts."""
    truth = ["neutrophil"] * 45 + ["blast"] * 15
    probabilities = np.array([[0.9, 0.1] if name == "neutrophil" else [0.2, 0.8] for name in truth])
    blasts = blast_figures(
        truth, truth, ["classified"] * 60, probabilities[:, 1], ["a"] * 30 + ["b"] * 30
    )
    figures = metrics.classification_metrics(truth, probabilities, ["neutrophil", "blast"])
    return {
        "deepapl": {
            "protocol": "the shipped recipe",
            "training_seconds": 60.0,
            "folds": list("01234"),
            "patients": 2,
            "figures": figures.json_object(),
            "blasts": blasts.json_object(),
        }
    }


def recipes() -> dict:
    return {
        without: {
            "protocol": "15,360 changed crops, ImageNet start",
            "trained_on": ["pbc", "kaggle"],
            "training_seconds": 150.0,
            "sets": {"pbc": measured(97), "kaggle": measured(88), "cellavision": measured(away)},
        }
        for without, away in (("appearance", 40), ("nothing", 63))
    }


def parts() -> dict:
    def on(map50: float) -> dict:
        return {
            "images": 40,
            "map50": map50,
            "wbc_recall": proportion(39, 40),
            "wbc_precision": proportion(39, 41),
            "rbc_count_error": 0.1,
        }

    return {
        without: {
            "protocol": "5,760 changed views, ImageNet start",
            "training_seconds": 230.0,
            "sets": {"bccd": on(0.7), "txl_575": on(0.8), "txl_360": on(0.9)},
        }
        for without in ("nothing", "bccd")
    }


def numbers() -> dict:
    """Rows of the cell classifier: what 8 bits and smaller crops cost."""

    def on(hits: int) -> dict:
        own = measured(hits)
        return own | {"classified": proportion(90, 100), "classified_right": proportion(89, 90)}

    return {
        key: {
            "command": "python -m research precision wbc",
            "side": side,
            "file_bytes": file_bytes,
            "milliseconds": milliseconds,
            "sets": {"pbc_test": on(hits), "wbcatt_test": on(hits + 1)},
        }
        for key, side, file_bytes, milliseconds, hits in (
            ("float32_smaller", 128, 9_000_000, 2.4, 95),
            ("int8", 160, 3_000_000, 2.0, 97),
            ("float32", 160, 9_000_000, 4.0, 98),
        )
    }


def detector_numbers() -> dict:
    def on(map50: float) -> dict:
        return {
            "images": 144,
            "map50": map50,
            "map50_95": map50 - 0.2,
            "wbc_count_exact": proportion(95, 100),
            "rbc_count_error": 0.1,
        }

    return {
        key: {
            "command": "python -m research precision detector",
            "side": 480,
            "file_bytes": file_bytes,
            "milliseconds": milliseconds,
            "sets": {"txl_test": on(0.95), "txl_test_corrected": on(0.97)},
        }
        for key, file_bytes, milliseconds in (("float32", 8_000_000, 30.0), ("int8", 2_500_000, 15))
    }


def stage_numbers() -> dict:
    return {
        key: {
            "command": "python -m research precision all_stage",
            "side": 336,
            "file_bytes": 9_000_000,
            "milliseconds": 10.0,
            "sets": {
                "taleqani": {"n": 100, "same_class": proportion(99, 100), "largest_change": change}
            },
        }
        for key, change in (("float32", 0.0), ("int8", 0.04))
    }


def data() -> dict:
    return {
        "cellavision": {
            "pictures": 100,
            "unit": "Images",
            "counts": {"test": {"neutrophil": 33, "basophil": 3}},
            "looked_at": 100,
            "sizes": [{"width": 300, "height": 300, "share": 0.6}],
            "colour": {"mean": [70.2, 12.0, -9.0], "deviation": [4.0, 2.0, 3.0]},
            "samples": {"neutrophil": "images/001.webp"},
        },
        "taleqani": {
            "pictures": 3,
            "unit": "Images",
            "counts": {"0": {"Early": 1}, "1": {"Early": 1, "Pro": 1}},
            "looked_at": 3,
            "sizes": [{"width": 224, "height": 224, "share": 1.0}],
            "colour": {"mean": [80.0, 5.0, -5.0], "deviation": [1.0, 1.0, 1.0]},
            "samples": {"Early": "none.webp"},
        },
    }


def data_sets() -> dict[str, DataSetFigures]:
    return {name: DataSetFigures.model_validate(own) for name, own in data().items()}
