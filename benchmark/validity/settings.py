"""How it is found out what nodes mean. Imports no torch."""

from typing import Annotated

from pydantic import Field

from benchmark.concepts import CONCEPTS
from benchmark.settings import Settings, Size, Tokens, known_in


class ValidityConfig(Settings):
    """How it is found out what nodes mean."""

    choice_tokens: Tokens = 24_576
    """Validation tokens on which a node is chosen for each concept."""

    score_tokens: Tokens = 24_576
    """Test tokens on which it is scored."""

    concepts: tuple[Annotated[str, known_in(CONCEPTS)], ...] = Field((), strict=False)
    """Concepts that are scored; empty for every one. Nodes are named by any."""

    ablated_nodes: Size = 40
    """Nodes of highest estimated effect that are ablated, to find out which matter."""

    top_k: Size = 100
    """Top positions that a person names a node by."""
