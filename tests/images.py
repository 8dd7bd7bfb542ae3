"""Files of images, and their only image."""

import io

import numpy as np
from PIL import Image

from core.imaging.read import read_images
from core.synthetic.examples import synthetic_slides


def read_image(data, name, **options):
    """Return the only image of a file."""
    (image,) = read_images(data, name, **options)
    return image


def decoded(data):
    """Return the RGB pixels of a file that is taken as it is."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def encoded(pixels, form="PNG", **options):
    """Return RGB pixels as a file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def slide_pixels(number):
    """Return the pixels of a synthetic slide."""
    name, data = synthetic_slides()[number]
    return read_image(data, name).pixels


def stack(*images):
    """Return a TIFF with several images."""
    first, *rest = (Image.fromarray(np.ascontiguousarray(pixels)) for pixels in images)
    stream = io.BytesIO()
    first.save(stream, "TIFF", save_all=True, append_images=rest, compression="tiff_lzw")
    return stream.getvalue()
