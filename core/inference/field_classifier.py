"""Grades whole fields of suspected ALL, with activation maps, and pools them for a patient."""

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.decision import DecisionThresholds, decide
from core.domain.results import FieldImage, Pixels, StageResult
from core.domain.taxonomy import STAGES
from core.evaluation.calibration import softmax
from core.inference.runtime import Engine
from core.model_card import FieldClassifierCard

CORNER = 0.17
"""Proportion of width and height of the bottom right corner that is painted over.

The training set has a scale bar burned in there whose presence gives the class away; painting
the same corner in every image keeps the class from depending on it."""
GLASS_PERCENTILE = 90
FIELD_MICROMETRES = 85.0
"""Side of the training set's fields, 61 to 100 by their red cells: the four classes were taken at
scales of their own, so that a field at another scale is taken for another class."""
LEAST_MICROMETRES = 48.0
"""A field with a longer side below this, a fifth less than the smallest, shows too little."""
_MOST_TILES_A_SIDE = 8
"""Whatever scale a header claims; beyond, tiles are larger than the training fields."""
_OTHER_FIELD = (
    "This smear does not look like the fields of suspected ALL that the model knows: crowded "
    "lymphoid cells at low magnification, from one hospital."
)
_COUNTED = "No class is suggested; its possible blasts are counted instead."
LEAST_SIDE = 128
"""Pixels. Of cells of other smears shrunk to 64 pixels a quarter look like a field of suspected
ALL, at 128 one in forty."""
_TOO_SMALL = (
    f"The shorter side of this image has fewer than {LEAST_SIDE} pixels: too few to tell a field "
    "of suspected ALL from other smears, so no class is suggested. Send the field as the camera "
    "took it."
)
_TOO_CLOSE = (
    "The image shows a smaller part of the smear than the fields that the model knows, which are "
    f"{FIELD_MICROMETRES:.0f} µm across. {_COUNTED} Send the whole field for a class."
)


def without_corner(pixels: Pixels) -> Pixels:
    """Return a copy with the bottom right corner in the image's own glass colour.

    The colour is taken from the rest of the image, so nothing of the corner remains.
    """
    height, width = pixels.shape[:2]
    y, x = round(height * (1 - CORNER)), round(width * (1 - CORNER))
    colour = np.percentile(pixels[:y:4, ::4].reshape(-1, 3), GLASS_PERCENTILE, axis=0)
    painted = pixels.copy()
    painted[y:, x:] = colour.astype(np.uint8)
    return painted


def stage_input(pixels: Pixels, size: int) -> Pixels:
    """Return the network's input: the field with its corner painted, size x size."""
    method = cv2.INTER_AREA if min(pixels.shape[:2]) > size else cv2.INTER_LINEAR
    scaled = cv2.resize(without_corner(pixels), (size, size), interpolation=method)
    return np.asarray(scaled)


def tta_views(pixels: Pixels) -> tuple[Pixels, ...]:
    """Return the eight views of a square image: four rotations, each plain and mirrored."""
    return tuple(np.rot90(p, k) for p in (pixels, pixels[:, ::-1]) for k in range(4))


class FieldClassifier:
    """The ALL field network with its calibration."""

    def __init__(self, engine: Engine, card: FieldClassifierCard) -> None:
        self._engine = engine
        self._size = card.input_width
        self._temperature = card.temperature
        self.thresholds = card.thresholds.decision
        self._least_field_logit = card.thresholds.all_field
        self.labels = tuple(card.labels)

    def predict(
        self, image: FieldImage, scale: float | None = None, *, force: bool = False
    ) -> StageResult:
        """Return the most probable class of a field with its class activation map.

        With a `scale` in micrometres per pixel, a field larger than those of the training set is
        graded in tiles of their size, and one much smaller is uncertain, as is one of few pixels.
        A field that does not look like suspected ALL has no class; with `force` it has an
        uncertain one, and the reason stays with the result.
        """
        tiles = field_tiles(image.pixels, scale)
        views = [stage_input(tile, self._size) for row in tiles for tile in row]
        outputs = [self._forward(view) for view in views]
        known = [o for o in outputs if float(o["all_field"][0, 0]) >= self._least_field_logit]
        is_other = len(known) < len(outputs) / 2
        if is_other and not force:
            why = f"{_OTHER_FIELD} {_COUNTED}"
            return StageResult(image.name, None, {}, 0.0, "out_of_scope", warnings=(why,))
        graded = known or outputs
        if len(views) == 1:
            graded = [*outputs, *map(self._forward, tta_views(views[0])[1:])]
        logits = np.mean([output["stage"][0] for output in graded], axis=0)
        values = softmax(logits, self._temperature)
        columns = len(tiles[0])
        maps = [output["evidence"][0] for output in outputs]
        rows = [np.hstack(maps[at : at + columns]) for at in range(0, len(maps), columns)]
        best = int(values.argmax())
        probabilities = dict(zip(self.labels, map(float, values), strict=True))
        warnings = _size_warnings(image, scale)
        return StageResult(
            file=image.name,
            stage=self.labels[best],
            probabilities=probabilities,
            confidence=float(values[best]),
            status=decide(probabilities, self.thresholds, doubtful=is_other or bool(warnings)),
            qc_override=_OTHER_FIELD if is_other else None,
            warnings=warnings,
            cam=activation_map(np.vstack(rows), best),
        )

    def _forward(self, view: Pixels) -> Mapping[str, NDArray[np.float32]]:
        return self._engine.run(np.ascontiguousarray(view)[None])


def _size_warnings(image: FieldImage, scale: float | None) -> tuple[str, ...]:
    """Return why the size of a field allows no class."""
    small = (_TOO_SMALL,) if min(image.width, image.height) < LEAST_SIDE else ()
    is_close = scale is not None and max(image.width, image.height) * scale < LEAST_MICROMETRES
    return (*small, _TOO_CLOSE) if is_close else small


def field_tiles(pixels: Pixels, scale: float | None) -> list[list[Pixels]]:
    """Split a field into rows of equal tiles whose size is nearest to that of the training fields.

    Eight a side at most. Without a scale in micrometres per pixel it stays whole.
    """
    ratios = (side * (scale or 0) / FIELD_MICROMETRES for side in pixels.shape[:2])
    # The step from n to n + 1 tiles is where both are off by the same factor: sqrt(n (n + 1)).
    rows, columns = (
        min(int((1 + math.sqrt(1 + 4 * ratio**2)) / 2), _MOST_TILES_A_SIDE) for ratio in ratios
    )
    return [np.array_split(row, columns, axis=1) for row in np.array_split(pixels, rows)]


def activation_map(class_maps: NDArray[np.float32], index: int) -> NDArray[np.float32]:
    """Return the activation map of a class above the mean of the others, scaled to 0..1.

    Class activation map (Zhou et al. 2016, CVPR): feature map times class weights, which the
    network itself outputs (h x w x classes).
    """
    others = np.delete(class_maps, index, axis=-1).mean(-1)
    positive = np.clip(class_maps[..., index] - others, 0, None)
    peak = float(positive.max(initial=0.0))
    return np.asarray(positive / peak if peak > 0 else positive, dtype=np.float32)


def pool(results: Sequence[StageResult], thresholds: DecisionThresholds) -> StageResult:
    """Return one result over several fields of a patient: the mean of their probabilities.

    `thresholds` are the model's own, those of single fields.
    Fields of one smear are not independent, so probabilities are averaged and not multiplied.
    Fields without a class do not count; with none left the result is out of scope. Fields that are
    uncertain in spite of their confidence, because of a warning, are left out; with none left the
    result is uncertain. Those analysed against quality control are always left out. Images of the
    same pixels are one field. Possible blasts are those of the fields in which they were counted.
    """
    analysed = [r for r in results if r.reject_reason is None]
    overridden = [r for r in analysed if r.qc_override is not None]
    graded = [r for r in analysed if r.stage is not None and r.qc_override is None]
    settled = [r for r in graded if r.status == "classified" or not _is_confident(r, thresholds)]
    used = _once(settled or graded)
    counted = [r.blasts for r in _once(analysed) if r.blasts is not None]
    blasts = sum(counted[1:], counted[0]) if counted else None
    if not used:
        return StageResult(
            file="pooled",
            stage=None,
            probabilities={},
            confidence=0.0,
            status="out_of_scope",
            reject_reason=None if analysed else "No field could be graded.",
            warnings=(
                *_without_class(len(analysed) - len(overridden), 0),
                *_overridden(len(overridden)),
            ),
            blasts=blasts,
        )
    mean = {key: float(np.mean([r.probabilities[key] for r in used])) for key in STAGES}
    best = max(mean, key=mean.__getitem__)
    return StageResult(
        file="pooled",
        stage=best,
        probabilities=mean,
        confidence=mean[best],
        status=decide(mean, thresholds, doubtful=not settled),
        warnings=(
            *_without_class(len(analysed) - len(graded) - len(overridden), len(graded)),
            *_overridden(len(overridden)),
            *_left_out(len(graded) - len(settled), len(graded)),
            *_repeated(len(settled or graded) - len(used)),
        ),
        blasts=blasts,
    )


def _is_confident(result: StageResult, thresholds: DecisionThresholds) -> bool:
    return decide(result.probabilities, thresholds) == "classified"


def _once(results: Sequence[StageResult]) -> list[StageResult]:
    """Return the answers without those on the pixels of an earlier one."""
    return list({r.pixels_sha256 or i: r for i, r in reversed([*enumerate(results)])}.values())


def _repeated(number: int) -> tuple[str, ...]:
    if not number:
        return ()
    which = "1 image is" if number == 1 else f"{number} images are"
    return (f"{which} the same as another and left out of the pooled answer.",)


def _without_class(number: int, graded: int) -> tuple[str, ...]:
    if not number:
        return ()
    if not graded:
        sentence = "No class is suggested: no field looks like those that the model knows."
        return (f"{sentence} The possible blasts are counted instead.",)
    which = "1 field is" if number == 1 else f"{number} fields are"
    return (f"{which} unlike those that the model knows: left out of the pooled answer.",)


def _overridden(number: int) -> tuple[str, ...]:
    if not number:
        return ()
    which = "1 field was" if number == 1 else f"{number} fields were"
    return (f"{which} analysed against quality control: left out of the pooled answer.",)


def _left_out(doubtful: int, graded: int) -> tuple[str, ...]:
    if not doubtful:
        return ()
    which = "1 field has" if doubtful == 1 else f"{doubtful} fields have"
    effect = "the class is uncertain" if doubtful == graded else "left out of the pooled answer"
    return (f"{which} a warning: {effect}.",)
