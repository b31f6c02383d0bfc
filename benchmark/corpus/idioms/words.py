"""The words of idioms and task prompts, and the division of them among the splits of a task."""

from collections.abc import Mapping


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COPIED = _words("left right width height first second start stop lower upper head tail top bottom inner outer")
"""Names that tasks ask to copy: fields of a class and names that are swapped. Each must be one token."""

NOUNS = (
    *COPIED,
    *_words(
        """
    old new front back near far north south low high east west source target parent child row column red blue
    green small large before after
    size weight price color speed angle depth item line word text node edge graph path file key count index
    total result data record user group order event job queue stack table field cell page block frame image
    pixel point shape score level rank state status token label title message answer letter number digit amount
    balance cost rate ratio limit offset length step turn round game player team board card deck hand piece city
    street house room door window market shop cart product client server host port socket packet buffer chunk
    batch sample model layer signal sensor meter clock timer hour minute day week month year date place region
    country river lake tree leaf branch root seed plant animal bird fish horse current entry section option
    config owner driver worker member value name
    """
    ),
)
"""Names of variables, parameters, attributes and dictionary keys."""

PLURALS = _words(
    """
    items lines words nodes edges paths files keys values records users groups events jobs names numbers scores
    points rows tokens cells pages cards orders
    """
)
"""Names of iterables; without its final s each is a noun."""

VERBS = _words(
    """
    load save read write find make build check update remove create merge split parse format sort filter collect
    compute fetch send reset show clean close move join scan store select convert process handle run
    """
)
"""Names of functions."""

ADJECTIVES = _words(
    """
    ready missing invalid empty found done open closed active broken hidden valid known unknown full late early
    ok
    """
)
"""Words of messages and names of flags."""

CLASSES = _words("Node Item Point User Record Shape Board Order Event Model Page Card")
"""Names of classes."""

READ_FILES = _words("input settings archive dataset manual template catalog profile")
"""Stems of files that are read."""

WRITTEN_FILES = _words("output report errors journal log results export summary")
"""Stems of files that are written."""


def split_words(words: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Three disjoint lists by split: of every four words, two for training, one for validation, one for testing."""
    return {"train": words[0::4] + words[1::4], "validation": words[2::4], "test": words[3::4]}
