"""Settings for measuring the claims about sparse circuits. Imports no torch."""

from typing import Annotated

from pydantic import Field

from benchmark.methods import METHODS, with_role
from benchmark.settings import Settings, Tokens, known_in


class ClaimsConfig(Settings):
    """How the claims about sparse circuits are measured."""

    tokens: Tokens = 16_384
    """Number of validation tokens on which errors, connections and losses are measured."""

    reference: Annotated[str, known_in(METHODS)] = Field(
        default_factory=lambda: next(reversed(with_role("reference")), "")
    )
    """The method whose token losses those of all others are compared with; its own, with those of its next seed."""
