"""Slides as files of several formats, from one synthetic slide."""

import cv2
import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import VLWholeSlideMicroscopyImageStorage
from tifffile import TiffWriter

from core.synthetic.fields import make_field
from core.synthetic.slides import make_slide, write_slide
from tests import dicom_files

SIZE = 1600, 1200


def a_slide():
    return make_slide(*SIZE, [(make_field(3, 640, 480, red_cell_pixels=48), 700, 500)])


def svs(slide, path):
    write_slide(slide, path)
    return path


def ome_tiff_with_subifds(slide, path):
    scale = slide.micrometres_per_pixel
    with TiffWriter(path, ome=True) as writer:
        writer.write(
            slide.pixels,
            subifds=1,
            photometric="rgb",
            tile=(256, 256),
            metadata={"axes": "YXS", "PhysicalSizeX": scale, "PhysicalSizeXUnit": "µm"},
        )
        writer.write(
            cv2.resize(slide.pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
            subfiletype=1,
            photometric="rgb",
            tile=(256, 256),
        )
    return path


def dicom(slide, folder, series="1.2.3.4", tile=256):
    """Write one level of a slide, tile by tile, with a patient's name in the header."""
    height, width = slide.pixels.shape[:2]
    down, across = -(-height // tile), -(-width // tile)
    padded = np.full((down * tile, across * tile, 3), 255, np.uint8)
    padded[:height, :width] = slide.pixels
    frames = padded.reshape(down, tile, across, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)
    made = dicom_files.native(frames, kind=VLWholeSlideMicroscopyImageStorage)
    made.SeriesInstanceUID, made.StudyInstanceUID = series, "1.2.3.5"
    made.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    made.TotalPixelMatrixColumns, made.TotalPixelMatrixRows = width, height
    made.DimensionOrganizationType = "TILED_FULL"
    made.NumberOfFrames = len(frames)
    made.Modality = "SM"
    made.FrameOfReferenceUID = "1.2.3.6"
    measures = Dataset()
    measures.PixelSpacing = [slide.micrometres_per_pixel / 1000] * 2
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    optical = Dataset()
    optical.OpticalPathIdentifier = "1"
    made.OpticalPathSequence = Sequence([optical])
    folder.mkdir(exist_ok=True)
    made.save_as(folder / "level_1.dcm", enforce_file_format=True)
    return folder / "level_1.dcm"
