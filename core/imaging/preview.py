"""Small JPEG copies of images for pages, so that full arrays need not be kept."""

import cv2

from core.domain.results import Pixels

LONGEST_SIDE = 1600
"""Pixels: more than a page shows, so that users can zoom in."""


def preview_jpeg(pixels: Pixels, longest: int = LONGEST_SIDE, quality: int = 88) -> bytes:
    """Return an image (H x W x 3, RGB) as JPEG, shrunk to `longest` pixels on its longer side."""
    height, width = pixels.shape[:2]
    factor = longest / max(height, width)
    if factor < 1:
        size = max(1, round(width * factor)), max(1, round(height * factor))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
    _, jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return jpeg.tobytes()
