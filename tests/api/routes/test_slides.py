"""Slides by the API: what is answered to whom."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from types import SimpleNamespace

import anyio
import pytest
from PIL import Image
from starlette.testclient import TestClient

from core.access import VISITOR_COOKIE, new_visitor, visitors
from core.domain.taxonomy import label_colour
from core.slides import current
from core.slides.current import get_folders, get_views, open_count
from core.slides.tiles import SlideView
from tests.api.test_access import bearer
from tests.slides import made
from tests.slides.test_counting import here

FINDER = SimpleNamespace(versions={}, fingerprint="")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    made.dicom(made.a_slide(), folder / "tray")  # with a patient's name in its header
    return folder


@pytest.fixture
def open_slides(open_client, folder, tmp_path):
    def opened(client=("testclient", 50000), **changed):
        usual = {"slide_folders": (folder,), "slide_cache": tmp_path / "cache"}
        made = open_client(**(usual | changed))
        return TestClient(
            made.app, "http://localhost:8501", raise_server_exceptions=False, client=client
        )

    return opened


def only(client, headers=None):
    (slide,) = client.get("/slides", headers=headers).json()
    return slide


def test_a_tile_is_of_a_focal_plane(open_slides, tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    made.ome_tiff_with_planes(made.a_slide(), folder / "stack.ome.tif", tile=(256, 256))
    client = open_slides(slide_folders=(folder,))
    slide = f"/slides/{only(client)['id']}"
    described = client.get(f"{slide}?plane=3").json()
    assert [described[key] for key in ("planes", "middle_plane", "plane_step")] == [3, 2, 0.5]
    address = f"{slide}/tiles/2/1_1.jpg"
    tiles = [client.get(f"{address}?plane={plane}") for plane in (1, 2, 3)]
    assert len({tile.headers["etag"] for tile in tiles}) == 3
    assert client.get(address).content == tiles[1].content != tiles[0].content
    tag = {"If-None-Match": tiles[0].headers["etag"]}
    assert client.get(f"{address}?plane=1", headers=tag).status_code == 304
    assert client.get(f"{address}?plane=2", headers=tag).content == tiles[1].content
    assert client.get(f"{address}?plane=4").status_code == 404
    assert client.get(f"{address}?plane=0").status_code == 422


def test_a_slide_is_listed_described_and_shown(open_slides):
    client = open_slides()
    slide = only(client)
    assert slide["name"] == "tray / level_1.dcm"
    described = client.get(f"/slides/{slide['id']}")
    assert (described.json()["width"], described.json()["last_zoom"]) == (1600, 2)
    assert "Doe" not in described.text
    tile = client.get(f"/slides/{slide['id']}/tiles/2/3_2.jpg")
    assert tile.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(tile.content)).size == (64, 176)
    assert b"Doe" not in tile.content
    tag = {"If-None-Match": tile.headers["etag"]}
    again = client.get(f"/slides/{slide['id']}/tiles/2/3_2.jpg", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    lit = client.get(f"/slides/{slide['id']}/tiles/2/3_2.jpg?light=true", headers=tag)
    assert lit.status_code == 200
    assert lit.headers["cache-control"].startswith("private")


@pytest.mark.parametrize(
    "path",
    [
        "/slides/none/tiles/0/0_0.jpg",
        "/slides/../../etc/passwd",
        "/slides/..%2F..%2Fetc%2Fpasswd",
        "/slides/%2Fetc%2Fpasswd/tiles/0/0_0.jpg",
        "/viewer/../../../etc/passwd",
        "/viewer/%2e%2e/%2e%2e/__init__.py",
    ],
)
def test_no_path_leads_out(open_slides, path):
    assert open_slides().get(path).status_code == 404


def test_what_is_no_tile_is_not_found(open_slides):
    client = open_slides()
    address = f"/slides/{only(client)['id']}/tiles"
    for place, status in {"9/0_0": 404, "0/1_0": 404, "0/a_0": 422, "0/-1_0": 422}.items():
        assert client.get(f"{address}/{place}.jpg").status_code == status


def test_slides_are_for_tokens_and_for_browsers_whose_user_signed_in(
    open_slides, database, settings
):
    elsewhere = ("10.0.0.9", 50000)
    for changed in ({}, {"api_tokens": False}):
        client = open_slides(client=elsewhere, sign_in=True, **changed)
        assert client.get("/slides").status_code == 401
        slide = only(client, bearer(database, settings))
        tile = f"/slides/{slide['id']}/tiles/0/0_0.jpg"
        assert client.get(tile).status_code == 401
        visitor = new_visitor()
        client.cookies.set(VISITOR_COOKIE, visitor)
        hour = datetime.now(UTC) + timedelta(hours=1)
        visitors.admit(visitor, hour, "fetch")  # as those who follow a link to a case
        assert client.get(tile).status_code == 401
        visitors.admit(visitor, hour, "slides", sign_in="this")
        assert client.get(tile).status_code == 200
        assert client.get("/patients").status_code == (401 if not changed else 200)
        visitors.dismiss("this")
        assert client.get(tile).status_code == 401


def test_where_only_the_api_has_tokens_pages_of_this_machine_need_none(open_slides):
    assert open_slides(client=("127.0.0.1", 1), api_tokens=True).get("/slides").status_code == 200
    assert open_slides(client=("10.0.0.9", 1), api_tokens=True).get("/slides").status_code == 401


def test_the_viewer_is_served_from_its_package(open_slides):
    answer = open_slides().get("/viewer/leaflet.js")
    assert answer.status_code == 200
    assert "max-age" in answer.headers["cache-control"]


def test_the_cells_of_a_count_are_answered_to_draw(open_slides, database, monkeypatch):
    monkeypatch.setattr(current, "analyze_in_process", lambda run, tiles: here(run)(tiles))
    client = open_slides()
    slide = only(client)
    address = f"/slides/{slide['id']}/count"
    assert client.get(address).json()["cells"] == []
    assert client.get(f"{address}/tiles").json()["tiles"] == []
    settings = client.app.state.services.settings
    file = get_folders(settings).get(slide["id"])
    count = open_count(file, get_views(settings).view(file), lambda: database, lambda: FINDER)
    count.start(None)
    count.wait()
    drawn = client.get(address).json()
    assert drawn["types"] == [["Neutrophil", label_colour("neutrophil")]]
    assert len(drawn["cells"]) == len(count.analysis().cells) > 0
    x, _, width, _, kind, *_ = drawn["cells"][0]
    assert kind == 0
    assert 0 <= x < x + width <= 1600
    mapped = client.get(f"{address}/tiles").json()
    assert mapped["version"] == drawn["version"]
    assert {tile[4] for tile in mapped["tiles"]} >= {"counted", "glass"}
    assert len(mapped["quality"]) == len(mapped["tiles"])
    assert {focus for focus, _, _ in mapped["quality"]} >= {"sharp", ""}


def test_nothing_is_read_for_a_client_that_has_left(open_slides, monkeypatch):
    client = open_slides()
    slide = only(client)
    read = []
    monkeypatch.setattr(SlideView, "tile", lambda *place, **_: read.append(place))
    statuses = []

    async def left():
        return {"type": "http.disconnect"}

    async def send(message):
        statuses.append(message.get("status"))

    path = f"/slides/{slide['id']}/tiles/2/0_0.jpg"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "headers": [], "client": None, "server": ("localhost", 80)}
    anyio.run(client.app, scope, left, send)
    assert statuses[0] == 499
    assert read == []
