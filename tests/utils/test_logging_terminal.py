"""What a terminal with a progress bar shows is left to the log file."""

import logging

from slowfast.utils.logging import setup_logging


def test_a_line_that_a_bar_shows_goes_into_the_file_alone(tmp_path, capsys):
    setup_logging(tmp_path)
    logger = logging.getLogger("slowfast.test")
    logger.info("seen by both")
    logger.info("loss 1.0", extra={"is_shown_elsewhere": True})
    out = capsys.readouterr().out
    assert "seen by both" in out and "loss 1.0" not in out
    text = (tmp_path / "log.txt").read_text()
    assert "seen by both" in text and "loss 1.0" in text
