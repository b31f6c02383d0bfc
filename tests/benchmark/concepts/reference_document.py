"""A document that parses, with the offsets of the tokens of `tokenize` and of the nodes of `ast`."""

import ast
import io
import tokenize
import warnings
from bisect import bisect_left
from functools import cached_property

import numpy as np

LAYOUT = (tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER)


class Document:
    """A text with the offsets of its tokens, and of its nodes, outside f-strings."""

    def __init__(self, text):
        self.text = text
        self.lines = [line + "\n" for line in text.split("\n")]
        self.line_starts = np.cumsum([0, *map(len, self.lines)]).tolist()
        found = list(tokenize.generate_tokens(io.StringIO(text).readline))
        self.tokens = [(t.type, t.string, self.at(t.start), self.at(t.end)) for t in found]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.nodes = list(nodes_of(ast.parse(text)))

    def at(self, place):
        return self.line_starts[place[0] - 1] + place[1]

    def at_byte(self, line, byte):
        return self.at((line, len(self.lines[line - 1].encode()[:byte].decode())))

    def start(self, node):
        return self.at_byte(node.lineno, node.col_offset)

    def end(self, node):
        return self.at_byte(node.end_lineno, node.end_col_offset)

    def nodes_of_type(self, *types):
        return [node for node in self.nodes if isinstance(node, types)]

    def of_type(self, *types):
        return [token for token in self.tokens if token[0] in types]

    def labels(self, spans):
        found = np.zeros(len(self.text), dtype=np.int64)
        for start, stop in spans:
            found[start:stop] = 1
        return found

    def pairs(self):
        """Every pair of brackets as `(open, close, kind)`."""
        stack = []
        for _, string, start, _ in self.of_type(tokenize.OP):
            if string in "([{":
                stack.append((start, string))
            elif string in ")]}":
                opened, kind = stack.pop()
                yield opened, start, kind

    def logical_lines(self):
        """The tokens of each logical line that holds any, the last one its NEWLINE."""
        line = []
        for token in self.tokens:
            if token[0] not in LAYOUT:
                line.append(token)
            if token[0] == tokenize.NEWLINE:
                yield line
                line = []

    @cached_property
    def significant(self):
        return [token for token in self.tokens if token[0] not in LAYOUT]

    def index_at(self, place):
        """Index in `significant` of the first token that starts at a place or later."""
        return bisect_left(self.significant, place, key=lambda token: token[2])

    def first(self, place, *strings):
        """Start of the first token after a place that is one of some strings."""
        return next(t[2] for t in self.significant[self.index_at(place) :] if t[1] in strings)

    def last(self, place, string):
        """Start of the last token before a place that is a string."""
        return next(t[2] for t in reversed(self.significant[: self.index_at(place)]) if t[1] == string)

    def following(self, place):
        """Where the token after a place has been read, if it is a word; else where it starts."""
        _, string, start, end = self.significant[self.index_at(place)]
        return end - 1 if string.isidentifier() else start

    def words(self):
        """Names with their start; of a string its prefix and one quote."""
        for kind, string, start, _ in self.of_type(tokenize.NAME, tokenize.STRING):
            yield (string if kind == tokenize.NAME else prefix_of(string) + '"'), start


def nodes_of(node):
    yield node
    if not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from nodes_of(child)


def prefix_of(string):
    return string[: min(string.index(mark) for mark in "'\"" if mark in string)]
