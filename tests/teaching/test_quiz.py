from collections import Counter

import pytest

from core.domain.agreement import agreement
from core.errors import DataNotFoundError, InvalidEntryError
from core.settings import Settings
from core.synthetic.portraits import draw_portrait
from core.teaching.atlas import get_atlas
from core.teaching.confusions import Confusions, model_confusions
from core.teaching.quiz import (
    KEYS,
    LEVELS,
    Question,
    checked_rules,
    compare_counts,
    dump_questions,
    likely_mistakes,
    load_question,
    make_questions,
    read_item,
    repetition,
    score,
    truth_of_field,
)


def made(seed=1, confused=None, real=None, **rules):
    return make_questions(checked_rules(**rules), seed, get_atlas(), confused or {}, real)


@pytest.mark.parametrize("level", LEVELS)
def test_types_are_asked_evenly_and_each_question_has_its_truth_among_its_answers(level):
    labels = LEVELS[level].labels
    questions = made(level=level, number=2 * len(labels), confused=model_confusions())
    assert Counter(q.truth for q in questions) == dict.fromkeys(labels, 2)
    for question in questions:
        assert question.truth in question.options
        assert 2 <= len(question.options) <= min(len(KEYS), LEVELS[level].options)
        assert sorted(question.options, key=labels.index) == list(question.options)
        drawing = question.item.split("/")[1]
        assert draw_portrait(drawing, 1, 32).pixels.shape == (32, 32, 3)
    assert len({q.item for q in questions}) == len(questions)


def test_distractors_are_neighbours_in_maturation_look_alikes_and_the_models_confusions():
    atlas = get_atlas()
    assert likely_mistakes("myelocyte", "stages", atlas, {})[:2] == [
        "promyelocyte",
        "metamyelocyte",
    ]
    others = {other.key for other in atlas.entries["monocyte"].look_alikes}
    assert set(likely_mistakes("monocyte", "look_alikes", atlas, {})) <= others
    confused = {"eosinophil": Confusions(100, (("erythroblast", 9),))}
    assert "erythroblast" in likely_mistakes("eosinophil", "main", atlas, confused)
    assert "erythroblast" not in likely_mistakes("eosinophil", "main", atlas, {})


def test_chosen_types_only_and_a_seed_decides():
    questions = made(level="stages", types=("band", "segmented"), number=6)
    assert {q.truth for q in questions} == {"band", "segmented"}
    assert made(number=5, seed=3) == made(number=5, seed=3) != made(number=5, seed=4)
    with pytest.raises(InvalidEntryError, match="does not tell such types apart"):
        checked_rules(level="main", types=("band",))
    with pytest.raises(DataNotFoundError, match="not on this machine"):
        made(cells="real")


def test_real_cells_are_those_of_their_label(pack):
    from core.datasets.readers import open_set

    real = open_set("pbc", Settings(_env_file=None, data=pack.folder))
    questions = made(level="stages", cells="real", number=18, real=real)
    known = {f"pbc/{e.member}": e.subtype or e.label for e in real.examples}
    assert all(known[q.item] == q.truth for q in questions)
    assert "blast" not in {q.truth for q in questions}  # of healthy donors
    assert read_item(questions[0].item, 64, real).shape == (64, 64, 3)
    mixed = made(cells="both", number=40, real=real)
    assert {q.is_real for q in mixed} == {True, False}
    with pytest.raises(DataNotFoundError):
        read_item(questions[0].item, 64)


def test_fields_hold_the_cells_to_count():
    rules = checked_rules(form="fields", number=100, differential={"blast": 3, "segmented": 7})
    questions = make_questions(rules, 1, get_atlas(), {})
    assert len(questions) == 5
    truth = sum((truth_of_field(rules, q) for q in questions), Counter())
    assert truth == {"blast": 30, "neutrophil": 70}
    assert len(questions[0].options) == 9  # a key each
    assert [load_question(stored) for stored in dump_questions(questions)] == list(questions)


def test_a_repetition_asks_the_missed_cells_and_a_new_one_of_each_type():
    missed = [Question(f"synthetic/band/{n}", "band", ("segmented", "band")) for n in (1, 2)]
    rules, questions = repetition(missed, 1)
    assert rules.number == len(questions) == 3
    (new,) = set(questions) - set(missed)
    assert (new.truth, new.options) == ("band", ("segmented", "band"))


def test_score_and_counts():
    pairs = [("band", "band"), ("band", "segmented"), ("segmented", "segmented"), ("blast", None)]
    found = score(pairs, LEVELS["stages"].labels)
    assert (found.right, round(found.share.value)) == (2, 50)
    assert found.by_label["band"] == (1, 2)
    assert found.agreement.labels[-1] == "none"
    same = agreement([("a", "a"), ("a", "b"), ("b", "b"), ("c", "d")], "abcd")
    assert found.agreement.kappa == same.kappa
    (blast, neutrophil) = compare_counts(
        {"blast": 5, "neutrophil": 95}, {"blast": 40}, ["blast", "neutrophil"]
    )
    assert (blast.truth_percent, blast.is_near) == (5.0, False)
    assert (neutrophil.truth, neutrophil.counted) == (95, 0)
