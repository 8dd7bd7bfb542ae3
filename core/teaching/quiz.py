"""Quizzes: levels, questions with their distractors, and the score against the truth.

A quiz asks single cells or has whole fields counted. Synthetic cells and fields follow from a
seed, so that a question is stored as a line of text and drawn again when it is shown.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.datasets.readers import DataSet, Example
from core.domain.agreement import Agreement, agreement
from core.domain.intervals import Estimate, proportion
from core.domain.results import Pixels
from core.domain.taxonomy import CELL_TYPES, SUBTYPES, UNANSWERED, label_name
from core.errors import DataNotFoundError, InvalidEntryError
from core.synthetic.portraits import SIDE_MICROMETRES, draw_portrait
from core.synthetic.smears import DIFFERENTIALS, FIELD_TYPES, FieldRecipe, Stain, counts_of
from core.teaching.atlas import MATURATION, Atlas
from core.teaching.confusions import Confusions
from core.teaching.reference_cells import read_cell

LevelKey = Literal["main", "stages", "look_alikes"]
Form = Literal["cells", "fields"]
Source = Literal["synthetic", "real", "both"]
Feedback = Literal["immediate", "final"]

KEYS = "123456789qwetyui"
"""Keys of the answers, in their order. The framework takes C and R."""
_STAGES = (
    "segmented",
    "band",
    "metamyelocyte",
    "myelocyte",
    "promyelocyte",
    "blast",
    "eosinophil",
    "basophil",
    "lymphocyte",
    "variant_lymphocyte",
    "plasma_cell",
    "monocyte",
    "promonocyte",
    "erythroblast",
    "platelet",
    "giant_platelet",
    "smudge_cell",
)


@dataclass(frozen=True, slots=True)
class Level:
    """How finely cells are told apart."""

    name: str
    about: str
    labels: tuple[str, ...]
    """In the order of answers and matrices."""
    options: int
    """Answers to choose from."""


LEVELS: dict[LevelKey, Level] = {
    "main": Level(
        "Main types",
        "Ten types, as the program counts them.",
        tuple(CELL_TYPES),
        5,
    ),
    "stages": Level(
        "Subtypes and stages",
        "Bands, the stages of granulocytes, variant lymphocytes, plasma cells.",
        _STAGES,
        6,
    ),
    "look_alikes": Level(
        "Look-alikes only",
        "Each cell beside those it is mistaken for.",
        _STAGES,
        4,
    ),
}

_DRAWN: dict[str, tuple[str, ...]] = {
    "neutrophil": ("segmented", "segmented", "band"),
    "immature_granulocyte": ("metamyelocyte", "myelocyte", "promyelocyte"),
    "platelet": ("platelet", "giant_platelet"),
}
"""What a main type looks like; others are drawn under their own name."""

CELLS_A_FIELD = 20
"""At most, where a count of 100 is spread over several fields."""


class Rules(BaseModel):
    """What a learner or a teacher chose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Form = "cells"
    level: LevelKey = "main"
    cells: Source = "synthetic"
    """Where single cells come from."""
    types: tuple[str, ...] = ()
    """Labels of the level that are asked for; empty: all."""
    number: int = Field(10, ge=1, le=200)
    """Single cells, or cells to count over all fields."""
    seconds: int | None = Field(None, ge=2, le=120)
    """A cell; None without a limit."""
    feedback: Feedback = "immediate"
    differential: dict[str, float] = Field(default_factory=lambda: dict(DIFFERENTIALS["Normal"]))
    """Of whole fields, by `FIELD_TYPES`."""
    stain: Stain = "standard"
    blur: float = Field(0.0, ge=0, le=1)
    """Defocus of whole fields in µm."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not set(self.types) <= set(LEVELS[self.level].labels):
            raise ValueError("the level does not tell such types apart")
        if not self.differential or set(self.differential) - set(FIELD_TYPES):
            raise ValueError("a differential has types that fields can show")
        if min(self.differential.values()) < 0 or sum(self.differential.values()) <= 0:
            raise ValueError("a differential has shares above 0")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that an answer may have, in order."""
        if self.form == "cells":
            return LEVELS[self.level].labels
        shown = {self.counted(key) for key in FIELD_TYPES}
        return tuple(label for label in LEVELS[self.level].labels if label in shown)

    def counted(self, key: str) -> str:
        """Return the label under which a cell of a field counts at this level."""
        return SUBTYPES[key].type if self.level == "main" and key in SUBTYPES else key


def checked_rules(**values: object) -> Rules:
    """Return rules. Raises InvalidEntryError for values that do not fit."""
    try:
        return Rules.model_validate(values)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidEntryError(f"The quiz cannot be made: {reason}. Change it.") from error


@dataclass(frozen=True, slots=True)
class Question:
    """One cell or field, the truth, and the answers to choose from."""

    item: str
    """`synthetic/<drawing>/<seed>`, `pbc/<member>` or `field/<recipe as JSON>`."""
    truth: str
    """The label of a single cell; empty of a field, which has many."""
    options: tuple[str, ...]

    @property
    def is_field(self) -> bool:
        """Whether a whole field is to be counted."""
        return self.item.startswith("field/")

    @property
    def is_real(self) -> bool:
        """Whether the cell was photographed, not drawn."""
        return self.item.startswith("pbc/")

    def recipe(self) -> FieldRecipe:
        """Return the recipe of a field."""
        return FieldRecipe.model_validate_json(self.item.removeprefix("field/"))


def likely_mistakes(
    label: str, level: LevelKey, atlas: Atlas, confused: Mapping[str, Confusions]
) -> list[str]:
    """Return the labels of a level that a cell is mistaken for, the likeliest first.

    Neighbours in maturation come first, then the look-alikes of the atlas, then what the model
    confuses with its type. The model's answer to the cell itself is never used.
    """
    known = LEVELS[level].labels
    found: list[str] = []
    if label in MATURATION and level != "main":
        place = MATURATION.index(label)
        found += [*MATURATION[max(place - 1, 0) : place], *MATURATION[place + 1 : place + 2]]
    found += [other.key for other in atlas.entries[label].look_alikes]
    if level == "main":
        found = [SUBTYPES[key].type if key in SUBTYPES else key for key in found]
    if level != "look_alikes":
        type_ = SUBTYPES[label].type if label in SUBTYPES else label
        if type_ in confused:
            found += [other for other, _ in confused[type_].others]
    return [key for key in dict.fromkeys(found) if key in known and key != label]


def make_questions(
    rules: Rules,
    seed: int,
    atlas: Atlas,
    confused: Mapping[str, Confusions],
    real: DataSet | None = None,
) -> tuple[Question, ...]:
    """Return the questions of a quiz; rare types are asked as often as common ones.

    `real` is PBC, where it is on this machine. Raises DataNotFoundError when real cells are asked
    for without it, and InvalidEntryError where there is no such cell.
    """
    rng = np.random.default_rng(seed)
    if rules.form == "fields":
        return _field_questions(rules, rng)
    wanted = rules.types or LEVELS[rules.level].labels
    found: dict[str, list[Example]] = {}
    if rules.cells != "synthetic":
        if real is None:
            raise DataNotFoundError(
                "The real cells (PBC) are not on this machine. Get the set on the page Atlas, or "
                "choose synthetic cells."
            )
        found = _real_cells(real, wanted)
        if rules.cells == "real":
            wanted = tuple(label for label in wanted if label in found)
    if not wanted:
        raise InvalidEntryError("PBC has no real cells of these types. Choose synthetic cells.")
    questions: list[Question] = []
    used: set[str] = set()
    for truth in _balanced(rng, wanted, rules.number):
        is_real = truth in found and (rules.cells == "real" or rng.random() < 0.5)
        item = _real_item(rng, found[truth], used) if is_real else _drawn_item(rng, truth)
        used.add(item)
        questions.append(
            question_of(item, truth, rules.level, atlas=atlas, confused=confused, rng=rng)
        )
    return tuple(questions)


def question_of(  # noqa: PLR0913 - what a question is made of
    item: str,
    truth: str,
    level: LevelKey,
    *,
    atlas: Atlas,
    confused: Mapping[str, Confusions],
    rng: np.random.Generator,
) -> Question:
    """Return the question of a cell; its answers stand in the order of the level."""
    most = LEVELS[level].options
    others = likely_mistakes(truth, level, atlas, confused)[: most - 1]
    if level != "look_alikes" or not others:
        rest = [key for key in LEVELS[level].labels if key not in (truth, *others)]
        others += [str(key) for key in rng.permutation(rest)[: most - 1 - len(others)]]
    order = LEVELS[level].labels.index
    return Question(item, truth, tuple(sorted((truth, *others), key=order)))


def repetition(missed: Sequence[Question], seed: int) -> tuple[Rules, tuple[Question, ...]]:
    """Return the quiz of missed cells, in random order, with a new cell of each of their types.

    The new ones tell whether the type was learnt, or only the picture.
    """
    rng = np.random.default_rng(seed)
    new = {q.truth: Question(_drawn_item(rng, q.truth), q.truth, q.options) for q in missed}
    questions = [*missed, *new.values()]
    is_main = new.keys() <= set(LEVELS["main"].labels)
    rules = checked_rules(level="main" if is_main else "stages", number=len(questions))
    return rules, tuple(questions[place] for place in rng.permutation(len(questions)))


def _balanced(rng: np.random.Generator, labels: Sequence[str], number: int) -> list[str]:
    """Return labels in random order, each as often as the others, give or take one."""
    rounds = -(-number // len(labels))
    drawn = [str(label) for _ in range(rounds) for label in rng.permutation(labels)]
    return drawn[:number]


def _drawn_item(rng: np.random.Generator, truth: str) -> str:
    drawings = _DRAWN.get(truth, (truth,))
    return f"synthetic/{drawings[rng.integers(len(drawings))]}/{rng.integers(10, 2**31)}"


def _real_cells(cells: DataSet, labels: Sequence[str]) -> dict[str, list[Example]]:
    """Return the cells of each label; cells without a stage are left out where stages are asked."""
    found: dict[str, list[Example]] = {}
    for example in cells.examples:
        label = example.subtype if example.subtype in labels else example.label
        if label in labels:
            found.setdefault(str(label), []).append(example)
    return found


def _real_item(rng: np.random.Generator, examples: Sequence[Example], used: set[str]) -> str:
    for _ in range(20):
        item = f"pbc/{examples[int(rng.integers(len(examples)))].member}"
        if item not in used:
            break
    return item


def _field_questions(rules: Rules, rng: np.random.Generator) -> tuple[Question, ...]:
    """Spread the cells to count over as few fields as can show them."""
    fields = -(-rules.number // CELLS_A_FIELD)
    counts = counts_of(rules.differential, rules.number)
    keys = rng.permutation([key for key, n in counts.items() for _ in range(n)])
    questions = []
    for part in np.array_split(keys, fields):
        recipe = FieldRecipe(
            seed=int(rng.integers(2**31)),
            counts=dict(Counter(str(key) for key in part)),
            stain=rules.stain,
            blur=rules.blur,
        )
        questions.append(Question(f"field/{recipe.model_dump_json()}", "", rules.labels))
    return tuple(questions)


def read_item(item: str, size: int, real: DataSet | None = None) -> Pixels:
    """Return the picture of a single cell, size x size x 3 RGB, 24 µm wide.

    Raises DataNotFoundError for a real cell that is not on this machine.
    """
    kind, _, name = item.partition("/")
    if kind == "synthetic":
        drawing, _, seed = name.partition("/")
        return draw_portrait(drawing, int(seed), size, SIDE_MICROMETRES).pixels
    examples = real.examples if real else ()
    example = next((e for e in examples if e.member == name), None)
    if real is None or example is None:
        raise DataNotFoundError(
            "This real cell (PBC) is not on this machine. Get the set on the page Atlas."
        )
    return read_cell(real, example, size)


def truth_of_field(rules: Rules, question: Question) -> Counter[str]:
    """Return how many cells of each label a field shows."""
    counted: Counter[str] = Counter()
    for key, cells in question.recipe().counts.items():
        counted[rules.counted(key)] += cells
    return counted


def answer_name(label: str) -> str:
    """Return the name of an answer on pages and in exports."""
    return "No answer" if label == UNANSWERED else label_name(label)


@dataclass(frozen=True, slots=True)
class Score:
    """Answers to single cells compared with the truth."""

    share: Estimate
    """Right answers, percent."""
    agreement: Agreement
    """Truth down, answers across; its kappa is Cohen's, None where it is undefined."""
    by_label: Mapping[str, tuple[int, int]]
    """Right answers and cells, by the truth."""

    @property
    def right(self) -> int:
        """How many answers were right."""
        return self.agreement.agreed


def score(pairs: Sequence[tuple[str, str | None]], labels: Sequence[str]) -> Score:
    """Compare answers with the truth: pairs (truth, given), None where time ran out."""
    answered = [(truth, given or UNANSWERED) for truth, given in pairs]
    totals = Counter(truth for truth, _ in answered)
    right = Counter(truth for truth, given in answered if truth == given)
    return Score(
        share=proportion(right.total(), len(answered), per=100),
        agreement=agreement(answered, (*labels, UNANSWERED)),
        by_label={label: (right[label], totals[label]) for label in labels if totals[label]},
    )


@dataclass(frozen=True, slots=True)
class CountedType:
    """How often a type was counted over some fields, and how often it is there."""

    label: str
    truth: int
    counted: int
    truth_percent: float
    percent: Estimate
    """Of the counted cells, with exact limits."""

    @property
    def is_near(self) -> bool:
        """Whether the true percentage lies within the limits of the count."""
        return self.percent.low <= self.truth_percent <= self.percent.high


def compare_counts(
    truth: Mapping[str, int], counted: Mapping[str, int], labels: Sequence[str]
) -> list[CountedType]:
    """Compare the cells that a learner counted with those of the fields, type by type."""
    true_cells, cells = sum(truth.values()), sum(counted.values())
    return [
        CountedType(
            label,
            truth.get(label, 0),
            counted.get(label, 0),
            100 * truth.get(label, 0) / true_cells if true_cells else 0.0,
            proportion(counted.get(label, 0), cells, per=100),
        )
        for label in labels
        if truth.get(label) or counted.get(label)
    ]


def dump_questions(questions: Iterable[Question]) -> list[dict[str, object]]:
    """Return questions as JSON."""
    return [{"item": q.item, "truth": q.truth, "options": list(q.options)} for q in questions]


def load_question(stored: Mapping[str, object]) -> Question:
    """Return a stored question."""
    options = stored["options"]
    assert isinstance(options, list)
    return Question(str(stored["item"]), str(stored["truth"]), tuple(options))


def rules_json(rules: Rules) -> dict[str, object]:
    """Return rules as JSON."""
    dumped: dict[str, object] = json.loads(rules.model_dump_json())
    return dumped
