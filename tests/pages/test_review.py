"""The page Review on a store of its own: decisions, gallery, field, signature, links."""

from datetime import date

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.cases.patients import create_patient
from core.cases.people import person_of, set_role
from core.cases.records import PatientDetails, SampleDetails
from core.cases.review import label_cells, reviews_of
from core.cases.samples import add_fields, load_case, save_sample
from core.errors import InvalidEntryError, NotFoundError, StaleCaseError
from core.imaging.examples import made_slides
from core.imaging.read import read_image
from core.results import Box
from core.settings import get_settings
from core.taxonomy import NOT_A_WHITE_CELL, RESEARCH_NOTICE
from pages.review_field import pick, place_cell
from pages.review_gallery import move
from pages.review_session import ReviewSession
from tests.cases.made import SECOND, new_field, red, white
from tests.pages.app import checked, open_app

PAGE = "review"


@pytest.fixture
def sample(database):
    """Save a case: a sure neutrophil, two uncertain cells, a lymphocyte in another field."""
    images = [read_image(data, name) for name, data in made_slides()[:2]]
    local = person_of(database)
    patient = create_patient(database, local, PatientDetails("P-1", "Åsa Öst"))
    return save_sample(
        database,
        local,
        patient.id,
        SampleDetails(date(2026, 3, 1)),
        [
            new_field(
                images[0],
                white(x=200),
                red(),
                white("monocyte", 0.4, "uncertain", x=300),
                white("basophil", 0.6, "uncertain", x=400),
            ),
            new_field(images[1], white("lymphocyte", 0.8)),
        ],
    )


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click()
    return checked(app.run())


def cells_of(database, sample):
    """Give cell ids by place: neutrophil, monocyte, basophil, lymphocyte."""
    return [
        i
        for field in load_case(database, sample.id).fields
        for i in field.cell_ids
        if i is not None
    ]


def labels_of(database, sample):
    """Give what a person said of each cell, or None."""
    return [
        (reviews_of(database, cell_id) or (None,))[-1] for cell_id in cells_of(database, sample)
    ]


def texts(app: AppTest) -> str:
    return "\n".join(m.value for m in (*app.markdown, *app.caption, *app.info, *app.success))


def test_an_empty_store_has_nothing_to_review(database):
    app = open_app(PAGE)
    assert [c.value for c in app.caption].count(RESEARCH_NOTICE) == 1
    assert "No patients are stored yet" in app.info[0].value
    assert not app.error


def test_agreeing_means_what_the_model_said_of_a_cell_it_ruled_out(database, sample):
    image = read_image(*reversed(made_slides()[2]))
    ruled_out = new_field(image, white("neutrophil", 0.35, "out_of_scope"))
    add_fields(database, person_of(database), sample, [ruled_out])
    app = open_app(PAGE)
    assert app.button(key="review_agree").label == "Agree: Not a white cell"
    press(app, "review_agree")
    assert labels_of(database, sample)[-1].label == NOT_A_WHITE_CELL


def test_the_least_sure_cell_comes_first_and_the_next_by_itself(database, sample):
    app = open_app(PAGE)
    assert "**1** of 4, the least sure first" in texts(app)
    assert app.button(key="review_agree").label == "Agree: Monocyte"
    app.text_input(key="review_comment").set_value("vacuoles").run()
    press(app, "review_agree")
    _, monocyte, *_ = labels_of(database, sample)
    assert (monocyte.label, monocyte.reviewer, monocyte.comment) == (
        "monocyte",
        "local",
        "vacuoles",
    )
    assert app.button(key="review_agree").label == "Agree: Basophil"
    assert app.text_input(key="review_comment").value == ""
    assert "of 3, the least sure first" in texts(app)


def test_any_type_can_be_named_and_every_decision_undone(database, sample):
    app = press(open_app(PAGE), "review_suspected_blast")
    press(app, f"review_{NOT_A_WHITE_CELL}")
    assert [r and r.label for r in labels_of(database, sample)] == [
        None,
        "suspected_blast",
        NOT_A_WHITE_CELL,
        None,
    ]
    press(app, "review_undo")
    assert labels_of(database, sample)[2].label is None
    assert app.button(key="review_agree").label == "Agree: Basophil"
    press(app, "review_undo")
    assert labels_of(database, sample)[1].label is None
    assert app.button(key="review_undo").disabled


def test_keys_stay_with_their_types(database, sample):
    app = open_app(PAGE)
    keys = {b.key: b.proto.shortcut for b in app.button if b.key and b.key.startswith("review_")}
    assert keys["review_agree"].upper() == "A"
    assert keys["review_undo"].upper() == "U"
    assert keys["review_neutrophil"] == "1"
    press(app, "review_next")
    moved = {b.key: b.proto.shortcut for b in app.button if b.key and b.key.startswith("review_")}
    assert {k: v for k, v in moved.items() if k in keys} == {
        k: v for k, v in keys.items() if k in moved
    }


def test_arrows_go_through_the_queue(database, sample):
    app = press(open_app(PAGE), "review_next")
    assert "**2** of 4" in texts(app)
    press(app, "review_previous")
    assert "**1** of 4" in texts(app)
    assert app.button(key="review_previous").disabled


def test_filters_come_from_the_address(database, sample):
    app = open_app(PAGE, type="Lymphocyte")
    assert app.button(key="review_agree").label == "Agree: Lymphocyte"
    assert "**1** of 1" in texts(app)
    app.slider(key="confidence").set_range(0, 50)
    assert any("fits these filters" in i.value for i in checked(app.run()).info)


def test_a_change_by_somebody_else_is_named_and_nothing_is_overwritten(database, sample):
    app = open_app(PAGE)
    neutrophil = cells_of(database, sample)[0]
    label_cells(database, SECOND, sample, {neutrophil: "basophil"})
    press(app, "review_agree")
    assert "ben@lab" in app.error[0].value.replace("\\", "")
    assert labels_of(database, sample)[1] is None
    assert not any(b.key == "review_agree" for b in app.button)
    press(app, "review_reload")
    assert not app.error
    press(app, "review_agree")
    assert labels_of(database, sample)[1].label == "monocyte"


def test_a_decision_can_be_undone_after_somebody_elses_change_was_loaded(database, sample):
    app = press(open_app(PAGE), "review_agree")
    neutrophil, monocyte, *_ = cells_of(database, sample)
    seen = load_case(database, sample.id).sample
    label_cells(database, SECOND, seen, {neutrophil: "basophil"})
    press(app, "review_undo")
    assert "ben@lab" in app.error[0].value.replace("\\", "")
    press(app, "review_reload")
    press(app, "review_undo")
    assert [r and r.label for r in labels_of(database, sample)][:2] == ["basophil", None]
    assert reviews_of(database, monocyte)[-1].reviewer == "local"


def test_a_viewer_sees_why_nothing_can_be_changed(database, sample):
    admin = person_of(database)
    set_role(database, admin, "ada", "admin")
    set_role(database, admin, "local", "viewer")
    app = open_app(PAGE)
    assert app.button(key="review_agree").disabled
    assert any("needs the role reviewer" in i.value for i in app.info)


def gallery(database, sample) -> AppTest:
    return open_app(PAGE, sample=sample.id, view="Gallery")


def test_several_cells_are_named_in_the_table(database, sample):
    app = gallery(database, sample)
    app.segmented_control(key="review_way").set_value("table")
    checked(app.run())
    key = f"review_table_{sample.id}_{sample.version}"
    frame = next(f.value for f in app.dataframe if "counts as" in f.value)
    rows = [i for i, name in enumerate(frame["counts as"]) if name.startswith("Uncertain")]
    assert len(rows) == 2
    app.session_state[key] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    app.segmented_control(key="review_table_label").set_value("immature_granulocyte")
    checked(app.run())
    assert app.button(key="review_apply").label == "Apply to 2 cells"
    press(app, "review_apply")
    named = [r.label for r in labels_of(database, sample) if r]
    assert named == ["immature_granulocyte"] * 2
    press(app, "review_undo")
    assert all(r.label is None for r in labels_of(database, sample) if r)


@pytest.fixture
def session(database):
    return ReviewSession(database, person_of(database))


def test_dragged_cells_are_named_by_one_message(database, sample, session):
    case = load_case(database, sample.id)
    _, monocyte, basophil, _ = cells_of(database, sample)
    message = {"sample": sample.id, "version": sample.version, "ids": [monocyte, basophil]}
    move(session, case, {**message, "label": "smudge_cell"})
    assert [r and r.label for r in labels_of(database, sample)][1:3] == ["smudge_cell"] * 2
    assert len(session.steps) == 1
    # The same message again is of a version that is gone.
    move(session, case, {**message, "label": "basophil"})
    assert isinstance(session.problem, StaleCaseError)
    assert labels_of(database, sample)[1].label == "smudge_cell"


@pytest.mark.parametrize(
    "forged",
    [
        {"label": "elephant"},
        {"ids": []},
        {"ids": ["1"]},
        {"ids": [True]},
        {"sample": 2},
        {"version": "1"},
        {"more": 1},
        {"label": None},
    ],
)
def test_a_forged_drag_changes_nothing(database, sample, session, forged):
    case = load_case(database, sample.id)
    sound = {"sample": sample.id, "version": 1, "ids": cells_of(database, sample)[:1]}
    move(session, case, {**sound, "label": "basophil", **forged})
    move(session, case, "basophil")
    assert labels_of(database, sample) == [None] * 4
    assert session.problem is None


def test_cells_of_another_sample_are_not_named(database, sample, session):
    case = load_case(database, sample.id)
    move(session, case, {"sample": sample.id, "version": 1, "ids": [999], "label": "basophil"})
    assert isinstance(session.problem, NotFoundError)


def test_a_marked_place_becomes_a_cell_and_a_click_removes_it(database, sample, session):
    case = load_case(database, sample.id)
    field_id = case.fields[1].id
    message = {"sample": sample.id, "version": 1, "field": field_id}
    place_cell(
        session, case, "monocyte", {**message, "x": 40, "y": 30.5, "width": 20, "height": 24}
    )
    case = load_case(database, sample.id)
    added = case.fields[1].analysis.cells[-1]
    assert (added.type, added.box) == ("monocyte", Box(40, 30.5, 20, 24))
    place_cell(session, case, "monocyte", {**message, "x": 40, "y": 3, "width": 0, "height": 24})
    outside = {**message, "version": 2, "x": -90, "y": 3, "width": 9, "height": 9}
    place_cell(session, case, "monocyte", outside)
    assert isinstance(session.problem, InvalidEntryError)
    picked = {
        "sample": sample.id,
        "version": case.sample.version,
        "mode": "remove",
        "id": case.fields[1].cell_ids[-1],
    }
    pick(session, case, {**picked, "mode": "destroy"})
    assert load_case(database, sample.id).sample.version == case.sample.version
    pick(session, case, picked)
    assert load_case(database, sample.id).fields[1].analysis.cells[-1].status == "out_of_scope"


def test_an_unknown_sample_gets_its_sentence(database):
    app = open_app(PAGE, sample=99)
    assert "does not exist" in app.error[0].value
    app = open_app(PAGE, sample="' OR 1")
    assert "does not exist" in app.error[0].value


def test_a_cell_is_added_and_removed_on_the_field(database, sample):
    app = open_app(PAGE, sample=sample.id, view="Fields")
    app.segmented_control(key="review_mode").set_value("add")
    checked(app.run())
    app.selectbox(key="review_added_type").select("eosinophil")
    checked(app.run())
    x, y, diameter = app.number_input
    x.set_value(100)
    y.set_value(120)
    diameter.set_value(40)
    next(b for b in app.button if b.label == "Add eosinophil").click()
    checked(app.run())
    field = load_case(database, sample.id).fields[0].analysis
    added = field.cells[-1]
    assert (added.type, added.box.centre, added.box.diameter) == ("eosinophil", (100, 120), 40)
    app.segmented_control(key="review_mode").set_value("remove")
    checked(app.run())
    app.selectbox(key="review_picked").select(cells_of(database, sample)[0])
    checked(app.run())
    press(app, "review_remove")
    assert labels_of(database, sample)[0].label == NOT_A_WHITE_CELL


def test_signing_is_blocked_until_all_uncertain_cells_are_named(database, sample):
    app = open_app(PAGE, sample=sample.id, view="Sign")
    assert app.button(key="review_mark").disabled
    assert "2 uncertain cells wait" in texts(app)
    _, monocyte, basophil, _ = cells_of(database, sample)
    label_cells(database, person_of(database), sample, {monocyte: "monocyte", basophil: "basophil"})
    press(checked(app.run()), "review_mark")
    press(app, "review_sign")
    assert load_case(database, sample.id).sample.state == "signed"
    assert "by **local**" in texts(app)
    press(app, "review_reopen")
    assert "needs a reason" in app.error[0].value
    app.text_input(key="review_reason").set_value("wrong slide")
    press(app, "review_reopen")
    case = load_case(database, sample.id)
    assert case.sample.state == "draft"
    assert [c.text for c in case.comments] == ["Reopened: wrong slide"]


def test_a_link_opens_one_case_for_reading_and_commenting(database, sample):
    app = press(open_app(PAGE, sample=sample.id, view="Sign"), "review_share")
    token = app.code[0].value.partition("?link=")[2]
    visitor = open_app(PAGE, link=token)
    assert "P\\-1" in str(visitor.table[0].value)
    assert "Åsa" not in str(visitor.table[0].value)
    assert not any(b.key and b.key.startswith("review_") for b in visitor.button)
    visitor.text_area(key="link_text").set_value("Looks reactive.")
    press(visitor, "link_comment")
    assert "Give your name" in visitor.error[0].value
    visitor.text_input(key="link_name").set_value("Eve")
    press(visitor, "link_comment")
    (comment,) = load_case(database, sample.id).comments
    assert (comment.author, comment.text) == ("Eve (by link)", "Looks reactive.")
    revoke = next(b for b in checked(app.run()).button if b.label == "Revoke")
    revoke.click()
    checked(app.run())
    assert "does not open a case" in checked(visitor.run()).error[0].value


def test_a_wrong_link_shows_nothing(database, sample):
    app = open_app(PAGE, link="guessed")
    assert "does not open a case" in app.error[0].value
    assert not app.table


def test_agreement_follows_the_decisions(database, sample):
    app = open_app(PAGE, sample=sample.id, view="Agreement")
    assert any("No cell is reviewed yet" in i.value for i in app.info)
    neutrophil, monocyte, *_ = cells_of(database, sample)
    label_cells(
        database,
        person_of(database),
        sample,
        {neutrophil: "neutrophil", monocyte: "lymphocyte"},
    )
    figures = {m.label: m.value for m in checked(app.run()).metric}
    assert (figures["Cells"], figures["Agreement"]) == ("2", "50.0 %")
    assert "Reviewed now: 1 lymphocytes" in texts(app) or "1 neutrophils" in texts(app)


def test_a_site_profile_is_tried_and_saved_only_on_request(database, sample, monkeypatch):
    app = open_app(PAGE, view_all="Agreement")
    assert not any(b.key == "review_profile_try" for b in app.button)
    images = [read_image(data, name) for name, data in made_slides()[2:3]]
    cells = [white(x=20 + 40 * i, type_=t) for i, t in enumerate(["neutrophil", "monocyte"] * 5)]
    local = person_of(database)
    more = save_sample(
        database,
        local,
        sample.patient_id,
        SampleDetails(date(2026, 4, 1)),
        [new_field(images[0], *cells)],
    )
    ids = cells_of(database, more)
    label_cells(database, local, more, {i: c.type for i, c in zip(ids, cells, strict=True)})
    monkeypatch.setattr(
        "core.learning.adapt.leave_one_out", lambda site, _penalty: np.eye(8)[site.types] * 9
    )
    checked(app.run())
    app.text_input(key="review_profile_name").set_value("../escape")
    press(app, "review_profile_try")
    assert "letters, digits" in app.error[0].value
    app.text_input(key="review_profile_name").set_value("ward-7")
    press(app, "review_profile_try")
    figures = {m.label: m.value for m in app.metric}
    assert figures["After"] == "100.0 %"
    folder = get_settings().store / "profiles"
    assert not folder.exists()
    press(app, "review_profile_save")
    assert [path.name for path in folder.iterdir()] == ["ward-7.profile.json"]
    assert not any(b.key == "review_profile_save" for b in app.button)
