"""The page Review on a store of its own: the workbench, its decisions, what is learnt from them."""

from datetime import date
from uuid import uuid4

import numpy as np
import pytest
from pydantic import ValidationError

from core.cases.records import SampleDetails
from core.cases.reviews import label_cells, reviews_of
from core.cases.samples import add_fields, load_case, load_sample, save_sample
from core.cases.users import set_role, user_of
from core.domain.taxonomy import NOT_A_WHITE_CELL, RESEARCH_NOTICE
from core.settings import get_settings
from core.synthetic.examples import synthetic_slides
from tests.cases.made import SECOND, new_field, white
from tests.images import read_image
from tests.pages.app import checked, open_app, press, texts
from tests.pages.reviews import bench, cells_of, choose, labels_of, receive, sent, steps, undo
from ui.review.bench import Said
from ui.review.session import SentUndo

PAGE = "review"


def agreed(app):
    """Return what agreeing to each cell to go through means."""
    return [cell["agree"] for cell in steps(app)]


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
    assert agreed(app) == ["monocyte", "basophil", NOT_A_WHITE_CELL]


def test_a_decision_is_saved_with_its_comment_and_the_next_cell_comes(database, sample):
    app = choose(open_app(PAGE), "agree", "vacuoles")
    monocyte = labels_of(database, sample)[1]
    assert (monocyte.label, monocyte.reviewer, monocyte.comment) == (
        "monocyte",
        "local",
        "vacuoles",
    )
    assert agreed(app) == ["basophil"]


def test_uncertain_cells_come_alone_until_none_is_left(database, sample):
    app = open_app(PAGE)
    assert (bench(app)["uncertain"], bench(app)["confident"]) == (2, 2)
    choose(choose(app, "agree"), "agree")
    assert [r and r.label for r in labels_of(database, sample)] == [
        None,
        "monocyte",
        "basophil",
        None,
    ]
    assert "All uncertain cells are reviewed." in texts(app)
    app.segmented_control(key="cells").set_value("Unreviewed")
    assert agreed(checked(app.run())) == ["neutrophil", "lymphocyte"]
    choose(choose(app, "agree"), "agree")
    assert "No white cell to review here." in texts(app)
    app.segmented_control(key="cells").set_value("All")
    assert len(steps(checked(app.run()))) == 4


def test_any_type_can_be_named_and_every_decision_undone(database, sample):
    app = choose(open_app(PAGE), "blast")
    choose(app, NOT_A_WHITE_CELL)
    assert [r and r.label for r in labels_of(database, sample)] == [
        None,
        "blast",
        NOT_A_WHITE_CELL,
        None,
    ]
    undo(app)
    assert labels_of(database, sample)[2].label is None
    assert agreed(app) == ["basophil"]
    assert undo(app) is None
    assert labels_of(database, sample)[1].label is None
    assert bench(app)["undo"] is None


def test_decisions_that_are_sent_before_an_answer_are_each_saved_once(database, sample):
    app = open_app(PAGE, sample=sample.id)
    monocyte, basophil = (cell["id"] for cell in steps(app))
    first, second = sent(app, {monocyte: "blast"}), sent(app, {basophil: "basophil"})
    assert receive(app, first, second) == [None, None]
    assert receive(app, first, second) == [None, None]  # its answer was under way
    assert bench(app)["answers"] == {first.id: None, second.id: None}
    assert len(app.session_state["review_session"].decisions) == 2
    assert len(reviews_of(database, monocyte)) == 1


def test_an_undo_takes_back_the_decision_that_it_names_and_no_other(database, sample):
    app = choose(choose(open_app(PAGE), "agree"), "agree")
    first, second = (d.id for d in app.session_state["review_session"].decisions)
    again = [SentUndo(id=uuid4().hex, undo=second) for _ in range(2)]
    answers = receive(app, *again, SentUndo(id=uuid4().hex, undo=uuid4().hex))
    assert answers[0] is None
    assert all("Nothing was undone" in answer for answer in answers[1:])
    assert [d.id for d in app.session_state["review_session"].decisions] == [first]
    assert [r and r.label for r in labels_of(database, sample)] == [None, "monocyte", None, None]


def test_images_are_sent_once_and_only_of_cells_on_the_page(database, sample):
    app = open_app(PAGE)
    images = bench(app)["images"]
    first, second = (cell["id"] for cell in steps(app))
    # As many as there was time for, those of the cell on the screen first.
    urgent = [f"l{first}", f"s{first}", f"r{first}", f"l{second}", f"s{second}"]
    wanted = [*urgent, f"t{first}", f"t{second}"]
    assert list(images) == wanted[: len(images)]
    assert images[f"l{first}"].startswith("data:image/jpeg")
    said = {"at": 1, "chosen": first, "lacking": [f"l{second}", "t99", "x1", "l"], "outbox": []}
    app.session_state["review_bench"] = {"said": said}
    assert set(bench(checked(app.run()))["images"]) == {f"l{second}"}
    assert bench(checked(app.run()))["images"] == {}
    field = steps(app)[0]["field"]
    said = {"at": 2, "chosen": first, "lacking": [f"f{field}", "f99"], "outbox": []}
    app.session_state["review_bench"] = {"said": said}
    (drawn,) = bench(checked(app.run()))["images"].items()
    size = load_case(database, sample.id).fields[0].analysis
    assert drawn[0] == f"f{field}"
    assert (drawn[1]["width"], drawn[1]["height"]) == (size.width, size.height)


@pytest.mark.parametrize(
    "forged",
    [
        {"labels": [{"cell": 1, "label": "elephant"}]},
        {"labels": []},
        {"labels": [{"cell": "1", "label": "blast"}]},
        {"labels": [{"cell": True, "label": "blast"}]},
        {"version": "1"},
        {"id": "'); DROP"},
        {"more": 1},
        {"comment": None},
    ],
)
def test_a_forged_message_is_none(forged):
    sound = {"id": "0" * 24, "sample": 1, "version": 1, "comment": ""}
    sound["labels"] = [{"cell": 1, "label": "blast"}]
    said = {"at": 1, "chosen": None, "lacking": [], "outbox": [sound]}
    assert Said.model_validate(said).outbox
    with pytest.raises(ValidationError):
        Said.model_validate({**said, "outbox": [{**sound, **forged}]})


def test_cells_of_another_sample_are_not_named(database, sample):
    app = open_app(PAGE, sample=sample.id)
    decision = sent(app, {steps(app)[0]["id"]: "blast"})
    other = save_sample(
        database,
        user_of(database),
        sample.patient_id,
        SampleDetails(date(2026, 4, 1)),
        [new_field(read_image(*reversed(synthetic_slides()[2])), white())],
    )
    forged = decision.model_copy(update={"sample": other.id})
    missing = decision.model_copy(update={"sample": 99, "id": uuid4().hex})
    assert all("does not exist" in answer for answer in receive(app, forged, missing))
    assert labels_of(database, sample) == [None] * 4


def test_filters_come_from_the_address(database, sample):
    app = open_app(PAGE, type="Lymphocyte", cells="Unreviewed")
    assert agreed(app) == ["lymphocyte"]
    assert "Filtered: lymphocyte." in texts(app)
    app.slider(key="confidence").set_range(0, 50)
    assert any("matches these filters" in i.value for i in checked(app.run()).info)
    assert "Filtered: lymphocyte, confidence 0-50 %." in texts(app)


def test_a_change_by_somebody_else_is_named_and_nothing_is_overwritten(database, sample):
    app = open_app(PAGE)
    first, second = (cell["id"] for cell in steps(app))
    early, late = sent(app, {first: "blast"}), sent(app, {second: "blast"})
    neutrophil = cells_of(database, sample)[0]
    label_cells(database, SECOND, sample, {neutrophil: "basophil"})
    # What was decided before the change was seen is all rejected, in whatever order it arrives.
    assert all("ben@lab" in answer for answer in receive(app, early, late))
    assert labels_of(database, sample)[1:3] == [None, None]
    choose(app, "agree")
    assert labels_of(database, sample)[1].label == "monocyte"


def test_a_decision_can_be_undone_after_somebody_elses_change_was_loaded(database, sample):
    app = choose(open_app(PAGE), "agree")
    neutrophil, monocyte, *_ = cells_of(database, sample)
    seen = load_sample(database, sample.id)
    label_cells(database, SECOND, seen, {neutrophil: "basophil"})
    assert "ben@lab" in undo(app)
    assert undo(app) is None
    assert [r and r.label for r in labels_of(database, sample)][:2] == ["basophil", None]
    assert reviews_of(database, monocyte)[-1].reviewer == "local"


def test_a_viewer_sees_why_nothing_can_be_changed(database, sample):
    admin = user_of(database)
    set_role(database, admin, "ada", "admin")
    set_role(database, admin, "local", "viewer")
    app = open_app(PAGE)
    assert "needs the role reviewer" in bench(app)["samples"][str(sample.id)]["barred"]
    assert any("needs the role reviewer" in i.value for i in app.info)
    (answer,) = receive(app, sent(app, {steps(app)[0]["id"]: "blast"}))
    assert "needs the role reviewer" in answer
    assert labels_of(database, sample) == [None] * 4


def test_the_gallery_sorts_uncertain_cells_under_their_likeliest_type(database, sample):
    data = bench(open_app(PAGE, sample=sample.id))
    assert [(cell["group"], cell["part"]) for cell in data["cells"]] == [
        ("uncertain", "Monocyte?"),
        ("uncertain", "Basophil?"),
        ("neutrophil", ""),
        ("lymphocyte", ""),
    ]
    assert data["strip"]["total"] == 2
    assert data["strip"]["uncertain"] == 2


def test_a_closer_look_shows_attributes_and_history_of_the_chosen_cell(database, sample):
    app = open_app(PAGE, sample=sample.id)
    app.toggle(key="review_closer").set_value(True)
    first = steps(app)[0]["id"]
    said = {"at": 1, "chosen": first, "lacking": [], "outbox": []}
    app.session_state["review_bench"] = {"said": said}
    assert "No reviews yet." in texts(checked(app.run()))


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
