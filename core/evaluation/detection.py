"""Figures of merit of the detector, by faster-coco-eval.

Frames of boxes have the columns file, kind, x, y, width, height (pixels, origin top left) and, for
predictions, score. Values are fractions of 1; limits are 95 %. A figure that does not exist is
None. No model is loaded here.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from faster_coco_eval import COCO, COCOeval_faster

from core.domain.taxonomy import CELL_KINDS
from core.evaluation.metrics import mean_of_known, proportion
from core.evaluation.schema import DetectionFigures, KindFigures

MAX_DETECTIONS = 1000
"""Boxes of one kind counted per image; a field can hold more than COCO's usual 100 red cells."""
DEFAULT_THRESHOLD = 0.5


def detection_metrics(
    truth: pd.DataFrame,
    prediction: pd.DataFrame,
    files: Collection[str],
    *,
    thresholds: Mapping[str, float] | None = None,
) -> DetectionFigures:
    """Return average precision, precision and recall per kind, and how well cells are counted.

    `files` names every image of the set, also those without boxes.
    `map50` and `map50_95` are COCO's average precision at IoU .5 and the mean over .5 to .95 in
    steps of .05, averaged over the kinds that occur; they use every prediction handed in.
    `precision`, `recall` and the counts use predictions at or above the kind's threshold
    (.5 unless given), matched at IoU .5. Raises ValueError when a box lies in another image.
    """
    limits: dict[str, float] = {
        kind: (thresholds or {}).get(kind, DEFAULT_THRESHOLD) for kind in CELL_KINDS
    }
    kept = above(prediction, limits)
    precision = _evaluate(truth, prediction, files).eval["precision"][:, :, :, 0, 0]
    # COCO writes -1 where a kind has no truth.
    average = np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1))
    found = np.maximum(_evaluate(truth, kept, files).eval["recall"][0, :, 0, 0], 0)
    per_kind: dict[str, KindFigures] = {}
    for i, kind in enumerate(CELL_KINDS):
        truths = int((truth["kind"] == kind).sum())
        predictions = int((kept["kind"] == kind).sum())
        hits = round(found[i] * truths)
        per_kind[kind] = KindFigures(
            map50=_number(average[0, i]),
            map50_95=_number(average[:, i].mean()),
            precision=proportion(hits, predictions),
            recall=proportion(hits, truths),
            truths=truths,
            predictions=predictions,
            threshold=limits[kind],
        )
    white = count_pairs(truth, kept, files, "wbc")
    error, bias = _count_error(count_pairs(truth, kept, files, "rbc"))
    return DetectionFigures(
        images=len(files),
        map50=mean_of_known([figures.map50 for figures in per_kind.values()]),
        map50_95=mean_of_known([figures.map50_95 for figures in per_kind.values()]),
        per_kind=per_kind,
        wbc_count_exact=proportion(int((white["truth"] == white["found"]).sum()), len(white)),
        rbc_count_error=error,
        rbc_count_bias=bias,
    )


def above(prediction: pd.DataFrame, thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Keep the predictions at or above the threshold of their kind."""
    return prediction[prediction["score"] >= prediction["kind"].map(thresholds).astype(float)]


def count_pairs(
    truth: pd.DataFrame, prediction: pd.DataFrame, files: Collection[str], kind: str
) -> pd.DataFrame:
    """Return file, truth, found: the number of cells of a kind in every image of `files`."""
    pairs = pd.DataFrame(index=pd.Index(list(files), name="file"))
    for column, boxes in (("truth", truth), ("found", prediction)):
        counts = boxes.loc[boxes["kind"] == kind, "file"].value_counts()
        pairs[column] = counts.reindex(pairs.index, fill_value=0)
    return pairs.reset_index()


def detection_curves(
    truth: pd.DataFrame, prediction: pd.DataFrame, files: Collection[str]
) -> pd.DataFrame:
    """Return kind, recall, precision, score at IoU .5: 101 points for every kind that occurs.

    Precision is interpolated as COCO does: the best at this recall or a higher one. Points past
    the highest recall reached are left out.
    """
    result = _evaluate(truth, prediction, files)
    precision, scores = result.eval["precision"], result.eval["scores"]
    frames = [
        pd.DataFrame(
            {
                "kind": kind,
                "recall": result.params.recThrs,
                "precision": precision[0, :, i, 0, 0],
                "score": scores[0, :, i, 0, 0],
            }
        )
        for i, kind in enumerate(CELL_KINDS)
    ]
    return pd.concat(frames).query("precision > 0").reset_index(drop=True)


def _evaluate(
    truth: pd.DataFrame, prediction: pd.DataFrame, files: Collection[str]
) -> COCOeval_faster:
    """Run COCO's evaluation of boxes.

    `eval["precision"]` is IoU thresholds (10) x recalls (101) x kinds x areas x limits.
    """
    numbers = {file: number for number, file in enumerate(files, 1)}
    if unknown := (set(truth["file"]) | set(prediction["file"])) - set(numbers):
        raise ValueError(f"boxes of images that are not in the set: {sorted(unknown)[:5]}")
    reference = COCO(
        {
            "info": {},
            "images": [{"id": number, "file_name": file} for file, number in numbers.items()],
            "categories": [{"id": i, "name": kind} for i, kind in enumerate(CELL_KINDS, 1)],
            "annotations": [
                {"id": i, "area": box["bbox"][2] * box["bbox"][3], "iscrowd": 0, **box}
                for i, box in enumerate(_boxes(truth, numbers), 1)
            ],
        }
    )
    found = [
        {**box, "score": float(score)}
        for box, score in zip(_boxes(prediction, numbers), prediction["score"], strict=True)
    ]
    evaluation = COCOeval_faster(
        reference, reference.loadRes(found), iouType="bbox", print_function=lambda *_: None
    )
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = evaluation.params.areaRng[:1]
    evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _boxes(frame: pd.DataFrame, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": numbers[row.file],
            "category_id": CELL_KINDS.index(row.kind) + 1,
            "bbox": [float(row.x), float(row.y), float(row.width), float(row.height)],
        }
        for row in frame.itertuples()
    ]


def _count_error(red: pd.DataFrame) -> tuple[float | None, float | None]:
    """Return the median error of the red-cell count per image, and the sum's bias, as shares."""
    filled = red[red["truth"] > 0]
    if filled.empty:
        return None, None
    error = (filled["found"] - filled["truth"]).abs() / filled["truth"]
    return float(error.median()), float(filled["found"].sum() / filled["truth"].sum() - 1)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
