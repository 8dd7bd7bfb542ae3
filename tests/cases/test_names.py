"""One text is one identifier, however it was typed; what nobody sees is refused."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cases.names import checked_identifier, checked_name, look, searchable, spelt_out
from core.errors import InvalidEntryError

SAME = ["Mu\u0308ller 7", "M\u00fcller 7", " M\u00fcller  7\n", "M\u00fcller\u00a0\u20037"]
UNSEEN = [
    "\n",
    "\0",
    "\u202e",
    "\u200b",
    "\ud800",
    "\u2028",
    "\u00ad",
    "\u200f",
    "\ufe0f",
    "\u3164",
]


@pytest.mark.parametrize("text", SAME)
def test_one_identifier_has_one_form(text):
    assert checked_identifier(text, "identifier") == "M\u00fcller 7"
    assert searchable(text.upper()) == searchable("m\u00fcller 7")


@pytest.mark.parametrize("character", UNSEEN)
def test_what_nobody_sees_is_refused_and_named(character):
    point = f"U\\+{ord(character):04X}"
    for check in (checked_identifier, checked_name):
        with pytest.raises(InvalidEntryError, match=f"identifier holds .*{point}.* remove"):
            check(f"P-{character}1", "identifier")


def test_names_keep_the_joiners_they_are_spelt_with():
    name = "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627"
    assert checked_name(name, "name") == name
    with pytest.raises(InvalidEntryError):
        checked_identifier(name, "identifier")


@given(st.text())
def test_what_is_kept_looks_as_typed_and_stays_as_it_is(text):
    try:
        kept = checked_identifier(text, "identifier")
    except InvalidEntryError:
        return
    assert kept == look(text) == look(kept) == checked_identifier(kept, "identifier")
    assert unicodedata.is_normalized("NFC", kept)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in kept)


def test_spellings_of_one_look_can_be_told_apart():
    shown = [spelt_out(text) for text in ("M\u00fc", "Mu\u0308", "M\u00fc ", "a  b", "a\u202eb")]
    assert shown == ["M\u00fc(U+00FC)", "Mu(U+0308)", "M\u00fc(U+00FC)\u2423", "a\u2423\u2423b",
                     "a(U+202E)b"]  # fmt: skip
