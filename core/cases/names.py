"""Names and identifiers as they are kept: what looks the same is the same.

Unicode writes "ü" in two ways (UAX #15), has spaces of many widths, and characters that nobody sees
or that turn the direction of what follows (UTS #39, UTR #36).
"""

import re
import unicodedata

from core.errors import InvalidEntryError

JOINERS = "\u200c\u200d"
"""Persian and Indic names are spelt with them."""
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt) that are letters or marks, and the blank
# braille pattern. Those that are controls are in the category Cf.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
_NO_TEXT = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of control and format characters, lone surrogates and line ends."""

LONGEST_COMMENT = 2000
"""Characters. Requests that no browser sends are not limited by its forms."""

_SPACE = "\N{OPEN BOX}"


def normalised(text: str) -> str:
    """Return a text in NFC, each run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def searchable(text: str) -> str:
    """Return a text as it is searched: normalised, letter case folded."""
    return unicodedata.normalize("NFC", normalised(text).casefold())


def checked_identifier(text: str, what: str) -> str:
    """Return an identifier as it is kept. `what` names it in errors, such as `identifier`.

    Raises InvalidEntryError for characters that are not seen: control and format characters, line
    ends within the text, variation selectors.
    """
    return checked_name(text, what, joiners="")


def checked_name(text: str, what: str, joiners: str = JOINERS) -> str:
    """Return a name as it is kept; as `checked_identifier`, but it may hold joiners."""
    if unseen := sorted(c for c in {*text.strip()} if c not in joiners and _is_unseen(c)):
        points = ", ".join(f"U+{ord(c):04X}" for c in unseen)
        raise InvalidEntryError(
            f"The {what} holds characters that cannot be seen ({points}). Type it anew, or remove "
            "them."
        )
    return normalised(text)


def checked_comment(text: str, what: str = "comment") -> str:
    """Return a comment or reason as it is kept. Raises InvalidEntryError when it is too long."""
    if len(text) > LONGEST_COMMENT:
        raise InvalidEntryError(
            f"The {what} is longer than {LONGEST_COMMENT:,} characters. Shorten it."
        )
    return text.strip()


def look(text: str, kept: str = "") -> str:
    """Return what is seen of a text, and the unseen characters to be kept: equal if it looks so."""
    spaced = "".join(" " if c.isspace() else c for c in text)
    return normalised("".join(c for c in spaced if c in kept or not _is_unseen(c)))


def spelt_out(text: str) -> str:
    """Return a text in which each character that is unseen, or beyond ASCII, has its code point."""
    shown = re.sub(" {2,}|^ | $", lambda spaces: _SPACE * len(spaces[0]), text)
    return "".join(
        c if " " <= c <= "~" or c == _SPACE else f"{_glyph(c)}(U+{ord(c):04X})" for c in shown
    )


def _glyph(character: str) -> str:
    is_seen = character.isprintable() and not _is_unseen(character)
    return character if is_seen and not unicodedata.combining(character) else ""


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _NO_TEXT or bool(_UNSEEN.match(character))
