"""Recognises the format of a file by its first bytes; names the formats that are not read."""

from collections.abc import Callable
from pathlib import Path

from core.errors import InputError, NotAnImageError, UnsupportedFormatError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".apng", ".bmp", ".dib", ".tif", ".tiff", ".webp"}
    | {".dcm", ".dicom"}
    | {".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".raf", ".orf", ".rw2"}
    | {".pef", ".srw", ".x3f", ".mrw"}
)
"""Usual file-name endings of the formats, for picking files out of folders only."""

_BMP_HEADERS = frozenset({12, 16, 24, 40, 48, 52, 56, 60, 64, 108, 124})
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
NAMED_SUFFIXES = frozenset(
    {".gif", ".heic", ".heif", ".avif", ".jxl", ".jxr", ".wdp", ".hdp", ".jp2", ".j2k", ".jpx"}
    | {".psd", ".nd2", ".lif", ".vsi", ".ets", ".oib", ".oif", ".zvi", ".ims"}
)
"""Endings of image formats that are not read; such a file in a folder becomes an error."""

BEGINNING = 256
"""Bytes that identify a format."""
_CAMERA_RAW = (
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"IIU\0", "Panasonic RW2"),
    (0, b"FOVb", "Sigma X3F"),
    (0, b"\0MRM", "Minolta MRW"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (4, b"ftypcrx", "Canon CR3"),
)
_AS_PLAIN = "Save the image as JPEG, PNG or TIFF in the program that made it."
_FROM_MICROSCOPE = "Export the fields as TIFF or PNG in the microscope's software."
_FROM_PHONE = (
    "Export it as JPEG; on a phone choose the most compatible camera format before taking more."
)
_ONE_BY_ONE = "Unpack it and send the images in it."
_STILL = "Save the frames of interest as PNG or TIFF."
_NAMED = (
    (0, b"GIF8", "A GIF image", _AS_PLAIN),
    (0, b"%PDF", "A PDF document", _AS_PLAIN),
    (0, b"%!PS", "A PostScript document", _AS_PLAIN),
    (0, b"\xc5\xd0\xd3\xc6", "A PostScript document", _AS_PLAIN),
    (0, b"\0\0\1\0", "An icon file", _AS_PLAIN),
    (0, b"icns", "An icon file", _AS_PLAIN),
    (0, b"8BPS", "A Photoshop document", _AS_PLAIN),
    (0, b"gimp xcf", "A GIMP document", _AS_PLAIN),
    (0, b"\0\0\0\x0cjP  ", "A JPEG 2000 image", _AS_PLAIN),
    (0, b"\xff\x4f\xff\x51", "A JPEG 2000 image", _AS_PLAIN),
    (0, b"\0\0\0\x0cJXL ", "A JPEG XL image", _AS_PLAIN),
    (0, b"\xff\x0a", "A JPEG XL image", _AS_PLAIN),
    (0, b"II\xbc", "A JPEG XR image", _AS_PLAIN),
    (0, b"\x76\x2f\x31\x01", "An OpenEXR image", _AS_PLAIN),
    (0, b"#?RADIANCE", "A Radiance HDR image", _AS_PLAIN),
    (0, b"qoif", "A QOI image", _AS_PLAIN),
    (0, b"BPG\xfb", "A BPG image", _AS_PLAIN),
    (0, b"AT&TFORM", "A DjVu document", _AS_PLAIN),
    (0, b"DDS ", "A DDS texture", _AS_PLAIN),
    (0, b"P3\n", "A Netpbm image", _AS_PLAIN),
    (0, b"P5\n", "A Netpbm image", _AS_PLAIN),
    (0, b"P6\n", "A Netpbm image", _AS_PLAIN),
    (0, b"\xda\xce\xbe\x0a", "A Nikon ND2 file", _FROM_MICROSCOPE),
    (0, b"ZISRAWFILE", "A Zeiss CZI file", _FROM_MICROSCOPE),
    (0, b"SIS\0", "An Olympus ETS file", _FROM_MICROSCOPE),
    (0, b"\x89HDF", "An HDF5 file (Imaris and others)", _FROM_MICROSCOPE),
    (0, b"SIMPLE  =", "A FITS image", _FROM_MICROSCOPE),
    (0, b"\xd0\xcf\x11\xe0", "A compound document (OIB, ZVI, MDB, Office)", _FROM_MICROSCOPE),
    (0, b"PK\3\4", "A ZIP archive", _ONE_BY_ONE),
    (0, b"\x1f\x8b", "A compressed archive", _ONE_BY_ONE),
    (0, b"Rar!", "A RAR archive", _ONE_BY_ONE),
    (0, b"7z\xbc\xaf\x27\x1c", "A 7-Zip archive", _ONE_BY_ONE),
    (0, b"BZh", "A compressed archive", _ONE_BY_ONE),
    (0, b"\xfd7zXZ", "A compressed archive", _ONE_BY_ONE),
    (0, b"<svg", "An SVG drawing", _AS_PLAIN),
    (0, b"\x1aE\xdf\xa3", "A video", _STILL),
    (8, b"AVI ", "A video", _STILL),
)
_BRANDS = (  # of ISO base media, whose first box is `ftyp`
    ({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}, "A HEIC image", _FROM_PHONE),
    ({b"avif", b"avis"}, "An AVIF image", _AS_PLAIN),
    ({b"mif1", b"msf1"}, "A HEIF image", _FROM_PHONE),
    ({b"jxl ", b"jp2 "}, "A JPEG 2000 or JPEG XL image", _AS_PLAIN),
)
_BY_SUFFIX = {
    ".nd2": "A Nikon ND2 file",
    ".lif": "A Leica LIF file",
    ".vsi": "An Olympus VSI file, whose images lie in other files,",
    ".ets": "An Olympus ETS file",
    ".oib": "An Olympus OIB file",
    ".oif": "An Olympus OIF file",
    ".zvi": "A Zeiss ZVI file",
    ".czi": "A Zeiss CZI file",
    ".ims": "An Imaris file",
    ".dm3": "A Gatan DM3 file",
    ".dm4": "A Gatan DM4 file",
}


def form_of(data: bytes, name: str) -> str:
    """Return the format: Pillow's name of it, `DICOM` or `RAW` (of a camera).

    The name of the file is used only where its bytes are ambiguous. Raises UnsupportedFormatError
    with the name of a format that is not supported, NotAnImageError.
    """
    suffix = Path(name).suffix.lower()
    if suffix == ".vsi":  # a TIFF of the overview only
        raise UnsupportedFormatError(_BY_SUFFIX[suffix], _FROM_MICROSCOPE)
    known = {
        "DICOM": is_dicom(data),  # first, as its preamble may begin like others (PS3.10 §7.1)
        "JPEG": data.startswith(b"\xff\xd8\xff"),
        "PNG": data.startswith(b"\x89PNG\r\n\x1a\n"),
        "WEBP": data.startswith(b"RIFF") and data[8:12] == b"WEBP",
        "RAW": camera_raw_name(data) is not None,
        "TIFF": data.startswith(_TIFF),
        "BMP": data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS,
    }
    form = next((form for form, is_so in known.items() if is_so), None)
    if form is None:
        raise _unread(data, suffix)
    return form


def is_offered(name: str, beginning: Callable[[], bytes]) -> bool:
    """Return whether a file of a folder is taken for an image.

    It is known by its ending; without one, or with a number for it, as DICOM files come, by its
    first bytes, of which `BEGINNING` are enough. Raises what `beginning` raises.
    """
    suffix = Path(name).suffix.lower()
    if suffix in SUFFIXES | NAMED_SUFFIXES:
        return True
    if suffix and not suffix[1:].isdecimal():
        return False
    try:
        form_of(beginning(), name)
    except InputError:
        return False
    return True


def camera_raw_name(data: bytes) -> str | None:
    """Return the name of a camera's own format, which is no TIFF; None for other files."""
    found = (name for at, magic, name in _CAMERA_RAW if data[at : at + len(magic)] == magic)
    return next(found, None)


def is_dicom(data: bytes) -> bool:
    """Recognise DICOM by its prefix, or by the first element where the preamble was left out."""
    if data[128:132] == b"DICM":
        return True
    return data[:8] == b"\2\0\0\0UL\4\0"


def _unread(data: bytes, suffix: str) -> UnsupportedFormatError | NotAnImageError:
    if data[4:8] == b"ftyp":
        size = min(int.from_bytes(data[:4], "big"), 256)
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, size, 4))]
        # The major brand first; `mif1` says less than the compatible brands after it.
        for brand in [*brands[:1], *brands[1:]] if brands[0] != b"mif1" else [*brands[1:], b"mif1"]:
            for known, what, instead in _BRANDS:
                if brand in known:
                    return UnsupportedFormatError(what, instead)
        return UnsupportedFormatError("A video", _STILL)
    for offset, magic, what, instead in _NAMED:
        if data[offset : offset + len(magic)] == magic:
            return UnsupportedFormatError(what, instead)
    if data[:4] == b"\x70\0\0\0" and data[8:9] == b"\x2a":
        return UnsupportedFormatError("A Leica LIF file", _FROM_MICROSCOPE)
    if suffix in _BY_SUFFIX:
        return UnsupportedFormatError(_BY_SUFFIX[suffix], _FROM_MICROSCOPE)
    return NotAnImageError()
