"""Names from files, made safe for terminals and spreadsheets."""

import logging

import pytest

from slowfast.utils.logging import setup_logging
from slowfast.utils.text import printable, spreadsheet_cell


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain name.mp4", "plain name.mp4"),
        ("Grüße, 走る 🏃‍♀️", "Grüße, 走る 🏃‍♀️"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\tb\r\nc\x00\x7f\x9b", r"a\tb\r\nc\x00\x7f\x9b"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_control_characters_are_shown(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_no_cell_is_a_formula(sign):
    assert spreadsheet_cell(f'{sign}HYPERLINK("http://x")') == f'\'{sign}HYPERLINK("http://x")'


def test_other_cells_stay():
    assert [cell for cell in ("", "0.5", "walk - slowly", "a=b") if spreadsheet_cell(cell) != cell] == []
    assert all(spreadsheet_cell(f"{blank}=1+1").startswith("\\") for blank in "\t\r\n")


def test_the_log_shows_them_too(tmp_path, capsys):
    setup_logging(tmp_path)
    logging.getLogger("slowfast.test").warning("cannot decode %s\n  second line", "\x1b]0;title\x07.mp4")
    for text in (capsys.readouterr().out, (tmp_path / "log.txt").read_text()):
        assert r"cannot decode \x1b]0;title\x07.mp4" in text and "\n  second line" in text and "\x1b" not in text
