"""Out-of-distribution detection: compares the appearance of a crop with the training crops.

Stain, light and camera leave their mark on the colours and the sharpness of every crop. The
appearance features of all training crops are kept as a mixture of normal distributions. A crop with
a low density under it comes from elsewhere, where the classifier is right less often than its
probabilities say.
"""

import io
from dataclasses import dataclass, fields
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from core.domain.results import Pixels
from core.model_card import APPEARANCE_FILE, ModelCard, read_checked
from core.settings import Settings

_SIDE = 40
"""Side in pixels to which a crop is shrunk for its colours."""
_PERCENTILES = (2, 10, 25, 50, 75, 90, 98)
_OCTAVES = 4

Floats = NDArray[np.float64]


def appearance_features(crop: Pixels) -> Floats:
    """Return the 28 appearance features of a square crop.

    Seven percentiles of each CIELAB channel, the logarithm of the deviation of the grey values'
    Laplacian at full, half, quarter and eighth size, and the channels' three correlations.
    """
    small = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    places = np.round(np.array(_PERCENTILES) / 100 * (len(lab) - 1)).astype(int)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32) * (100 / 255)
    details = []
    for octave in range(_OCTAVES):
        size = len(crop) >> octave
        scaled = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)
        details.append(np.log(cv2.Laplacian(scaled, cv2.CV_32F).std() + 0.05))
    standard = (lab - lab.mean(0)) / (lab.std(0) + 1e-3)
    correlations = (standard.T @ standard / len(lab))[np.triu_indices(3, 1)]
    return np.concatenate([np.sort(lab, 0)[places].ravel(), details, correlations]).astype(float)


@dataclass(frozen=True, slots=True, eq=False)
class AppearanceDensity:
    """A mixture of k normal distributions over the appearance features of training crops."""

    centre: Floats
    scale: Floats
    """28 each: features are centred and scaled first."""
    means: Floats
    """k x 28."""
    factors: Floats
    """k x 28 x 28, Cholesky factors of the precision matrices."""
    log_weights: Floats
    """k."""

    def log_density(self, features: Floats) -> float:
        """Return the log density of `appearance_features`, up to a constant."""
        away = (features - self.centre) / self.scale - self.means
        distances = (np.einsum("ki,kij->kj", away, self.factors) ** 2).sum(1)
        log_sizes = np.log(np.diagonal(self.factors, axis1=1, axis2=2)).sum(1)
        return float(np.logaddexp.reduce(self.log_weights + log_sizes - distances / 2))

    def to_bytes(self) -> bytes:
        """Return the content of a file, in float32."""
        buffer = io.BytesIO()
        arrays = {f.name: getattr(self, f.name).astype(np.float32) for f in fields(self)}
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def of_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` gave."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return cls(**{f.name: arrays[f.name].astype(float) for f in fields(cls)})


def load_appearance(card: ModelCard, settings: Settings | None = None) -> AppearanceDensity | None:
    """Return the density of a model's training crops, None without one. Raises ModelError."""
    if card.appearance_sha256 is None:
        return None
    return AppearanceDensity.of_bytes(read_checked(card, settings, APPEARANCE_FILE))
