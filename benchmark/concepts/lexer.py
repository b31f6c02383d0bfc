"""Python source as tokens, read so that what a token is never depends on what follows it."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple, cast

Kind = Literal["name", "number", "string", "comment", "newline", "open", "close", "operator"]


class Token(NamedTuple):
    r"""A piece of the text.

    Attributes:
        kind: `newline` is one that ends a logical line; those inside brackets are left out, as blanks are.
        text: As it stands; a string's prefix and quotes included.
        start: Index of its first character.
        depth: Brackets that are open after it.
        mark: The quotes that opened a string; empty for other kinds.
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
        """A name; or a string's prefix and one quote, which is no name but reads as one until the quote comes."""
        return self.text if self.kind == "name" else self.text[: self.text.index(self.mark) + 1]


NOTHING = Token("newline", "", 0, 0)
"""What stands before the first token."""

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
"""The next token, of a string its opening only; some alternative matches anything."""

BODY = {
    "'": re.compile(r"(?: [^'\\\n]+ | \\. )* \\?", re.VERBOSE | re.DOTALL),
    '"': re.compile(r'(?: [^"\\\n]+ | \\. )* \\?', re.VERBOSE | re.DOTALL),
    "'''": re.compile(r"(?: [^'\\]+ | \\. | '(?!'') )* \\?", re.VERBOSE | re.DOTALL),
    '"""': re.compile(r'(?: [^"\\]+ | \\. | "(?!"") )* \\?', re.VERBOSE | re.DOTALL),
}
"""What stands between the quotes: a quote after a backslash closes no string, in raw strings either."""


@lru_cache(maxsize=4)
def tokens(text: str) -> tuple[Token, ...]:
    r"""The tokens of a text, blanks left out; the last texts are remembered, since every concept asks for them.

    Any text has tokens, Python or not. The tokens of `text[:n]` are those of `text` up to there, the last one cut.
    An f-string is one token, braces and all. A closing bracket closes the innermost open one, whatever its kind.

    Args:
        text: Source with `\n` line ends.
    """
    found: list[Token] = []
    position = depth = 0
    while position < len(text):
        kind, end = _next(text, position)
        if kind == "open" or (kind == "close" and depth):
            depth += 1 if kind == "open" else -1
        if kind == "string":
            found.append(_string(text, position, end, depth))
            end = found[-1].end
        elif kind and not (kind == "newline" and depth):
            found.append(Token(kind, text[position:end], position, depth))
        position = end
    return tuple(found)


def _next(text: str, position: int) -> tuple[Kind | None, int]:
    """The kind and the end of what stands here; no kind for blanks."""
    match = TOKEN.match(text, position)
    assert match is not None, "the last alternative matches anything"
    kind = cast(Kind | Literal["blank"], match.lastgroup)
    return None if kind == "blank" else kind, match.end()


def _string(text: str, start: int, opened: int, depth: int) -> Token:
    """The string whose opening ends at `opened`."""
    mark = text[start:opened].lstrip("rRbBfFuU")
    body = BODY[mark].match(text, opened)
    assert body is not None, "an empty body matches"
    closed = text.startswith(mark, body.end())
    end = body.end() + len(mark) * closed
    return Token("string", text[start:end], start, depth, mark, closed)
