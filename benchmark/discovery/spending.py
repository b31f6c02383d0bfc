"""The tokens that a search runs, and the limit on them."""

import math
from dataclasses import dataclass

FORWARD_SHARE = 1 / 3
"""The forward pass's share of the work of a forward and a backward pass, as the backward pass takes twice as long."""

CERTIFICATION = 4
"""How many times the budget of a search certification may run: it tries every element on the whole sample."""


class BudgetSpentError(Exception):
    """A search has run as many tokens as it may."""


@dataclass
class Spending:
    """Prompt tokens that a search has run forward and backward; a forward pass alone counts a third of that."""

    limit: int | float = math.inf
    """How many it may run."""
    spent: int | float = 0.0
    """How many it has run."""

    def spend(self, tokens: int | float) -> None:
        """Count some tokens that are about to be run; `BudgetSpentError` if there are not that many left."""
        if self.spent + tokens > self.limit:
            raise BudgetSpentError
        self.spent += tokens
