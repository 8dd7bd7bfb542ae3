"""The page Microscope: which slides it offers, and what it says when there is none to show."""

import json
import sys

import numpy as np
import pytest

from core.cases.audit import history
from core.cases.database import get_database
from core.cases.patients import find_patient
from core.cases.samples import load_case
from core.domain.boxes import Box
from core.domain.differential import differential
from core.domain.taxonomy import label_name
from core.settings import get_settings
from core.slides.count_store import CountStore
from core.slides.current import get_count, get_folders, get_views
from core.slides.folders import SlideFolders
from core.slides.uploads import SlideUploads
from tests.pages.app import checked, component_data, go_to, open_app, press, texts, upload
from tests.slides import made
from ui.microscope.viewer import CLICKED, PINNED, SHOWN, VIEWED


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "slides"
    folder.mkdir()
    monkeypatch.setenv("LEUKOSCOPE_SLIDE_FOLDERS", json.dumps([str(folder)]))
    return folder


def links(app):
    return [link.label for link in app.get("page_link")]


def viewer(app):
    return app.get("bidi_component")


def saving(app, identifier):
    """Open the form and enter a patient."""
    app.session_state["slide_save"] = True
    checked(app.run()).text_input(key="slide_save_identifier").set_value(identifier)
    return app


def test_a_slide_is_chosen_and_opened_by_its_address(folder):
    made.svs(made.a_slide(), folder / "0042.svs")
    (folder / "broken.svs").write_text("no slide")
    app = open_app("microscope")
    assert any("0042" in label for label in links(app))
    assert "1,600 × 1,200 px" in texts(app)
    assert "This is not an image" in texts(app)
    slides = {slide.name: slide.id for slide in SlideFolders([folder]).slides().values()}
    app = open_app("microscope", slide=slides["0042.svs"], x=700, y=500, zoom=0.5)
    (shown,) = viewer(app)
    assert slides["0042.svs"] in str(shown.proto)
    assert app.query_params["x"] in ("700", ["700"])
    app = open_app("microscope", slide=slides["broken.svs"])
    assert "This is not an image" in app.error[0].value
    assert not viewer(app)


def test_an_address_of_no_slide_leads_to_the_list(folder):
    made.svs(made.a_slide(), folder / "0042.svs")
    app = open_app("microscope", slide="../0042.svs")
    assert "There is no such slide" in app.warning[0].value
    assert any("0042" in label for label in links(app))


def test_an_empty_folder_is_explained(folder):
    app = open_app("microscope")
    assert "slide folders of this server are empty" in app.info[0].value


def test_without_folders_a_synthetic_slide_is_shown():
    app = open_app("microscope")
    assert "LEUKOSCOPE_SLIDE_FOLDERS" in app.info[0].value
    assert any("Example" in label for label in links(app))


def test_without_its_cluster_the_server_counts_and_says_so(folder, monkeypatch):
    monkeypatch.setenv("LEUKOSCOPE_SLIDE_ENGINE", "ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    get_settings.cache_clear()
    made.svs(made.a_slide(), folder / "0042.svs")
    (slide,) = SlideFolders([folder]).slides().values()
    app = press(open_app("microscope", slide=slide.id), "slide_count")
    count = get_count(slide, get_views().view(slide))
    count.wait()
    assert count.error is None
    assert count.done == len(count.path)
    app.run()
    said = [warning.value.replace("\\", "") for warning in app.warning]
    (cluster,) = [text for text in said if "Install requirements-ray.txt" in text]
    assert cluster.endswith("This server analyses the tiles instead.")


def test_views_of_a_slide_become_a_tour_that_the_lecture_shows(folder):
    made.svs(made.a_slide(), folder / "0042.svs")
    (slide,) = SlideFolders([folder]).slides().values()
    app = press(open_app("microscope", slide=slide.id), "slide_count")
    count = get_count(slide, get_views().view(slide))
    count.wait()
    place = {"x": 700, "y": -5, "zoom": 0.5, "turn": 90}
    app.session_state[VIEWED] = {"slide": slide.id, **place}
    checked(app.run()).text_area(key="slide_tour_text").set_value("Which cell is this? ")
    app = press(checked(app.run()), "slide_tour_add")
    (step,) = app.session_state["my_tour"].steps
    assert (step.x, step.y, step.zoom, step.turn) == (700, 0, 0.5, 90)
    assert step.text == "Which cell is this?"
    assert "slide_tour_text" not in [area.key for area in app.text_area]
    app = press(app, "slide_tour_show_1")
    shown = app.session_state[SHOWN]
    assert {name: shown[name] for name in place} == {**place, "y": 0}
    assert shown["slide"] == slide.id  # the viewer goes to no view of another one
    app.session_state[VIEWED] = {"slide": slide.id, **place, "zoom": 1000.0}
    app = press(checked(app.run()), "slide_tour_add")
    assert "too close" in app.error[0].value
    assert len(press(app, "slide_tour_cancel").session_state["my_tour"].steps) == 1

    go_to(app, "lecture", tour="mine")
    lecture = component_data(app, "own")
    assert lecture["own"] == "Which cell is this?"
    assert lecture["problem"] == ""
    field = lecture["field"]
    # The slide is smaller than a screen of 1440 x 900 at this zoom: all of it, turned.
    assert (field["width"], field["height"]) == (600, 800)
    boxes = [Box(*box["at"]) for group in field["groups"] for box in group["boxes"]]
    cells = [cell for _, cell in count.analysis().white_cells()]
    named = [cell for cell in cells if cell.counted_as or cell.status == "uncertain"]
    centres = [(600 - y / 2, x / 2) for x, y in (cell.box.centre for cell in named)]
    assert len(named) == len(boxes) > 0
    found = sorted(box.centre for box in boxes)
    assert np.allclose(found, sorted(centres), atol=0.2)
    names = {label_name(cell.counted_as) if cell.counted_as else "Uncertain" for cell in named}
    assert {group["name"] for group in field["groups"]} == names
    across = 1200 * get_views().view(slide).micrometres_per_pixel
    assert lecture["facts"] == [f"{across:,.0f} µm across"]
    other = step.model_copy(update={"slide": "f" * 16})
    app.session_state["my_tour"] = app.session_state["my_tour"].with_step(other)
    go_to(app, "lecture", tour="mine", step=2)
    assert "There is no such slide" in component_data(app, "own")["problem"]


def test_the_cells_of_a_slide_are_counted(folder):  # noqa: PLR0915 - one journey
    made.svs(made.a_slide(), folder / "0042.svs")
    (slide,) = SlideFolders([folder]).slides().values()
    app = open_app("microscope", slide=slide.id)
    app = press(app, "slide_count")
    count = get_count(slide, get_views().view(slide))
    count.wait()
    assert count.error is None
    app.run()
    assert not app.exception
    assert any(heading.value == "Differential" for heading in app.header)
    assert [b.label for b in app.button if b.key == "slide_count"] == ["Go on"]
    assert "of glass" in texts(app)
    (first, cell), *_ = count.snapshot().model.white_cells()
    app.session_state[CLICKED] = cell.box.centre
    app.run()
    app.toggle(key="slide_cam").set_value(True)
    app.run()
    assert not app.error
    place = "{:.0f}_{:.0f}".format(*cell.box.centre)
    app = press(app, f"slide_label_monocyte_{place}")
    app = press(app, f"slide_label_blast_{place}")
    assert "Labelled blast by local" in texts(app)
    assert count.analysis().cells[first - 1].type == "blast"
    app.session_state[CLICKED] = (-1.0, -1.0)  # the viewer went on, the card did not yet
    app = press(app, f"slide_label_basophil_{place}")
    assert count.analysis().cells[first - 1].type == "blast"
    app.session_state[CLICKED] = cell.box.centre
    app.run()
    app = press(app, "slide_undo")
    assert count.analysis().cells[first - 1].type == "monocyte"
    number = differential([count.analysis()]).white_cells
    others = [saving(open_app("microscope", slide=slide.id), "P-8") for _ in range(2)]
    others[0].session_state[CLICKED] = cell.box.centre
    others[0].run()
    app = press(saving(app, "P-7"), "slide_save_now")
    assert any("Review sample 1" in label for label in links(app))
    case = load_case(get_database(), 1)
    assert differential(stored.analysis for stored in case.fields).white_cells == number > 0
    named = [c for stored in case.fields for c in stored.analysis.cells if c.reviewer]
    assert [(c.type, c.reviewer, c.suggested) for c in named] == [("monocyte", "local", cell.type)]
    assert "label cells" in {entry.action for entry in history(get_database(), 1)}
    assert not [
        b for b in app.button if str(b.key).startswith("slide_label_")
    ]  # changed in the sample now
    app.session_state[PINNED] = {"slide": "another", "x": 9, "y": 9, "zoom": 1.0, "turn": 0}
    app.run()
    assert not [area for area in app.text_area if area.key == "slide_comment_text"]
    app.session_state[PINNED] = pinned = {
        "slide": slide.id,
        "x": 710,
        "y": 520,
        "zoom": 0.5,
        "turn": 90,
    }
    app.run()
    app.text_area(key="slide_comment_text").set_value("Rouleaux")
    app = press(app, "slide_comment_add")
    assert [text.value for text in app.text] == ["Rouleaux"]
    (said,) = load_case(get_database(), 1).comments
    assert (said.text, said.place, said.author) == ("Rouleaux", pinned, "local")
    assert {"comment"} <= {entry.action for entry in history(get_database(), 1)}
    assert ": 710" in str(viewer(app)[0].proto)
    app = go_to(app, "patients", sample=1)
    assert "Show in the slide" in links(app)
    shown = [link for link in app.get("page_link") if link.label == "Show in the slide"]
    addresses = [link.proto.query_string for link in shown]
    assert all(f"slide={slide.id}&x=" in address for address in addresses)
    assert any(address.endswith("x=710&y=520&zoom=0.5&turn=90") for address in addresses)
    assert "0042.svs at " in case.fields[0].analysis.file
    for other, key in zip(others, (f"slide_label_basophil_{place}", "slide_save_now"), strict=True):
        press(other, key)
        assert "Sample 1 holds the count" in other.error[0].value
        assert "The count of this slide is in sample 1" in texts(other)
        assert "Sample 1" in links(other)
    assert find_patient(get_database(), "P-8") is None
    assert other.button(key="slide_save_now").disabled
    other.checkbox(key="slide_save_again").check().run()
    press(other, "slide_save_now")
    assert "The count of this slide is in sample 2" in texts(other)
    assert find_patient(get_database(), "P-8")


def test_regions_of_qupath_are_counted_or_refused(folder):
    made.svs(made.a_slide(), folder / "0042.svs")
    (slide,) = SlideFolders([folder]).slides().values()
    ring = [[700, 500], [1300, 500], [1300, 900], [700, 500]]
    region = {
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"name": "edge"},
    }
    app = open_app("microscope", slide=slide.id)
    upload(app, ("regions.geojson", json.dumps(region).encode()))
    assert app.dataframe[0].value["Region"].tolist() == ["edge"]
    assert "edge" in str(viewer(app)[0].proto)
    upload(app, ("regions.geojson", b"no JSON"))
    assert "it is no JSON" in app.error[0].value


def test_an_uploaded_slide_is_its_owners_to_see_and_delete(folder):
    data = made.svs(made.a_slide(), folder / "0042.svs").read_bytes()
    uploads = SlideUploads("local", get_settings())
    sent = uploads.create("mine.svs", len(data))
    uploads.append(sent.id, 0, data)
    app = open_app("microscope")
    assert [label for label in links(app) if "svs" in label] == ["0042\\.svs"]
    uploads.finish(sent.id)
    app.run()
    assert [label for label in links(app) if "svs" in label] == ["mine\\.svs", "0042\\.svs"]
    (mine,) = get_folders(owner="local").own().values()
    store = CountStore(get_database(), mine)
    store.add_tiles([], {})
    assert store.exists()
    (button,) = (b for b in app.button if str(b.key).startswith("slide_delete_"))
    app = press(app, button.key)
    assert not app.error
    assert not store.exists()
    assert [label for label in links(app) if "svs" in label] == ["0042\\.svs"]
    assert not list(uploads.folder.iterdir())
