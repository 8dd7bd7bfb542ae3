import pytest

from core.cases.queue import queue
from core.cases.records import MissedCell, SampleDetails
from core.cases.reviews import add_cell, label_cells, undo
from core.cases.samples import add_fields, load_case, update_sample
from core.cases.signing import mark_reviewed, reopen, sign, signatures_needed
from core.cases.users import set_role, user_of
from core.domain.boxes import Box
from core.errors import (
    InvalidEntryError,
    NotAllowedError,
    SignatureError,
    SignedCaseError,
    StaleCaseError,
    UnreviewedCellsError,
)
from tests.cases.made import REVIEWER, SECOND, VIEWER, analysis_of, new_field, white


@pytest.fixture
def uncertain(database, sample):
    """Id of the one uncertain cell."""
    return queue(database).items[0].id


@pytest.fixture
def reviewed(database, sample, uncertain):
    named, _ = label_cells(database, REVIEWER, sample, {uncertain: "monocyte"})
    return mark_reviewed(database, REVIEWER, named)


def test_uncertain_cells_bar_the_signature(database, sample, uncertain):
    with pytest.raises(UnreviewedCellsError, match="1 uncertain cell needs review"):
        mark_reviewed(database, REVIEWER, sample)
    with pytest.raises(SignatureError, match="draft"):
        sign(database, REVIEWER, sample)
    assert load_case(database, sample.id).sample == sample


def test_one_signature_closes_a_case(database, settings, reviewed):
    signed = sign(database, REVIEWER, reviewed, settings)
    case = load_case(database, signed.id)
    assert (case.sample.state, case.sample) == ("signed", signed)
    assert [s.reviewer for s in case.signatures] == [REVIEWER.name]


def test_signed_is_read_only(database, settings, reviewed, uncertain, images):
    signed = sign(database, REVIEWER, reviewed, settings)
    field = load_case(database, signed.id).fields[0]
    missed = MissedCell(field.id, Box(1, 1, 9, 9), "monocyte")
    for attempt in (
        lambda: label_cells(database, SECOND, signed, {uncertain: "lymphocyte"}),
        lambda: undo(database, SECOND, signed, [1]),
        lambda: add_cell(database, SECOND, signed, missed),
        lambda: add_fields(database, SECOND, signed, [new_field(images[4], white())]),
        lambda: update_sample(database, SECOND, signed, SampleDetails(signed.taken)),
        lambda: mark_reviewed(database, SECOND, signed),
        lambda: sign(database, SECOND, signed, settings),
    ):
        with pytest.raises(SignedCaseError, match="signed by ana@lab"):
            attempt()
    assert load_case(database, signed.id).sample == signed


def test_two_signatures_are_of_two_people(database, settings, reviewed):
    settings = settings.model_copy(update={"signatures": 2})
    once = sign(database, REVIEWER, reviewed, settings)
    assert once.state == "reviewed"
    with pytest.raises(SignatureError, match="another's"):
        sign(database, REVIEWER, once, settings)
    assert sign(database, SECOND, once, settings).state == "signed"


def test_a_conclusion_is_signed_and_kept(database, settings, reviewed):
    settings = settings.model_copy(update={"signatures": 2})
    with pytest.raises(InvalidEntryError, match="conclusion is longer"):
        sign(database, REVIEWER, reviewed, settings, conclusion="x" * 2001)
    once = sign(database, REVIEWER, reviewed, settings, conclusion=" Reactive.\nNo blasts. ")
    assert load_case(database, once.id).conclusion == "Reactive.\nNo blasts."
    sign(database, SECOND, once, settings, conclusion="Ask for flow cytometry.")
    assert load_case(database, once.id).conclusion == (
        "ana@lab: Reactive.\nNo blasts.\nben@lab: Ask for flow cytometry."
    )


def test_possible_blasts_need_two_people_where_there_are_two(
    database, settings, reviewed, uncertain
):
    local = user_of(database)
    named, _ = label_cells(database, local, reviewed, {uncertain: "blast"})
    seen = mark_reviewed(database, local, named)

    def needed(user, **changed):
        analyses = load_case(database, seen.id).analyses
        used = settings.model_copy(update=changed)
        return signatures_needed(database, user, analyses, used)

    assert needed(REVIEWER) == 1  # nobody else has an account who could sign
    for user in (REVIEWER, SECOND):
        set_role(database, local, user.name, "reviewer")
    assert (needed(REVIEWER), needed(local)) == (2, 1)
    assert (needed(local, second_signature=True), needed(REVIEWER, second_signature=False)) == (
        2,
        1,
    )
    once = sign(database, REVIEWER, seen, settings)
    assert once.state == "reviewed"
    with pytest.raises(SignatureError, match="another's"):
        sign(database, REVIEWER, once, settings)
    assert sign(database, SECOND, once, settings).state == "signed"


def test_one_reviewer_alone_does_not_overrule_the_models_blasts(settings, database, images):
    used = settings.model_copy(update={"second_signature": True})

    def needed(cell):
        return signatures_needed(database, REVIEWER, [analysis_of(images[0], cell)], used)

    for status in ("classified", "uncertain"):
        assert needed(white("blast", status=status).reviewed("lymphocyte", "ana")) == 2
    assert needed(white("blast", status="out_of_scope").reviewed("lymphocyte", "ana")) == 1
    assert needed(white("monocyte").reviewed("lymphocyte", "ana")) == 1


def test_a_change_makes_a_half_signed_case_a_draft(database, settings, reviewed, uncertain):
    settings = settings.model_copy(update={"signatures": 2})
    once = sign(database, REVIEWER, reviewed, settings)
    changed, _ = label_cells(database, SECOND, once, {uncertain: "lymphocyte"})
    assert changed.state == "draft"
    assert load_case(database, changed.id).signatures == ()


def test_reopening_needs_a_reason_and_keeps_it(database, settings, reviewed, uncertain):
    signed = sign(database, REVIEWER, reviewed, settings)
    with pytest.raises(InvalidEntryError, match="reason"):
        reopen(database, SECOND, signed, "  ")
    opened = reopen(database, SECOND, signed, "wrong slide")
    case = load_case(database, opened.id)
    assert (case.sample.state, case.signatures) == ("draft", ())
    assert [(c.author, c.text) for c in case.comments] == [(SECOND.name, "Reopened: wrong slide")]
    label_cells(database, SECOND, opened, {uncertain: "lymphocyte"})
    with pytest.raises(SignatureError, match="open already"):
        reopen(database, SECOND, load_case(database, opened.id).sample, "again")


def test_signed_cells_leave_the_queue_until_reopened(database, settings, reviewed):
    assert queue(database).total == 2
    signed = sign(database, REVIEWER, reviewed, settings)
    assert queue(database).total == 0
    reopen(database, REVIEWER, signed, "look again")
    assert queue(database).total == 2


def test_nobody_signs_what_they_have_not_seen(database, sample, reviewed):
    with pytest.raises(StaleCaseError):
        sign(database, SECOND, sample)
    with pytest.raises(NotAllowedError):
        sign(database, VIEWER, reviewed)
    with pytest.raises(NotAllowedError):
        mark_reviewed(database, VIEWER, sample)
    with pytest.raises(NotAllowedError):
        reopen(database, VIEWER, reviewed, "why not")
