"""Loss of the one-stage detector: task-aligned assignment, BCE, CIoU and distance distribution.

Feng et al. 2021 (TOOD) for the assignment, Zheng et al. 2020 (CIoU), Li et al. 2020 (GFL).
"""

import math
from typing import Any

import keras
import tensorflow as tf

from core.domain.taxonomy import CELL_KINDS
from core.inference.detector import STRIDE
from core.training.networks.mobilenet import DISTANCE_BINS

_WHITE = CELL_KINDS.index("wbc")
MAX_BOXES = 120
"""Boxes per training image; `y_true` is padded to it with kind -1."""
NO_BOX, NO_BOX_ONLY_WHITE = -1.0, -2.0
"""Kinds of the rows that pad `y_true`; the second where only white cells are labelled."""
_CANDIDATES = 10
"""Positions that one box may have."""
_SCORE_POWER, _IOU_POWER = 0.5, 6.0
"""Alpha and beta of TOOD's alignment metric."""
_BOX_WEIGHT, _KIND_WEIGHT, _DISTRIBUTION_WEIGHT = 7.5, 0.5, 1.5


def positions(height: Any, width: Any) -> Any:
    """Return the centres (x, y) in input pixels of an output map, (height * width) x 2."""
    ys = (tf.range(height, dtype=tf.float32) + 0.5) * STRIDE
    xs = (tf.range(width, dtype=tf.float32) + 0.5) * STRIDE
    grid_x, grid_y = tf.meshgrid(xs, ys)
    return tf.stack([tf.reshape(grid_x, [-1]), tf.reshape(grid_y, [-1])], axis=-1)


def iou(a: Any, b: Any, *, complete: bool = False) -> Any:
    """Return (complete) intersection over union of broadcastable corner boxes (..., 4)."""
    ax0, ay0, ax1, ay1 = tf.unstack(a, axis=-1)
    bx0, by0, bx1, by1 = tf.unstack(b, axis=-1)
    inner_w = tf.maximum(tf.minimum(ax1, bx1) - tf.maximum(ax0, bx0), 0.0)
    inner_h = tf.maximum(tf.minimum(ay1, by1) - tf.maximum(ay0, by0), 0.0)
    aw, ah, bw, bh = ax1 - ax0, ay1 - ay0, bx1 - bx0, by1 - by0
    inner = inner_w * inner_h
    value = inner / (aw * ah + bw * bh - inner + 1e-7)
    if not complete:
        return value
    outer_w = tf.maximum(ax1, bx1) - tf.minimum(ax0, bx0)
    outer_h = tf.maximum(ay1, by1) - tf.minimum(ay0, by0)
    diagonal = outer_w**2 + outer_h**2 + 1e-7
    distance = ((bx0 + bx1 - ax0 - ax1) ** 2 + (by0 + by1 - ay0 - ay1) ** 2) / 4
    angle = tf.atan(bw / (bh + 1e-7)) - tf.atan(aw / (ah + 1e-7))
    shape = 4 / math.pi**2 * angle**2
    weight = tf.stop_gradient(shape / (1 - value + shape + 1e-7))
    return value - distance / diagonal - weight * shape


def _assign(
    centres: Any, boxes: Any, kinds: Any, scores: Any, predicted: Any
) -> tuple[Any, Any, Any]:
    """Match positions to boxes.

    Returns for each position the index of its box (B x N), whether it has one (B x N) and the
    target score (B x N).
    """
    valid = tf.cast(kinds >= 0, tf.float32)  # B x G
    corner0, corner1 = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    inside = tf.reduce_min(
        tf.minimum(centres[None, None] - corner0, corner1 - centres[None, None]), axis=-1
    )
    candidate = tf.cast(inside > 0, tf.float32) * valid[:, :, None]  # B x G x N
    overlap = iou(boxes[:, :, None], predicted[:, None]) * candidate
    kind_scores = tf.gather(
        tf.transpose(scores, [0, 2, 1]), tf.maximum(tf.cast(kinds, tf.int32), 0), batch_dims=1
    )
    metric = kind_scores**_SCORE_POWER * overlap**_IOU_POWER * candidate
    threshold = tf.math.top_k(metric, _CANDIDATES).values[:, :, -1:]
    chosen = tf.cast((metric >= threshold) & (metric > 1e-9), tf.float32)
    # A position serves one box only: the one it overlaps most.
    best = tf.argmax(overlap * chosen, axis=1, output_type=tf.int32)  # B x N
    count = tf.shape(boxes)[1]
    chosen *= tf.transpose(tf.one_hot(best, count), [0, 2, 1])
    positive = tf.reduce_max(chosen, axis=1)
    metric *= chosen
    peak_metric = tf.reduce_max(metric, axis=2, keepdims=True)
    peak_overlap = tf.reduce_max(overlap * chosen, axis=2, keepdims=True)
    target = tf.reduce_max(metric * peak_overlap / (peak_metric + 1e-9), axis=1)
    return best, positive, target


def _distribution_loss(sides: Any, distances: Any) -> Any:
    """Return the distribution focal loss (Li et al. 2020) of n boxes, the mean over their sides.

    `sides` are the logits (n x 4 x DISTANCE_BINS), `distances` the true ones in pixels (n x 4):
    the cross-entropy with the two bins beside the true distance, each by its nearness.
    """
    distances = tf.clip_by_value(distances / STRIDE, 0.0, DISTANCE_BINS - 1.01)
    lower = tf.floor(distances)
    share = distances - lower
    log_p = tf.nn.log_softmax(sides)
    low_index = tf.cast(lower, tf.int32)[..., None]
    low = tf.gather(log_p, low_index, batch_dims=2)[..., 0]
    high = tf.gather(log_p, low_index + 1, batch_dims=2)[..., 0]
    return -tf.reduce_mean(low * (1 - share) + high * share, axis=-1)


class DetectionLoss(keras.losses.Loss):
    """`y_true`: B x MAX_BOXES x 5 (kind or padding, x0, y0, x1, y1); `y_pred`: the network's map.

    Where an image has boxes of white cells alone (`NO_BOX_ONLY_WHITE`), scores of the other kinds
    count only at white cells: elsewhere one of those kinds may be there without a box.
    """

    def __init__(self, kinds: int = 3, name: str = "detection") -> None:
        super().__init__(reduction="sum", name=name)
        self.kinds = kinds

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of the batch, normalised by the sum of target scores."""
        shape = tf.shape(y_pred)
        batch, height, width = shape[0], shape[1], shape[2]
        centres = positions(height, width)
        flat = tf.reshape(y_pred, [batch, height * width, self.kinds + 4 * DISTANCE_BINS])
        logits = flat[..., : self.kinds]
        sides = tf.reshape(flat[..., self.kinds :], [batch, height * width, 4, DISTANCE_BINS])
        bins = tf.range(DISTANCE_BINS, dtype=tf.float32)
        distances = tf.reduce_sum(tf.nn.softmax(sides) * bins, axis=-1) * STRIDE
        predicted = tf.concat([centres - distances[..., :2], centres + distances[..., 2:]], -1)

        kinds, boxes = y_true[..., 0], y_true[..., 1:]
        index, positive, target = (
            tf.stop_gradient(t)
            for t in _assign(centres, boxes, kinds, tf.sigmoid(logits), predicted)
        )
        matched_kind = tf.cast(tf.gather(kinds, index, batch_dims=1), tf.int32)
        matched_box = tf.gather(boxes, index, batch_dims=1)
        target_map = tf.one_hot(matched_kind, self.kinds) * (target * positive)[..., None]
        total = tf.maximum(tf.reduce_sum(target_map), 1.0)

        only_white = tf.reduce_any(kinds <= NO_BOX_ONLY_WHITE, axis=1)[:, None, None]
        is_counted = tf.one_hot(_WHITE, self.kinds)[None, None] + positive[..., None]
        counted = tf.where(only_white, tf.minimum(is_counted, 1.0), 1.0)
        kind_loss = tf.reduce_sum(
            counted * tf.nn.sigmoid_cross_entropy_with_logits(labels=target_map, logits=logits)
        )
        mask = positive > 0
        weight = tf.boolean_mask(target, mask)
        overlap = iou(
            tf.boolean_mask(matched_box, mask), tf.boolean_mask(predicted, mask), complete=True
        )
        box_loss = tf.reduce_sum(weight * (1 - overlap))
        true_distances = tf.concat(
            [centres - matched_box[..., :2], matched_box[..., 2:] - centres], axis=-1
        )
        distribution_loss = tf.reduce_sum(
            weight
            * _distribution_loss(
                tf.boolean_mask(sides, mask), tf.boolean_mask(true_distances, mask)
            )
        )
        return (
            _KIND_WEIGHT * kind_loss
            + _BOX_WEIGHT * box_loss
            + _DISTRIBUTION_WEIGHT * distribution_loss
        ) / total
