"""Settings of feature validity. Imports no torch."""

from typing import Annotated

from pydantic import Field

from benchmark.concepts import CONCEPTS
from benchmark.settings import EachOnce, Positive, Settings, Size, Tokens, known_in


class ValidityConfig(Settings):
    """Settings of feature validity."""

    choice_tokens: Tokens = 24_576
    """Number of validation tokens on which a node is chosen for each concept."""

    score_tokens: Tokens = 24_576
    """Number of test tokens of which some are drawn to score it on."""

    concepts: Annotated[tuple[Annotated[str, known_in(CONCEPTS)], ...], EachOnce] = Field(
        (), strict=False, max_length=1000
    )
    """Concepts that are scored; empty for all. Nodes may be named by any concept."""

    files: tuple[Annotated[str, Field(max_length=3500)], ...] = Field((), strict=False, max_length=100, exclude=True)
    """Paths of files with concepts that are labelled in texts; each is scored on its own texts. What counts is what the
    files contain: their paths are part of no key."""

    candidates: Size = 32
    """Number of nodes of each kind of site, the best detectors of a concept, from which its nodes are chosen."""

    piloted: Size = 6
    """Number of candidates, for each way to choose, that are ablated to find out which matter."""

    pilot_windows: Size = 16
    """Expected number of windows of the choice split in which they are ablated."""

    most_windows: Size = 512
    """Most windows of the score split in which a node is replaced; the pilot usually asks for fewer."""

    control_windows: Size = 48
    """Expected number of those windows in which the controls are run; the labels are run in all of them."""

    least_harm: Positive = 5e-4
    """Harm of ablation below which a node does not matter, nats per token; in 130,000 tokens less is hardly told from
    noise."""

    judged_nodes: Size = 12
    """Most named nodes that are judged."""

    judged_windows: Size = 192
    """Most windows of the score split in which each of them is replaced."""

    explained_nodes: Size = 20
    """Expected number of nodes, of all that a model has, by which its explained harm is measured."""

    explained_windows: Size = 24
    """Expected number of windows in which each of them is replaced."""

    top_k: Size = 100
    """Number of top positions by which a person names a node."""
