"""Text from files, such as class names and paths, made safe for people's terminals and spreadsheets."""

from __future__ import annotations

import unicodedata

_FORMULA_SIGNS = "=+-@＝＋－＠"  # spreadsheets compute a cell that begins with one of these
_DIRECTION_OVERRIDES = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}  # show text in another order


def printable(text: str, *, keep: str = "") -> str:
    """``text`` with control characters, escape codes of terminals among them, as visible escapes such as ``\\x1b``.

    Args:
        keep: control characters that stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(letter) if letter not in keep else letter for letter in text)


def _visible(letter: str) -> str:
    if unicodedata.category(letter) in ("Cc", "Zl", "Zp") or letter in _DIRECTION_OVERRIDES:
        return letter.encode("unicode_escape").decode("ascii")
    return letter


def spreadsheet_cell(text: str) -> str:
    """``text`` as a cell of a CSV file that no spreadsheet reads as a formula: its sign is preceded by an
    apostrophe."""
    text = printable(text)
    return f"'{text}" if text[:1] in _FORMULA_SIGNS and text else text
