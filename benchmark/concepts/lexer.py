"""A lexer for Python source in which what a token is never depends on what follows it."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple, cast

import numpy as np
from jaxtyping import Int8

Kind = Literal["name", "number", "string", "comment", "newline", "open", "close", "operator"]

Labels = Int8[np.ndarray, " character"]
"""What a labelling function returns for a text."""


class Token(NamedTuple):
    r"""A piece of the text.

    Attributes:
        kind: A `newline` ends a logical line; line breaks inside brackets are left out, like blanks.
        text: The source of the token, including a string's prefix and quotes.
        start: Index of its first character.
        depth: Number of brackets open after it.
        mark: The opening quotes of a string; empty for other kinds.
        closed: Whether a string's closing quotes were found; without them it runs to the end of its line, or of the
            text if it is triple-quoted.
    """

    kind: Kind
    text: str
    start: int
    depth: int
    mark: str = ""
    closed: bool = True

    @property
    def end(self) -> int:
        """Index after its last character."""
        return self.start + len(self.text)

    @property
    def word(self) -> str:
        """A name; or a string's prefix with one quote, since the prefix reads as a name until the quote comes."""
        return self.text if self.kind == "name" else self.text[: self.text.index(self.mark) + 1]


NOTHING = Token("newline", "", 0, 0)
"""Stands in for the token before the first and after the last."""

TOKEN = re.compile(
    r"""
    (?P<blank>    [ \t\f\r]+ | \\\r?\n )
  | (?P<comment>  \#[^\n]* )
  | (?P<string>   (?: [rR][bBfF]? | [bBfF][rR]? | [uU] )? (?: \"\"\" | ''' | " | ' ) )
  | (?P<name>     [^\W\d]\w* )
  | (?P<number>   \d\w* (?: \.\w* )? | \.\d\w* )
  | (?P<newline>  \n )
  | (?P<open>     [(\[{] )
  | (?P<close>    [)\]}] )
  | (?P<operator> (?: \*\* | // | << | >> | [-+*/%&|^=!<>@:] )?= | . )
    """,
    re.VERBOSE | re.DOTALL,
)
"""The next token, or the opening of a string; the last alternative matches anything."""

BODY = {
    "'": re.compile(r"(?: [^'\\\n]+ | \\. )* \\?", re.VERBOSE | re.DOTALL),
    '"': re.compile(r'(?: [^"\\\n]+ | \\. )* \\?', re.VERBOSE | re.DOTALL),
    "'''": re.compile(r"(?: [^'\\]+ | \\. | '(?!'') )* \\?", re.VERBOSE | re.DOTALL),
    '"""': re.compile(r'(?: [^"\\]+ | \\. | "(?!"") )* \\?', re.VERBOSE | re.DOTALL),
}
"""What is between the quotes; a quote after a backslash does not close a string, not even a raw one."""


@lru_cache(maxsize=4)
def tokens(text: str) -> tuple[Token, ...]:
    r"""The tokens of a text with `\n` line ends, without blanks.

    Recent texts are cached, because every concept asks for the same ones. Any text can be lexed, Python or not, and the
    tokens of `text[:n]` are those of `text` up to there, the last one cut. An f-string is one token, braces included. A
    closing bracket closes the innermost open one of any kind.
    """
    found: list[Token] = []
    position = depth = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        assert match is not None, "the last alternative matches anything"
        kind, end = match.lastgroup, match.end()
        if kind == "open" or (kind == "close" and depth):
            depth += 1 if kind == "open" else -1
        if kind == "string":
            mark = text[position:end].lstrip("rRbBfFuU")
            body = BODY[mark].match(text, end)
            assert body is not None, "an empty body matches"
            closed = text.startswith(mark, body.end())
            end = body.end() + len(mark) * closed
            found.append(Token("string", text[position:end], position, depth, mark, closed))
        elif kind != "blank" and not (kind == "newline" and depth):
            found.append(Token(cast(Kind, kind), text[position:end], position, depth))
        position = end
    return tuple(found)
