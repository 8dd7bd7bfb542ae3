"""The documentation agrees with the files that it speaks of."""

import re

import pytest

from benchmarks.docs_tables import BLOCKS, Goal, filled
from core.settings import PROJECT_ROOT

DOCUMENTS = sorted(
    {*PROJECT_ROOT.glob("*.md"), *(PROJECT_ROOT / "docs").glob("*.md")}
    - {PROJECT_ROOT / "CHANGELOG.md"}  # names files of its time
)
LINK = re.compile(r"\]\(([^)#\s]+)|src=\"([^\"]+)\"")
NAMED_FILE = re.compile(r"`((?:\w+/)+[\w.]+\.\w+)`")
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)?::(\w+)`|`(tests/[\w/.]+)`")


@pytest.mark.parametrize("document", BLOCKS)
def test_documents_show_the_measured_numbers(document):
    assert filled(document) == (PROJECT_ROOT / document).read_text(), "run `make docs`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document):
    targets = [first or second for first, second in LINK.findall(document.read_text())]
    missing = [
        target
        for target in targets
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_documents_name_exist(document):
    named = set(NAMED_FILE.findall(document.read_text()))
    assert not [name for name in named if not (PROJECT_ROOT / name).exists()]


def test_the_tests_that_the_security_page_names_exist():
    missing, file = [], None
    for path, name, alone in NAMED_TEST.findall((PROJECT_ROOT / "docs/security.md").read_text()):
        file = PROJECT_ROOT / (path or alone or file)
        if not file.exists() or (name and f"def {name}(" not in file.read_text()):
            missing.append(f"{file.relative_to(PROJECT_ROOT)}::{name}")
    assert not missing


def test_a_goal_that_is_reached_only_by_rounding_is_not_reached():
    assert Goal("Counts", 98, 97.96, decimals=0).row == ("Counts", "≥ 98", "98", "**no**")
    assert Goal("Counts", 98, 98.0).is_reached
    assert not Goal("Error", 5, 5.04, at_most=True).is_reached
