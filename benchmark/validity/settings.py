"""Settings of feature validity. Imports no torch."""

from typing import Annotated

from pydantic import Field

from benchmark.concepts import CONCEPTS
from benchmark.settings import Settings, Size, Tokens, known_in


class ValidityConfig(Settings):
    """Settings of feature validity."""

    choice_tokens: Tokens = 24_576
    """Number of validation tokens on which a node is chosen for each concept."""

    score_tokens: Tokens = 24_576
    """Number of test tokens on which it is scored."""

    concepts: tuple[Annotated[str, known_in(CONCEPTS)], ...] = Field((), strict=False)
    """Concepts that are scored; empty for all. Nodes may be named by any concept."""

    ablated_nodes: Size = 40
    """Number of nodes, in order of estimated effect, that are ablated to find out which matter."""

    top_k: Size = 100
    """Number of top positions by which a person names a node."""
