import pytest

from core.cases.audit import latest
from core.cases.drafts import add_draft_field, create_draft, load_draft
from core.cases.samples import load_case
from core.cases.unfinished import keep_text, unfinished_texts
from core.cases.users import remove, set_role
from core.errors import InvalidEntryError, NotAllowedError, NotFoundError, UnnamedCaseError
from tests.cases.made import ADMIN, REVIEWER, SECOND, VIEWER, new_field, white


def texts_of(database, sample, kind="conclusion"):
    found = unfinished_texts(database, sample.id, kind)
    return [(text.author, text.text, text.version) for text in found]


def test_each_user_has_a_text_of_their_own_and_the_case_stays_as_it_is(database, sample):
    before = load_case(database, sample.id)
    entries = latest(database).total
    first = keep_text(database, REVIEWER, sample.id, "conclusion", " Reactive", 0)
    keep_text(database, SECOND, sample.id, "conclusion", "No blasts.", 0)
    keep_text(database, REVIEWER, sample.id, "comment", "Ask Ben.", 0)
    keep_text(database, REVIEWER, sample.id, "conclusion", " Reactive.\n", first.version)
    assert texts_of(database, sample) == [
        (REVIEWER.name, " Reactive.\n", 2),
        (SECOND.name, "No blasts.", 1),
    ]
    assert texts_of(database, sample, "comment") == [(REVIEWER.name, "Ask Ben.", 1)]
    after = load_case(database, sample.id)
    assert (after.sample, after.conclusion, after.comments) == (before.sample, "", ())
    assert latest(database).total == entries


def test_a_text_of_another_window_is_not_overwritten_unseen(database, sample):
    first = keep_text(database, REVIEWER, sample.id, "conclusion", "Reactive.", 0)
    for seen in (0, first.version + 1):
        kept = keep_text(database, REVIEWER, sample.id, "conclusion", "Blasts.", seen)
        assert kept == first
    kept = keep_text(database, REVIEWER, sample.id, "conclusion", "Blasts.", first.version)
    assert (kept.text, kept.version) == ("Blasts.", 2)


def test_who_may_keep_what(database, sample, images):
    with pytest.raises(NotAllowedError):
        keep_text(database, VIEWER, sample.id, "conclusion", "Blasts.", 0)
    keep_text(database, VIEWER, sample.id, "comment", "Blasts?", 0)
    with pytest.raises(NotFoundError):
        keep_text(database, REVIEWER, 99, "comment", "Blasts?", 0)
    with pytest.raises(InvalidEntryError, match="longer than"):
        keep_text(database, REVIEWER, sample.id, "conclusion", "x" * 2001, 0)
    draft, _ = create_draft(database, REVIEWER, REVIEWER.name)
    add_draft_field(database, REVIEWER, draft, "A", new_field(images[0], white()))
    _, _, (field,) = load_draft(database, draft)
    with pytest.raises(UnnamedCaseError):
        keep_text(database, REVIEWER, field.sample_id, "comment", "Blasts?", 0)


def test_a_removed_user_leaves_conclusions_to_others_and_no_name(database, settings, sample):
    set_role(database, ADMIN, REVIEWER.name, "reviewer")
    for kind in ("conclusion", "comment"):
        keep_text(database, REVIEWER, sample.id, kind, "Reactive.", 0)
    remove(database, ADMIN, REVIEWER.name, settings)
    assert texts_of(database, sample) == [(None, "Reactive.", 1)]
    assert texts_of(database, sample, "comment") == []
    keep_text(database, REVIEWER, sample.id, "conclusion", "Mine.", 0)
    assert len(texts_of(database, sample)) == 2
