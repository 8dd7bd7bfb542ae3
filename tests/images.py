"""Images of files that hold one."""

from core.imaging.read import read_images


def read_image(data, name, **options):
    """Return the only image of a file."""
    (image,) = read_images(data, name, **options)
    return image
