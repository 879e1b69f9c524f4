"""One logging set-up, a progress bar for terminals, and numbers as JSON lines and TensorBoard scalars."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import simplejson
from tqdm import tqdm

from slowfast.utils import distributed
from slowfast.utils.text import printable

_FORMAT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"


class _TerminalHandler(logging.StreamHandler):
    """Writes to standard output without tearing a progress bar apart.

    A record with a true ``is_on_bar`` is left to the log file: a bar shows the same already.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "is_on_bar", False):
            return
        try:
            tqdm.write(self.format(record), file=sys.stdout)
            sys.stdout.flush()
        except Exception:
            self.handleError(record)


class _VisibleFormatter(logging.Formatter):
    """Shows control characters of paths and names as escapes, so that no file's name steers a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


def setup_logging(output_dir: str | Path | None = None, *, level: int = logging.INFO) -> None:
    """Log of the package to standard output (main process) and to ``output_dir``/log.txt (every process its own).

    Calling it again replaces what an earlier call set up.
    """
    package = logging.getLogger("slowfast")
    for handler in list(package.handlers):
        package.removeHandler(handler)
        handler.close()
    package.setLevel(level)
    package.propagate = False
    formatter = _VisibleFormatter(_FORMAT, datefmt="%m-%d %H:%M:%S")
    handlers: list[logging.Handler] = [_TerminalHandler()] if distributed.is_main() else []
    if output_dir is not None:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        name = "log.txt" if distributed.is_main() else f"log_rank{distributed.rank()}.txt"
        handlers.append(logging.FileHandler(Path(output_dir) / name, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(formatter)
        package.addHandler(handler)


class Progress:
    """Iterates with a bar (ETA, throughput) on a terminal, in silence elsewhere: logs then carry the news.

    Use as a context manager or to its end, so that the bar is closed.
    """

    def __init__(self, items: Iterable, *, total: int, name: str, unit: str = "batch"):
        self._bar = tqdm(
            items,
            total=total,
            desc=name,
            unit=unit,
            leave=False,
            dynamic_ncols=True,
            disable=not (distributed.is_main() and sys.stderr.isatty()),
        )

    @property
    def is_shown(self) -> bool:
        return not self._bar.disable

    def __iter__(self) -> Iterator:
        yield from self._bar

    def note(self, **values: Any) -> None:
        """Show ``values`` behind the bar."""
        if self.is_shown:
            self._bar.set_postfix({key: _short(value) for key, value in values.items()}, refresh=False)

    def close(self) -> None:
        self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_seconds(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    seconds = round(seconds)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def format_figures(figures: Mapping[str, float]) -> str:
    """``top1 76.53  top5 92.10``; whole numbers as such."""
    return "  ".join(f"{name} {value if isinstance(value, int) else f'{value:.2f}'}" for name, value in figures.items())


class MetricWriter:
    """Appends records of numbers to ``output_dir``/metrics.jsonl and, if asked, to TensorBoard.

    Only the main process writes. A record is one JSON object a line; numbers stay numbers, NaN and infinity
    become null (they are no JSON).

    Args:
        tensorboard_dir: folder of the event files, or None for none.
    """

    def __init__(self, output_dir: str | Path, *, tensorboard_dir: str | Path | None = None):
        self._file = None
        self._tensorboard = None
        if not distributed.is_main():
            return
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        self._file = open(Path(output_dir) / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115 (closed in close)
        if tensorboard_dir is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._tensorboard = SummaryWriter(str(tensorboard_dir))

    def write(self, step: int, record: dict[str, Any]) -> None:
        """Append one record; its scalars go to TensorBoard at ``step``."""
        if self._file is None:
            return
        clean = {key: value.item() if hasattr(value, "item") else value for key, value in record.items()}
        self._file.write(simplejson.dumps({"step": step, **clean}, ignore_nan=True) + "\n")
        self._file.flush()
        if self._tensorboard is not None:
            for key, value in clean.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    self._tensorboard.add_scalar(key, value, step)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._tensorboard is not None:
            self._tensorboard.close()
