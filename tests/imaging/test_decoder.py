"""A file that takes too much costs its own answer only."""

import os
import signal
import socket
import subprocess
import sys
import time
from threading import Event, Thread
from types import ModuleType

import numpy as np
import pytest

from core import errors
from core.errors import DecodingStoppedError, EmptyFileError, InputError, TooComplexError
from core.imaging import decoder
from core.imaging.decoder import Decoder, decoded, decoded_from
from core.imaging.read import read_images
from core.settings import Settings
from core.synthetic.examples import synthetic_slides
from tests.images import encoded, stack
from tests.imaging.test_limits import many_scans

SETTINGS = Settings(_env_file=None)
NAME, SLIDE = synthetic_slides()[0]
LARGE = encoded(np.random.default_rng(0).integers(0, 255, (4000, 5000, 3), np.uint8))


@pytest.fixture
def own():
    """Give a decoder that stops with the test."""
    made = Decoder()
    yield made
    made.stop()


def ended(pid):
    """Wait until a process is gone."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the process lives on")


def test_images_are_those_that_are_read_here():
    for data in (SLIDE, stack(*(np.full((60, 70, 3), n, np.uint8) for n in (9, 99)))):
        with decoded(data, "a/b.tif") as images:
            for found, expected in zip(images, read_images(data, "a/b.tif"), strict=True):
                assert np.array_equal(found.pixels, expected.pixels)
                for name in ("name", "sha256", "properties", "micrometres_per_pixel", "page"):
                    assert getattr(found, name) == getattr(expected, name)


def test_errors_are_those_that_are_raised_here(tmp_path):
    for data in (b"", b"text", SLIDE[:3000], encoded(np.zeros((8, 8, 3), np.uint8))):
        with pytest.raises(InputError) as here:
            read_images(data, NAME)
        with pytest.raises(type(here.value)) as there, decoded(data, NAME):
            pass
        assert str(there.value) == str(here.value)
    small = SETTINGS.model_copy(update={"max_file_megabytes": 1})
    with pytest.raises(errors.TooLargeError), decoded(LARGE, NAME, settings=small):
        pass
    with pytest.raises(TooComplexError), decoded(many_scans(300), NAME):
        pass
    with pytest.raises(FileNotFoundError), decoded_from(tmp_path / "none.png"):
        pass


def test_every_input_error_comes_back_whole():
    for kind in errors.InputError.__subclasses__():
        back = decoder._as_raised(kind, "A sentence.")
        assert type(back) is kind
        assert str(back) == "A sentence."


def test_a_file_that_takes_too_long_is_stopped_and_the_next_is_read(own):
    hasty = SETTINGS.model_copy(update={"decoder_seconds": 0.05})
    with pytest.raises(DecodingStoppedError, match=r"more than 0\.05 s"):
        own.read(LARGE, NAME, hasty)
    assert own.read(SLIDE, NAME, SETTINGS)[0].name == NAME


def test_a_file_that_takes_too_much_memory_is_an_error_of_its_own(own):
    narrow = SETTINGS.model_copy(update={"decoder_megabytes": 100})
    with pytest.raises(InputError, match=r"memory"):
        own.read(LARGE, NAME, narrow)
    assert own.read(SLIDE, NAME, SETTINGS)[0].name == NAME


def test_a_decoder_that_dies_is_replaced(own):
    own.read(SLIDE, NAME, SETTINGS)
    first = own.pid
    os.kill(first, signal.SIGKILL)
    ended(first)
    assert own.read(SLIDE, NAME, SETTINGS)[0].name == NAME
    assert own.pid != first


def test_the_process_that_forks_decoders_is_replaced_too(own):
    decoder._forked()
    decoder._control().shutdown(socket.SHUT_RDWR)
    assert own.read(SLIDE, NAME, SETTINGS)[0].name == NAME


def test_a_stopped_decoder_is_gone(own):
    own.read(SLIDE, NAME, SETTINGS)
    pid = own.pid
    os.kill(pid, signal.SIGSTOP)
    own.stop()
    ended(pid)


def test_decoders_end_with_the_process_that_uses_them():
    code = (
        "from core.imaging import decoder; d = decoder.Decoder(); d.start(); "
        "print(d.pid, flush=True); import os; os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    ended(int(done.stdout))


def test_a_decoder_does_not_run_the_main_program(own, monkeypatch, tmp_path):
    """Streamlit makes the page's script the main program while it draws one."""
    script = tmp_path / "page.py"
    script.write_text("raise RuntimeError('the page was run')")
    page = ModuleType("__main__")
    page.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", page)
    assert own.read(SLIDE, NAME, SETTINGS)[0].name == NAME


def test_a_decoder_that_dies_over_a_file_costs_that_file(own):
    own.read(SLIDE, NAME, SETTINGS)
    pid = own.pid
    os.kill(pid, signal.SIGSTOP)
    failed = []

    def read():
        try:
            own.read(SLIDE, NAME, SETTINGS)
        except DecodingStoppedError as error:
            failed.append(error)

    reading = Thread(target=read)
    reading.start()
    os.kill(pid, signal.SIGKILL)
    reading.join()
    assert len(failed) == 1
    assert own.read(SLIDE, NAME, SETTINGS)[0].name == NAME


def test_a_decoder_that_stands_still_is_stopped(own):
    own.read(SLIDE, NAME, SETTINGS)
    os.kill(own.pid, signal.SIGSTOP)
    hasty = SETTINGS.model_copy(update={"decoder_seconds": 0.05})
    with pytest.raises(DecodingStoppedError):
        own.read(SLIDE, NAME, hasty)
    assert own.read(SLIDE, NAME, SETTINGS)[0].name == NAME


def test_a_decoder_that_kept_much_memory_is_replaced(own, monkeypatch):
    monkeypatch.setattr(decoder, "_KEPT_MEGABYTES", -1)
    own.read(SLIDE, NAME, SETTINGS)
    assert own.pid is None


def test_a_decoder_does_not_know_where_the_stores_are(own, monkeypatch):
    sent = []
    monkeypatch.setattr(decoder, "_send", lambda _connection, what: sent.append(what))
    monkeypatch.setattr(decoder, "_receive", lambda _connection: (("image",), None, 0))
    address = "postgresql://user:secret@host/name"
    known = Settings(_env_file=None, database_url=address, pictures="s3://bucket")
    own.read(SLIDE, NAME, known)
    settings = next(part for part in sent[0] if isinstance(part, Settings))
    assert settings.database_url is settings.pictures is None


def test_a_place_is_free_again_after_an_error_in_the_block():
    lane = decoder._lanes()[False]
    places = lane.qsize()
    taken = []

    def fail():
        taken.append(places - lane.qsize())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), decoded(SLIDE, NAME):
        fail()
    assert taken == [1]
    with pytest.raises(EmptyFileError), decoded(b"", NAME):
        pass
    assert lane.qsize() == places


def test_heavy_files_wait_for_each_other_and_light_ones_do_not(monkeypatch):
    monkeypatch.setattr("core.imaging.limits.LIGHT_COST", 10_000_000)
    assert decoder._lanes()[True].qsize() == 1
    second = Event()

    def read():
        with decoded(LARGE, NAME):
            second.set()

    with decoded(LARGE, NAME) as images:
        assert images[0].width == 5000
        waiting = Thread(target=read)
        waiting.start()
        with decoded(SLIDE, NAME):
            assert not second.is_set()
    waiting.join()
    assert second.is_set()
