"""How what is said of sparse circuits is measured. Imports no torch."""

from typing import Annotated

from pydantic import Field

from benchmark.methods import METHODS, with_role
from benchmark.settings import Settings, Tokens, known_in


class ClaimsConfig(Settings):
    """How what is said of sparse circuits is measured."""

    tokens: Tokens = 16_384
    """Validation tokens on which errors, connections and losses are taken."""

    reference: Annotated[str, known_in(METHODS)] = Field(
        default_factory=lambda: next(reversed(with_role("reference")), "")
    )
    """The method whose token losses all others are compared with; its own with those of its next seed."""
