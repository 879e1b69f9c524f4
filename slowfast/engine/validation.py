"""When training evaluates the weights, which were best so far, and when to stop because they no longer improve."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from slowfast.utils.logging import count


@dataclass(frozen=True)
class Validation:
    """What evaluates the weights during training, and when.

    Attributes:
        evaluate: called with a model; returns named figures.
        figure_prefix: of these figures' names in the records.
        period: epochs from one evaluation to the next; 0 evaluates at the end alone.
        epochs: numbers of epochs to evaluate after instead; or None.
        best_figure: the figure whose best weights become best.pyth; see ``BestFigure``.
        patience: evaluations without a better one after which training ends; 0 for never.
    """

    evaluate: Callable[[nn.Module], dict[str, float]]
    figure_prefix: str = "val/"
    period: int = 1
    epochs: Container[int] | None = None
    best_figure: str = ""
    patience: int = 0

    def follows(self, epoch: int) -> bool:
        """Whether ``epoch`` epochs, not the last ones, are followed by an evaluation."""
        if self.epochs is not None:
            return epoch in self.epochs
        return self.period > 0 and epoch % self.period == 0

    def best(self) -> BestFigure:
        """Follows the figure from the first evaluation on."""
        return BestFigure(self.best_figure, patience=self.patience)


class BestFigure:
    """Follows one figure from evaluation to evaluation.

    Args:
        name: of the figure, with a leading minus if smaller is better; "" follows none.
        patience: number of evaluations without a better figure after which training ends; 0: never.
    """

    def __init__(self, name: str = "", *, patience: int = 0):
        self.name = name.removeprefix("-")
        self.sign = -1 if name.startswith("-") else 1
        self.patience = patience
        self.value = math.nan
        self.epoch = 0
        self.num_since = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether training should end."""
        return 0 < self.patience <= self.num_since

    def __str__(self) -> str:
        since = count(self.num_since, "evaluation")
        return f"{self.name} has not improved on {self.value:.4g} of epoch {self.epoch} in {since}"

    def update(self, figures: Mapping[str, float], epoch: int) -> bool:
        """Record the figures of the evaluation after ``epoch`` epochs; returns whether they are the best so far.

        Raises:
            ValueError: the figure is not among them; the message lists those that are.
        """
        if not self.name:
            return False
        if self.name not in figures:
            raise ValueError(
                f"TRAIN.BEST_FIGURE={self.name!r}: the evaluation does not give this figure. It gives "
                f"{', '.join(figures)}."
            )
        value = float(figures[self.name])
        is_best = math.isnan(self.value) or self.sign * value > self.sign * self.value
        if is_best:
            self.value, self.epoch, self.num_since = value, epoch, 0
        else:
            self.num_since += 1
        return is_best

    def state_dict(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "epoch": self.epoch, "num_since": self.num_since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["name"] == self.name:  # another figure begins anew
            self.value, self.epoch, self.num_since = state["value"], state["epoch"], state["num_since"]
