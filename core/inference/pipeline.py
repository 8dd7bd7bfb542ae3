"""From images to results, with all models: the one way of pages, REST API and command line."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from core.domain.boxes import Box
from core.domain.decision import without_certainty
from core.domain.results import Cell, CropResult, FieldAnalysis, FieldImage, Pixels, StageResult
from core.imaging.duplicates import fingerprint, pixels_sha256
from core.imaging.illumination import flatten, flatten_uneven, set_white_point
from core.imaging.scale import (
    CONFIDENT_SCORE,
    FEW_RED_CELLS,
    POSSIBLE_CELLS,
    FieldScale,
    field_scale,
    is_possible,
    red_cell_scale,
    white_cell_scale,
)
from core.inference.cell_classifier import (
    LEAST_TYPED_SIDE,
    CellClassifier,
    CellPrediction,
    CellRegion,
    central_box,
)
from core.inference.detector import Detection, Detector
from core.inference.field_classifier import FieldClassifier
from core.inference.ood import load_appearance
from core.inference.quality_control import (
    DOUBTFUL,
    HARDLY_A_SMEAR,
    SmearClassifier,
    SmearVerdict,
    reject_blank,
    reject_blurred,
    reject_without_cells,
    settle_doubt,
)
from core.inference.runtime import LiteRTEngine
from core.inference.site_profile import SiteProfile
from core.model_card import ModelCard, fingerprint_of, load_card, read_checked
from core.settings import Settings, get_settings

_CROP_DETECTION_SCORE = 0.15
_FIELD_DETECTION_SCORE = 0.01
"""A labelled field shows a white cell: its most probable one is taken, however weak."""
_SURE_CELL_SCORE = 0.5


def _red_cells(detections: Iterable[Detection]) -> list[Box]:
    return [d.box for d in detections if d.kind == "rbc" and d.score >= CONFIDENT_SCORE]


def checked_scale(image: FieldImage, detections: Iterable[Detection]) -> FieldScale:
    """Return the scale of a field: its header held against what was found in it."""
    detections = tuple(detections)
    white = [d.box for d in detections if d.kind == "wbc"]
    size = image.width, image.height
    return field_scale(image.micrometres_per_pixel, size, _red_cells(detections), white)


def judge_sizes(
    cells: Iterable[Cell], checked: FieldScale
) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Return cells with the status that their field's scale allows, and the warnings about it.

    Where the cells contradict the scale, no white cell stays classified. An object of an impossible
    size is out of scope.
    """
    cells, warnings = tuple(cells), list(filter(None, [checked.warning]))
    scale = checked.micrometres_per_pixel
    if not checked.is_settled:
        return without_certain_cells(cells), tuple(warnings)
    if scale is None:
        return cells, tuple(warnings)
    judged = tuple(
        c if is_possible(c.box, scale, white=c.kind == "wbc") else replace(c, status="out_of_scope")
        for c in cells
    )
    if absurd := sum(one is not other for one, other in zip(judged, cells, strict=True)):
        low, high = POSSIBLE_CELLS
        which = "1 object is" if absurd == 1 else f"{absurd} objects are"
        warnings.append(
            f"{which} smaller than a white cell of {low:.0f} µm or larger than {high:.0f} µm, and "
            "not counted. Check the scale and the magnification."
        )
    return judged, tuple(warnings)


def small_cells_warning(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return the warning on white cells with too few pixels to be typed, when there are any.

    It names no number, so that pages say it once of all such fields.
    """
    small = (
        c.kind == "wbc" and c.status == "uncertain" and CellRegion(c.box).is_small for c in cells
    )
    if not any(small):
        return ()
    sentence = (
        f"White cells smaller than {LEAST_TYPED_SIDE} pixels are too small to be typed with "
        "certainty. Take the field at a higher magnification."
    )
    return (sentence,)


def without_certain_cells(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Return cells with no white cell left classified."""
    return tuple(
        replace(c, status=without_certainty(c.status)) if c.kind == "wbc" else c for c in cells
    )


@dataclass(frozen=True, slots=True)
class _Examined:
    """The detections of a field, and the verdict of quality control."""

    detections: tuple[Detection, ...]
    reject_reason: str | None
    """Why the field is rejected, or would be, or doubted, had QC not been overridden."""
    doubt: str | None = None
    """Why nothing is classified in it; None after QC was overridden."""


def _crop_scale(pixels: Pixels, detections: Iterable[Detection]) -> float | None:
    height, width = pixels.shape[:2]
    return red_cell_scale(_red_cells(detections), width, height, at_least=FEW_RED_CELLS)


def region_of_crop(pixels: Pixels, detector: Detector) -> CellRegion:
    """Return the region of the cell that a single-cell image shows.

    The detection (white cell or platelet) that covers the centre, else the centre itself.
    """
    height, width = pixels.shape[:2]
    found = detector.detect(pixels, lowest=_CROP_DETECTION_SCORE, tta=False)
    candidates = [d for d in found if d.kind != "rbc" and d.box.contains(width / 2, height / 2)]
    box = max(candidates, key=lambda d: d.score).box if candidates else central_box(pixels)
    return CellRegion(box, _crop_scale(pixels, found))


def region_of_field(
    pixels: Pixels, detector: Detector, *, alone: bool = False
) -> CellRegion | None:
    """Return the region of the white cell that a field with one label shows: the largest.

    When none is sure, the likeliest weak one is taken. None when there is none at all, or with
    `alone` when none is sure or several are.
    """
    detections = detector.detect(pixels, lowest=_FIELD_DETECTION_SCORE)
    found = [d for d in detections if d.kind == "wbc"]
    if not found or (alone and sum(d.score > _SURE_CELL_SCORE for d in found) != 1):
        return None
    sure = [d for d in found if d.score >= detector.thresholds["wbc"]]
    best = max(sure, key=lambda d: d.box.area) if sure else max(found, key=lambda d: d.score)
    return CellRegion(best.box, _crop_scale(pixels, detections))


@dataclass(frozen=True, slots=True, eq=False)
class ExaminedCell:
    """The result for a single-cell image, and what it follows from."""

    result: CropResult
    pixels: Pixels
    """The light-corrected image."""
    region: CellRegion | None = None
    prediction: CellPrediction | None = None
    """As `region` None where quality control rejected the image."""


class Analyzer:
    """All models, loaded and checked once. Safe to use from several threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Load the models. Raises ModelError when one is missing, damaged or not as its card."""
        settings = settings or get_settings()
        detector, wbc = load_card("detector", settings), load_card("wbc", settings)
        all_stage = load_card("all_stage", settings)
        cards: tuple[ModelCard, ...] = (detector, wbc, all_stage)
        self.versions: dict[str, str] = {card.name: card.version for card in cards}
        self.fingerprint = fingerprint_of(cards)

        def engine(card: ModelCard) -> LiteRTEngine:
            return LiteRTEngine(
                read_checked(card, settings),
                interpreters=settings.interpreters,
                threads=settings.threads,
            )

        self.detector = Detector(engine(detector), detector)
        self.classifier = CellClassifier(engine(wbc), wbc, load_appearance(wbc, settings))
        self.field_classifier = FieldClassifier(engine(all_stage), all_stage)
        # An engine of its own: the input has another size, and changing sizes costs time.
        self.smear_classifier = SmearClassifier(engine(all_stage), all_stage)

    def analyze(
        self, image: FieldImage, profile: SiteProfile | None = None, *, force: bool = False
    ) -> FieldAnalysis:
        """Find the cells of a field, type its white cells and measure its scale.

        A rejected image has no cells; with `force` it is analysed, and the reject reason stays with
        the result.
        """
        started = time.perf_counter()
        pixels = flatten(image.pixels, image.light)
        examined = self._examine(image.pixels, pixels, force=force)
        detections, reject_reason = examined.detections, examined.reject_reason
        checked = checked_scale(image, detections)
        crop_scale = checked.micrometres_per_pixel or _crop_scale(pixels, detections)
        cells, warnings = judge_sizes(
            (
                self._white_cell(pixels, d.box, d.score, crop_scale, profile)
                if d.kind == "wbc"
                else Cell(d.kind, d.box, d.score, detection_score=d.score)
                for d in detections
            ),
            checked,
        )
        if examined.doubt:
            cells = without_certain_cells(cells)
            warnings = (examined.doubt, *warnings)
        return FieldAnalysis(
            file=image.name,
            sha256=image.sha256,
            width=image.width,
            height=image.height,
            properties=image.properties,
            cells=cells,
            scale=checked.scale,
            reject_reason=None if force else reject_reason,
            qc_override=reject_reason if force else None,
            profile=None if profile is None else profile.title,
            seconds=time.perf_counter() - started,
            warnings=(*image.notes, *warnings, *small_cells_warning(cells)),
            page=image.page,
            fingerprint=None if reject_reason and not force else fingerprint(image.pixels, cells),
        )

    def _examine(
        self, original: Pixels, pixels: Pixels, *, force: bool = False, tta: bool = True
    ) -> _Examined:
        """Return the detections of a field and the verdict of quality control.

        `pixels` are the light-corrected `original`, in which the noise of a blank image is strong.
        """
        reason = reject_blank(original) or reject_blurred(pixels)
        verdict = SmearVerdict(reason) if reason else self.smear_classifier.judge(pixels, original)
        if verdict.reject_reason and not force:
            return _Examined((), verdict.reject_reason)
        detections = self.detector.detect(pixels, tta=tta)
        reject_reason = verdict.reject_reason or reject_without_cells(detections)
        if reject_reason or verdict.doubt is None:
            return _Examined(detections, reject_reason)
        settled = settle_doubt(detections)
        if settled == SmearVerdict() and self.smear_classifier.judge(original).reject_reason:
            # Red cells dispel no doubt about an image that only corrected light makes a smear.
            settled = SmearVerdict(doubt=DOUBTFUL)
        if force:
            reject_reason = settled.reject_reason or (settled.doubt and HARDLY_A_SMEAR)
            return _Examined(detections, reject_reason)
        return _Examined(
            () if settled.reject_reason else detections, settled.reject_reason, settled.doubt
        )

    def type_boxes(
        self,
        analysis: FieldAnalysis,
        header_scale: float | None,
        pixels: Pixels,
        boxes: Iterable[Box],
        profile: SiteProfile | None = None,
    ) -> tuple[Cell, ...]:
        """Type white cells in boxes that a person drew on an analyzed field, as `analyze` does.

        `pixels` are the light-corrected image, `header_scale` is in micrometres per pixel. In a
        doubtful field nothing is classified.
        """
        red = [
            cell.box
            for cell in analysis.cells
            if cell.kind == "rbc" and cell.detection_score >= CONFIDENT_SCORE
        ]
        size = analysis.width, analysis.height
        scale = analysis.scale and analysis.scale.micrometres_per_pixel
        crop_scale = scale or red_cell_scale(red, *size, at_least=FEW_RED_CELLS)
        # A header that gave no scale was contradicted by the cells.
        checked = FieldScale(analysis.scale, is_settled=bool(scale) or header_scale is None)
        cells, _ = judge_sizes(
            (self._white_cell(pixels, box, 1.0, crop_scale, profile) for box in boxes), checked
        )
        return without_certain_cells(cells) if DOUBTFUL in analysis.warnings else cells

    def _white_cell(
        self,
        pixels: Pixels,
        box: Box,
        score: float,
        scale: float | None,
        profile: SiteProfile | None,
    ) -> Cell:
        # A platelet here is a mistake of the detector.
        answer = self.classifier.predict(
            pixels, CellRegion(box, scale), profile, excluded=("platelet",)
        )
        return Cell(
            kind="wbc",
            box=box,
            confidence=answer.confidence,
            status=answer.status,
            type=answer.type,
            probabilities=answer.probabilities,
            detection_score=score,
            attributes=answer.attributes,
            in_distribution=answer.in_distribution,
            subtype=answer.subtype,
        )

    def predict_cell(self, pixels: Pixels, profile: SiteProfile | None = None) -> CellPrediction:
        """Return the prediction for a light-corrected image that shows one cell."""
        return self.classifier.predict(pixels, region_of_crop(pixels, self.detector), profile)

    def classify(self, image: FieldImage, profile: SiteProfile | None = None) -> CropResult:
        """Type the cell of an image that shows one cell."""
        return self.examine_cell(image, profile).result

    def examine_cell(self, image: FieldImage, profile: SiteProfile | None = None) -> ExaminedCell:
        """Type the cell of an image that shows one cell; return all that is known about it."""
        # Sharpness is not tested here: an enlarged cell would pass for a blurred field.
        pixels = set_white_point(image.pixels)
        original, reason = image.pixels, reject_blank(image.pixels)
        verdict = SmearVerdict(reason) if reason else self.smear_classifier.judge(pixels, original)
        rejected = CropResult(
            image.name,
            reject_reason=verdict.reject_reason,
            warnings=(*image.notes, *filter(None, [verdict.doubt])),
            page=image.page,
        )
        if verdict.reject_reason:
            return ExaminedCell(rejected, pixels)
        region = region_of_crop(pixels, self.detector)
        answer = self.classifier.predict(pixels, region, profile)
        result = replace(
            rejected,
            type=answer.type,
            probabilities=answer.probabilities,
            confidence=answer.confidence,
            status=without_certainty(answer.status) if verdict.doubt else answer.status,
            subtype=answer.subtype,
            in_distribution=answer.in_distribution,
        )
        return ExaminedCell(result, pixels, region, answer)

    def stage(
        self, image: FieldImage, *, force: bool = False, analysis: FieldAnalysis | None = None
    ) -> StageResult:
        """Grade a field of suspected ALL, with `force` also one that quality control rejects.

        The white cells are counted too where no class is suggested; `analysis` is that of the image
        where it was analyzed before.
        """
        # One forward pass shows whether there are cells at all.
        pixels = flatten(image.pixels, image.light)
        examined = self._examine(image.pixels, pixels, force=force, tta=False)
        reject_reason = examined.reject_reason
        if reject_reason and not force:
            return StageResult(
                image.name, reject_reason=reject_reason, page=image.page, warnings=image.notes
            )
        checked = checked_scale(image, examined.detections)
        white = [d.box for d in examined.detections if d.kind == "wbc"]
        scale = checked.micrometres_per_pixel or white_cell_scale(white, image.width, image.height)
        # The model learnt fields as they were taken: even light is left as it is.
        graded = replace(image, pixels=flatten_uneven(image.pixels, image.light))
        result = self.field_classifier.predict(graded, scale, force=force)
        if examined.doubt is not None or not checked.is_settled:
            result = replace(result, status=without_certainty(result.status))
        doubts = filter(None, [examined.doubt, checked.warning])
        if result.status == "classified":
            analysis = None
        elif analysis is None:
            analysis = self.analyze(image, force=force)
        return replace(
            result,
            analysis=analysis,
            blasts=None if analysis is None else analysis.counts.blasts,
            qc_override=reject_reason or result.qc_override,
            page=image.page,
            warnings=(*image.notes, *doubts, *result.warnings),
            pixels_sha256=pixels_sha256(image.pixels),
        )


@cache
def get_analyzer() -> Analyzer:
    """Return the analyzer of this process. Raises ModelError; a failure is not kept."""
    return Analyzer()
