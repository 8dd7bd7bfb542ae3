"""Made-up comparisons and data sets, in the shape that training and evaluate write."""

from core.learning.metrics import proportion


def measured(hits: int, total: int = 100) -> dict:
    share = proportion(hits, total)
    return {"n": total, "accuracy": share, "macro_f1": share, "ece": 0.05}


def architectures() -> dict:
    return {
        name: {
            "protocol": f"4,352 changed crops, {start} start",
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
            "sets": {"bccd": on(0.7), "txl_575": on(0.8), "txl_360": on(0.9)},
        }
        for without in ("nothing", "bccd")
    }


def data() -> dict:
    return {
        "cellavision": {
            "pictures": 100,
            "unit": "Pictures",
            "counts": {"test": {"neutrophil": 33, "basophil": 3}},
            "looked_at": 100,
            "sizes": [{"width": 300, "height": 300, "share": 0.6}],
            "colour": {"mean": [70.2, 12.0, -9.0], "deviation": [4.0, 2.0, 3.0]},
            "samples": {"neutrophil": "images/001.webp"},
        },
        "taleqani": {
            "pictures": 3,
            "unit": "Pictures",
            "counts": {"0": {"Early": 1}, "1": {"Early": 1, "Pro": 1}},
            "looked_at": 3,
            "sizes": [{"width": 224, "height": 224, "share": 1.0}],
            "colour": {"mean": [80.0, 5.0, -5.0], "deviation": [1.0, 1.0, 1.0]},
            "samples": {"Early": "none.webp"},
        },
    }
