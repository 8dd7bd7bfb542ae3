"""`python -m core bench`: times and sizes, measured in one run on synthetic images.

Absolute times depend on the machine; the ratios within one run are what to compare.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from core.bench.timing import in_turns, rate, resident_megabytes
from core.settings import PROJECT_ROOT, get_settings

if TYPE_CHECKING:
    from core.domain.results import Pixels
    from core.inference.cell_classifier import CellRegion

_CELLS = 200
_CROPS = 1000
_CROP_SIDE = 360
"""Pixels a side of the encoded images of single cells, as the PBC set has them."""
_STARTS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m core bench`."""
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures here")


def run(args: argparse.Namespace) -> int:
    """Measure, write and return the exit status."""
    text = json.dumps(measure(), indent=1) + "\n"
    (args.out.write_text if args.out else sys.stdout.write)(text)
    return 0


def measure() -> dict[str, Any]:
    """Return all figures: times in milliseconds or seconds as their names say, sizes in MB."""
    from core.bench.api import api_figures
    from core.bench.batch import batch_figures
    from core.domain.results import FieldImage, ImageProperties
    from core.imaging.crop import crop_cell
    from core.inference.cell_classifier import CellRegion, central_box
    from core.inference.pipeline import Analyzer
    from core.inference.runtime import LiteRTEngine
    from core.model_card import MODEL_NAMES, load_card, model_path, read_checked
    from core.synthetic.fields import make_field

    memory_before = resident_megabytes()
    analyzer = Analyzer()
    pixels = make_field(1, 640, 480, white_cells=3, red_cell_pixels=60).pixels
    properties = ImageProperties("PNG", "RGB", 8, pixels.nbytes)
    field = FieldImage("synthetic", pixels, "", properties)
    crop = crop_cell(pixels, central_box(pixels), size=load_card("wbc").input_width)
    region = CellRegion(central_box(pixels))
    calls: dict[str, Callable[[], object]] = {
        "field": lambda: analyzer.analyze(field),
        "cell": lambda: analyzer.classifier.predict(pixels, region),
        "stage": lambda: analyzer.field_classifier.predict(field, force=True),
    }
    for call in calls.values():
        call()
    memory_after = resident_megabytes()
    batch = batch_figures()
    cells_per_second = _cells_per_second(pixels, region)
    crops_per_second = _crops_per_second(pixels)
    batch_of_one = crop[None].astype("float32")
    model, threads = read_checked(load_card("wbc")), get_settings().threads
    shipped = LiteRTEngine(model, interpreters=1, threads=threads)
    calls["look"] = lambda: shipped.run(batch_of_one)
    calls["keras"] = _keras_predict(batch_of_one)
    times = in_turns(calls)
    field_ms, cell_ms, keras_ms = (times[name] for name in ("field", "cell", "keras"))
    example = PROJECT_ROOT / "assets" / "examples" / "synthetic_1.jpg"
    answer_s = _start_seconds(["-m", "core", "analyze", str(example)])
    tensorflow_s = _start_seconds(["-c", "import tensorflow"])
    return {
        "processors": os.cpu_count(),
        "field_640x480_ms": field_ms,
        "cell_ms": cell_ms,
        "all_stage_field_ms": times["stage"],
        "keras_predict_one_crop_ms": keras_ms,
        "crops_per_keras_predict": keras_ms / cell_ms,
        "cells_per_second": cells_per_second,
        "cells_per_second_per_keras_predict": cells_per_second * keras_ms / 1000,
        "crops_per_second_one_look": crops_per_second,
        "crops_per_keras_predict_one_look": crops_per_second * keras_ms / 1000,
        "one_look_per_keras_predict": keras_ms / times["look"],
        "fields_per_keras_predict": keras_ms / field_ms,
        "first_answer_command_line_s": answer_s,
        "import_tensorflow_s": tensorflow_s,
        "first_answer_per_import_tensorflow": answer_s / tensorflow_s,
        "models_resident_megabytes": memory_after - memory_before,
        "server_resident_megabytes": _server_megabytes(),
        **batch,
        **api_figures(analyzer),
        "model_file_megabytes": {
            name: model_path(name).stat().st_size / 1e6 for name in MODEL_NAMES
        },
    }


def _cells_per_second(pixels: "Pixels", region: "CellRegion") -> float:
    """Return how many cells are typed in a second with a thread for each processor."""
    from core.inference.pipeline import Analyzer

    processors = os.cpu_count() or 1
    settings = get_settings().model_copy(update={"threads": 1, "interpreters": processors})
    classifier = Analyzer(settings).classifier
    with ThreadPoolExecutor(processors) as pool:
        answers = pool.map(lambda _: classifier.predict(pixels, region), range(_CELLS))
        return rate(answers, warm=2 * processors)


def _crops_per_second(pixels: "Pixels") -> float:
    """Return how many encoded single-cell images get a forward pass in a second, on all cores.

    From JPEG bytes to the outputs of the shipped network: decoded, cropped and scaled, one forward
    pass each (no mirrored views, no detector), a thread for each processor.
    """
    from core.imaging.crop import crop_square
    from core.inference.cell_classifier import CellRegion, central_box
    from core.inference.runtime import LiteRTEngine
    from core.model_card import load_card, read_checked

    processors = os.cpu_count() or 1
    card = load_card("wbc")
    engine = LiteRTEngine(read_checked(card), interpreters=processors, threads=1)
    image = cv2.resize(pixels, (_CROP_SIDE, _CROP_SIDE), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]

    def forward(_: int) -> object:
        decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), np.uint8)
        region = CellRegion(central_box(decoded))
        crop = crop_square(decoded, region.box, region.crop_side, card.input_width)
        return engine.run(crop[None])

    with ThreadPoolExecutor(processors) as pool:
        return rate(pool.map(forward, range(_CROPS)), warm=20 * processors)


def _keras_predict(batch: Any) -> Callable[[], object]:
    """Return `Model.predict` on one crop: what a plain Keras app does an image."""
    from core.domain.taxonomy import CELL_TYPES
    from core.training.networks.mobilenet import wbc_network

    # The time does not depend on the weights' values.
    return partial(wbc_network(len(CELL_TYPES)).predict, batch, verbose=0)


def _start_seconds(arguments: list[str]) -> float:
    times = []
    for _ in range(_STARTS):
        started = time.perf_counter()
        subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, *arguments],
            cwd=PROJECT_ROOT,
            check=True,
            capture_output=True,
            env=os.environ | {"LEUKOSCOPE_MODELS": str(get_settings().models)},
        )
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _server_megabytes() -> float:
    """Return the memory of the app's server once it answers: all models are loaded by then."""
    from core.bench.api import serving

    with serving("-m core serve") as server:
        return resident_megabytes(server.process)
