"""Pictures in, the contract's answers out."""

import base64
import json

import cv2
import numpy as np
import pytest

from core.exports.schema import AnalyzeAnswer
from tests.api.fake_analyzer import DOUBTFUL, REFUSED
from tests.images import encoded, read_image, slide_pixels, stack

BATCHES = ("/predict_batch", "/stage", "/analyze")


def as_json(data, **more):
    return {"image": base64.b64encode(data).decode(), **more}


def lines(answer):
    return [json.loads(line) for line in answer.text.splitlines()]


def test_one_cell_is_named_from_multipart_and_from_json(client, slides):
    name, data = slides[0]
    sent = client.post("/predict", files={"file": (name, data)})
    assert sent.status_code == 200
    assert sent.json()["file"] == name
    assert sent.json()["type"] == "basophil"
    named = client.post("/predict", json=as_json(data, name=name))
    assert named.json() == sent.json()
    assert client.post("/predict", json=as_json(data)).json()["file"] == "image"


def test_a_refused_picture_is_an_answer(client, slides):
    answer = client.post("/predict", files={"file": ("refused.jpg", slides[0][1])})
    assert answer.status_code == 200
    assert answer.json()["refused"] == REFUSED
    assert answer.json()["status"] == "out_of_scope"
    assert answer.json()["type"] is None


def test_one_bad_file_of_predict_is_a_problem(client, slides):
    data = slides[0][1]
    for content, status, kind in (
        (b"", 422, "empty-file"),
        (b"some text", 415, "not-an-image"),
        (b"GIF89a" + bytes(99), 415, "unsupported-format"),
        (data[: len(data) // 2], 422, "damaged-image"),
    ):
        answer = client.post("/predict", files={"file": ("a.jpg", content)})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["type"] == f"urn:leukoscope:problem:{kind}"
        assert problem["status"] == status
        assert problem["title"]
        assert problem["instance"] == "/predict"
        assert problem["request_id"] == answer.headers["x-request-id"]


def test_bad_files_of_a_batch_are_entries_in_their_order(client, slides):
    data = slides[0][1]
    files = [("a.jpg", data), ("empty.png", b""), ("b.jpg", data), ("broken.jpg", data)]
    answer = client.post("/predict_batch", files=[("files", file) for file in files])
    assert answer.status_code == 200
    assert [image["file"] for image in answer.json()["images"]] == ["a.jpg", "b.jpg"]
    empty, broken = answer.json()["errors"]
    assert empty["file"] == "empty.png"
    assert empty["error"].startswith("The file is empty.")
    assert broken["file"] == "broken.jpg"
    assert "a defect" not in broken["error"]


def test_stage_pools_what_it_graded(client, slides):
    data = slides[0][1]
    answer = client.post("/stage", files=[("files", ("a.jpg", data)), ("files", ("b.jpg", data))])
    assert [image["stage"] for image in answer.json()["images"]] == ["Early", "Early"]
    assert answer.json()["pooled"]["stage"] == "Early"
    nothing = client.post("/stage", files={"file": ("a.txt", b"text")})
    assert nothing.json()["pooled"] is None
    assert len(nothing.json()["errors"]) == 1


@pytest.mark.parametrize("path", BATCHES)
def test_every_image_of_a_file_is_answered_with_its_page(client, slides, path):
    files = [("files", ("stack.tif", stack(*map(slide_pixels, (0, 1, 2)))))]
    files.append(("files", slides[3]))
    whole = client.post(path, files=files).json()
    assert [(image["file"], image["page"]) for image in whole["images"]] == [
        ("stack.tif", 1),
        ("stack.tif", 2),
        ("stack.tif", 3),
        (slides[3][0], 1),
    ]
    *each, last = lines(client.post(path, files=files, params={"stream": True}))
    assert [line["image"] for line in each] == whole["images"]
    assert [(line["done"], line["total"]) for line in each] == [(1, 2), (1, 2), (1, 2), (2, 2)]
    assert last["totals"] == {"images": 4, "errors": 0, "refused": 0}


def test_one_answer_for_several_images_needs_a_page(client):
    file = {"file": ("stack.tif", stack(slide_pixels(0), slide_pixels(1)))}
    undecided = client.post("/predict", files=file)
    assert undecided.status_code == 422
    assert undecided.json()["type"] == "urn:leukoscope:problem:several-images"
    assert "2 images" in undecided.json()["detail"]
    assert client.post("/predict", files=file, params={"page": 2}).json()["page"] == 2
    missing = client.post("/predict", files=file, params={"page": 3})
    assert missing.json()["detail"] == "The file has no page 3. It has pages 1 to 2."
    assert client.post("/predict", files=file, params={"page": 0}).status_code == 422


@pytest.mark.parametrize("stream", [False, True])
def test_a_field_in_two_formats_is_counted_once(open_client, fake, stream):
    pixels = slide_pixels(0)
    fake.compares = True
    files = [
        ("files", ("a.png", encoded(pixels))),
        ("files", ("b.bmp", encoded(pixels, "BMP"))),
        ("files", ("c.png", encoded(slide_pixels(1)))),
    ]

    def asked(**parameters):
        answer = open_client().post("/analyze", files=files, params={"stream": stream} | parameters)
        if not stream:
            return answer.json()
        *each, last = lines(answer)
        return last | {"images": [line["image"] for line in each]}

    answer = asked()
    first, again, other = answer["images"]
    assert first["counts"] == again["counts"] == {"wbc": 2, "rbc": 1, "platelet": 0}
    same, uncertain = again["warnings"]
    assert same == "This image is the same as “a.png”. Its cells are counted there."
    assert uncertain.startswith("1 of 2 white cells is uncertain (50 %)")
    assert again["cells"] == first["cells"]
    assert again["duplicates"] == list(range(1, len(first["cells"]) + 1))
    assert "duplicates" not in first | other
    pooled = answer["pooled"]
    assert (pooled["counts"], pooled["duplicates"]) == ({"wbc": 4, "rbc": 2, "platelet": 0}, 3)
    assert pooled["differential"]["neutrophil"]["count"] == 2
    kept = asked(keep_duplicates=True)
    assert "pooled" not in kept
    assert "counted here too" in kept["images"][1]["warnings"][0]


def test_several_pictures_come_as_json_too(client, slides):
    data = slides[0][1]
    answer = client.post("/analyze", json={"images": [as_json(data, name="a"), as_json(data)]})
    assert [image["file"] for image in answer.json()["images"]] == ["a", "image"]


@pytest.mark.parametrize("path", BATCHES)
def test_a_stream_says_line_by_line_what_the_whole_answer_says(client, slides, path):
    data = slides[0][1]
    files = [("files", (name, content)) for name, content in (("a", data), ("b", b""), ("c", data))]
    whole = client.post(path, files=files).json()
    streamed = client.post(path, files=files, params={"stream": True})
    asked = client.post(path, files=files, headers={"accept": "application/x-ndjson"})
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert streamed.text == asked.text
    *each, last = lines(streamed)
    assert [line["done"] for line in each] == [1, 2, 3]
    assert {line["total"] for line in (*each, last)} == {3}
    assert [line["image"] for line in each if "image" in line] == whole.pop("images")
    assert [line["error"] for line in each if "error" in line] == whole.pop("errors")
    assert last.pop("totals") == {"images": 2, "errors": 1, "refused": 0}
    assert last == {"done": 3, "total": 3} | whole


def test_what_holds_no_picture_is_told_where_to_put_it(client):
    for sent in ({"files": {"other": b"x"}}, {"json": {"picture": "eA=="}}):
        answer = client.post("/predict", **sent)
        assert answer.status_code == 422
        assert answer.json()["type"].endswith(":no-picture")
        assert "multipart field `file`" in answer.json()["detail"]


def test_bodies_that_cannot_be_read(client):
    form = "multipart/form-data; boundary=x"
    for content, kind, status, name in (
        (b"{", "application/json", 422, "invalid-request"),
        (b'{"image": "*"}', "application/json", 400, "unreadable-request"),
        (b"no boundary", form, 400, "unreadable-request"),
        (b'--x\r\nContent-Disposition: form-data; name="file"', form, 400, "unreadable-request"),
        (b"", "multipart/form-data", 400, "unreadable-request"),
        (b"x", "image/jpeg", 415, "content-type"),
    ):
        answer = client.post("/predict", content=content, headers={"content-type": kind})
        assert (answer.status_code, answer.json()["type"]) == (
            status,
            f"urn:leukoscope:problem:{name}",
        )


def test_hostile_names_are_text(client, slides):
    name = '../../etc/<script>alert("1")</script>\u202egnp.jpg'
    answer = client.post("/predict", json=as_json(slides[0][1], name=name))
    assert answer.json()["file"] == "script>gnp.jpg"


def test_whole_answers_take_so_many_files_and_streams_any_number(open_client, slides):
    client = open_client(api_files=2)
    files = [("files", (f"{n}.jpg", slides[0][1])) for n in range(3)]
    refused = client.post("/analyze", files=files)
    assert refused.status_code == 413
    assert refused.json()["type"].endswith(":too-many-files")
    assert "?stream=true" in refused.json()["detail"]
    assert len(lines(client.post("/analyze?stream=true", files=files))) == 4
    assert client.post("/predict", files=files[:2]).status_code == 413


def test_a_file_over_the_limit_is_not_kept(open_client, slides):
    client = open_client(max_file_megabytes=1)
    large = slides[0][1] + bytes(1_000_000)
    assert client.post("/predict", files={"file": ("a.jpg", large)}).status_code == 413
    files = [("files", ("large.jpg", large)), ("files", ("b.jpg", slides[0][1]))]
    answer = client.post("/analyze", files=files).json()
    assert [image["file"] for image in answer["images"]] == ["b.jpg"]
    assert answer["errors"][0]["error"].startswith("The image is too large (1.0 MB")


def test_a_picture_of_too_many_pixels_is_not_decoded(open_client):
    wide = cv2.imencode(".png", np.zeros((960, 1280, 3), np.uint8))[1].tobytes()
    answer = open_client(max_megapixels=1).post("/predict", files={"file": ("a.png", wide)})
    assert answer.status_code == 413
    assert "1,280 × 960 px; the limit is 1 megapixels" in answer.json()["detail"]


def test_a_profile_is_named_never_a_file(client, slides, tmp_path):
    elsewhere = tmp_path / "other.profile.json"
    elsewhere.write_text("{}")
    for name in (str(elsewhere), "../other", "none"):
        answer = client.post("/predict", params={"profile": name}, files={"file": slides[0]})
        assert answer.status_code == 422
        assert answer.json()["type"].endswith(":profile")


def test_answers_are_those_of_the_analyzer(open_client, analyzer, pack, monkeypatch, fake):
    data = pack.jpeg(pack.bccd(3))
    monkeypatch.setattr(fake, "analyze", analyzer.analyze)
    answer = open_client().post("/analyze", files={"file": ("field.jpg", data)}).json()
    expected = AnalyzeAnswer.of(
        [analyzer.analyze(read_image(data, "field.jpg"))], models=fake.versions
    ).dump()
    assert answer == expected
    assert answer["images"][0]["counts"]["wbc"] >= 1


def test_warnings_are_part_of_the_answer(client, slides):
    files = [("files", (name, slides[0][1])) for name in ("doubtful.jpg", "plain.jpg")]
    images = client.post("/analyze", files=files).json()["images"]
    found = [image["warnings"] for image in images]
    uncertain = found[1]
    assert len(uncertain) == 1
    assert found == [[DOUBTFUL, *uncertain], uncertain]
