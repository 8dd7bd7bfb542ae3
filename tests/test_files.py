"""A file is there as it was or as it is meant to be, never half."""

import os
import stat

import pytest

from core.files import open_atomically, write_atomically


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "answer.json"
    write_atomically(path, "ä")

    def half():
        with open_atomically(path) as stream:
            stream.write(b"ha")
            raise ValueError("half")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match="half"):
        half()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_text("utf-8") == "ä"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    path, synced = tmp_path / "answer.json", []
    monkeypatch.setattr(os, "fsync", lambda d: synced.append((os.fstat(d).st_mode, path.exists())))
    with open_atomically(path, 0o600) as stream:
        stream.write(b"1")
        assert not path.exists()
    (of_file, before), (of_folder, after) = synced
    assert stat.S_ISREG(of_file)
    assert stat.S_ISDIR(of_folder)
    assert (before, after) == (False, True)
    assert stat.S_IMODE(of_file) == 0o600
