"""The contract of `python -m core`, as a script that calls it sees it."""

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyarrow import parquet

from core import cli
from core.domain.boxes import Box
from core.domain.results import Cell, CropResult, FieldAnalysis, StageResult
from core.domain.taxonomy import CELL_TYPES, STAGES
from core.model_card import MODEL_NAMES, load_card
from core.settings import get_settings
from tests.dicom_files import native, written
from tests.images import read_image

ROOT = Path(__file__).resolve().parent.parent
EVEN = dict.fromkeys(CELL_TYPES, 0.125)


class StubAnalyzer:
    """Answers at once, so that the command line is tested and not the models."""

    def analyze(self, image, profile=None):  # noqa: ARG002 - as the real one
        cell = Cell("wbc", Box(10.04, 10, 50, 50), 0.125, "uncertain", "basophil", EVEN)
        return FieldAnalysis(
            image.name, image.sha256, image.width, image.height, image.properties, (cell,)
        )

    def classify(self, image, profile=None):  # noqa: ARG002 - as the real one
        return CropResult(image.name, "basophil", EVEN, 0.125, "uncertain")

    def stage(self, image):
        return StageResult(image.name, "Pre", dict.fromkeys(STAGES, 0.25), 0.25, "uncertain")


@pytest.fixture
def stub(monkeypatch):
    analyzer = StubAnalyzer()
    monkeypatch.setattr("core.batch.jobs.get_analyzer", lambda: analyzer)
    return analyzer


@pytest.fixture
def folder(tmp_path, pack):
    """Fields among what lies beside them in a real folder."""
    slides = tmp_path / "slides"
    (slides / "patient 2").mkdir(parents=True)
    (slides / ".cache").mkdir()
    (slides / "b.jpg").write_bytes(pack.jpeg(pack.bccd(1)))
    (slides / "a.PNG").write_bytes(pack.png(pack.bccd(2)))
    (slides / "patient 2" / "c.tif").write_bytes(pack.encoded(pack.bccd(3), "TIFF"))
    (slides / "empty.png").write_bytes(b"")
    (slides / "text.jpg").write_text("not an image")
    (slides / "cut.jpg").write_bytes(pack.jpeg(pack.bccd(1))[:20_000])
    (slides / "notes.txt").write_text("left alone")
    (slides / ".hidden.png").write_bytes(b"")
    (slides / ".cache" / "d.jpg").write_bytes(b"")
    return slides


@contextmanager
def setting(monkeypatch, name, value):
    """Set one setting for a while."""
    monkeypatch.setenv(f"LEUKOSCOPE_{name}", value)
    get_settings.cache_clear()
    try:
        yield
    finally:
        get_settings.cache_clear()


def run(capfdbinary, *arguments):
    """Exit status, answer and messages of one command."""
    status = cli.main([str(argument) for argument in arguments])
    out, err = capfdbinary.readouterr()
    return status, json.loads(out) if out else None, err.decode()


def names(entries, folder):
    return [Path(entry["file"]).relative_to(folder).as_posix() for entry in entries]


def test_a_graded_field_in_two_formats_is_pooled_once(tmp_path, pack, capfdbinary):
    name = next(n for n in pack.names("taleqani_all.zip") if n.startswith("Pre/"))
    for form in ("PNG", "BMP"):
        data = pack.encoded(pack.read("taleqani_all.zip", name), form)
        (tmp_path / f"a.{form.lower()}").write_bytes(data)
    _, answer, _ = run(capfdbinary, "stage", tmp_path)
    assert [image["stage"] for image in answer["images"]] == ["Pre", "Pre"]
    assert answer["pooled"]["probabilities"] == answer["images"][0]["probabilities"]
    assert "1 image is the same as another" in answer["pooled"]["warnings"][0]


@pytest.mark.usefixtures("stub")
def test_a_folder_of_good_and_bad_files(folder, capfdbinary):
    status, answer, messages = run(capfdbinary, "analyze", folder)
    assert status == 0
    assert list(answer) == ["models", "images", "errors"]
    assert answer["models"] == {name: load_card(name).version for name in MODEL_NAMES}
    assert names(answer["images"], folder) == ["a.PNG", "b.jpg", "patient 2/c.tif"]
    assert names(answer["errors"], folder) == ["cut.jpg", "empty.png", "text.jpg"]
    assert [e["error"].split(".")[0] for e in answer["errors"]] == [
        "The image is damaged or cut short",
        "The file is empty",
        "This is not an image",
    ]
    assert answer["images"][1]["cells"][0]["box"] == [10.0, 10, 50, 50]
    assert "3 of 6 files answered" in messages


def test_a_field_in_dicom_gives_the_cells_of_the_png(tmp_path, pack, capfdbinary):
    png = pack.png(pack.bccd(0))
    (tmp_path / "field.png").write_bytes(png)
    dataset = native(read_image(png, "field.png").pixels)
    (tmp_path / "field.dcm").write_bytes(written(dataset))
    status, answer, _ = run(capfdbinary, "analyze", tmp_path)
    assert status == 0
    in_dicom, in_png = answer["images"]
    assert in_png["counts"]["rbc"] > 0
    for key in ("counts", "cells"):
        assert in_dicom[key] == in_png[key]
    assert "Jane" not in json.dumps(answer)


def test_a_scale_that_the_red_cells_contradict_is_said(tmp_path, pack, capfdbinary):
    path = tmp_path / "field.png"
    for dpi, warned in ((25_400 / 0.072, False), (25_400 / 1.5, True)):
        path.write_bytes(pack.encoded(pack.bccd(0), "PNG", dpi=(dpi, dpi)))
        status, answer, _ = run(capfdbinary, "analyze", path)
        (image,) = answer["images"]
        assert status == 0
        assert image["micrometres_per_pixel"] == pytest.approx(0.072, rel=0.15)
        assert ["1.5 µm per pixel" in sentence for sentence in image["warnings"]] == [True] * warned


@pytest.mark.usefixtures("stub")
def test_files_come_in_the_order_named(folder, capfdbinary):
    paths = [folder / "b.jpg", folder / "a.PNG", folder / "b.jpg"]
    _, answer, _ = run(capfdbinary, "analyze", *paths)
    assert [image["file"] for image in answer["images"]] == [str(path) for path in paths]


@pytest.mark.usefixtures("stub")
def test_classify_and_stage(folder, capfdbinary):
    status, answer, _ = run(capfdbinary, "classify", folder / "a.PNG", folder / "none.png")
    assert status == 0
    assert list(answer) == ["images", "errors"]
    assert answer["images"][0]["type"] == "basophil"
    assert "no such file" in answer["errors"][0]["error"]

    status, answer, _ = run(capfdbinary, "stage", folder / "a.PNG", folder / "b.jpg")
    assert status == 0
    assert list(answer) == ["images", "pooled", "errors"]
    assert answer["pooled"]["status"] == "uncertain"
    assert answer["pooled"]["probabilities"] == dict.fromkeys(STAGES, 0.25)


@pytest.mark.usefixtures("stub")
def test_no_answer_at_all_is_status_two(folder, tmp_path, capfdbinary):
    bad, hollow = folder / "text.jpg", tmp_path / "hollow"
    hollow.mkdir()
    for command in ("analyze", "classify", "stage"):
        status, answer, _ = run(capfdbinary, command, bad, hollow)
        assert status == 2
        assert answer["images"] == []
        assert [entry["file"] for entry in answer["errors"]] == [str(bad), str(hollow)]
    assert "holds no images" in answer["errors"][1]["error"]


@pytest.mark.usefixtures("stub")
def test_out_holds_the_answer_and_standard_output_nothing(folder, tmp_path, capfdbinary):
    out = tmp_path / "answer.json"
    out.write_text("old")
    status, printed, _ = run(capfdbinary, "analyze", folder, "--out", out)
    assert (status, printed) == (0, None)
    assert len(json.loads(out.read_text("utf-8"))["images"]) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["answer.json", "slides"]


def test_an_unwritable_out_is_said_before_the_work(stub, folder, tmp_path, capfdbinary):
    stub.analyze = None  # would fail if it were reached
    (tmp_path / "taken.json.journal").mkdir()
    for name in ("no/answer.json", "", "taken.json", "x" * 300):
        out = tmp_path / name
        status, printed, messages = run(capfdbinary, "analyze", folder, "--out", out)
        assert (status, printed) == (2, None)
        assert "cannot be written" in messages


@pytest.mark.parametrize("command", [["evaluate", "wbc"], ["bench"]])
def test_figures_have_a_place_before_they_are_measured(command, tmp_path, capfdbinary):
    status, printed, messages = run(capfdbinary, *command, "--out", tmp_path / "no" / "a.json")
    assert (status, printed) == (2, None)
    assert "cannot be written" in messages


@pytest.mark.parametrize("command", ["analyze", "classify", "stage"])
def test_no_answer_overwrites_an_image(stub, folder, capfdbinary, command):
    stub.analyze = stub.classify = stub.stage = None
    bare = (folder / "a.PNG").rename(folder / "scan")
    before = {path: path.read_bytes() for path in (folder / "b.jpg", bare)}
    for path in before:
        status, printed, messages = run(capfdbinary, command, path, "--out", path)
        assert (status, printed) == (2, None)
        assert "is the name of an image file" in messages
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("command", ["classify", "stage"])
def test_only_analyze_writes_parquet(folder, capfdbinary, command):
    status, printed, messages = run(capfdbinary, command, folder, "--out", folder / "a.parquet")
    assert (status, printed) == (2, None)
    assert "Name a .json file" in messages


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.usefixtures("stub")
@pytest.mark.parametrize("command", ["analyze", "stage"])
def test_a_full_disk_is_said(folder, capfd, monkeypatch, command):
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        monkeypatch.setattr(sys, "stdout", full)
        status = cli.main([command, str(folder)])
    assert status == 2
    assert "The disk is full. Make room" in capfd.readouterr().err


def test_ctrl_c_leaves_the_old_answer_whole(stub, folder, tmp_path, capfdbinary, monkeypatch):
    def interrupted(image, profile):
        if image.name.endswith("b.jpg"):
            raise KeyboardInterrupt
        return StubAnalyzer.analyze(stub, image, profile)

    monkeypatch.setattr(stub, "analyze", interrupted, raising=False)
    out = tmp_path / "answer.json"
    out.write_text("old")
    status, printed, messages = run(capfdbinary, "analyze", folder, "--out", out)
    assert (status, printed) == (130, None)
    assert messages.endswith("Stopped. No answer was written; --resume goes on with --out.\n")
    assert out.read_text() == "old"

    monkeypatch.undo()
    monkeypatch.setattr("core.batch.jobs.get_analyzer", lambda: stub)
    status, _, messages = run(capfdbinary, "analyze", folder, "--out", out, "--resume")
    assert status == 0
    assert "3 of 6 files answered" in messages
    assert names(json.loads(out.read_text())["images"], folder)[:2] == ["a.PNG", "b.jpg"]


def test_only_what_can_be_gone_on_with_says_so(stub, folder, tmp_path, capfdbinary, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stub, "stage", interrupted, raising=False)
    status, _, messages = run(capfdbinary, "stage", folder, "--out", tmp_path / "answer.json")
    assert status == 130
    assert messages.endswith("Stopped. No answer was written.\n")


def test_a_stopped_training_says_how_to_go_on(capfdbinary, monkeypatch):
    def interrupted(_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("core.training.run.run", interrupted)
    status, printed, messages = run(capfdbinary, "train", "wbc")
    assert (status, printed) == (130, None)
    assert messages == "Stopped. The same command goes on where it was.\n"


def test_a_fault_in_the_program_costs_one_file_only(stub, folder, capfdbinary, monkeypatch):
    def faulty(image, profile):
        if image.name.endswith("b.jpg"):
            raise ZeroDivisionError
        return StubAnalyzer.analyze(stub, image, profile)

    monkeypatch.setattr(stub, "analyze", faulty, raising=False)
    status, answer, _ = run(capfdbinary, "analyze", folder / "a.PNG", folder / "b.jpg")
    assert status == 0
    assert names(answer["images"], folder) == ["a.PNG"]
    assert "program failed" in answer["errors"][0]["error"]


@pytest.mark.usefixtures("stub")
def test_a_file_over_the_limit_is_not_loaded(folder, capfdbinary, monkeypatch):
    huge = folder / "huge.png"
    with huge.open("wb") as stream:
        stream.truncate(50_000_000_000)  # sparse
    with setting(monkeypatch, "MAX_FILE_MEGABYTES", "1"):
        status, answer, _ = run(capfdbinary, "analyze", huge)
    assert status == 2
    assert "50,000.0 MB; the limit is 1 MB" in answer["errors"][0]["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
@pytest.mark.usefixtures("stub")
def test_a_name_that_is_no_text_is_answered(folder, capfdbinary):
    strange = os.fsencode(folder) + b"/\xff\xfe.png"
    Path(os.fsdecode(strange)).write_bytes((folder / "a.PNG").read_bytes())
    status, answer, _ = run(capfdbinary, "analyze", os.fsdecode(strange))
    assert status == 0
    assert answer["images"][0]["file"].endswith("/\ufffd\ufffd.png")


@pytest.mark.usefixtures("stub")
def test_paths_that_are_no_files_do_not_stop_the_others(folder, capfdbinary):
    long, pipe = folder / ("x" * 300 + ".png"), folder / "pipe"
    os.mkfifo(pipe)
    (folder / "link.png").symlink_to(pipe)  # reading it would never end
    status, answer, _ = run(capfdbinary, "analyze", long, pipe, folder)
    assert status == 0
    assert names(answer["images"], folder) == ["a.PNG", "b.jpg", "patient 2/c.tif"]
    sentences = {Path(e["file"]).name: e["error"] for e in answer["errors"]}
    assert "too long" in sentences[long.name]
    assert sentences["pipe"] == sentences["link.png"] == "This is a pipe or a device. Name a file."


@pytest.mark.usefixtures("stub")
def test_messages_obey_no_file_name(folder, capfdbinary):
    (folder / "a\n\x1b[2Jb.png").write_bytes(b"")
    _, answer, messages = run(capfdbinary, "analyze", folder / "a\n\x1b[2Jb.png")
    assert answer["errors"][0]["file"].endswith("a\n\x1b[2Jb.png")
    assert "/a\ufffd\ufffd[2Jb.png: The file is empty." in messages


def test_a_setting_that_makes_no_sense_is_named(folder, capfdbinary, monkeypatch):
    with setting(monkeypatch, "DATABASE_URL", "mysql://ana:secret@host"):
        status, printed, messages = run(capfdbinary, "analyze", folder)
    assert (status, printed) == (2, None)
    assert "LEUKOSCOPE_DATABASE_URL cannot be used: must begin with postgresql://" in messages
    assert "secret" not in messages


@pytest.mark.usefixtures("stub")
def test_resume_needs_a_file_to_go_on_with(folder, capfdbinary):
    status, printed, messages = run(capfdbinary, "analyze", folder, "--resume")
    assert (status, printed) == (2, None)
    assert "--out" in messages


def test_a_cluster_without_ray_is_explained(folder, capfdbinary, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, printed, messages = run(capfdbinary, "analyze", folder, "--engine", "ray")
    assert (status, printed) == (2, None)
    assert "requirements-ray.txt" in messages


def test_a_cluster_that_does_not_answer_is_explained(folder, capfdbinary, monkeypatch):
    pytest.importorskip("ray", reason="Ray is optional: requirements-ray.txt")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{taken.getsockname()[1]}")
        status, printed, messages = run(capfdbinary, "analyze", folder, "--engine", "ray")
    assert (status, printed) == (2, None)
    assert "Check RAY_ADDRESS" in messages


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["analyze"],
        ["analyze", "a", "--jobs", "0"],
        ["analyze", "a", "--jobs", "two"],
        ["serve", "--port", "70000"],
        ["grade", "a"],
    ],
)
def test_wrong_arguments_are_explained(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    messages = capsys.readouterr().err
    assert "usage: python -m core" in messages
    assert "invalid _" not in messages


@pytest.mark.parametrize(
    "arguments", [["--help"], ["analyze", "--help"], ["analyze", "missing.png"]]
)
def test_commands_start_without_heavy_modules(arguments):
    script = (
        "import sys\n"
        "from core.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'pandas', 'scipy.stats', 'streamlit', 'tensorflow', 'keras', 'plotly'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("jobs", [1, 2])
def test_real_fields_through_the_shipped_models(folder, capfdbinary, jobs):
    if not (get_settings().models / "detector" / "model.tflite").is_file():
        pytest.skip("no models are in models/ yet")
    status, answer, _ = run(capfdbinary, "analyze", folder, "--jobs", jobs)
    assert status == 0
    assert names(answer["images"], folder) == ["a.PNG", "b.jpg", "patient 2/c.tif"]
    for image in answer["images"]:
        assert (image["width"], image["height"]) == (640, 480)
        assert image["counts"]["wbc"] >= 1
        assert image["counts"]["rbc"] >= 5


def test_a_field_in_three_formats_is_counted_once_unless_kept(tmp_path, pack, capfdbinary):
    folder = tmp_path / "one field"
    folder.mkdir()
    for form in ("PNG", "BMP", "TIFF"):
        (folder / f"a.{form.lower()}").write_bytes(pack.encoded(pack.bccd(0), form))
    _, answer, _ = run(capfdbinary, "analyze", folder)
    first, *others = answer["images"]
    assert first["counts"]["wbc"] >= 1
    assert first["warnings"] == []
    for image in others:
        assert image["counts"] == first["counts"]
        assert image["warnings"] == [
            f"This image is the same as “{folder / 'a.bmp'}”. Its cells are counted there."
        ]
        assert image["cells"] == first["cells"]
        shown = [n for n, c in enumerate(image["cells"], 1) if c["status"] != "out_of_scope"]
        assert image["duplicates"] == shown
    assert answer["pooled"]["counts"] == first["counts"]
    out = tmp_path / "answer.parquet"
    run(capfdbinary, "analyze", folder, "--out", out)
    rows = parquet.read_table(out).to_pylist()
    counted = [row for row in rows if row["kind"] == "wbc" and not row["duplicate"]]
    assert {row["file"] for row in counted} == {str(folder / "a.bmp")}
    _, kept, _ = run(capfdbinary, "analyze", folder, "--keep-duplicates")
    assert "pooled" not in kept
    assert not any("duplicates" in image for image in kept["images"])
    assert "counted here too" in kept["images"][1]["warnings"][0]


@pytest.mark.usefixtures("stub")
def test_a_missing_profile_is_said_before_any_file_is_read(folder, capfdbinary):
    for command in ("analyze", "classify"):
        status, printed, messages = run(
            capfdbinary, command, folder, "--profile", "nowhere/none.json"
        )
        assert (status, printed) == (2, None)
        assert "There is no profile" in messages
