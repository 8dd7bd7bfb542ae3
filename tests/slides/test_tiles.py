"""Tiles show what the slide shows, at every zoom and in every format."""

import cv2
import numpy as np
import pytest
from PIL import Image

from core.errors import DamagedSlideError, InputError, SlideCopyError, TileNotFoundError
from core.imaging.illumination import GLASS
from core.imaging.wsi import Slide
from core.settings import Settings
from core.slides import pyramid
from core.slides.current import get_views
from core.slides.folders import SlideFolders
from core.slides.tiles import TILE, SlideViews
from tests.slides import made


@pytest.fixture(scope="module")
def slide():
    return made.a_slide()


@pytest.fixture(scope="module")
def folder(slide, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    made.svs(slide, folder / "aperio.svs")
    made.ome_tiff_with_subifds(slide, folder / "subifds.ome.tif")
    made.dicom(slide, folder / "dicom")
    Image.fromarray(slide.pixels).save(folder / "image.png")
    return folder


@pytest.fixture
def settings(tmp_path):
    return Settings(_env_file=None, slide_cache=tmp_path / "cache")


def open_slide(folder, name, settings):
    file = next(s for s in SlideFolders([folder]).slides().values() if name in s.name)
    return get_views(settings).view(file)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("name", ["aperio", "subifds", "dicom", "image"])
def test_every_zoom_shows_the_slide(folder, slide, settings, monkeypatch, *, name, copied):
    if copied:
        monkeypatch.setattr(pyramid, "COARSEST", 300)
    view = open_slide(folder, name, settings)
    height, width = slide.pixels.shape[:2]
    assert (view.width, view.height, view.last_zoom) == (width, height, 2)
    is_copy = name == "image" or (copied and name != "aperio")
    assert len(list(settings.slide_cache.glob("*.tif"))) == is_copy
    if name != "image":
        assert view.micrometres_per_pixel == pytest.approx(slide.micrometres_per_pixel, rel=1e-4)
    for zoom, factor in enumerate((4, 2, 1)):
        small = cv2.resize(
            slide.pixels, (width // factor, height // factor), interpolation=cv2.INTER_AREA
        )
        shown = np.full_like(small, 0)
        for row in range(-(-len(small) // TILE)):
            for column in range(-(-small.shape[1] // TILE)):
                part = shown[row * TILE :, column * TILE :][:TILE, :TILE]
                part[:] = view.tile(zoom, column, row)
        assert np.abs(shown.astype(int) - small).mean() < (2 if is_copy else 1)


def test_tiles_outside_are_refused(folder, settings):
    view = open_slide(folder, "aperio", settings)
    for place in ((-1, 0, 0), (3, 0, 0), (2, 4, 0), (2, 0, 3), (2, -1, 0), (0, 1, 0)):
        with pytest.raises(TileNotFoundError):
            view.tile(*place)


def test_light_is_corrected_by_one_estimate_for_all_tiles(folder, settings):
    view = open_slide(folder, "aperio", settings)
    assert np.abs(view.tile(2, 0, 0, light=True).astype(float) - GLASS).max() <= 1
    single = view.tile(2, 1, 1, light=True)[::2, ::2].mean()
    assert view.tile(1, 0, 0, light=True)[256:, 256:].mean() == pytest.approx(single, abs=2)


def test_a_slide_is_copied_once_and_old_copies_make_room(folder, settings, monkeypatch):
    monkeypatch.setattr(pyramid, "COARSEST", 300)
    view = open_slide(folder, "image", settings)
    (copy,) = settings.slide_cache.glob("*.tif")
    changed = copy.stat().st_mtime_ns
    file = next(s for s in SlideFolders([folder]).slides().values() if "image" in s.name)
    other = SlideViews(lambda s, plane: pyramid.readable_path(s, settings, plane)).view(file)
    assert other.width == view.width
    assert copy.stat().st_mtime_ns == changed
    monkeypatch.setattr(settings, "slide_cache_megabytes", 0)
    dicom = next(s for s in SlideFolders([folder]).slides().values() if "dicom" in s.name)
    pyramid.readable_path(dicom, settings)
    assert [path for path in settings.slide_cache.iterdir() if path == copy] == []


def test_a_copy_has_a_level_for_every_zoom(folder, settings):
    view = open_slide(folder, "image", settings)
    (copy,) = settings.slide_cache.iterdir()  # and nothing is left of its making
    with Slide(copy) as slide:
        assert slide.downsamples == pytest.approx([2**n for n in range(view.last_zoom + 1)])


def test_a_cache_that_cannot_be_written_is_said(folder, settings):
    settings.slide_cache.write_text("a file")
    with pytest.raises(SlideCopyError):
        open_slide(folder, "image", settings)


def test_damaged_files_are_said_and_leave_nothing(tmp_path, settings, folder):
    broken = tmp_path / "slides"
    broken.mkdir()
    (broken / "text.svs").write_text("no slide")
    (broken / "cut.png").write_bytes((folder / "image.png").read_bytes()[:5000])
    for name in ("text", "cut"):
        with pytest.raises(InputError):
            open_slide(broken, name, settings)
    assert list(settings.slide_cache.iterdir()) == []


def test_a_slide_damaged_inside_is_opened_again(folder, tmp_path, settings):
    content = bytearray((folder / "aperio.svs").read_bytes())
    middle = len(content) // 2
    content[middle - 50_000 : middle + 50_000] = bytes(100_000)
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "damaged.svs").write_bytes(content)
    (file,) = SlideFolders([tmp_path / "slides"]).slides().values()
    views = get_views(settings)
    places = [(2, column, row) for column in range(4) for row in range(3)]
    failed = 0
    for place in places:
        try:
            assert views.jpeg(file, *place, light=False)[:2] == b"\xff\xd8"
        except DamagedSlideError:
            failed += 1
    assert 0 < failed < len(places)
