"""Writes the README's tables from the files that `evaluate` and `bench` left.

`make evaluate`, `python -m core bench --out benchmarks/bench.json`, then
`python -m benchmarks.readme_tables`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.goals import goals_table
from core.evaluation.sets import evaluation_set

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "benchmarks" / "bench.json"

# Model, set, what it is: other laboratories first, home last.
_CLASSIFIED = (
    ("wbc", "cellavision", "Cell types, CellaVision teaching cells (5 types)"),
    ("wbc", "kaggle_test_simple", "Cell types through the detector, Kaggle TEST_SIMPLE (4 types)"),
    ("wbc", "kaggle_test", "Cell types through the detector, Kaggle TEST (4 types)"),
    ("wbc", "pbc_test", "Cell types, PBC test (8 types)"),
    ("wbc", "wbcatt_test", "Cell types, WBCAtt test (5 types)"),
    (
        "all_stage",
        "taleqani_folds_stain_jitter",
        "ALL classes, Taleqani, five grouped folds, stain changed",
    ),
    (
        "all_stage",
        "taleqani_folds_tone_swapped",
        "ALL classes, Taleqani, five grouped folds, tone of another class",
    ),
    (
        "all_stage",
        "taleqani_folds_closer",
        "ALL classes, Taleqani, five grouped folds, 70 % of a field to a side",
    ),
    (
        "all_stage",
        "taleqani_folds_farther",
        "ALL classes, Taleqani, five grouped folds, 125 % to a side (mirrored)",
    ),
    ("all_stage", "taleqani_folds", "ALL classes, Taleqani, five grouped folds"),
)
_DETECTED = (
    ("bccd_test", "Detection, BCCD test, labels as published"),
    ("txl_test", "Detection, TXL-PBC test, labels as published"),
    ("txl_test_corrected", "Detection, TXL-PBC test, label errors mended"),
)

_RUNTIMES = {
    "litert_shipped": "LiteRT in 8 bits, as shipped,",
    "litert": "LiteRT in floats",
    "openvino": "OpenVINO in floats",
    "onnxruntime": "ONNX Runtime in floats",
}


def _metrics(model: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "models" / model / "metrics.json").read_text()))


def _percent(estimate: dict[str, float]) -> str:
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value:.2f} % ({low:.1f}-{high:.1f})"


def accuracy_table() -> str:
    """Return the accuracy table in Markdown."""
    rows = [
        "| what, on which set | pictures | accuracy | macro-F1 | ECE |",
        "|---|---|---|---|---|",
    ]
    for model, name, title in _CLASSIFIED:
        figures = _metrics(model)["sets"][name]
        rows.append(
            f"| {title} | {figures['n']:,} | {_percent(figures['accuracy'])} | "
            f"{figures['macro_f1']['value']:.3f} | {figures['ece']:.3f} |"
        )
    attributes = _metrics("wbc")["attributes"]
    rows += [
        "",
        (
            f"Eleven WBCAtt attributes, {attributes['n']:,} test cells: mean macro-F1 "
            f"{100 * attributes['mean']['macro_f1']:.1f}, mean accuracy "
            f"{100 * attributes['mean']['accuracy']:.1f} %."
        ),
        "",
        "| what, on which set | pictures | mAP50 | mAP50-95 | white cell count exact |",
        "|---|---|---|---|---|",
    ]
    for name, title in _DETECTED:
        figures = _metrics("detector")["sets"][name]
        rows.append(
            f"| {title} | {figures['images']:,} | {figures['map50']:.3f} | "
            f"{figures['map50_95']:.3f} | {_percent(figures['wbc_count_exact'])} |"
        )
    return "\n".join([*rows, "", *_robustness()])


def _robustness() -> list[str]:
    """Return what was measured beside the sets: shifts, adaptation, unseen pictures, gate."""
    wbc, stage, unseen = _metrics("wbc"), _metrics("all_stage"), _metrics("detector")["unseen"]
    shifts, adaptation, gate = wbc["shifts"], wbc["adaptation"], stage["gate"]
    nuclei, made, evidence = unseen["taleqani"], unseen["made"], stage["evidence"]
    others = ", ".join(
        f"{100 * own['refused']['value']:.0f} % of {own['n']} {kind.lower()}"
        for kind, own in gate["others"].items()
    )
    least = {
        figure: min(row[figure]["value"] for row in made["rows"])
        for figure in ("recall", "precision")
    }
    paragraphs = (
        _shifts_paragraph(shifts, "PBC test cells"),
        _shifts_paragraph(stage["shifts"], "Taleqani fields (folds)"),
        (
            "Cells whose look the classifier finds unfamiliar: "
            + ", ".join(
                f"{_percent(share)} of {evaluation_set(key).name}"
                for key, share in wbc["unfamiliar"].items()
            )
            + ". Their confidence is lowered."
        ),
        (
            f"Site adaptation, {adaptation['cells_a_type']} CellaVision cells a type shown, the "
            f"others measured, {adaptation['draws']} draws: {_percent(adaptation['before'])} "
            f"before, {_percent(adaptation['after'])} after."
        ),
        (
            "White cells found on pictures unlike the detector's training: "
            f"{_percent(unseen['kaggle_test_simple']['found'])} of "
            f"{unseen['kaggle_test_simple']['n']} Kaggle TEST_SIMPLE fields have one; of "
            f"{nuclei['nuclei']:,} single nuclei in {nuclei['n']} Taleqani fields, told by their "
            f"colour, {_percent(nuclei['recall'])} are boxed, and {_percent(nuclei['precision'])} "
            f"of the boxes hold a nucleus; of {made['n']} made fields under the same shifts at "
            f"least {100 * least['recall']:.1f} % are found and {100 * least['precision']:.1f} % "
            "of the boxes are right."
        ),
        (
            f"ALL evidence, {evidence['n']} Taleqani fields: {100 * evidence['evidence']:.0f} % of "
            f"it lies in found white cells, which cover {100 * evidence['area']:.0f} % of the "
            "picture."
        ),
        (
            f"Input gate: {_percent(gate['smears']['refused'])} of {gate['smears']['n']} smears "
            f"refused; {others} refused; AUROC {gate['auroc']:.4f}."
        ),
    )
    return "\n\n".join(paragraphs).split("\n")


def _shifts_paragraph(shifts: dict[str, Any], what: str) -> str:
    """Return what each synthetic shift costs, the worst first."""
    worst = sorted(shifts["rows"], key=lambda row: -row["drop"])
    lost = "; ".join(f"{row['shift'].lower()} {100 * row['drop']:.1f}" for row in worst)
    right, sure = (
        100 * min(row[figure]["value"] for row in shifts["rows"])
        for figure in ("classified_right", "classified")
    )
    return (
        f"Synthetic shifts, {shifts['n']} {what}, {_percent(shifts['unchanged']['accuracy'])} "
        f"unchanged; points of accuracy lost: {lost}. Under each, at least {sure:.1f} % are "
        f"classified and at least {right:.1f} % of these are right."
    )


def _rates(by_workers: dict[str, float], ratio: float) -> str:
    return f"{', '.join(f'{rate:.1f}' for rate in by_workers.values())} ({ratio:.2f} times)"


def speed_table() -> str:
    """Return the table of times and sizes in Markdown."""
    bench = json.loads(BENCH.read_text())
    sizes = ", ".join(f"{k} {v:.1f} MB" for k, v in bench["model_file_megabytes"].items())
    looks = ", ".join(f"{_RUNTIMES[k]} {v:.1f} ms" for k, v in bench["one_look_ms"].items())
    api = ", ".join(f"{n}: {100 * v:.0f} %" for n, v in bench["api_per_core_by_clients"].items())
    rows = (
        ("Whole 640×480 field: find, count, type", f"{bench['field_640x480_ms']:.0f} ms"),
        ("One Keras `predict` on one crop", f"{bench['keras_predict_one_crop_ms']:.0f} ms"),
        ("Fields in the time of that call", f"{bench['fields_per_keras_predict']:.1f}"),
        ("One cell typed (three looks)", f"{bench['cell_ms']:.1f} ms"),
        (
            "Cells typed in the time of that call, on both cores",
            f"{bench['cells_per_second_per_keras_predict']:.1f}",
        ),
        ("One look at a crop, by runtime", looks),
        ("Looks in the time of that call", f"{bench['one_look_per_keras_predict']:.1f}"),
        (
            "Pictures given one look in the time of that call, on both cores, from JPEG bytes",
            f"{bench['crops_per_keras_predict_one_look']:.1f}",
        ),
        (
            "Fields per second in one process, two",
            _rates(bench["fields_per_second_by_processes"], bench["two_processes_per_one"]),
        ),
        (
            "Fields per second on one Ray processor, two",
            _rates(
                bench["fields_per_second_by_ray_processors"], bench["two_ray_processors_per_one"]
            ),
        ),
        (
            "Tiles of a slide per second in one process, two",
            _rates(
                bench["slide_tiles_per_second_by_processes"], bench["two_slide_processes_per_one"]
            ),
        ),
        ("Rate of the API as a share of the core's, by clients", api),
        ("First answer on the command line", f"{bench['first_answer_command_line_s']:.1f} s"),
        ('`python -c "import tensorflow"`', f"{bench['import_tensorflow_s']:.1f} s"),
        ("Memory of the server with all models", f"{bench['server_resident_megabytes']:.0f} MB"),
        ("Model files", sizes),
    )
    hours = 1e6 / bench["fields_per_second_by_processes"]["1"] / 3600
    scale = (
        f"At these rates a million fields take {hours:.0f} core hours. To each worker travels a "
        f"path, back some {bench['answer_bytes_per_field'] / 1000:.0f} kB of answer, "
        f"{bench['answer_bytes_per_field'] / 1000:.0f} GB in all; the workers read the pictures "
        "from the shared folder."
    )
    table = ["| what | measured |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
    return "\n".join([*table, "", scale])


def filled(readme: str) -> str:
    """Return the README with its tables replaced."""
    tables = {"accuracy": accuracy_table(), "goals": goals_table(), "speed": speed_table()}
    for name, table in tables.items():
        before, rest = readme.split(f"<!-- {name} -->")
        _, after = rest.split(f"<!-- /{name} -->")
        readme = f"{before}<!-- {name} -->\n{table}\n<!-- /{name} -->{after}"
    return readme


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text()))
    sys.stdout.write("README.md: tables written\n")
