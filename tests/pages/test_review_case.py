"""The page Review on one case: table, field, signature, links."""

import re

import pytest

from core.cases.audit import latest
from core.cases.range_tables import ranges_in_force
from core.cases.records import SampleDetails
from core.cases.reviews import label_cells
from core.cases.samples import load_case, save_sample
from core.cases.signing import mark_reviewed
from core.cases.unfinished import keep_text
from core.cases.users import user_of
from core.domain.boxes import Box
from core.domain.taxonomy import NOT_A_WHITE_CELL
from core.errors import InvalidEntryError, LeukoscopeError
from core.exports.registry import case_files
from core.inference.pipeline import get_analyzer
from tests.cases.made import SECOND
from tests.pages.app import checked, open_app, press, texts
from tests.pages.reviews import cells_of, labels_of, undo
from ui.review.field import handle_divided, handle_picked, handle_placed, handle_redrawn
from ui.review.session import ReviewSession

PAGE = "review"


def test_several_cells_are_named_in_the_table(database, sample):
    app = open_app(PAGE, sample=sample.id, view="Table")
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
    undo(app)
    assert all(r.label is None for r in labels_of(database, sample) if r)


@pytest.fixture
def session(database):
    return ReviewSession(database, user_of(database))


def test_a_marked_place_becomes_a_cell_and_a_click_removes_it(database, sample, session):
    case = load_case(database, sample.id)
    field_id = case.fields[1].id
    message = {"sample": sample.id, "version": 1, "field": field_id}
    place = handle_placed(session, sample, "monocyte")
    place({**message, "x": 40, "y": 30.5, "width": 20, "height": 24})
    case = load_case(database, sample.id)
    added = case.fields[1].analysis.cells[-1]
    assert (added.type, added.box) == ("monocyte", Box(40, 30.5, 20, 24))
    place({**message, "x": 40, "y": 3, "width": 0, "height": 24})
    outside = {**message, "version": 2, "x": -90, "y": 3, "width": 9, "height": 9}
    with pytest.raises(InvalidEntryError):
        place(outside)
    picked = {
        "sample": sample.id,
        "version": case.sample.version,
        "field": 1,
        "mode": "remove",
        "id": case.fields[1].cell_ids[-1],
    }
    pick = handle_picked(session, sample)
    pick({**picked, "mode": "destroy"})
    assert load_case(database, sample.id).sample.version == case.sample.version
    pick(picked)
    assert load_case(database, sample.id).fields[1].analysis.cells[-1].status == "out_of_scope"


def test_a_box_is_redrawn_and_divided_by_messages_of_the_browser(database, sample, session):
    stored = load_case(database, sample.id).fields[0]
    cell_id, uncertain = stored.cell_ids[0], stored.cell_ids[2]
    message = {"sample": sample.id, "version": 1, "id": cell_id}
    redraw = handle_redrawn(session, sample, stored)
    redraw({**message, "x": 190.25, "y": 20, "width": 36, "height": 40})
    moved = load_case(database, sample.id).fields[0].analysis.cells[0]
    assert moved.box == Box.from_xyxy(190.2, 20, 226.2, 60)
    assert moved.reviewer is None
    assert sum(moved.probabilities.values()) == pytest.approx(1)
    assert moved.typed_by == get_analyzer().versions["wbc"]  # the field was analysed by another
    divide = handle_divided(session, sample, stored)
    line = {"start": [315, 0], "end": [315.0, 90]}
    divide({**message, "version": 2, "id": uncertain, **line})
    cells = load_case(database, sample.id).fields[0].analysis.cells
    assert [cells[i].box.xywh for i in (2, 4)] == [(300, 20.5, 15, 31.3), (315, 20.5, 15, 31.3)]
    for forged in (
        {**line, "start": [315]},
        {**line, "end": ["a", 1]},
        {**line, "start": [float("nan"), 0]},
        {**line, "version": "2"},
    ):
        divide({**message, "version": 3, "id": uncertain, **forged})
    redraw({**message, "version": 3, "x": 1, "y": 1, "width": 9, "height": -9})
    for wrong, error in (
        ({"version": 3, **line, "end": line["start"]}, "does not divide the box"),
        ({"version": 3, "start": [0, 0], "end": [0, 9]}, "does not divide the box"),
        ({"version": 3, "id": 999, **line}, "does not exist"),
        ({"version": 2, "id": uncertain, "start": [315, 0], "end": [315, 9]}, "changed this"),
    ):
        with pytest.raises(LeukoscopeError, match=error):
            divide({**message, "id": uncertain, **wrong})
    assert load_case(database, sample.id).sample.version == 3
    for decision in session.decisions[::-1]:
        session.undo(decision.id)
    assert load_case(database, sample.id).fields[0].analysis.cells == stored.analysis.cells


def test_a_box_of_a_case_that_changed_meanwhile_is_not_moved_unseen(database, sample):
    cell = cells_of(database, sample)[0]
    app = open_app(PAGE, sample=sample.id, view="Fields")
    app.segmented_control(key="review_mode").set_value("move")
    checked(app.run())
    app.selectbox(key="review_picked").select(cell)
    checked(app.run())
    label_cells(database, SECOND, sample, {cell: "blast"})
    next(b for b in app.button if b.label == "Save the box").click()
    assert f"{SECOND.name} changed this record" in checked(app.run()).error[0].value
    press(app, "review_reload")
    assert f"labelled by {SECOND.name}" in texts(app)
    app.number_input[0].set_value(180.0)
    next(b for b in app.button if b.label == "Save the box").click()
    checked(app.run())
    found = load_case(database, sample.id).fields[0].analysis.cells[0]
    assert (found.box.x, found.type, found.reviewer) == (180, "blast", SECOND.name)


def test_a_box_is_moved_and_split_by_numbers(database, sample):
    before = load_case(database, sample.id).fields[0].analysis
    app = open_app(PAGE, sample=sample.id, view="Fields")
    app.segmented_control(key="review_mode").set_value("move")
    checked(app.run())
    app.selectbox(key="review_picked").select(cells_of(database, sample)[0])
    checked(app.run())
    left, _top, width, _height = app.number_input
    left.set_value(180.0)
    width.set_value(44.0)
    next(b for b in app.button if b.label == "Save the box").click()
    checked(app.run())
    box = Box(180, 20.5, 44, 31.3)
    assert load_case(database, sample.id).fields[0].analysis.cells[0].box.xywh == box.xywh
    app.number_input[2].set_value(3.0)
    next(b for b in app.button if b.label == "Save the box").click()
    assert "too small for a cell" in checked(app.run()).error[0].value
    app.segmented_control(key="review_mode").set_value("split")
    checked(app.run())
    next(b for b in app.button if b.label == "Split the cell").click()
    checked(app.run())
    cells = load_case(database, sample.id).fields[0].analysis.cells
    assert [cells[i].box.xywh for i in (0, 4)] == [(180, 20.5, 22, 31.3), (202, 20.5, 22, 31.3)]
    for _ in range(2):
        undo(app)
    assert load_case(database, sample.id).fields[0].analysis.cells == before.cells


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
    assert "2 uncertain white cells left to review" in texts(app)
    _, monocyte, basophil, _ = cells_of(database, sample)
    label_cells(database, user_of(database), sample, {monocyte: "monocyte", basophil: "basophil"})
    press(checked(app.run()), "review_mark")
    app.selectbox(key=f"review_template_{sample.id}").select("Differential")
    checked(app.run())
    text = app.text_area(key=f"review_conclusion_{sample.id}")
    assert text.value.startswith("Differential of 4 white cells: neutrophils 25.0 %")
    text.set_value("Nothing abnormal seen.")
    press(app, "review_sign")
    assert "Nothing abnormal seen." in [t.value for t in app.get("text")]
    assert load_case(database, sample.id).conclusion == "Nothing abnormal seen."
    assert load_case(database, sample.id).sample.state == "signed"
    assert "by **local**" in texts(app)
    press(app, "review_reopen")
    assert "needs a reason" in app.error[0].value
    app.text_input(key="review_reason").set_value("wrong slide")
    press(app, "review_reopen")
    case = load_case(database, sample.id)
    assert case.sample.state == "draft"
    assert [c.text for c in case.comments] == ["Reopened: wrong slide"]


@pytest.fixture
def reviewed(database, user, sample):
    """Return the sample with all uncertain cells labelled, marked as reviewed."""
    _, monocyte, basophil, _ = cells_of(database, sample)
    named = {monocyte: "monocyte", basophil: "basophil"}
    return mark_reviewed(database, user, label_cells(database, user, sample, named)[0])


def sign_view(sample):
    return open_app(PAGE, sample=sample.id, view="Sign")


def type_text(app, sample, text, kind="conclusion"):
    app.text_area(key=f"review_{kind}_{sample.id}").set_value(text)
    return checked(app.run())


def typed(app, sample, kind="conclusion"):
    return app.text_area(key=f"review_{kind}_{sample.id}").value


def test_conclusion_and_comment_survive_a_reload_and_are_in_no_report(database, user, reviewed):
    app = type_text(sign_view(reviewed), reviewed, "Reactive\nlymphocytes.")
    assert "No report holds it before you sign." in texts(app)
    type_text(app, reviewed, "Ask Ben.", "comment")
    app = sign_view(reviewed)
    assert typed(app, reviewed) == "Reactive\nlymphocytes."
    assert typed(app, reviewed, "comment") == "Ask Ben."
    press(app, "review_add_comment")
    assert typed(app, reviewed, "comment") == typed(sign_view(reviewed), reviewed, "comment") == ""
    case = load_case(database, reviewed.id)
    assert (case.conclusion, [c.text for c in case.comments]) == ("", ["Ask Ben."])
    files = case_files(database, case, ranges_in_force(database), user, file_names=True)
    texts_of_files = [file.write() for file in files if file.name.endswith("json")]
    assert texts_of_files
    assert not any(b"Reactive" in text for text in texts_of_files)
    press(app, "review_sign")
    assert load_case(database, reviewed.id).conclusion == "Reactive\nlymphocytes."
    app.text_input(key="review_reason").set_value("typing error")
    press(app, "review_reopen")
    assert typed(sign_view(reviewed), reviewed) == "Reactive\nlymphocytes."


def test_two_windows_do_not_overwrite_each_others_conclusion(database, reviewed):
    one, other = sign_view(reviewed), sign_view(reviewed)
    type_text(one, reviewed, "Reactive.")
    type_text(other, reviewed, "No blasts.")
    assert any("Another window changed this conclusion" in w.value for w in other.warning)
    assert "Reactive." in [t.value for t in other.get("text")]
    assert typed(other, reviewed) == "No blasts."
    press(other, "review_sign")
    assert "is not kept" in other.error[0].value
    assert load_case(database, reviewed.id).signatures == ()
    press(other, "review_keep_conclusion")
    assert typed(checked(one.run()), reviewed) == "No blasts."  # nothing new was typed there
    type_text(other, reviewed, "None.")
    type_text(one, reviewed, "Some.")
    press(one, "review_use_conclusion")
    assert typed(one, reviewed) == "None."
    assert not one.warning
    press(one, "review_sign")
    assert load_case(database, reviewed.id).conclusion == "None."


def test_the_conclusion_of_another_reviewer_is_shown_and_added_by_one_press(database, reviewed):
    kept = keep_text(database, SECOND, reviewed.id, "conclusion", "Ask for flow cytometry.", 0)
    app = type_text(sign_view(reviewed), reviewed, "Reactive.")
    assert f"{SECOND.name}," in texts(app)
    press(app, f"review_insert_{kept.id}")
    assert typed(sign_view(reviewed), reviewed) == "Reactive.\nAsk for flow cytometry."


def test_a_comment_stays_with_the_case_that_it_was_written_on(database, user, sample):
    other = save_sample(database, user, sample.patient_id, SampleDetails(sample.taken))
    app = type_text(sign_view(sample), sample, "Ask Ben.", "comment")
    app.query_params["sample"] = str(other.id)
    assert typed(checked(app.run()), other, "comment") == ""
    app.query_params["sample"] = str(sample.id)
    assert typed(checked(app.run()), sample, "comment") == "Ask Ben."


def test_views_and_visits_are_audited_once(database, sample):
    for _ in range(2):
        app = open_app("patients", sample=sample.id)
    open_app(PAGE, sample=sample.id)
    press(open_app(PAGE, sample=sample.id, view="Sign"), "review_share")
    app = press(open_app(PAGE, sample=sample.id, view="Sign"), "review_share")
    token = app.code[0].value.partition("?link=")[2]
    for _ in range(2):
        visitor = open_app(PAGE, link=token)
        checked(visitor.run())
    open_app("patients", patient=sample.patient_id)
    actions = [entry.action for entry in reversed(latest(database).items)]
    assert actions.count("view case") == 1
    assert actions.count("visit link") == 2
    assert actions.count("view patient") == 1
    assert actions.count("list patients") == 1


def test_a_link_opens_one_case_for_reading_and_commenting(database, sample):
    app = press(open_app(PAGE, sample=sample.id, view="Sign"), "review_share")
    token = app.code[0].value.partition("?link=")[2]
    visitor = open_app(PAGE, link=token)
    shown = f"{texts(visitor)} {[table.value for table in visitor.table]}"
    for identifying in ("P\\-1", "P-1", "Åsa", "1970", str(sample.taken)):
        assert identifying not in shown
    assert not any(b.key and b.key.startswith("review_") for b in visitor.button)
    visitor.text_area(key="link_text").set_value("Looks reactive.")
    press(visitor, "link_comment")
    assert "Give your name" in visitor.error[0].value
    visitor.text_input(key="link_name").set_value("Eve")
    press(visitor, "link_comment")
    before = labels_of(database, sample)
    visitor.text_input(key="link_name_opinion").set_value("Eve")
    press(visitor, "link_give")
    assert "Choose what the cell is" in visitor.error[0].value
    visitor.radio(key="link_opinion").set_value("blast")
    visitor.text_input(key="link_remark").set_value("Fine chromatin.")
    press(visitor, "link_give")
    comment, opinion = load_case(database, sample.id).comments
    assert (comment.author, comment.text) == ("Eve (by link)", "Looks reactive.")
    assert re.fullmatch(r"Opinion on cell \d\.\d: Blast\. Fine chromatin\.", opinion.text)
    assert labels_of(database, sample) == before
    revoke = next(b for b in checked(app.run()).button if b.label == "Revoke")
    revoke.click()
    checked(app.run())
    assert "link is wrong" in checked(visitor.run()).error[0].value


def test_a_wrong_link_shows_nothing(database, sample):
    app = open_app(PAGE, link="guessed")
    assert "link is wrong" in app.error[0].value
    assert not app.table


def test_possible_blasts_stand_above_every_view_and_one_press_opens_the_first(
    database, user, sample
):
    app = open_app("review", sample=sample.id, view="Table")
    assert not any("possible blast" in error.value for error in app.error)
    stored = load_case(database, sample.id)
    field, cell = stored.fields[1], stored.fields[1].cell_ids[0]
    label_cells(database, user, stored.sample, {cell: "blast"})
    app = open_app("review", sample=sample.id, view="Sign")
    assert any("1 possible blast" in error.value for error in app.error)
    press(app, "review_first_blast")
    assert app.selectbox(key=f"review_field_{sample.id}").value == 1
    assert app.selectbox(key="review_picked").value == cell
    assert field.analysis.title in app.selectbox(key=f"review_field_{sample.id}").options[1]
