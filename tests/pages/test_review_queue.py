"""The page Review on a store of its own: the queue, its decisions, what is learnt from them."""

from datetime import date

import numpy as np

from core.cases.records import SampleDetails
from core.cases.reviews import label_cells, reviews_of
from core.cases.samples import add_fields, load_case, save_sample
from core.cases.users import set_role, user_of
from core.domain.taxonomy import NOT_A_WHITE_CELL, RESEARCH_NOTICE
from core.settings import get_settings
from core.synthetic.examples import synthetic_slides
from tests.cases.made import SECOND, new_field, white
from tests.images import read_image
from tests.pages.app import checked, open_app, press, texts
from tests.pages.reviews import cells_of, choice, choose, labels_of
from ui.review.queue import LABELS

PAGE = "review"


def test_an_empty_store_has_nothing_to_review(database):
    app = open_app(PAGE)
    assert [c.value for c in app.caption].count(RESEARCH_NOTICE) == 1
    assert "No patients are stored yet" in app.info[0].value
    assert not app.error


def test_agreeing_means_what_the_model_said_of_a_cell_it_ruled_out(database, sample):
    image = read_image(*reversed(synthetic_slides()[2]))
    ruled_out = new_field(image, white("neutrophil", 0.35, "out_of_scope"))
    add_fields(database, user_of(database), sample, [ruled_out])
    app = open_app(PAGE)
    assert choice(app, "agree").label == "Agree: Not a white cell"
    choose(app, "agree")
    assert labels_of(database, sample)[-1].label == NOT_A_WHITE_CELL


def test_the_least_sure_cell_comes_first_and_the_next_by_itself(database, sample):
    app = open_app(PAGE)
    assert "**1** of 2, possible blasts first, then least confident" in texts(app)
    assert choice(app, "agree").label == "Agree: Monocyte"
    app.text_input(key="review_comment").set_value("vacuoles").run()
    choose(app, "agree")
    _, monocyte, *_ = labels_of(database, sample)
    assert (monocyte.label, monocyte.reviewer, monocyte.comment) == (
        "monocyte",
        "local",
        "vacuoles",
    )
    assert choice(app, "agree").label == "Agree: Basophil"
    assert app.text_input(key="review_comment").value == ""
    assert "**1** of 1, possible blasts first, then least confident" in texts(app)


def test_uncertain_cells_come_alone_until_none_is_left(database, sample):
    app = open_app(PAGE)
    assert "2 uncertain, to be reviewed" in texts(app)
    assert "2 confident, not reviewed" in texts(app)
    choose(choose(app, "agree"), "agree")
    assert [r and r.label for r in labels_of(database, sample)] == [
        None,
        "monocyte",
        "basophil",
        None,
    ]
    assert "no uncertain cell left" in texts(app)
    assert "All uncertain cells are reviewed." in texts(app)
    app.segmented_control(key="cells").set_value("Unreviewed")
    checked(app.run())
    assert choice(app, "agree").label == "Agree: Lymphocyte"
    choose(choose(app, "agree"), "agree")
    assert "No white cell to review here." in texts(app)
    app.segmented_control(key="cells").set_value("All")
    assert "**1** of 4" in texts(checked(app.run()))


def test_any_type_can_be_named_and_every_decision_undone(database, sample):
    app = choose(open_app(PAGE), "blast")
    choose(app, NOT_A_WHITE_CELL)
    assert [r and r.label for r in labels_of(database, sample)] == [
        None,
        "blast",
        NOT_A_WHITE_CELL,
        None,
    ]
    press(app, "review_undo")
    assert labels_of(database, sample)[2].label is None
    assert choice(app, "agree").label == "Agree: Basophil"
    press(app, "review_undo")
    assert labels_of(database, sample)[1].label is None
    assert app.button(key="review_undo").disabled


def test_keys_stay_with_their_types(database, sample):
    app = open_app(PAGE)
    assert choice(app, "agree").proto.shortcut.upper() == "A"
    assert app.button(key="review_undo").proto.shortcut.upper() == "U"
    keys = {label: choice(app, label).proto.shortcut for label in LABELS}
    assert keys["neutrophil"] == "1"
    press(app, "review_next")
    assert {label: choice(app, label).proto.shortcut for label in LABELS} == keys


def test_a_press_for_a_cell_that_left_the_screen_labels_nothing(database, sample):
    app = open_app(PAGE)
    late = choice(app, "blast")
    choose(app, "agree")
    late.click()
    checked(app.run())
    assert [r and r.label for r in labels_of(database, sample)] == [None, "monocyte", None, None]
    assert not app.error


def test_arrows_go_through_the_queue(database, sample):
    app = press(open_app(PAGE), "review_next")
    assert "**2** of 2" in texts(app)
    assert app.button(key="review_next").disabled
    press(app, "review_previous")
    assert "**1** of 2" in texts(app)
    assert app.button(key="review_previous").disabled


def test_filters_come_from_the_address(database, sample):
    app = open_app(PAGE, type="Lymphocyte", cells="Unreviewed")
    assert choice(app, "agree").label == "Agree: Lymphocyte"
    assert "**1** of 1" in texts(app)
    assert "Filtered: lymphocyte." in texts(app)
    app.slider(key="confidence").set_range(0, 50)
    assert any("matches these filters" in i.value for i in checked(app.run()).info)
    assert "Filtered: lymphocyte, confidence 0-50 %." in texts(app)


def test_a_change_by_somebody_else_is_named_and_nothing_is_overwritten(database, sample):
    app = open_app(PAGE)
    neutrophil = cells_of(database, sample)[0]
    label_cells(database, SECOND, sample, {neutrophil: "basophil"})
    choose(app, "agree")
    assert "ben@lab" in app.error[0].value.replace("\\", "")
    assert labels_of(database, sample)[1] is None
    assert not any(b.label.startswith("Agree") for b in app.button)
    press(app, "review_reload")
    assert not app.error
    choose(app, "agree")
    assert labels_of(database, sample)[1].label == "monocyte"


def test_a_decision_can_be_undone_after_somebody_elses_change_was_loaded(database, sample):
    app = choose(open_app(PAGE), "agree")
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
    admin = user_of(database)
    set_role(database, admin, "ada", "admin")
    set_role(database, admin, "local", "viewer")
    app = open_app(PAGE)
    assert choice(app, "agree").disabled
    assert any("needs the role reviewer" in i.value for i in app.info)


def test_agreement_follows_the_decisions(database, sample):
    app = open_app(PAGE, sample=sample.id, view="Agreement")
    assert any("No reviewed cells yet" in i.value for i in app.info)
    neutrophil, monocyte, *_ = cells_of(database, sample)
    label_cells(
        database,
        user_of(database),
        sample,
        {neutrophil: "neutrophil", monocyte: "lymphocyte"},
    )
    figures = {m.label: m.value for m in checked(app.run()).metric}
    assert (figures["Cells"], figures["Agreement"]) == ("2", "50.0 %")
    assert "Reviewed now: 1 lymphocyte, 1 neutrophil." in texts(app)


def test_a_site_profile_is_tried_and_saved_only_on_request(database, sample, monkeypatch):
    app = open_app(PAGE, view_all="Agreement")
    assert not any(b.key == "review_profile_try" for b in app.button)
    queue = open_app(PAGE)
    assert not any(b.key == "review_profile_offer" for b in queue.button)
    images = [read_image(data, name) for name, data in synthetic_slides()[2:3]]
    cells = [white(x=20 + 40 * i, type_=t) for i, t in enumerate(["neutrophil", "monocyte"] * 5)]
    local = user_of(database)
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
        "core.adaptation.site.leave_one_out", lambda site, _penalty: np.eye(8)[site.types] * 9
    )
    checked(queue.run())
    press(queue, "review_profile_offer")
    assert any(b.key == "review_profile_try" for b in queue.button)
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
    assert not any(b.key == "review_profile_offer" for b in open_app(PAGE).button)
