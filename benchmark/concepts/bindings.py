"""The names that a logical line binds, and whether to a set, a string or something else."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile
from keyword import iskeyword
from typing import Literal

from benchmark.concepts.lexer import NOTHING, Token

Value = Literal["set", "string", "other"]
Line = Sequence[Token]

OPERANDS = ("name", "string", "close")
"""After these, a bracket holds arguments or an index instead of grouping."""


def bindings(line: Line) -> list[tuple[str, Value]]:
    """The names that the first statement of a logical line binds, and what to; comments must be left out of the line.

    These are the targets of assignments (plain, chained or annotated) and of `for`; plain names after `as`; the name of
    a `def` or `class`, and parameters; imported names. Anything that does not begin a line binds nothing: the body
    after a colon, what follows a semicolon, comprehensions, `lambda`, `:=`. `del` and `+=` leave a binding unchanged.
    """
    words = line[1:] if line and line[0].text == "async" else line
    keyword = words[0].text if words else ""
    if words and not iskeyword(keyword):
        return _assigned(words)
    return [(name, "other") for name in _named(keyword, words[1:])]


def _named(keyword: str, rest: Line) -> Iterator[str]:
    """Names that a statement with a keyword binds."""
    if keyword in ("def", "class"):
        yield from (token.text for token in rest[:1])
    match keyword:
        case "for":
            yield from _targets(list(takewhile(lambda token: token.text != "in", rest)))
        case "def":
            for previous, token in pairwise(takewhile(lambda token: token.depth > 0, rest[1:])):
                if token.kind == "name" and token.depth == 1 and previous.text in ("(", ",", "*", "**"):
                    yield token.text
        case "with" | "except":
            header = list(takewhile(lambda token: token.depth or token.text != ":", rest))
            for previous, token, following in zip(header, header[1:], [*header[2:], NOTHING], strict=False):
                if previous.text == "as" and token.kind == "name" and _is_plain(previous, following):
                    yield token.text
        case "import":
            yield from _imported(rest)
        case "from":
            names = [index for index, token in enumerate(rest) if token.text == "import"]
            yield from _imported(rest[names[0] + 1 :] if names else [])


def _assigned(line: Line) -> list[tuple[str, Value]]:
    """Targets of an assignment; empty if the line is not one."""
    statement = list(takewhile(lambda token: token.depth or token.text != ";", line))
    plain = list(takewhile(lambda token: token.text != "lambda", statement))
    equals = [index for index, token in enumerate(plain) if not token.depth and token.text == "="]
    value = _value(statement[equals[-1] + 1 :]) if equals else "other"
    found: list[tuple[str, Value]] = []
    for start, stop in zip([0, *(index + 1 for index in equals)], equals, strict=False):
        target = list(takewhile(lambda token: token.depth or token.text != ":", statement[start:stop]))
        found += [(name, value if len(target) == 1 else "other") for name in _targets(target)]
    return found


def _value(tokens: Line) -> Value:
    """`set` for a call of `set`, `string` for string literals alone (not bytes), `other` for anything else."""
    plain = [token for token in tokens if token.text not in ("(", ")")]
    if plain and all(token.kind == "string" and "b" not in token.word.lower() for token in plain):
        return "string"
    called = [token.text for token in (*tokens[:2], *tokens[-1:])] == ["set", "(", ")"]
    return "set" if called and all(token.depth for token in tokens[1:-1]) else "other"


def _targets(tokens: Line) -> Iterator[str]:
    """Plain names among targets: a, b and c in `a, (b, *c), d[e], f.g`."""
    applied: list[bool] = []
    for previous, token, following in zip([NOTHING, *tokens], tokens, [*tokens[1:], NOTHING], strict=False):
        if token.kind == "open":
            applied.append(token.text == "{" or previous.kind in OPERANDS)
        elif token.kind == "close":
            del applied[-1:]
        elif token.kind == "name" and not any(applied) and _is_plain(previous, following):
            yield token.text


def _is_plain(previous: Token, following: Token) -> bool:
    """Whether a name is not an attribute, and has no attribute, index or arguments."""
    return previous.text != "." and following.text not in (".", "[", "(")


def _imported(tokens: Line) -> Iterator[str]:
    """Names that an import binds: a and d in `a.b, c as d`."""
    item: list[str] = []
    for token in (*tokens, NOTHING):
        if token.kind == "name":
            item.append(token.text)
        elif token.text in (",", ")", ";", "") and item:
            yield item[-1] if "as" in item else item[0]
            item = []
        if token.text == ";":
            return
