"""Kinds of files that people report trouble with, made of real fields, and what is right."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from PIL import Image, ImageCms
from pydicom import Dataset, Sequence, uid

from tests import dicom_files

DNG_TAGS = [(50706, "B", 4, (1, 4, 0, 0), True)]
ALL = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Kind:
    """A file and what must come of it."""

    name: str
    build: Callable[..., bytes]
    """From the first field, H x W x 3; from all where several are right."""
    fields: tuple[int, ...] = (0,)
    """Numbers of the fields that are right, in their order."""
    tolerance: float = 0.0
    """Mean difference in grey levels."""
    notes: str | None = None
    """Pattern of what is noted."""
    refused: str | None = None
    """Pattern of the error of a file that is not read."""

    def written(self, fields):
        return self.build(fields if len(self.fields) > 1 else fields[0])


def png(pixels, **options):
    return encoded(pixels, "PNG", **options)


def encoded(pixels, form, **options):
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, form, **options)
    return stream.getvalue()


def jpeg(pixels, **options):
    return encoded(pixels, "JPEG", quality=98, subsampling=0, **options)


def several(pixels, form, **options):
    first, *others = [Image.fromarray(p) for p in pixels]
    return encoded(first, form, save_all=True, append_images=others, **options)


def tiff(pixels, **options):
    stream = io.BytesIO()
    bigtiff, order, imagej, ome = (
        options.pop(name, None) for name in ("bigtiff", "byteorder", "imagej", "ome")
    )
    tifffile.imwrite(
        stream,
        pixels,
        bigtiff=bool(bigtiff),
        byteorder=order,
        imagej=bool(imagej),
        ome=ome,
        **options,
    )
    return stream.getvalue()


def tiff_pages(pages):
    """Each page with options of its own; `subifds` makes the following pages sub-images."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for pixels, options in pages:
            writer.write(pixels, metadata=None, **options)
    return stream.getvalue()


def planar(pixels, bits=16, **options):
    planes = np.moveaxis(pixels.astype(f"u{bits // 8}") * (257 if bits == 16 else 1), -1, 0)
    return tiff(planes, photometric="rgb", planarconfig="separate", **options)


def shrunk(pixels, width):
    height = round(width * pixels.shape[0] / pixels.shape[1])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def blurred(pixels, sigma):
    return cv2.GaussianBlur(pixels, (0, 0), sigma)


def focus(pixels):
    """Six planes: blank, out of focus, sharp, and out of focus again."""
    blank = np.full_like(pixels, 235)
    return np.stack([blank, *(blurred(pixels, s) for s in (14, 5)), pixels, blurred(pixels, 6)])


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(data, *chunks):
    """Put chunks behind the header of a PNG."""
    return data[:33] + b"".join(chunk(*c) for c in chunks) + data[33:]


def segment(code, body):
    return b"\xff" + bytes([code]) + struct.pack(">H", len(body) + 2) + body


def with_segment(data, code, body):
    return data[:2] + segment(code, body) + data[2:]


BROKEN_EXIF = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 40


def subsampled_ycbcr(pixels, across, down):
    """Uncompressed YCbCr in units of luminances and two chroma."""
    h, w = pixels.shape[0] // down * down, pixels.shape[1] // across * across
    ycc = np.asarray(Image.fromarray(pixels[:h, :w]).convert("YCbCr"))
    units = ycc.reshape(h // down, down, w // across, across, 3)
    luminance = units[..., 0].transpose(0, 2, 1, 3).reshape(h // down, w // across, -1)
    chroma = units[..., 1:].mean(axis=(1, 3)).round().astype(np.uint8)
    raw = np.concatenate([luminance, chroma], axis=-1).tobytes()
    return raw_tiff(raw, w, h, {258: (8, 8, 8), 262: 6, 277: 3, 530: (across, down), 278: h})


def raw_tiff(raw, width, height, tags):
    """A TIFF of one strip with these tags, of short values."""
    tags = {256: width, 257: height, 259: 1, 273: None, 279: len(raw), **tags}
    behind = 10 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag in sorted(tags):
        value = tags[tag]
        if isinstance(value, tuple):
            packed = struct.pack(f"<{len(value)}H", *value)
            if len(packed) > 4:
                place = struct.pack("<L", behind + len(values))
                values, packed = values + packed, place
            entries += struct.pack("<HHL", tag, 3, len(value)) + packed.ljust(4, b"\0")
        else:
            entries += struct.pack("<HHLL", tag, 4, 1, value or behind + 8)
    return (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", len(tags))
        + entries
        + b"\0" * 4
        + values.ljust(8, b"\0")
        + raw
    )


def bmp_fields(pixels, bits, masks, header=56, alpha=None):
    """A bitmap whose pixels are put together by masks."""
    h, w = pixels.shape[:2]
    words = np.zeros((h, w), np.uint64)
    channels = [*np.moveaxis(pixels, -1, 0)]
    if len(masks) == 4:
        channels.append(np.zeros((h, w), np.uint8) if alpha is None else alpha)
    for channel, mask in zip(channels, masks, strict=True):
        shift = (mask & -mask).bit_length() - 1
        values = np.rint(channel.astype(float) * (mask >> shift) / 255).astype(np.uint64)
        words |= values << shift
    rows = words.astype("<u2" if bits == 16 else "<u4")[::-1]
    width = -(-w * bits // 32) * 4
    body = b"".join(row.tobytes().ljust(width, b"\0") for row in rows)
    info = struct.pack("<LllHHLLllLL", header, w, h, 1, bits, 3, len(body), 2835, 2835, 0, 0)
    info += struct.pack("<4L", *[*masks, 0][:4])
    info = info.ljust(header, b"\0")
    return b"BM" + struct.pack("<LLL", 14 + len(info) + len(body), 0, 14 + len(info)) + info + body


def bmp_os2(pixels):
    """OS/2 version 2 with the shortest header."""
    plain = encoded(pixels, "BMP")
    h, w = pixels.shape[:2]
    info = struct.pack("<LLLHH", 16, w, h, 1, 24)
    body = plain[54:]
    return b"BM" + struct.pack("<LLL", 30 + len(body), 0, 30) + info + body


def bmp_32(pixels, alpha):
    """32 bits without masks, whose fourth byte means nothing."""
    h, w = pixels.shape[:2]
    body = np.dstack([pixels[..., ::-1], np.full((h, w), alpha, np.uint8)])[::-1].tobytes()
    info = struct.pack("<LllHHLLllLL", 40, w, h, 1, 32, 0, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<LLL", 54 + len(body), 0, 54) + info + body


def quantised(pixels):
    image = Image.fromarray(pixels).quantize(128)
    return np.asarray(image), np.array(image.getpalette(), np.uint16).reshape(-1, 3)


def palette_tiff(pixels):
    """A palette of 8-bit values in 16-bit words."""
    indices, palette = quantised(pixels)
    colormap = np.zeros((3, 256), np.uint16)
    colormap[:, : len(palette)] = palette.T
    return tiff(indices, photometric="palette", colormap=colormap)


def palette_dicom(pixels):
    dataset, _ = dicom_files.with_palette(pixels, 128)
    for name in ("Red", "Green", "Blue"):
        tag = f"{name}PaletteColorLookupTableData"
        setattr(dataset, tag, (np.frombuffer(getattr(dataset, tag), "<u2") // 257).tobytes())
    return dicom_files.written(dataset)


def dicom(pixels, **options):
    return dicom_files.written(dicom_files.native(pixels, **options))


def dicom_without_planar(pixels):
    dataset = dicom_files.native(pixels)
    del dataset.PlanarConfiguration
    return dicom_files.written(dataset)


def dicom_frame(frame, shape, syntax, colours):
    from pydicom.encaps import encapsulate

    dataset = dicom_files.native(np.zeros(shape, np.uint8), syntax=syntax)
    dataset.PhotometricInterpretation = colours
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    return dicom_files.written(dataset)


def bare_jpeg(pixels):
    """YCbCr without a marker that says so."""
    data = jpeg(pixels)
    return data[:2] + data[20:]


def unmarked_rgb(pixels):
    """RGB in JPEG, as slide scanners write it, without a marker that says so."""
    data = bytes(imagecodecs.jpeg8_encode(pixels, level=98, colorspace="RGB", outcolorspace="RGB"))
    assert data[2:4] == b"\xff\xee"
    data = bytearray(data[:2] + data[18:])
    for marker, first, step in ((b"\xff\xc0", 10, 3), (b"\xff\xda", 5, 2)):
        start = data.index(marker)
        for component in range(3):
            data[start + first + step * component] = component + 1
    return dicom_frame(bytes(data), pixels.shape, uid.JPEGBaseline8Bit, "RGB")


def dicom_in_adobe_rgb(pixels):
    dataset = dicom_files.native(in_adobe_rgb(pixels))
    dataset.ICCProfile = ADOBE_RGB
    return dicom_files.written(dataset)


def dicom_focus(pixels):
    dataset = dicom_files.native(focus(pixels))
    groups = []
    for z in range(5):
        place = Dataset()
        place.XOffsetInSlideCoordinateSystem = place.YOffsetInSlideCoordinateSystem = 1.0
        place.ZOffsetInSlideCoordinateSystem = 0.5 * z
        group = Dataset()
        group.PlanePositionSlideSequence = Sequence([place])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return dicom_files.written(dataset)


ADOBE_RGB = bytes(imagecodecs.cms_profile("adobergb"))


def in_adobe_rgb(pixels):
    """The same colours, encoded in Adobe RGB."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(ADOBE_RGB))
    srgb = ImageCms.createProfile("sRGB")
    image = ImageCms.profileToProfile(
        Image.fromarray(pixels), srgb, profile, ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    return np.asarray(image)


def linear(pixels):
    """Linear light in 0..1."""
    values = pixels / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def png_with_gamma(pixels, gamma):
    words = np.rint(65535 * linear(pixels) ** gamma).astype(np.uint16)
    data = imagecodecs.png_encode(words)
    return with_chunks(data, (b"gAMA", struct.pack(">L", round(100_000 * gamma))))


def adobe_exif(pixels):
    """As cameras name Adobe RGB: without a profile, by the interoperability index."""
    exif = Image.Exif()
    exif.get_ifd(0xA005)[1] = "R03"
    interop = struct.pack("<H", 1) + struct.pack("<HHL4s", 1, 2, 4, b"R03\0") + b"\0" * 4
    sub = struct.pack("<H", 2) + struct.pack("<HHLHH", 0xA001, 3, 1, 0xFFFF, 0)
    sub += struct.pack("<HHLL", 0xA005, 4, 1, 56) + b"\0" * 4
    main = struct.pack("<H", 1) + struct.pack("<HHLL", 0x8769, 4, 1, 26) + b"\0" * 4
    body = b"Exif\0\0II*\0\x08\0\0\0" + main + sub + interop
    return with_segment(jpeg(in_adobe_rgb(pixels)), 0xE1, body)


def dng(pixels, *, mosaic):
    """A camera's file: a preview first, the sensor's values as a sub-image."""
    light = np.rint(65535 * linear(pixels)).astype(np.uint16)
    identity = sum(
        ((n, 10_000) for n in (32405, -15371, -4985, -9693, 18760, 416, 556, -2040, 10572)), ()
    )
    colour = [
        (50721, "2i", 9, identity, True),
        (50728, "2I", 3, (1, 1) * 3, True),
        (50778, "H", 1, 21, True),
        (50708, "s", 0, "Test camera", True),
        *DNG_TAGS,
    ]
    options = {"photometric": 34892}
    if mosaic:
        h, w = light.shape[:2]
        sensor = light[..., 1].copy()
        sensor[::2, ::2], sensor[1::2, 1::2] = light[::2, ::2, 0], light[1::2, 1::2, 2]
        light = sensor[: h // 2 * 2, : w // 2 * 2]
        pattern = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True)]
        options = {"photometric": 32803, "extratags": pattern}
    preview = shrunk(pixels, 160)
    return tiff_pages(
        [
            (preview, {"photometric": "rgb", "subfiletype": 1, "subifds": 1, "extratags": colour}),
            (light, options),
        ]
    )


def one_page_broken(pixels):
    """Five pages of which the third has lost its data."""
    data = bytearray(tiff_pages([(p, {"compression": "zlib"}) for p in pixels]))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        page = file.pages[2]
        start, length = page.dataoffsets[0], page.databytecounts[0]
    data[start : start + length] = b"\xee" * length
    return bytes(data)


def jpeg_tile_without_rows(pixels):
    """JPEG tiles of which one lacks the end of its data, but not its end marker."""
    data = bytearray(tiff(pixels, photometric="rgb", compression="jpeg", tile=(128, 128)))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        page = file.pages[0]
        start, length = page.dataoffsets[7], page.databytecounts[7]
    kept = data[start : start + length // 2] + b"\xff\xd9"
    data[start : start + length] = kept + b"\0" * (length - len(kept))
    return bytes(data)


def composite(pixels, **options):
    return tiff(np.moveaxis(pixels, -1, 0)[None, None], imagej=True, **options)


def luts():
    tables = []
    for channel in range(3):
        table = np.zeros((3, 256), np.uint8)
        table[channel] = np.arange(256)
        tables.append(table)
    return tables


def ome(pixels, axes, **options):
    return tiff(pixels, ome=True, metadata={"axes": axes, **options}, photometric="minisblack")


def ome_rgb(pixels, axes):
    return tiff(pixels, ome=True, metadata={"axes": axes}, photometric="rgb")


def heic(pixels):
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(stream, quality=95)
    return stream.getvalue()


def fourth_channel(pixels, extra):
    whole = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    return tiff(whole, photometric="rgb", extrasamples=[extra])


def rgbx_without_tag(pixels):
    """Four samples a pixel and no ExtraSamples."""
    whole = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    h, w = pixels.shape[:2]
    tags = {258: (8, 8, 8, 8), 262: 2, 277: 4, 278: h}
    return raw_tiff(whole.tobytes(), w, h, tags)


def preamble(data, start):
    return start.ljust(128, b"\0") + data[128:]


def large_profile():
    """An sRGB profile that a writer has padded to 2 MB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = np.random.default_rng(0).integers(0, 255, 2_000_000, np.uint8).tobytes()
    return struct.pack(">L", len(profile) + len(noise)) + profile[4:] + noise


def deep_jpeg(pixels):
    words = pixels.astype(np.uint16) * 16 + (pixels >> 4)
    return bytes(imagecodecs.jpeg8_encode(words, bitspersample=12, level=98))


JPEG_LOSS = 1.5
"""Mean grey levels that JPEG of good quality costs."""

KINDS = [
    # Planar and deep TIFF
    *(
        Kind(
            f"planar 16 {name} {rows}.tif",
            lambda p, c=codec, r=rows: planar(p, compression=c, rowsperstrip=r),
        )
        for name, codec in (("plain", None), ("lzw", "lzw"), ("deflate", "zlib"))
        for rows in (480, 16)
    ),
    Kind("planar 8.tif", lambda p: planar(p, bits=8)),
    Kind("planar tiles.tif", lambda p: planar(p, tile=(128, 128), compression="lzw")),
    Kind("deep.tif", lambda p: tiff(p.astype(np.uint16) * 257, photometric="rgb")),
    # Several images in a file
    Kind("pages.tif", lambda f: several(f, "TIFF"), ALL),
    Kind("pictures.mpo", lambda f: several(f, "MPO", quality=98), ALL, tolerance=JPEG_LOSS),
    Kind(
        "preview in a picture.jpg",
        lambda p: several([p, shrunk(p, 320)], "MPO", quality=98),
        tolerance=JPEG_LOSS,
    ),
    Kind("frames.webp", lambda f: several(f, "WEBP", lossless=True), ALL),
    Kind("frames.png", lambda f: several(f, "PNG"), ALL),
    Kind("frames.dcm", lambda f: dicom(np.stack(f)), ALL),
    Kind("times imagej.tif", lambda f: tiff(np.stack(f)[:, None, None], imagej=True), ALL),
    Kind("times ome.tif", lambda f: ome_rgb(np.stack(f), "TYXS"), ALL),
    Kind(
        "fields saved as slices imagej.tif",
        lambda f: tiff(np.stack(f)[None, :, None], imagej=True),
        ALL,
    ),
    Kind(
        "focus imagej.tif",
        lambda p: tiff(focus(p)[None, :, None], imagej=True),
        notes="focus stack of 5 planes; the sharpest, plane 4",
    ),
    Kind("focus ome.tif", lambda p: ome_rgb(focus(p), "ZYXS"), notes="plane 4"),
    Kind("focus.dcm", dicom_focus, notes="plane 4"),
    Kind(
        "pyramid.tif",
        lambda p: tiff_pages([(p, {"subifds": 1}), (shrunk(p, 320), {"subfiletype": 1})]),
    ),
    Kind(
        "smaller pages without tags.tif",
        lambda p: tiff_pages([(p, {}), (shrunk(p, 320), {}), (shrunk(p, 160), {})]),
    ),
    Kind("mask.tif", lambda p: tiff_pages([(p, {}), (p[..., 1] > 128, {"subfiletype": 4})])),
    Kind(
        "one page broken.tif",
        one_page_broken,
        (0, 1, 3, 4),
        notes="Image 3 of 5 in this file was not read. The image is damaged",
    ),
    Kind(
        "jpeg tiles.tif",
        lambda p: tiff(
            p, photometric="rgb", compression="jpeg", compressionargs={"level": 98}, tile=(128, 128)
        ),
        tolerance=JPEG_LOSS,
    ),
    Kind(
        "jpeg tile without rows.tif",
        jpeg_tile_without_rows,
        refused="The image is damaged or cut short",
    ),
    # Thumbnails first, camera raw
    Kind(
        "thumbnail first.tif", lambda p: tiff_pages([(shrunk(p, 160), {"subfiletype": 1}), (p, {})])
    ),
    Kind(
        "thumbnail with sub-image.tif",
        lambda p: tiff_pages([(shrunk(p, 160), {"subfiletype": 1, "subifds": 1}), (p, {})]),
    ),
    # Developed with the brightest pixels white.
    Kind("camera.dng", lambda p: dng(p, mosaic=True), tolerance=18),
    Kind("linear.dng", lambda p: dng(p, mosaic=False), tolerance=18),
    Kind(
        "camera.cr3",
        lambda _: b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + b"\0" * 900,
        refused="Camera raw of this kind .Canon CR3. is not supported. Develop",
    ),
    Kind(
        "camera.raf",
        lambda _: b"FUJIFILMCCD-RAW 0201FF383501" + b"\0" * 900,
        refused="Camera raw of this kind .Fujifilm RAF. is not supported. Develop",
    ),
    Kind(
        "camera.orf",
        lambda _: b"IIRO\x08\0\0\0" + b"\0" * 900,
        refused="Camera raw of this kind .Olympus ORF. is not supported. Develop",
    ),
    # Colours as grey pages
    Kind("composite imagej.tif", lambda p: composite(p, metadata={"mode": "composite"})),
    Kind(
        "composite with tables imagej.tif",
        lambda p: composite(p, metadata={"mode": "composite", "LUTs": luts()}),
    ),
    Kind(
        "grey channels imagej.tif",
        composite,
        refused="3 grey pages or channels whose colours are not named",
    ),
    Kind(
        "named channels ome.tif",
        lambda p: ome(np.moveaxis(p, -1, 0), "CYX", Channel={"Name": ["Red", "Green", "Blue"]}),
    ),
    Kind(
        "coloured channels ome.tif",
        lambda p: ome(
            np.moveaxis(p, -1, 0)[::-1],
            "CYX",
            Channel={"Color": [0x0000FFFF, 0x00FF00FF, -0x00FFFF01]},
        ),
    ),
    Kind(
        "nameless channels ome.tif",
        lambda p: ome(np.moveaxis(p, -1, 0), "CYX"),
        refused="colours are not named",
    ),
    Kind(
        "three grey pages.tif",
        lambda p: tiff_pages([(np.ascontiguousarray(c), {}) for c in np.moveaxis(p, -1, 0)]),
        refused="colours are not named",
    ),
    # Sound files with something odd beside the pixels
    Kind(
        "broken exif.jpg", lambda p: with_segment(jpeg(p), 0xE1, BROKEN_EXIF), tolerance=JPEG_LOSS
    ),
    Kind("broken exif.png", lambda p: with_chunks(png(p), (b"eXIf", BROKEN_EXIF[6:]))),
    Kind(
        "large texts.png",
        lambda p: with_chunks(
            png(p),
            (b"zTXt", b"Comment\0\0" + zlib.compress(b"0" * 3_000_000)),
            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 1_500_000),
        ),
    ),
    Kind(
        "large profile.png",
        lambda p: with_chunks(png(p), (b"iCCP", b"big\0\0" + zlib.compress(large_profile()))),
    ),
    Kind("tiff preamble.dcm", lambda p: preamble(dicom(p), b"II*\0\x08\0\0\0")),
    Kind("png preamble.dcm", lambda p: preamble(dicom(p), b"\x89PNG\r\n\x1a\n")),
    Kind("no planar configuration.dcm", dicom_without_planar),
    *(
        Kind(
            f"ycbcr {across}{down}.tif",
            lambda p, a=across, d=down: subsampled_ycbcr(p, a, d),
            tolerance=2.5,
        )
        for across, down in ((1, 1), (2, 1), (2, 2))
    ),
    Kind("big endian big.tif", lambda p: tiff(p, bigtiff=True, byteorder=">", photometric="rgb")),
    Kind("bit fields 565.bmp", lambda p: bmp_fields(p, 16, (0xF800, 0x07E0, 0x001F)), tolerance=3),
    Kind("bit fields 444.bmp", lambda p: bmp_fields(p, 16, (0xF00, 0xF0, 0xF)), tolerance=6),
    Kind("bit fields 10.bmp", lambda p: bmp_fields(p, 32, (0x3FF00000, 0x000FFC00, 0x000003FF))),
    Kind("os2.bmp", bmp_os2),
    Kind("no end marker.jpg", lambda p: jpeg(p)[:-2], tolerance=JPEG_LOSS),
    Kind(
        "no end marker progressive.jpg",
        lambda p: jpeg(p, progressive=True)[:-2],
        tolerance=JPEG_LOSS,
    ),
    Kind(
        "webp.tif",
        lambda p: tiff(p, photometric="rgb", compression="webp", compressionargs={"level": 100}),
        tolerance=JPEG_LOSS,
    ),
    Kind("12 bits.jpg", deep_jpeg, tolerance=JPEG_LOSS),
    Kind("lossless.jpg", lambda p: bytes(imagecodecs.jpeg8_encode(p, lossless=True))),
    # A fourth channel that is none, palettes
    Kind("fourth byte.bmp", lambda p: bmp_32(p, 0)),
    Kind(
        "empty alpha mask.bmp",
        lambda p: bmp_fields(p, 32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), header=108),
    ),
    Kind("unspecified sample.tif", lambda p: fourth_channel(p, "unspecified")),
    Kind("empty alpha.tif", lambda p: fourth_channel(p, "unassalpha")),
    Kind("undeclared sample.tif", rgbx_without_tag),
    Kind("empty alpha.png", lambda p: png(np.dstack([p, np.zeros(p.shape[:2], np.uint8)]))),
    Kind("palette.tif", palette_tiff, tolerance=6),
    Kind("palette.dcm", palette_dicom, tolerance=6),
    # Formats that are named
    *(
        Kind(name, build, refused=says)
        for name, build, says in (
            ("field.jxl", lambda p: bytes(imagecodecs.jpegxl_encode(p)), "JPEG XL"),
            ("field.jxr", lambda p: bytes(imagecodecs.jpegxr_encode(p)), "JPEG XR"),
            ("field.heic", heic, "HEIC image .* Export it as JPEG"),
            ("field.avif", lambda p: encoded(p, "AVIF"), "AVIF"),
            ("field.jp2", lambda p: encoded(p, "JPEG2000"), "JPEG 2000"),
            ("field.gif", lambda p: encoded(p, "GIF"), "GIF"),
            ("field.nd2", lambda _: b"\xda\xce\xbe\x0a" + b"\0" * 900, "Nikon ND2"),
            ("field.lif", lambda _: b"\x70\0\0\0\x20\0\0\0\x2a" + b"\0" * 900, "Leica LIF"),
            ("field.vsi", lambda p: tiff(shrunk(p, 160), photometric="rgb"), "Olympus VSI"),
            ("field.oib", lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 900, "OIB"),
        )
    ),
    # DICOM whose header contradicts the data
    Kind(
        "ycbcr called rgb.dcm",
        lambda p: dicom_frame(bare_jpeg(p), p.shape, uid.JPEGBaseline8Bit, "RGB"),
        tolerance=JPEG_LOSS,
        notes="different colour spaces",
    ),
    Kind(
        "no transform called rct.dcm",
        lambda p: dicom_frame(
            encoded(p, "JPEG2000", no_jp2=True, mct=0, irreversible=False),
            p.shape,
            uid.JPEG2000Lossless,
            "YBR_RCT",
        ),
        notes="different colour spaces",
    ),
    Kind(
        "jpeg-ls.dcm",
        lambda p: dicom_frame(
            bytes(imagecodecs.jpegls_encode(p)), p.shape, uid.JPEGLSLossless, "RGB"
        ),
    ),
    Kind(
        "lossless jpeg.dcm",
        lambda p: dicom_frame(
            bytes(imagecodecs.jpeg8_encode(p, lossless=True)), p.shape, uid.JPEGLosslessSV1, "RGB"
        ),
    ),
    Kind("unmarked rgb.dcm", unmarked_rgb, tolerance=JPEG_LOSS),
    # Colour profiles
    Kind("adobe rgb.dcm", dicom_in_adobe_rgb, tolerance=1),
    Kind("adobe rgb.png", lambda p: png(in_adobe_rgb(p), icc_profile=ADOBE_RGB), tolerance=1),
    Kind(
        "adobe rgb.jpg", lambda p: jpeg(in_adobe_rgb(p), icc_profile=ADOBE_RGB), tolerance=JPEG_LOSS
    ),
    Kind(
        "adobe rgb.tif",
        lambda p: tiff(in_adobe_rgb(p), photometric="rgb", iccprofile=ADOBE_RGB),
        tolerance=1,
    ),
    Kind(
        "adobe rgb.webp",
        lambda p: encoded(in_adobe_rgb(p), "WEBP", icc_profile=ADOBE_RGB, lossless=True),
        tolerance=1,
    ),
    Kind("adobe rgb by exif.jpg", adobe_exif, tolerance=JPEG_LOSS),
    Kind("linear.png", lambda p: png_with_gamma(p, 1.0), tolerance=1),
    Kind("gamma.png", lambda p: png_with_gamma(p, 1 / 1.8), tolerance=1),
    Kind(
        "broken profile.png",
        lambda p: png(p, icc_profile=b"no profile at all" * 20),
        notes="profile in the file cannot be used",
    ),
]


def fields_of(pack, number=5):
    """Real fields of one size."""
    images = [Image.open(io.BytesIO(pack.bccd(n))).convert("RGB") for n in range(number)]
    return [np.array(image) for image in images]
