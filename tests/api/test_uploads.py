"""Pictures come out of a body as they were put in, wherever its pieces were cut."""

import asyncio
import base64
import json
from contextlib import suppress
from errno import ENOSPC
from io import BytesIO

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import encode_multipart_formdata

from core.api.uploads import received
from core.errors import BusyError, RequestError
from core.settings import Settings

SETTINGS = Settings(_env_file=None)


def request_of(body, content_type, size):
    """Make a request whose body comes in pieces of a size."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    messages = [{"type": "http.request", "body": p, "more_body": True} for p in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return messages.pop(0)

    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "headers": headers}, receive)


async def read_all(request):
    async with received(request, SETTINGS, 100, "") as uploads:
        return [(upload.size, upload.read()) for upload in uploads]


@given(
    contents=st.lists(st.binary(max_size=300), min_size=1, max_size=5),
    size=st.integers(1, 400),
)
def test_pictures_survive_any_cutting(contents, size):
    fields = [("note", "no picture")]
    fields += [("files", (f"{n}.png", content)) for n, content in enumerate(contents)]
    body, content_type = encode_multipart_formdata(fields, boundary="leukoscope")
    found = asyncio.run(read_all(request_of(body, content_type, size)))
    assert found == [(len(content), content) for content in contents]


@given(
    body=st.lists(
        st.binary(max_size=60)
        | st.sampled_from(
            [
                b"--x\r\n",
                b"\r\n--x--\r\n",
                b'Content-Disposition: form-data; name="file"; filename="a.png"\r\n',
                b"\r\n",
                b"\r\n--x\r\n",
            ]
        ),
        max_size=8,
    ).map(b"".join),
    size=st.integers(1, 100),
)
def test_no_body_does_more_than_be_refused(body, size):
    request = request_of(body, "multipart/form-data; boundary=x", size)
    with suppress(RequestError):
        found = asyncio.run(read_all(request))
        assert sum(kept for kept, _ in found) <= len(body)


def test_names_are_forgotten_on_entry_where_the_settings_say_so(open_client, slides):
    client = open_client(neutral_names=True)
    data = slides[0][1]
    files = [("files", ("Kowalska.png", data)), ("files", ("Kowalska.txt", b"text"))]
    answer = client.post("/analyze", files=files)
    assert "Kowalska" not in answer.text
    assert [image["file"] for image in answer.json()["images"]] == ["field 1"]
    assert [error["file"] for error in answer.json()["errors"]] == ["field 2"]
    body = {"image": base64.b64encode(data).decode(), "name": "Kowalska.png"}
    assert "Kowalska" not in client.post("/predict", json=body).text


def form_of(content):
    return encode_multipart_formdata([("file", ("a.png", content))], boundary="leukoscope")


async def read_beside(first, second):
    """Read a request while another one is being worked on; return whether there was room."""
    small = SETTINGS.model_copy(update={"api_request_megabytes": 1})
    async with received(request_of(*first, 65_536), small, 100, ""):
        try:
            async with received(request_of(*second, 65_536), small, 100, ""):
                return True
        except BusyError:
            return False


def test_all_requests_together_have_room_for_two_of_the_largest():
    large, small = form_of(1_500_000 * b"a"), form_of(400_000 * b"a")
    assert asyncio.run(read_beside(large, small))
    assert not asyncio.run(read_beside(large, large))
    assert asyncio.run(read_beside(large, small))  # what was refused takes no room


def test_json_of_all_requests_is_bounded_in_memory(monkeypatch):
    monkeypatch.setattr("core.api.uploads._JSON_HELD", 500_000)
    image = base64.b64encode(225_000 * b"a").decode()
    body = json.dumps({"image": image}).encode(), "application/json"
    assert not asyncio.run(read_beside(body, body))
    assert asyncio.run(read_beside(body, form_of(b"a")))


def test_a_full_disk_says_busy(monkeypatch):
    class Full(BytesIO):
        def flush(self):
            raise OSError(ENOSPC, "full")

    monkeypatch.setattr("core.api.uploads.TemporaryFile", Full)
    with pytest.raises(BusyError):
        asyncio.run(read_all(request_of(*form_of(b"a"), 100)))
