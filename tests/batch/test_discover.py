"""What is found in folders, in which order."""

import os
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from core.batch.discover import PassedOver, find_files
from core.imaging.formats import SUFFIXES

NAMES = st.sampled_from(["a", "B", "a b", "a.png", "b.JPG", "c.tif", ".d.png", "e.txt", ".f", "ä"])


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=12))
def test_all_visible_pictures_come_in_the_order_of_their_paths(places):
    with TemporaryDirectory() as temporary:
        root = Path(temporary, "root")
        root.mkdir()
        for place in places:
            path = root.joinpath(*place)
            if not path.exists() and not any(parent.is_file() for parent in path.parents):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        visible = [
            path
            for path in root.rglob("*")
            if path.is_file()
            and path.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in path.relative_to(root).parts)
        ]
        assert list(find_files([root])) == (sorted(visible) or [root])


def test_links_in_circles_end_and_links_to_pictures_are_followed(tmp_path):
    folder = tmp_path / "slides"
    (folder / "deeper").mkdir(parents=True)
    picture = tmp_path / "elsewhere.png"
    picture.touch()
    (folder / "deeper" / "back").symlink_to(folder)
    (folder / "deeper" / "back.png").symlink_to(folder)
    (folder / "link.png").symlink_to(picture)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "long.png").symlink_to("x" * 300)
    os.mkfifo(folder / "pipe.png")
    found = [folder / name for name in ("link.png", "long.png", "self.png")]
    assert list(find_files([folder])) == found
    assert next(find_files([folder / "deeper" / "back"])).name == "link.png"


def test_folders_without_pictures_and_unreadable_ones_are_named(tmp_path, monkeypatch):
    hollow, locked = tmp_path / "a hollow", tmp_path / "b"
    (hollow / "deeper").mkdir(parents=True)
    (locked / "closed").mkdir(parents=True)
    (locked / "open.png").touch()
    scandir = os.scandir

    def guarded(path):
        if Path(path).name == "closed":
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert list(find_files([hollow, locked])) == [hollow, locked / "closed", locked / "open.png"]


def test_only_the_folder_that_is_reached_is_listed(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path).name) or scandir(path))
    assert next(islice(find_files([tmp_path]), 1, None)) == tmp_path / "b" / "1.png"
    assert listed == [tmp_path.name, "a", "b"]


def test_images_without_an_ending_are_found_and_other_files_are_named(tmp_path):
    dicom = b"\0" * 128 + b"DICM" + b"\0" * 200
    for name in ("IM0001", "1.2.840.5"):
        (tmp_path / name).write_bytes(dicom)
    (tmp_path / "field.JFIF").touch()
    (tmp_path / "README").write_text("no image")
    (tmp_path / "counts.csv").touch()
    (tmp_path / ".hidden.txt").touch()
    passed_over = PassedOver()
    found = [path.name for path in find_files([tmp_path], passed_over)]
    assert found == ["1.2.840.5", "IM0001", "field.JFIF"]
    assert passed_over.number == 2
    sentence = passed_over.sentence()
    assert "README" in sentence
    assert "counts.csv" in sentence
    assert "hidden" not in sentence
    assert PassedOver().sentence() is None


def test_of_many_passed_over_files_the_first_are_named():
    passed_over = PassedOver()
    for number in range(1000):
        passed_over.add(Path(f"{number:03}.txt"))
    assert "019.txt and 980 more." in passed_over.sentence()
