from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update

from core.cases.audit import history
from core.cases.cell_groups import case_cells
from core.cases.orm import LinkRow
from core.cases.samples import load_case
from core.cases.sharing import (
    comment,
    comment_by_link,
    comments_on_slide,
    follow,
    links,
    opinion_by_link,
    revoke,
    samples_of_files,
    share,
)
from core.errors import InvalidEntryError, LinkError, NotAllowedError, NotFoundError
from tests.cases.made import REVIEWER, VIEWER


def test_comments_tell_who_when_and_what(database, sample):
    before = datetime.now(UTC)
    comment(database, VIEWER, sample.id, " looks reactive ")
    (kept,) = load_case(database, sample.id).comments
    assert (kept.author, kept.text) == (VIEWER.name, "looks reactive")
    assert before <= kept.at <= datetime.now(UTC)
    assert load_case(database, sample.id).sample == sample
    with pytest.raises(InvalidEntryError):
        comment(database, VIEWER, sample.id, " ")
    with pytest.raises(NotFoundError):
        comment(database, VIEWER, 999, "to nobody")


def test_a_comment_may_belong_to_a_place_in_a_slide(database, sample):
    place = {"slide": "5f3a", "x": 10, "y": 20, "zoom": 0.5, "turn": 90}
    said = comment(database, VIEWER, sample.id, "Rouleaux", place)
    comment(database, VIEWER, sample.id, "The whole case")
    (placed,) = comments_on_slide(database, "5f3a")
    assert (placed.sample_id, placed.comment) == (sample.id, said)
    assert [one.place for one in load_case(database, sample.id).comments] == [place, None]
    assert comments_on_slide(database, "5f3b") == []
    assert [entry.action for entry in history(database, sample.id)].count("comment") == 2
    file = load_case(database, sample.id).fields[0].analysis.file
    assert samples_of_files(database, file[:4]) == [sample.id]
    assert samples_of_files(database, f"_{file[1:4]}") == []  # no pattern


def test_a_link_opens_its_case_for_reading_and_commenting(database, sample):
    link, token = share(database, REVIEWER, sample.id)
    assert follow(database, token) == sample.id
    comment_by_link(database, token, "Dr Ole", "agreed")
    (kept,) = load_case(database, sample.id).comments
    assert kept.author == "Dr Ole (by link)"
    assert links(database, sample.id) == (link,)
    assert "Dr Ole" not in repr(history(database, sample.id))
    with pytest.raises(InvalidEntryError):
        comment_by_link(database, token, " ", "anonymous")


def test_a_link_fills_no_database(database, sample, monkeypatch):
    """Whoever has a link can send what no browser would."""
    _, token = share(database, REVIEWER, sample.id)
    with pytest.raises(InvalidEntryError, match="longer than 2,000"):
        comment_by_link(database, token, "Dr Ole", 3000 * "a")
    monkeypatch.setattr("core.cases.sharing.MOST_BY_LINK", 2)
    for _ in range(2):
        comment_by_link(database, token, "Dr Ole", 2000 * "a")
    with pytest.raises(InvalidEntryError, match="its limit"):
        comment_by_link(database, token, "Dr Ole", "again")
    _, another = share(database, REVIEWER, sample.id)
    comment_by_link(database, another, "Dr Ole", "by another link")
    comment(database, VIEWER, sample.id, "by a user")
    assert len(load_case(database, sample.id).comments) == 4


def test_an_opinion_on_a_cell_is_a_comment_and_changes_no_label(database, sample):
    _, token = share(database, REVIEWER, sample.id)
    case = load_case(database, sample.id)
    *_, last = case_cells(case)
    given = opinion_by_link(database, token, "Dr Ole", last, label="blast", remark="Nucleoli.")
    assert given.text == "Opinion on cell 2.1: Blast. Nucleoli."
    after = load_case(database, sample.id)
    assert (after.sample, after.analyses[1].cells) == (case.sample, case.analyses[1].cells)
    foreign = replace(last, field_id=last.field_id + 99)
    for wrong in (
        lambda: opinion_by_link(database, token, "Ole", foreign, label="blast"),
        lambda: opinion_by_link(database, "guessed", "Ole", last, label="blast"),
        lambda: opinion_by_link(database, token, "Ole", last, label="elephant"),
        lambda: opinion_by_link(database, token, " ", last, label="blast"),
    ):
        with pytest.raises((NotFoundError, LinkError, ValueError, InvalidEntryError)):
            wrong()
    assert after.comments == load_case(database, sample.id).comments == (given,)


def test_the_token_is_not_in_the_database(database, sample):
    _, token = share(database, REVIEWER, sample.id)
    with database.reading() as session:
        assert token not in repr(session.execute(text("SELECT * FROM links")).all())


def test_links_end(database, sample):
    link, token = share(database, REVIEWER, sample.id, days=1)
    _, other = share(database, REVIEWER, sample.id)
    revoke(database, REVIEWER, link.id)
    with database.writing() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        session.execute(update(LinkRow).where(LinkRow.id != link.id).values(expires=past))
    for dead in (token, other, "", "guessed"):
        with pytest.raises(LinkError):
            follow(database, dead)
        with pytest.raises(LinkError):
            comment_by_link(database, dead, "Ole", "hello")
    assert [entry.revoked is not None for entry in links(database, sample.id)] == [True, False]


def test_only_reviewers_share(database, sample):
    link, _ = share(database, REVIEWER, sample.id)
    with pytest.raises(NotAllowedError):
        share(database, VIEWER, sample.id)
    with pytest.raises(NotAllowedError):
        revoke(database, VIEWER, link.id)
    with pytest.raises(NotFoundError):
        revoke(database, REVIEWER, 999)
    with pytest.raises(InvalidEntryError):
        share(database, REVIEWER, sample.id, days=0)
