import json

from core.cases.audit import history
from core.teaching.atlas import get_atlas
from core.teaching.tours import read_tour, shipped_tours
from tests.pages.app import button, checked, go_to, open_app, press, texts

PAGE = "lecture"


def slide(app):
    """Return what the lecture sends to the browser."""
    (component,) = app.get("bidi_component")
    return json.loads(component.proto.json)


def mine(app):
    return app.session_state["my_tour"]


def test_a_ready_tour_goes_step_by_step():
    app = open_app(PAGE, tour="granulocytes")
    tour = shipped_tours()["granulocytes"]
    shown = slide(app)
    assert (shown["step"], shown["steps"]) == (0, len(tour.steps))
    assert shown["title"] == "Blast"
    assert shown["own"] == tour.steps[0].text
    assert shown["figures"][0]["notes"]
    assert shown["figures"][0]["plain"] != shown["figures"][0]["labelled"]
    go_to(app, PAGE, tour="granulocytes", step=7)
    assert slide(app)["title"] == "Blast or promyelocyte?"
    assert len(slide(app)["figures"]) == 2
    for odd in ("0", "-3", "99999", "x"):
        go_to(app, PAGE, tour="granulocytes", step=odd)
        assert 0 <= slide(app)["step"] < len(tour.steps)


def test_a_page_of_the_atlas_begins_the_tour_of_the_atlas_there():
    app = open_app(PAGE, cell="monocyte")
    assert slide(app)["title"] == "Monocyte"
    assert slide(app)["steps"] == len(get_atlas().entries)


def test_a_synthetic_field_has_boxes_by_type():
    app = open_app(PAGE, tour="normal_smear", step=9)
    groups = slide(app)["field"]["groups"]
    assert [group["name"] for group in groups] == [
        "Neutrophil",
        "Lymphocyte",
        "Monocyte",
        "Eosinophil",
        "Basophil",
        "Platelet",
        "Red cell",
    ]
    assert sum(len(group["boxes"]) for group in groups[:5]) == 6


def test_a_case_is_shown_without_any_name_and_audited(database, sample):
    app = open_app(PAGE, sample=sample.id)
    shown = slide(app)
    assert shown["steps"] == 2
    assert shown["title"] == "Field 1"
    assert [g["name"] for g in shown["field"]["groups"]][:2] == ["Neutrophil", "Uncertain"]
    assert "not reviewed" in shown["text"]
    del shown["field"]["src"]
    said = json.dumps(shown) + texts(app).replace("from slides", "") + app.title[0].value
    for identifier in ("P-1", "Öst", "slide", "synthetic_", "2026"):
        assert identifier not in said
    assert any(entry.action == "view case" for entry in history(database, sample_id=sample.id))
    app = open_app(PAGE, sample=999)
    assert app.error
    assert not app.get("bidi_component")


def test_a_tour_is_put_together_and_exported_and_imported_again(sample):
    app = open_app("atlas", cell="band")
    press(app, "add_to_tour")
    app.query_params.clear()  # as the menu does
    go_to(app, PAGE)
    app.segmented_control(key="lecture_kind").set_value("case")
    checked(app.run())
    app.number_input(key="lecture_sample").set_value(sample.id)
    app.number_input(key="lecture_field").set_value(1)
    app.number_input(key="lecture_case_cell").set_value(2)  # a red cell
    press(app, "lecture_add_case")
    assert "does not have any more" in app.error[0].value
    app.number_input(key="lecture_case_cell").set_value(3)
    press(app, "lecture_add_case")
    assert [step.kind for step in mine(app).steps] == ["entry", "case"]
    app.text_area[1].set_value("What <b>is</b> it?")
    button(app, "Down").click()  # typed and pressed at once
    checked(app.run())
    assert [step.text for step in mine(app).steps] == ["What <b>is</b> it?", ""]
    assert app.text_area[0].value == "What <b>is</b> it?"
    exported = mine(app).to_json()
    assert read_tour(exported, get_atlas()) == mine(app)
    go_to(app, PAGE, tour="mine")
    assert slide(app)["title"] == "Uncertain"
    assert slide(app)["own"] == "What <b>is</b> it?"

    other = open_app(PAGE)
    other.file_uploader[0].set_value(("tour.json", exported, "application/json"))
    checked(other.run())
    assert len(mine(other).steps) == 2
    other.file_uploader[0].set_value(("tour.json", b"{}", "application/json"))
    checked(other.run())
    assert "no tour of Leukoscope" in other.error[0].value
    assert len(mine(other).steps) == 2


def test_a_step_of_another_installation_says_so_and_the_lecture_goes_on(sample):
    app = open_app(PAGE)
    tour = {
        "title": "Theirs",
        "steps": [
            {"kind": "case", "sample": sample.id, "field": 1, "image": "f" * 16},
            {"kind": "entry", "cell": "band"},
        ],
    }
    data = json.dumps(tour).encode()
    app.file_uploader[0].set_value(("tour.json", data, "application/json"))
    checked(app.run())
    go_to(app, PAGE, tour="mine")
    assert "another installation" in slide(app)["problem"]
    assert slide(app)["field"] is None
    go_to(app, PAGE, tour="mine", step=2)
    assert slide(app)["title"] == "Band neutrophil"


def test_a_second_tour_does_not_replace_the_first_unasked():
    app = open_app(PAGE)
    press(app, "lecture_copy_granulocytes")
    press(app, "lecture_copy_look_alikes")
    assert mine(app).title == "How a granulocyte matures"
    button(app, "Add its steps to mine").click()
    checked(app.run())
    assert len(mine(app).steps) == 20
    assert go_to(app, PAGE, tour="nowhere").info
