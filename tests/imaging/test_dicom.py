"""A field in DICOM gives what the same field gives as PNG or JPEG."""

import hashlib
import io
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openslide import OpenSlide
from PIL import Image
from pydicom import Dataset, Sequence, uid

from core.domain.results import FieldAnalysis
from core.exports.schema import AnalyzedField
from core.imaging.read import read_images
from core.imaging.wsi import is_slide
from tests import dicom_files
from tests.dicom_files import compressed, native, with_palette, written
from tests.images import read_image

SPACING = [0.0002, 0.0002]


@pytest.fixture(scope="module")
def field(pack):
    """The PNG of a real field, and its pixels."""
    png = pack.png(pack.bccd(0))
    return png, read_image(png, "field.png").pixels


def read(dataset):
    return read_image(written(dataset), "field.dcm")


@pytest.mark.parametrize(
    "kind",
    [
        uid.VLPhotographicImageStorage,
        uid.VLMicroscopicImageStorage,
        uid.SecondaryCaptureImageStorage,
        uid.VLWholeSlideMicroscopyImageStorage,
    ],
)
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_native_colours_are_those_of_the_png(field, kind, syntax):
    dataset = native(field[1], kind=kind, syntax=syntax)
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = dataset.Columns, dataset.Rows
    data = written(dataset)
    image = read_image(data, "C:\\slides\\field.dcm")
    np.testing.assert_array_equal(image.pixels, field[1])
    assert (image.name, image.sha256) == ("field.dcm", hashlib.sha256(data).hexdigest())
    own = image.properties
    assert (own.format, own.mode, own.bit_depth, own.frames) == ("DICOM", "RGB", 8, 1)
    assert own.file_bytes == len(data)
    assert image.micrometres_per_pixel is None


def test_planes_and_run_lengths_hold_the_same_pixels(field):
    planes = native(field[1])
    planes.PlanarConfiguration = 1
    planes.PixelData = field[1].transpose(2, 0, 1).tobytes()
    np.testing.assert_array_equal(read(planes).pixels, field[1])
    runs = native(field[1])
    runs.compress(uid.RLELossless)
    np.testing.assert_array_equal(read(runs).pixels, field[1])


def test_jpeg_in_dicom_is_the_jpeg(field):
    stream = io.BytesIO()
    Image.fromarray(field[1]).save(stream, "JPEG", quality=95, subsampling=1)
    alone = read_image(stream.getvalue(), "field.jpg").pixels
    image = read(dicom_files.jpeg(field[1]))
    assert np.abs(image.pixels.astype(int) - alone).max() <= 2  # two ways to round YCbCr
    assert (image.properties.mode, image.properties.bit_depth) == ("RGB", 8)


def test_jpeg_2000_without_loss_is_the_png(field):
    options = {"no_jp2": True, "mct": 1, "irreversible": False}
    dataset = compressed(field[1], "JPEG2000", uid.JPEG2000Lossless, "YBR_RCT", **options)
    np.testing.assert_array_equal(read(dataset).pixels, field[1])


def test_uncompressed_luminance_and_chroma_become_colours(field):
    ycc = np.asarray(Image.fromarray(field[1]).convert("YCbCr"))
    dataset = native(ycc)
    dataset.PhotometricInterpretation = "YBR_FULL"
    assert np.abs(read(dataset).pixels.astype(int) - field[1]).max() <= 3
    halved = native(ycc)
    halved.PhotometricInterpretation = "YBR_FULL_422"
    pairs = ycc.reshape(-1, 2, 3)
    halved.PixelData = np.column_stack([pairs[..., 0], pairs[:, 0, 1:]]).tobytes()
    assert np.abs(read(halved).pixels.astype(int) - field[1]).mean() < 2


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("dark_is", ["low", "high"])
def test_grey_values_are_scaled_as_those_of_a_png(field, bits, dark_is):
    green = field[1][..., 1].astype(np.float64)
    grey = np.round(green / green.max() * (2**bits - 1)).astype(
        np.uint8 if bits == 8 else np.uint16
    )
    png = read_image(cv2.imencode(".png", grey)[1].tobytes(), "grey.png").pixels
    dataset = native(grey)
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    if dark_is == "high":
        dataset.PhotometricInterpretation = "MONOCHROME1"
        png = 255 - png
    image = read(dataset)
    np.testing.assert_array_equal(image.pixels, png)
    own = image.properties
    assert (own.mode, own.bit_depth) == ("L" if bits == 8 else "I;16", bits)


def test_sixteen_bit_colours_are_scaled_as_those_of_a_png(field):
    deep = field[1].astype(np.uint16) * 257
    png = read_image(cv2.imencode(".png", deep[..., ::-1])[1].tobytes(), "deep.png")
    image = read(native(deep))
    np.testing.assert_array_equal(image.pixels, png.pixels)
    assert image.properties.bit_depth == png.properties.bit_depth == 16


def test_a_palette_gives_its_colours(field):
    dataset, meant = with_palette(field[1])
    image = read(dataset)
    np.testing.assert_array_equal(image.pixels, meant)
    assert (image.properties.mode, image.properties.bit_depth) == ("P", 8)


def test_every_frame_is_an_image_with_its_page(field):
    frames = np.stack([np.roll(field[1], 40 * i, axis=1) for i in range(3)])
    images = read_images(written(native(frames)), "frames.dcm")
    assert [image.page for image in images] == [1, 2, 3]
    for image, frame in zip(images, frames, strict=True):
        assert image.properties.frames == 3
        np.testing.assert_array_equal(image.pixels, frame)
    images = read_images(written(dicom_files.jpeg(field[1], frames=2)), "frames.dcm")
    alone = read(dicom_files.jpeg(field[1]))
    for image in images:
        np.testing.assert_array_equal(image.pixels, alone.pixels)


def shared(spacing):
    measures = Dataset()
    measures.PixelSpacing = spacing
    group = Dataset()
    group.PixelMeasuresSequence = Sequence([measures])
    return Sequence([group])


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("elements", "scale"),
    [
        ({"PixelSpacing": SPACING}, 0.2),
        ({"SharedFunctionalGroupsSequence": shared(SPACING)}, 0.2),
        ({"ImagerPixelSpacing": SPACING}, 0.2),
        ({"NominalScannedPixelSpacing": SPACING}, 0.2),
        ({"PixelSpacing": [0.0001, 0.0001], "ImagerPixelSpacing": SPACING}, 0.1),
        ({"PixelSpacing": [0.000202, 0.0002]}, 0.2),
        ({"PixelSpacing": [0.0003, 0.0002]}, None),
        ({"PixelSpacing": [0.5, 0.5]}, None),
        ({"PixelSpacing": [0, 0]}, None),
        ({"PixelSpacing": "0.0002"}, None),
        ({"SharedFunctionalGroupsSequence": Sequence()}, None),
    ],
)
def test_only_a_plausible_microscope_scale_is_taken(elements, scale, syntax):
    dataset = native(np.full((60, 60, 3), 200, np.uint8), syntax=syntax)
    dataset.update(elements)
    for name, value in elements.items():
        setattr(dataset, name, value)
    expected = None if scale is None else pytest.approx(scale)
    assert read(dataset).micrometres_per_pixel == expected


NAMES = st.from_regex(r"[A-ZÄÖŁ]{1,12}\^[A-Z]{1,12}", fullmatch=True)


@given(NAMES)
def test_nothing_of_the_patient_is_in_what_comes_back(name):
    dataset = native(np.full((60, 60, 3), 200, np.uint8))
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = dataset.PatientComments = name
    image = read(dataset)
    analysis = FieldAnalysis(
        image.name, image.sha256, image.width, image.height, image.properties, ()
    )
    answer = json.dumps(AnalyzedField.of(analysis).dump(), ensure_ascii=False, default=str)
    for text in (repr(image), answer):
        assert name not in text
        assert "MRN-4711" not in text


def test_text_for_a_scale_gives_none():
    dataset = native(np.full((60, 60, 3), 200, np.uint8))
    dataset.PixelSpacing = SPACING
    data = written(dataset).replace(b"0.0002\\0.0002", b"unknown, sure")
    assert b"unknown" in data
    assert read_image(data, "field.dcm").micrometres_per_pixel is None


def test_broken_elements_are_not_quoted_in_warnings_or_logs(tmp_path):
    kind = uid.VLPhotographicImageStorage.encode()
    data = written(native(np.full((60, 60, 3), 200, np.uint8)))
    assert said_while_reading(tmp_path, data.replace(kind, b"Doe^Jane".ljust(len(kind)))) == ""
    cut = written(dicom_files.jpeg(np.full((60, 60, 3), 200, np.uint8)))[:-300]
    assert said_while_reading(tmp_path, cut) == ""


def said_while_reading(folder, data):
    """What a process writes that reads a picture."""
    path = folder / "field.dcm"
    path.write_bytes(data)
    code = (
        "import sys; from contextlib import suppress; from pathlib import Path;"
        "from core.errors import InputError; from core.imaging.read import read_images_from\n"
        "with suppress(InputError): read_images_from(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], check=True, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def test_pydicom_is_loaded_for_dicom_only(tmp_path):
    path = tmp_path / "field.png"
    Image.new("RGB", (60, 60)).save(path)
    code = (
        "import sys; from pathlib import Path; from core.imaging.read import read_images_from;"
        "read_images_from(Path(sys.argv[1])); assert 'pydicom' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)


def test_a_small_level_of_a_slide_is_an_image_on_disk_too(field, tmp_path):
    path = tmp_path / "level.dcm"
    path.write_bytes(written(native(field[1], kind=uid.VLWholeSlideMicroscopyImageStorage)))
    assert OpenSlide.detect_format(path) == "dicom"
    assert not is_slide(path)
