"""Copies measured numbers into the documentation: `make docs`.

A block `<!-- name -->` … `<!-- /name -->` of a document is replaced by what the function `name` in
`BLOCKS` returns. The numbers are those that `make evaluate`, `python -m core bench --out
benchmarks/bench.json`, `python -m benchmarks.api_load` and `python -m benchmarks.slide_accuracy`
left in their files.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import pandas as pd

from core.domain.intervals import proportion
from core.evaluation.blasts import leukaemic_patients
from core.evaluation.comparisons import load_comparisons
from core.evaluation.curves import at_threshold
from core.evaluation.model_error import smear_text
from core.evaluation.report import label_phrase, load_report
from core.evaluation.sets import evaluation_set
from core.evaluation.tables import (
    adaptation_sentence,
    architectures_table,
    blast_table,
    cam_sentence,
    corruptions_table,
    data_set_title,
    left_out_sentence,
    left_out_table,
    ood_table,
    patients_table,
    percent,
    quality_control_table,
    recipe_table,
    scores_left_out,
    sets_table,
    subtypes_table,
    synthetic_fields_table,
    uneven_light_table,
    unseen_table,
)
from core.settings import PROJECT_ROOT, Settings

_RUNTIMES = {
    "litert_shipped": "LiteRT 8-bit (shipped)",
    "litert": "LiteRT float32",
    "openvino": "OpenVINO float32",
    "onnxruntime": "ONNX Runtime float32",
}
_report = cache(load_report)


@cache
def _benchmark(name: str) -> dict[str, Any]:
    """Return what a benchmark left in its file."""
    return dict(json.loads((PROJECT_ROOT / "benchmarks" / f"{name}.json").read_text()))


class Goal(NamedTuple):
    """A goal that was set before training, and what was measured."""

    what: str
    wanted: float
    measured: float
    decimals: int = 1
    at_most: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether the goal is reached, before any rounding."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    @property
    def row(self) -> tuple[str, str, str, str]:
        """The goal, what was wanted and measured, and whether it is reached."""
        wanted, measured = (f"{x:.{self.decimals}f}" for x in (self.wanted, self.measured))
        sign = "≤" if self.at_most else "≥"
        return self.what, f"{sign} {wanted}", measured, "yes" if self.is_reached else "**no**"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown(frame: pd.DataFrame) -> str:
    return _table(list(frame), frame.round(1).to_numpy().astype(str).tolist())


def headline() -> str:
    """Return the few numbers of the README."""
    cells, fields = _report("wbc").metrics.sets, _report("all_stage").metrics.sets
    detection = _report("detector").metrics.sets["txl_test_corrected"]
    rows = (
        ("Cell types, images of another laboratory", cells["cellavision"].accuracy),
        ("Cell types, patients with leukaemia who were left out", cells["deepapl_fold"].accuracy),
        ("Cell types, test images of a training laboratory", cells["pbc_test"].accuracy),
        ("ALL classes, grouped folds of one laboratory", fields["taleqani_folds"].accuracy),
        ("Fields with the exact white cell count", detection.wbc_count_exact),
    )
    return _table(
        ("accuracy", "measured (95 % interval)"), [(what, percent(x)) for what, x in rows]
    )


def classification() -> str:
    """Return the accuracy of cell types and ALL classes by test set."""
    return _markdown(pd.concat([sets_table(_report("wbc")), sets_table(_report("all_stage"))]))


def blasts() -> str:
    """Return how blasts and smudge cells are told from other cells, by test set."""
    rows = []
    for name, measured in _report("wbc").metrics.blasts.items():
        balanced = _report("wbc").metrics.sets[name].balanced_accuracy
        rows += [
            ("Balanced accuracy over its types", percent(balanced)),
            *blast_table(measured).to_numpy().tolist(),
        ]
    return _table(("DeepAPL, patients left out", "measured (95 % interval)"), rows)


def field_flags() -> str:
    """Return how often fields of suspected ALL raise the flag of possible blasts, by class."""
    measured = _report("wbc").metrics.field_flags
    if measured is None:
        return "Not measured."
    rows = [("Early, Pre and Pro", percent(measured.leukaemia), "")]
    rows += [
        (label, percent(share), percent(measured.cells[label]))
        for label, share in measured.by_class.items()
    ]
    return _table(("fields", "raise the flag", "possible blasts of the leukocytes"), rows)


def light() -> str:
    """Return the accuracy of the ALL model with and without light correction."""
    measured = _report("all_stage").metrics.light
    if measured is None:
        return "Not measured."
    rows = [
        (
            row.light,
            percent(row.as_taken),
            percent(row.corrected),
            percent(row.corrected_where_uneven),
        )
        for row in measured.rows
    ]
    head = (f"{measured.n} fields", "as taken", "corrected", "corrected where uneven")
    return _table(head, rows)


def left_out() -> str:
    """Return what was measured on every source that a training did not see."""
    report, compared = _report("wbc"), load_comparisons("wbc")
    table = _markdown(left_out_table(report, compared))
    return f"{table}\n\n{left_out_sentence(report, compared)}"


def every_patient() -> str:
    """Return the figures over all DeepAPL patients, each left out of training."""
    row = load_comparisons("wbc").patients.get("deepapl")
    if row is None:
        return "Not measured."
    recalls = ", ".join(
        f"{label_phrase(label)} {percent(own.recall)}"
        for label, own in row.figures.per_class.items()
    )
    text = (
        f"{row.patients} patients, {row.figures.n:,} cells. Recall: {recalls}. "
        f"Trainings: {row.protocol}."
    )
    return f"{_markdown(patients_table(row))}\n\n{text}"


def changed_recipes() -> str:
    """Return what changes of the cell classifier's recipe are worth, in short trainings."""
    rows = load_comparisons("wbc").recipe
    if not rows:
        return "Not measured."
    return f"{_markdown(recipe_table(rows))}\n\n{next(iter(rows.values())).protocol}."


def other_networks() -> str:
    """Return the networks that were compared on ALL fields."""
    rows = load_comparisons("all_stage").architectures
    if not rows:
        return "Not measured."
    protocols = "; ".join(dict.fromkeys(row.protocol for row in rows.values()))
    return f"{_markdown(architectures_table(rows))}\n\n{protocols[0].upper()}{protocols[1:]}."


def notes() -> str:
    """Return what the numbers of each test set cannot say."""
    sets = [
        evaluation_set(name)
        for model in ("wbc", "all_stage", "detector")
        for name in _report(model).sets
    ]
    return "\n".join(f"- *{one.name}*: {one.note}" for one in sets)


def attributes() -> str:
    """Return the mean over the eleven morphological attributes."""
    measured = _report("wbc").metrics.attributes
    return (
        f"Eleven WBCAtt attributes of {measured.n:,} test cells: mean macro-F1 "
        f"{100 * measured.mean.macro_f1:.1f} %, mean accuracy {100 * measured.mean.accuracy:.1f} %."
    )


def detection() -> str:
    """Return average precision and count accuracy of the detector by test set."""
    return _markdown(sets_table(_report("detector")))


def smear() -> str:
    """Return how far red cells and platelets are off."""
    return smear_text(_report("detector").metrics) or "Not measured."


def robustness() -> str:
    """Return what was measured beside the test sets."""
    wbc, stage = _report("wbc").metrics, _report("all_stage").metrics
    unseen, qc = _report("detector").metrics.unseen, stage.quality_control
    sets = {key: evaluation_set(key).name for key in wbc.out_of_distribution}
    smears = {key: data_set_title(key) for key in qc.smears.by_set}
    tables = {
        f"Corruptions, cell types, {wbc.corruptions.n} PBC test cells": corruptions_table(
            wbc.corruptions
        ),
        f"Corruptions, ALL classes, {stage.corruptions.n} Taleqani fields": corruptions_table(
            stage.corruptions
        ),
        "Cells unlike the training images, whose confidence is lowered": ood_table(
            wbc.out_of_distribution, sets
        ),
        "White cells in images unlike the detector's training": unseen_table(unseen),
        f"{unseen.synthetic.n} synthetic fields": synthetic_fields_table(unseen.synthetic),
        **_added(),
        f"Quality control, AUROC {qc.auroc:.4f}": quality_control_table(qc, smears),
    }
    texts = [f"**{title}**\n\n{_markdown(table)}" for title, table in tables.items()]
    return "\n\n".join([*texts, adaptation_sentence(wbc.adaptation), cam_sentence(stage.cam)])


def _added() -> dict[str, pd.DataFrame]:
    """Return uneven light and subtypes, where they were measured."""
    light = _report("detector").metrics.uneven_light
    tables = {"White cells found under uneven light": uneven_light_table(light)} if light else {}
    return tables | {
        f"Subtypes, {evaluation_set(key).name}": subtypes_table(figures)
        for key, figures in _report("wbc").metrics.subtypes.items()
    }


def goals() -> str:
    """Return the goals with what was measured, other laboratories first."""
    wbc, stage, detector = (_report(name) for name in ("wbc", "all_stage", "detector"))
    cells, fields, boxes = (report.metrics.sets for report in (wbc, stage, detector))
    beside, qc = detector.metrics.unseen, stage.metrics.quality_control
    unseen, small, clumps = beside.taleqani, beside.small_cells, beside.clumps
    adaptation = wbc.metrics.adaptation
    away, home = (
        at_threshold(wbc.scored(name, wbc.card.labels), wbc.card.thresholds.uncertain)
        for name in ("cellavision", "pbc_test")
    )
    published, corrected = boxes["txl_test"], boxes["txl_test_corrected"]
    left = (1 - adaptation.after.value) / (1 - adaptation.before.value)
    worst = {
        name: max(row.drop for row in report.metrics.corruptions.rows)
        for name, report in (("cell types", wbc), ("ALL classes", stage))
    }
    three = partial(Goal, decimals=3)
    compared = load_comparisons("wbc")
    left_out_ece = mean(own.ece for own in scores_left_out(wbc, compared).values())
    lit = min(row.kept.value for row in detector.metrics.uneven_light)
    every_patient = compared.patients["deepapl"]
    blast = every_patient.blasts
    found, false_alarms = leukaemic_patients(blast.patients)
    balanced = {name: 100 * cells[name].balanced_accuracy.value for name in ("lisc", "cellavision")}
    versions = _benchmark("versions")
    beside_earlier = f"as in version {versions['earlier_version']}"
    ratios = {key: own["ratio"] for key, own in versions.items() if isinstance(own, dict)}
    chosen = (
        Goal(
            "DeepAPL, every patient left out, balanced, %",
            88,
            100 * every_patient.figures.balanced_accuracy.value,
        ),
        Goal(
            "Blasts called healthy with certainty, %",
            2,
            100 * blast.certain_healthy.value,
            at_most=True,
        ),
        three("Blast against other white cells, AUROC", 0.97, blast.auroc),
        Goal("Smudge cells excluded, %", 95, 100 * blast.smudge_excluded.value),
        Goal(
            "A patient's share of blasts, median error, points",
            3,
            100 * blast.median_share_error,
            at_most=True,
        ),
        Goal("Patients with 20 % blasts or more, found, %", 100, 100 * found.value),
        Goal("Other patients counted with as many, %", 10, 100 * false_alarms.value, at_most=True),
        Goal("LISC, left out, balanced, %", 92, balanced["lisc"]),
        Goal("CellaVision, balanced, %", 85, balanced["cellavision"]),
        three("ECE, CellaVision", 0.08, cells["cellavision"].ece, at_most=True),
        Goal("Correct among classified cells, CellaVision, %", 95, 100 * away.accuracy.value),
        three("ECE, mean of the sources left out", 0.05, left_out_ece, at_most=True),
        *(
            Goal(f"Worst corruption, {name}, points lost", 2, 100 * drop, at_most=True)
            for name, drop in worst.items()
        ),
        Goal("Errors left by a site profile, % of those before", 50, 100 * left, at_most=True),
        Goal("White cells under uneven light, least of those found unchanged, %", 98, 100 * lit),
        Goal("White cells on unseen fields, recall, %", 95, 100 * unseen.recall.value),
        Goal("White cells on unseen fields, precision, %", 95, 100 * unseen.precision.value),
        *(
            Goal(f"{what}, {figure}, %", wanted, 100 * getattr(boxes_of, figure).value)
            for what, boxes_of, figure, wanted in (
                ("Small white cells (pig fields, validation)", small, "recall", 85),
                ("Small white cells (pig fields, validation)", small, "precision", 85),
                ("Crowded white cells with a box of their own", clumps, "recall", 95),
            )
            if boxes_of is not None
        ),
        three("Quality control, AUROC", 0.995, qc.auroc),
        Goal("Smears rejected, %", 1, 100 * qc.smears.rejected.value, at_most=True),
        Goal("Cell types, WBCAtt test, %", 99.4, 100 * cells["wbcatt_test"].accuracy.value, 2),
        Goal("Cell types, PBC test, %", 98.7, 100 * cells["pbc_test"].accuracy.value, 2),
        Goal("Attributes, macro-F1, %", 92.5, 100 * wbc.metrics.attributes.mean.macro_f1),
        Goal("Cell types, Kaggle TEST, %", 92, 100 * cells["kaggle_test"].accuracy.value),
        Goal("ALL classes, folds, %", 99.2, 100 * fields["taleqani_folds"].accuracy.value, 2),
        Goal(
            "ALL classes, folds, stain changed, %",
            99,
            100 * fields["taleqani_folds_stain_jitter"].accuracy.value,
        ),
        *(
            Goal(
                f"ALL classes, folds, {what}, %",
                98.5,
                100 * fields[f"taleqani_folds_{key}"].accuracy.value,
            )
            for what, key in (("magnified", "closer"), ("reduced", "farther"))
        ),
        three("Detection, TXL-PBC, labels corrected, mAP50", 0.97, corrected.map50),
        three("Detection, TXL-PBC, labels corrected, mAP50-95", 0.84, corrected.map50_95),
        three("Detection, TXL-PBC, as published, mAP50", 0.96, published.map50),
        three("Detection, TXL-PBC, as published, mAP50-95", 0.82, published.map50_95),
        Goal(
            "White cell count exact, TXL-PBC, labels corrected, %",
            98,
            100 * corrected.wbc_count_exact.value,
        ),
        three("Detection, BCCD test, mAP50", 0.87, boxes["bccd_test"].map50),
        three("ECE, PBC test", 0.01, cells["pbc_test"].ece, at_most=True),
        Goal("Correct among classified cells, PBC test, %", 99.5, 100 * home.accuracy.value, 2),
        Goal("Cells classified, PBC test, %", 97, 100 * home.coverage),
        Goal(f"A field, times as long {beside_earlier}", 1.1, ratios["field_ms"], 2, at_most=True),
        Goal(f"Single cells, times as many {beside_earlier}", 0.9, ratios["cells_per_second"], 2),
        Goal(
            f"Memory, times as much {beside_earlier}",
            1.1,
            ratios["resident_megabytes"],
            2,
            at_most=True,
        ),
    )
    return _table(("goal", "wanted", "measured", "reached"), [goal.row for goal in chosen])


def fast() -> str:
    """Return the few times of the README."""
    bench, seen, slide, beside = (
        _benchmark(name) for name in ("bench", "pages", "slide_speed", "versions")
    )
    cells = beside["cells_per_second"]["now"]
    rows = (
        ("A field of 640 × 480 px: found, counted, typed", f"{bench['field_640x480_ms']:.0f} ms"),
        ("Images of single cells, one after another", f"{cells:.0f} a second"),
        ("12 fields, from the upload to the answer", f"{seen['twelve_fields_s']:.1f} s"),
        ("A whole slide of 10⁹ px, opened", f"{slide['page_opened_s']:.1f} s"),
        ("Memory of the server", f"{bench['server_resident_megabytes']:.0f} MB"),
    )
    return _table(("what", "measured"), rows)


def speed() -> str:
    """Return times and sizes."""
    bench = _benchmark("bench")
    runtimes = _benchmark("runtimes")
    runtimes = "; ".join(f"{_RUNTIMES[key]} {ms:.1f} ms" for key, ms in runtimes.items())
    sizes = "; ".join(f"{key} {mb:.1f} MB" for key, mb in bench["model_file_megabytes"].items())
    api = "; ".join(
        f"{clients} clients {100 * share:.0f} %"
        for clients, share in bench["api_per_core_by_clients"].items()
    )
    one_process = bench["fields_per_second_by_processes"]["1"]
    kilobytes = bench["answer_bytes_per_field"] / 1000
    rows = (
        ("Field of 640 × 480 px: detect, count, classify", f"{bench['field_640x480_ms']:.0f} ms"),
        ("ALL class of a field", f"{bench['all_stage_field_ms']:.0f} ms"),
        ("One cell classified (three forward passes)", f"{bench['cell_ms']:.1f} ms"),
        ("One forward pass of the cell classifier", runtimes),
        (
            "For comparison: one Keras `predict` on one crop",
            f"{bench['keras_predict_one_crop_ms']:.0f} ms",
        ),
        ("… fields analysed in that time", f"{bench['fields_per_keras_predict']:.1f}"),
        (
            "… cells classified in that time, on both cores",
            f"{bench['cells_per_second_per_keras_predict']:.1f}",
        ),
        ("… forward passes in that time", f"{bench['one_look_per_keras_predict']:.1f}"),
        (
            "… forward passes in that time, on both cores, with JPEG decoding",
            f"{bench['crops_per_keras_predict_one_look']:.1f}",
        ),
        (
            "Fields per second, one and two processes",
            _rates(bench["fields_per_second_by_processes"], bench["two_processes_per_one"]),
        ),
        (
            "Fields per second, one and two Ray processors",
            _rates(
                bench["fields_per_second_by_ray_processors"], bench["two_ray_processors_per_one"]
            ),
        ),
        (
            "Slide tiles per second, one and two processes",
            _rates(
                bench["slide_tiles_per_second_by_processes"], bench["two_slide_processes_per_one"]
            ),
        ),
        ("Fields per second through the API, share of the rate without it", api),
        ("First answer on the command line", f"{bench['first_answer_command_line_s']:.1f} s"),
        (
            'For comparison: `python -c "import tensorflow"`',
            f"{bench['import_tensorflow_s']:.1f} s",
        ),
        ("Memory of the server with all models", f"{bench['server_resident_megabytes']:.0f} MB"),
        ("Model files", sizes),
    )
    scale = (
        f"A million fields take {1e6 / one_process / 3600:.0f} core hours at this rate. Each "
        f"worker receives a path and returns about {kilobytes:.0f} kB a field; it reads the "
        "images from the shared folder."
    )
    return f"{_table(('what', 'measured'), rows)}\n\n{scale}"


def versions() -> str:
    """Return what a field and a cell cost beside the version before the ten types."""
    measured = _benchmark("versions")
    rows = []
    for what, key, unit in (
        ("A field, median", "field_ms", "ms"),
        ("Images of single cells", "cells_per_second", "a second"),
        ("Memory of the process", "resident_megabytes", "MB"),
    ):
        earlier, now, ratio = (measured[key][name] for name in ("earlier", "now", "ratio"))
        rows.append((what, f"{earlier:.0f} {unit}", f"{now:.0f} {unit}", f"{ratio:.2f}"))
    rounds = f"medians of {measured['rounds']} rounds"
    head = (rounds, f"version {measured['earlier_version']}", "now", "ratio in a round")
    return _table(head, rows)


def _rates(by_workers: Mapping[str, float], ratio: float) -> str:
    return f"{', '.join(f'{rate:.1f}' for rate in by_workers.values())} ({ratio:.2f} times)"


def load() -> str:
    """Return how the API withstood load and attack."""
    measured = _benchmark("api_load")
    parts = [measured[part] for part in ("quiet", "attacked")]

    def row(what: str, shown: Callable[[Mapping[str, Any]], str]) -> tuple[str, ...]:
        return (what, *(shown(part) for part in parts))

    rows = (
        row("requests", lambda part: f"{part['requests']:,}"),
        row("answers per second", lambda part: f"{part['answered_per_second']:.1f}"),
        row("median latency", lambda part: f"{part['latency_p50_s']:.1f} s"),
        row("95th percentile of the latency", lambda part: f"{part['latency_p95_s']:.1f} s"),
        row("told to come back later (503)", lambda part: f"{part['busy_percent']:.0f} %"),
        row("wrong answers", lambda part: f"{part['wrong_answers']}"),
        row("other errors", lambda part: f"{sum(part['other_errors'].values())}"),
        row("most memory of the server", lambda part: f"{part['memory_most_megabytes']:.0f} MB"),
    )
    title = f"{measured['clients']} clients, {measured['seconds']} s"
    return _table((title, "load alone", "under attack"), rows)


def pages() -> str:
    """Return what a visitor of the pages waits for."""
    measured = _benchmark("pages")
    rows = [
        (what, f"{measured[key]:.2f} s")
        for what, key in (
            ("First load of a page", "first_load_s"),
            ("12 fields of 640 × 480 px to the answer", "twelve_fields_s"),
            ("6 fields of 1712 × 1368 px to the answer", "six_large_fields_s"),
            ("Saving 12 fields to a patient", "save_twelve_s"),
            ("Reload of a draft of 60 fields, its numbers and its field", "reload_sixty_shown_s"),
            ("Reload of a draft of 60 fields, the whole page", "reload_sixty_s"),
            ("Key of a label to the next cell", "label_key_s"),
        )
    ]
    return _table((f"median of rounds, here of {measured['rounds']}", "measured"), rows)


def slide_speed() -> str:
    """Return how a large slide is opened, its tiles read and its cells drawn."""
    measured = _benchmark("slide_speed")
    drawn = measured["drawing"]
    rows = [
        ("The page from nothing to its first tiles", f"{measured['page_opened_s']:.2f} s"),
        ("The same for the first visitor", f"{measured['page_first_opened_s']:.2f} s"),
    ]
    for part, when in (("alone", "alone"), ("counting", "while cells are counted")):
        own = measured[part]
        times = (own["latency_p50_s"], own["latency_p95_s"])
        milliseconds = ", ".join(f"{1000 * seconds:.0f}" for seconds in times)
        rows.append((f"A tile, {when}: median, 95th percentile", f"{milliseconds} ms"))
    rows.append(
        (
            "Most memory of the server and the count",
            f"{measured['counting']['memory_most_megabytes']:.0f} MB",
        )
    )
    for part, what in (
        ("moving_whole", "moving the whole slide"),
        ("zooming", "zooming"),
        ("moving_near", "moving near"),
    ):
        rows.append(
            (
                f"Frames a second over {drawn['cells']:,} cells, {what}, median",
                f"{drawn[part]['frames_per_s']:.0f}",
            )
        )
    pixels = measured["width"] * measured["height"]
    return _table((f"slide of {pixels / 1e9:.2f} · 10⁹ px", "measured"), rows)


def settings() -> str:
    """Return every setting with its default, from the class that reads them."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, Path):
            default = default.relative_to(PROJECT_ROOT)
        elif isinstance(default, frozenset):
            default = json.dumps(sorted(default))
        elif isinstance(default, bool):
            default = str(default).lower()
        shown = "" if default in {None, ""} else f"`{default}`"
        rows.append(
            (f"`LEUKOSCOPE_{name.upper()}`", shown, " ".join((field.description or "").split()))
        )
    return _table(("setting", "default", "meaning"), rows)


def slides() -> str:
    """Return the count of a synthetic slide, from the file of `benchmarks.slide_accuracy`."""
    found = _benchmark("slide_accuracy")

    def row(cells: str, matched: int, of: int) -> tuple[str, ...]:
        return cells, f"{of}", f"{matched}", proportion(matched, of, per=100).text(" %")

    rows = (
        row("recall: drawn cells that were found", found["matched"], found["drawn"]),
        row("on seams of tiles", found["matched_on_seams"], found["drawn_on_seams"]),
        row("precision: found cells that were drawn", found["matched"], found["found"]),
        row("recall in the fields one by one", found["matched_in_fields"], found["drawn"]),
        row(
            "taken for white cells by the classifier",
            found["taken_for_white_cells"],
            found["drawn"],
        ),
        row(
            "the same in the fields one by one",
            found["taken_for_white_cells_in_fields"],
            found["drawn"],
        ),
        row(
            "of the same type as in the fields, off seams",
            found["of_one_type_in_both"],
            found["off_seams_in_both"],
        ),
    )
    return _table(("White cells", "of", "matched", "proportion"), rows)


BLOCKS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"headline": headline, "fast": fast},
    "docs/accuracy.md": {
        "classification": classification,
        "blasts": blasts,
        "left_out": left_out,
        "every_patient": every_patient,
        "other_networks": other_networks,
        "changed_recipes": changed_recipes,
        "field_flags": field_flags,
        "light": light,
        "notes": notes,
        "attributes": attributes,
        "detection": detection,
        "slides": slides,
        "smear": smear,
        "robustness": robustness,
        "goals": goals,
    },
    "docs/speed.md": {
        "speed": speed,
        "versions": versions,
        "pages": pages,
        "load": load,
        "slide_speed": slide_speed,
    },
    "docs/settings.md": {"settings": settings},
}
"""Of each document, the blocks that are written."""


def filled(document: str) -> str:
    """Return the text of a document with its blocks written anew. Raises ValueError without one."""
    text = (PROJECT_ROOT / document).read_text(encoding="utf-8")
    for name, block in BLOCKS[document].items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{document} has no block {name}")
        text = pattern.sub(lambda found, block=block: f"{found[1]}{block()}\n{found[2]}", text)
    return text


def main() -> None:
    """Write all documents."""
    for document in BLOCKS:
        (PROJECT_ROOT / document).write_text(filled(document), encoding="utf-8")


if __name__ == "__main__":
    main()
