"""Only files of the named folders are slides, whatever is asked for and whatever lies there."""

import os
from pathlib import Path

import pytest

from core.errors import SlideNotFoundError
from core.settings import Settings
from core.slides.current import get_views
from core.slides.folders import SlideFolders
from tests.slides import made


@pytest.fixture(scope="module")
def slide():
    return made.a_slide()


@pytest.fixture(scope="module")
def outside(slide, tmp_path_factory):
    return made.svs(slide, tmp_path_factory.mktemp("outside") / "secret.svs")


@pytest.fixture
def folder(tmp_path, outside):
    folder = tmp_path / "slides"
    (folder / "tray").mkdir(parents=True)
    (folder / "tray" / "one.svs").write_bytes(outside.read_bytes())
    return folder


def found(folder):
    return {slide.name: slide for slide in SlideFolders([folder]).slides().values()}


def opened(folders, slide):
    views = get_views(Settings(_env_file=None, slide_cache=slide.folder / ".cache"))
    return views.view(folders.get(slide.id))


def test_slides_of_subfolders_are_found_under_an_id_that_stays(folder):
    (folder / ".hidden.svs").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    (only,) = SlideFolders([folder]).slides().values()
    assert only.name == "tray / one.svs"
    assert only == SlideFolders([folder]).get(only.id)
    (neutral,) = SlideFolders([folder], neutral_names=True).slides().values()
    assert neutral.id == only.id
    assert neutral.name == f"slide {only.id[:6]}"


@pytest.mark.parametrize(
    "asked",
    ["", "..", "../outside/secret.svs", "/etc/passwd", "tray/one.svs", "%2e%2e", "0" * 16, "\0"],
)
def test_a_path_is_no_id(folder, asked):
    with pytest.raises(SlideNotFoundError):
        SlideFolders([folder]).get(asked)


def test_links_are_not_followed(folder, outside):
    (folder / "file.svs").symlink_to(outside)
    (folder / "link").symlink_to(outside.parent)
    (folder / "pipe").mkdir()
    os.mkfifo(folder / "pipe" / "pipe.svs")
    assert set(found(folder)) == {"tray / one.svs"}


def test_a_link_that_takes_the_place_of_a_file_or_folder_is_refused(folder, outside):
    folders = SlideFolders([folder])
    (slide,) = folders.slides().values()
    slide.path.unlink()
    slide.path.symlink_to(outside)
    with pytest.raises(SlideNotFoundError):
        opened(folders, slide)
    slide.path.unlink()
    slide.path.parent.rmdir()
    slide.path.parent.symlink_to(outside.parent)
    (outside.parent / "one.svs").write_bytes(outside.read_bytes())
    with pytest.raises(SlideNotFoundError):
        opened(folders, slide)


def test_slides_of_several_files_may_name_none_outside(folder, outside):
    mirax = folder / "mirax.mrxs"
    mirax.write_bytes(b"x")
    mirax.with_suffix("").mkdir()
    table = mirax.with_suffix("") / "Slidedat.ini"
    table.write_text("[HIERARCHICAL]\nINDEXFILE = ../../outside/Index.dat\n")
    folders = SlideFolders([folder])
    slide = next(s for s in folders.slides().values() if s.path == mirax)
    with pytest.raises(SlideNotFoundError):
        opened(folders, slide)
    table.unlink()
    table.symlink_to(outside)
    with pytest.raises(SlideNotFoundError):
        opened(folders, slide)
    vms = folder / "table.ndpi"
    vms.write_text("[Virtual Microscope Specimen]\nImageFile = ../outside/secret.jpg\n")
    folders = SlideFolders([folder])
    slide = next(s for s in folders.slides().values() if s.path == vms)
    with pytest.raises(SlideNotFoundError):
        opened(folders, slide)


def test_a_dicom_slide_is_one_slide_and_takes_no_linked_level(folder, slide, tmp_path):
    level = made.dicom(slide, folder / "dicom")
    level.with_name("level_2.dcm").write_bytes(level.read_bytes())
    folders = SlideFolders([folder])
    (dicom,) = (s for s in folders.slides().values() if s.path.suffix == ".dcm")
    level.with_name("level_2.dcm").unlink()
    assert opened(folders, dicom).width == made.SIZE[0]
    other = made.dicom(slide, tmp_path / "elsewhere")
    level.with_name("level_3.dcm").symlink_to(other)
    os.utime(level, ns=(1, 1))
    folders = SlideFolders([folder])
    with pytest.raises(SlideNotFoundError):
        opened(folders, folders.get(dicom.id))


def test_a_missing_folder_has_no_slides():
    assert SlideFolders([Path("/no/such/folder")]).slides() == {}
