"""The one place where pictures become results: pages, REST API and command line share it."""

import time
from functools import cache

from core.imaging.scale import field_scale
from core.inference.card import MODEL_NAMES, ModelName, load_card, read_checked
from core.inference.classifier import Classifier, central_box
from core.inference.detector import Detection, Detector
from core.inference.engine import LiteRTEngine
from core.inference.quality import refuse_blank, refuse_without_cells
from core.inference.stage import StageGrader
from core.results import Box, Cell, CropResult, FieldAnalysis, FieldImage, Pixels, StageResult
from core.settings import Settings, get_settings

_CROP_DETECTION_SCORE = 0.15
_SECOND_CELL_SCORE = 0.5


def subject_of_crop(pixels: Pixels, detector: Detector) -> Box:
    """Return the box of the cell that a single-cell picture is about.

    The detection (white cell or platelet) that covers the middle, else the middle itself.
    """
    height, width = pixels.shape[:2]

    def covers_middle(box: Box) -> bool:
        return bool(
            box.x <= width / 2 <= box.x + box.width and box.y <= height / 2 <= box.y + box.height
        )

    candidates = [
        d
        for d in detector.detect(pixels, lowest=_CROP_DETECTION_SCORE)
        if d.kind != "rbc" and covers_middle(d.box)
    ]
    return max(candidates, key=lambda d: d.score).box if candidates else central_box(pixels)


def subject_of_field(pixels: Pixels, detector: Detector, *, alone: bool = False) -> Box | None:
    """Return the box of the white cell that a field with one label is about: the largest.

    Such a field shows a white cell: when none is sure, the likeliest weak one is taken. None when
    there is none at all, or with `alone` when there are several.
    """
    found = [d for d in detector.detect(pixels, lowest=_CROP_DETECTION_SCORE) if d.kind == "wbc"]
    if not found or (alone and sum(d.score > _SECOND_CELL_SCORE for d in found) > 1):
        return None
    sure = [d for d in found if d.score >= detector.thresholds["wbc"]]
    if not sure:
        return max(found, key=lambda d: d.score).box
    return max(sure, key=lambda d: d.box.width * d.box.height).box


class Analyzer:
    """All models, loaded and checked once. Safe to use from several threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Load the models. Raises ModelError when one is missing, damaged or not as its card."""
        settings = settings or get_settings()
        cards = {name: load_card(name, settings) for name in MODEL_NAMES}
        self.versions: dict[str, str] = {name: card.version for name, card in cards.items()}

        def engine(name: ModelName) -> LiteRTEngine:
            return LiteRTEngine(
                read_checked(cards[name], settings),
                interpreters=settings.interpreters,
                threads=settings.threads,
            )

        self.detector = Detector(engine("detector"), cards["detector"])
        self.classifier = Classifier(engine("wbc"), cards["wbc"])
        self.stage_grader = StageGrader(engine("all_stage"), cards["all_stage"])

    def analyze(self, image: FieldImage) -> FieldAnalysis:
        """Find the cells of a field, name its white cells and take its scale."""
        started = time.perf_counter()
        refused = refuse_blank(image.pixels)
        detections = () if refused else self.detector.detect(image.pixels)
        refused = refused or refuse_without_cells(detections)
        cells = tuple(self._cell(image.pixels, detection) for detection in detections)
        return FieldAnalysis(
            file=image.name,
            sha256=image.sha256,
            width=image.width,
            height=image.height,
            properties=image.properties,
            cells=cells,
            scale=field_scale(image, cells),
            refused=refused,
            seconds=time.perf_counter() - started,
        )

    def _cell(self, pixels: Pixels, detection: Detection) -> Cell:
        if detection.kind != "wbc":
            return Cell(
                detection.kind,
                detection.box,
                confidence=detection.score,
                detection_score=detection.score,
            )
        probabilities = self.classifier.probabilities(pixels, detection.box)
        best, confidence, status = self.classifier.status_of(probabilities)
        return Cell(
            kind="wbc",
            box=detection.box,
            confidence=confidence,
            # A platelet is no white cell: the detector was mistaken.
            status="out_of_scope" if best == "platelet" else status,
            type=best,
            probabilities=probabilities,
            detection_score=detection.score,
        )

    def classify(self, image: FieldImage) -> CropResult:
        """Name the cell of a picture that shows one cell."""
        refused = refuse_blank(image.pixels)
        if refused:
            return CropResult(image.name, None, {}, 0.0, "out_of_scope", refused)
        box = subject_of_crop(image.pixels, self.detector)
        probabilities = self.classifier.probabilities(image.pixels, box)
        best, confidence, status = self.classifier.status_of(probabilities)
        return CropResult(image.name, best, probabilities, confidence, status)

    def stage(self, image: FieldImage) -> StageResult:
        """Grade a field of suspected ALL."""
        refused = refuse_blank(image.pixels) or refuse_without_cells(
            self.detector.detect(image.pixels)
        )
        if refused:
            return StageResult(image.name, None, {}, 0.0, "out_of_scope", refused)
        return self.stage_grader.grade(image)


@cache
def get_analyzer() -> Analyzer:
    """Return the analyzer of this process. Raises ModelError; a failure is not kept."""
    return Analyzer()
