"""Camera raw, developed by LibRaw (https://www.libraw.org) from the whole sensor."""

from io import BytesIO

import rawpy

from core.errors import DamagedImageError, UnsupportedFormatError
from core.imaging.formats import camera_raw_name
from core.imaging.planes import Allowance, Plane

_INSTEAD = "Develop it in the camera maker's software and save it as JPEG, PNG or TIFF."


def develop(data: bytes, allowance: Allowance) -> Plane:
    """Return the full image of a camera raw file, upright, in sRGB, with the camera's white.

    The brightest thousandth of the pixels becomes white, as sensors are exposed below their full
    range. Never the preview. Raises UnsupportedFormatError, DamagedImageError, TooLargeError.
    """
    try:
        with rawpy.RawPy() as raw:
            raw.open_buffer(BytesIO(data))
            allowance.check((raw.sizes.iwidth, raw.sizes.iheight))
            raw.unpack()
            pixels = raw.postprocess(
                use_camera_wb=True,
                output_color=rawpy.ColorSpace.sRGB,
                output_bps=8,
                gamma=(2.4, 12.92),
                auto_bright_thr=0.001,
            )
    except (rawpy.LibRawFileUnsupportedError, rawpy.NotSupportedError) as error:
        name = camera_raw_name(data)
        what = f"Camera raw of this kind{f' ({name})' if name else ''}"
        raise UnsupportedFormatError(what, _INSTEAD) from error
    except rawpy.LibRawError as error:
        raise DamagedImageError from error
    return Plane(pixels, mode="RGB", bit_depth=16)
