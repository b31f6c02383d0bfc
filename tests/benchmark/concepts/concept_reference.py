"""What the concepts should say of a document that parses, from Python's own `tokenize` and `ast` instead of our lexer.

Every label is asked for as if the text ended with its character, so that a name that is being read counts as it stands.
"""

import ast
import tokenize
from bisect import bisect_right
from collections import defaultdict
from itertools import pairwise
from keyword import iskeyword

import clause_reference
import line_reference
import numpy as np
from reference_document import Document, prefix_of


def strings(document, mark):
    spans = []
    for _, string, start, end in document.of_type(tokenize.STRING):
        body = string[len(prefix_of(string)) :]
        first = start + len(string) - len(body)
        if body[0] == mark:
            triple = body[:3] == 3 * mark and len(body) >= 6
            spans += [(first, first + 1), (first + 2, end - 1)] if triple else [(first, end - 1)]
    return document.labels(spans)


def depth(document):
    return sum((document.labels([pair[:2]]) for pair in document.pairs()), document.labels([]))


def innermost(document, kind):
    found = document.labels([])
    for start, stop, bracket in sorted(document.pairs()):
        found[start:stop] = bracket == kind
    return found


def in_call(document):
    """Arguments of calls, and of class patterns, which look like them."""
    opened = {stop: start for start, stop, _ in document.pairs()}
    ends = [document.end(node) - 1 for node in document.nodes_of_type(ast.Call, ast.MatchClass)]
    return document.labels((opened[end], end) for end in ends)


def in_def_signature(document):
    pairs = sorted(document.pairs())
    starts = [document.start(node) for node in document.nodes_of_type(ast.FunctionDef, ast.AsyncFunctionDef)]
    return document.labels(next(pair[:2] for pair in pairs if pair[0] > start) for start in starts)


def line_starts_with(document, word):
    """From the last letter of the word, or of a first word's part that is the word."""
    found = document.labels([])
    for line in document.logical_lines():
        kind, string, start, _ = line[0]
        if kind == tokenize.NAME and string.startswith(word):
            last = start + len(word) - 1
            found[last : line[-1][2] if string == word else last + 1] = 1
    return found


def word_seen(document, word):
    ends = [start + len(word) for string, start in document.words() if string == word]
    begun = [start + len(word) for string, start in document.words() if string.startswith(word)]
    return document.labels([(end - 1, end) for end in begun] + [(end - 1, len(document.text)) for end in ends])


def bound(document):
    """By name, the offsets from which a binding counts and what it binds to, in order."""
    firsts = {line[0][2]: line[-1][2] for line in document.logical_lines()}
    found = defaultdict(list)
    for node in sorted(document.nodes_of_type(ast.stmt, ast.ExceptHandler), key=document.start):
        if document.start(node) in firsts:
            for name, value in bindings(node):
                found[name].append((firsts[document.start(node)], value))
    return found


def bindings(node):
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from stored(target, value_of(value) if isinstance(target, ast.Name) else "other")
        case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
            yield from stored(target, value_of(value))
        case ast.For(target=target) | ast.AsyncFor(target=target):
            yield from stored(target, "other")
        case ast.With(items=items) | ast.AsyncWith(items=items):
            yield from ((item.optional_vars.id, "other") for item in items if isinstance(item.optional_vars, ast.Name))
        case ast.ExceptHandler(name=str(name)) | ast.ClassDef(name=name):
            yield name, "other"
        case ast.FunctionDef(name=name, args=arguments) | ast.AsyncFunctionDef(name=name, args=arguments):
            yield name, "other"
            yield from ((part.arg, "other") for part in ast.walk(arguments) if isinstance(part, ast.arg))
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from ((alias.asname or alias.name.split(".")[0], "other") for alias in names)


def stored(target, value):
    stores = [part for part in ast.walk(target) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]
    return [(part.id, value) for part in stores]


def value_of(value):
    match value:
        case ast.JoinedStr() | ast.Constant(value=str()):
            return "string"
        case ast.Call(func=ast.Name(id="set")):
            return "set"
    return "other"


def name_bound_to(document, value):
    """Where the letters read so far of a name outside attributes are a name whose latest binding has the value."""
    values = bound(document)
    attributes = set()
    significant = [token for token in document.tokens if token[0] not in (tokenize.NL, tokenize.COMMENT)]
    for before, token in pairwise(significant):
        if before[1] == ".":
            attributes.add(token[2])
    found = document.labels([])
    for string, start in document.words():
        for length in range(1, len(string) + 1):
            history = values.get(string[:length], [])
            latest = bisect_right([offset for offset, _ in history], start)
            if start not in attributes and latest and history[latest - 1][1] == value:
                found[start + length - 1] = 1
    return found


def name_seen_before(document):
    first = {}
    for kind, string, start, _ in document.tokens:
        if kind == tokenize.NAME and not iskeyword(string):
            first.setdefault(string, start)
    found = document.labels([])
    for string, start in document.words():
        for length in range(1, len(string) + 1):
            found[start + length - 1] = first.get(string[:length], start) < start
    return found


def in_attribute(document):
    """Attributes, and the parts of a dotted module but the first."""
    ends = [(document.end(node), len(node.attr)) for node in document.nodes_of_type(ast.Attribute)]
    for line in document.logical_lines():
        if line[0][1] in ("import", "from"):
            for first, dot, last in zip(line, line[1:], line[2:], strict=False):
                if dot[1] == "." and first[1].isidentifier() and first[1] != "from":
                    ends.append((last[3], len(last[1])))
    spans = [(end - length, end) for end, length in ends]
    dots = [document.last(start, ".") for start, _ in spans]
    return document.labels([*spans, *((dot, dot + 1) for dot in dots)])


def reference(text):
    """Labels of every concept that is not a conjunction, by name."""
    document = Document(text)
    single, double = strings(document, "'"), strings(document, '"')
    words = ("if", "while", "for", "return", "def", "class", "with", "elif", "raise")
    seen = ("self", "return", "for", "open", "set", "lambda")
    return {
        "in_single_quoted_string": single,
        "in_double_quoted_string": double,
        "in_string": single | double,
        "in_comment": document.labels(token[2:] for token in document.of_type(tokenize.COMMENT)),
        "bracket_depth": np.minimum(depth(document), 2),
        "in_brackets": np.minimum(depth(document), 1),
        "in_parentheses": innermost(document, "("),
        "in_square_brackets": innermost(document, "["),
        "in_braces": innermost(document, "{"),
        "in_call": in_call(document),
        "in_def_signature": in_def_signature(document),
        **{f"line_starts_with_{word}": line_starts_with(document, word) for word in words},
        "name_bound_to_set": name_bound_to(document, "set"),
        "name_bound_to_string": name_bound_to(document, "string"),
        "name_seen_before": name_seen_before(document),
        "in_attribute": in_attribute(document),
        **{f"word_seen_{word}": word_seen(document, word) for word in seen},
        "in_import_statement": line_starts_with(document, "import") | line_starts_with(document, "from"),
        **line_reference.reference(document, single | double),
        **clause_reference.reference(document),
    }
