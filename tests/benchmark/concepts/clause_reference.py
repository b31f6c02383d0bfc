"""What the concepts of clauses, calls and signatures should say of a document that parses."""

import ast
import tokenize
from itertools import pairwise

import numpy as np

AUGMENTED = ("+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", "**=", "//=", "<<=", ">>=")
FUNCTIONS = ("print", "len", "range", "enumerate", "open", "isinstance", "add", "write")


class Clauses:
    """A document with its brackets and its calls, which class patterns look like."""

    def __init__(self, document):
        self.document = document
        self.pairs = sorted(document.pairs())
        self.opened = {stop: start for start, stop, _ in self.pairs}
        self.closed = {start: stop for start, stop, _ in self.pairs}
        calls = document.nodes_of_type(ast.Call, ast.MatchClass)
        self.calls = sorted(((self.opened[document.end(node) - 1], node) for node in calls), key=lambda call: call[0])

    def until(self, start, opened, *strings):
        """The first of some strings after a place that is directly in a bracket, or else its closing bracket."""
        closed = self.closed[opened]
        inner = [pair[:2] for pair in self.pairs if opened < pair[0] < closed]
        for _, string, place, _ in self.document.significant[self.document.index_at(start) :]:
            if place >= closed or (string in strings and not any(first <= place < last for first, last in inner)):
                return min(place, closed)
        raise AssertionError("the bracket is closed")

    def around(self, place):
        """The innermost bracket around a place; none is -1."""
        return max((start for start, stop, _ in self.pairs if start < place < stop), default=-1)

    def signatures(self):
        for node in self.document.nodes_of_type(ast.FunctionDef, ast.AsyncFunctionDef):
            yield node, next(start for start, _, _ in self.pairs if start > self.document.start(node))

    def longer_words(self, *words):
        """The letter of a longer word at the start of a logical line with which it has been one of some words."""
        for line in self.document.logical_lines():
            for word in words:
                if line[0][0] == tokenize.NAME and line[0][1].startswith(word) and line[0][1] != word:
                    yield line[0][2] + len(word) - 1, line[0][2] + len(word)


def argument_number(clauses):
    document = clauses.document
    found = document.labels([])
    for opened, node in clauses.calls:
        closed = clauses.closed[opened]
        found[opened:closed] = number = 1
        parts = [node.args, node.keywords] if isinstance(node, ast.Call) else [node.patterns, node.kwd_patterns]
        places = sorted((document.start(each), document.end(each)) for part in parts for each in part)
        for (_, end), (start, _) in pairwise([*places, (closed, closed)]):
            between = document.significant[document.index_at(end) : document.index_at(start)]
            for comma in [place for _, string, place, _ in between if string == ","]:
                number += 1
                found[comma:closed] = number
    return np.minimum(found, 3)


def of_innermost_call(clauses, wanted):
    """Where a predicate of the called name, and of whether that is an attribute, is true of the innermost call."""
    document = clauses.document
    found = document.labels([])
    for opened, node in clauses.calls:
        function = node.func if isinstance(node, ast.Call) else node.cls
        before = document.significant[document.index_at(opened) - 1]
        name = before[1] if before[0] == tokenize.NAME and isinstance(function, (ast.Name, ast.Attribute)) else ""
        found[opened : clauses.closed[opened]] = wanted(name, isinstance(function, ast.Attribute))
    return found


def in_keyword_argument(clauses):
    """From the `=`; and the first sign of `==` between arguments."""
    document, spans = clauses.document, []
    for opened, node in clauses.calls:
        if isinstance(node, ast.Call):
            named = [(document.start(each), each.value) for each in node.keywords if each.arg]
            begun = [(document.first(start, "="), value) for start, value in named]
        else:
            begun = [(document.last(document.start(each), "="), each) for each in node.kwd_patterns]
        spans += [(start, clauses.until(document.end(value), opened, ",")) for start, value in begun]
    opens = [opened for opened, _ in clauses.calls]
    equal = [start for _, string, start, _ in document.of_type(tokenize.OP) if string == "=="]
    return document.labels([*spans, *((start, start + 1) for start in equal if clauses.around(start) in opens)])


def in_default_value(clauses):
    document, spans = clauses.document, []
    for node, opened in clauses.signatures():
        for default in [*node.args.defaults, *(each for each in node.args.kw_defaults if each)]:
            start = document.last(document.start(default), "=")
            spans.append((start, clauses.until(document.end(default), opened, ",")))
    return document.labels(spans)


def in_parameter_annotation(clauses):
    document, spans = clauses.document, []
    for node, opened in clauses.signatures():
        for each in ast.walk(node.args):
            if isinstance(each, ast.arg) and each.annotation:
                start, end = document.first(document.start(each), ":"), document.end(each.annotation)
                spans.append((start, clauses.until(end, opened, ",", "=")))
    return document.labels(spans)


def in_class_bases(clauses):
    document, spans = clauses.document, []
    for node in document.nodes_of_type(ast.ClassDef):
        place = document.significant[document.index_at(document.start(node)) + 2][2]
        if document.text[place] == "(":
            spans.append((place, clauses.closed[place]))
    return document.labels(spans)


def in_index(clauses):
    document = clauses.document
    opens = {clauses.opened[document.end(node) - 1] for node in document.nodes_of_type(ast.Subscript)}
    found = document.labels([])
    for start, stop, _ in clauses.pairs:
        found[start:stop] = start in opens
    return found


def in_assigned_value(clauses):
    """From the `=`, and the first sign of `==`, outside brackets."""
    document, spans = clauses.document, []
    lines = [(line[0][2], line[-1][2]) for line in document.logical_lines()]
    for node in document.nodes_of_type(ast.Assign, ast.AugAssign, ast.AnnAssign):
        if node.value:
            before = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "annotation", node.target)
            sign = document.significant[document.index_at(document.first(document.end(before), "=", *AUGMENTED))]
            stop = next(stop for start, stop in lines if start <= document.start(node) < stop)
            after = document.significant[document.index_at(document.end(node)) :]
            spans.append((sign[3] - 1, min([stop, *(place for _, string, place, _ in after if string == ";")])))
    equal = [start for _, string, start, _ in document.of_type(tokenize.OP) if string == "=="]
    return document.labels([*spans, *((start, start + 1) for start in equal if clauses.around(start) < 0)])


def in_condition(clauses):
    """A walrus outside brackets begins like the colon."""
    document = clauses.document
    spans = list(clauses.longer_words("if", "elif", "while"))
    for node in document.nodes_of_type(ast.If, ast.While):
        keyword = document.significant[document.index_at(document.start(node))]
        spans.append((keyword[3] - 1, document.first(document.end(node.test), ":")))
    found = document.labels(spans)
    for _, string, start, _ in document.of_type(tokenize.OP):
        if string == ":=" and clauses.around(start) < 0:
            found[start] = 0
    return found


def for_statements(document):
    """The last letters of `for` and `in`, and the colon."""
    for node in document.nodes_of_type(ast.For, ast.AsyncFor):
        start, middle = document.first(document.start(node), "for"), document.first(document.end(node.target), "in")
        yield start + 2, middle + 1, document.first(document.end(node.iter), ":")


def in_comprehension(clauses):
    document, spans = clauses.document, []
    for node in document.nodes_of_type(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp):
        start = document.last(document.start(node.generators[0].target), "for")
        spans.append((start + 2, clauses.closed[clauses.around(start)]))
    return document.labels(spans)


def in_lambda(document):
    spans = []
    for node in document.nodes_of_type(ast.Lambda):
        spans.append((document.start(node) + 5, document.following(document.end(node))))
    for _, string, start, _ in document.of_type(tokenize.NAME):
        if string.startswith("lambda") and string != "lambda":
            spans.append((start + 5, start + 6))
    return document.labels(spans)


def in_ternary(document):
    spans = []
    for node in document.nodes_of_type(ast.IfExp):
        spans.append((document.first(document.end(node.body), "if") + 1, document.following(document.end(node))))
    for node in document.nodes_of_type(ast.match_case):
        if node.guard:
            start = document.first(document.end(node.pattern), "if") + 1
            spans.append((start, document.first(document.end(node.guard), ":")))
    return document.labels(spans)


def in_dict_value(clauses):
    document, spans = clauses.document, []
    for node in document.nodes_of_type(ast.Dict, ast.MatchMapping):
        values = node.values if isinstance(node, ast.Dict) else node.patterns
        for key, value in zip(node.keys, values, strict=True):
            if key:
                stop = clauses.until(document.end(value), document.start(node), ",")
                spans.append((document.first(document.end(key), ":"), stop))
    for node in document.nodes_of_type(ast.DictComp):
        stop = document.following(document.last(document.start(node.generators[0].target), "for"))
        spans.append((document.first(document.end(node.key), ":"), stop))
    return document.labels(spans)


def called(clauses, word):
    return of_innermost_call(clauses, lambda name, attribute: name == word)


def reference(document):
    clauses, loops = Clauses(document), list(for_statements(document))
    return {
        "argument_number": argument_number(clauses),
        "in_keyword_argument": in_keyword_argument(clauses),
        "in_default_value": in_default_value(clauses),
        "in_parameter_annotation": in_parameter_annotation(clauses),
        "in_class_bases": in_class_bases(clauses),
        "in_index": in_index(clauses),
        "in_method_call": of_innermost_call(clauses, lambda name, attribute: bool(name) and attribute),
        **{f"in_call_of_{word}": called(clauses, word) for word in FUNCTIONS},
        "in_assigned_value": in_assigned_value(clauses),
        "in_condition": in_condition(clauses),
        "in_for_target": document.labels([*(loop[:2] for loop in loops), *clauses.longer_words("for")]),
        "in_for_iterable": document.labels(loop[1:] for loop in loops),
        "in_comprehension": in_comprehension(clauses),
        "in_lambda": in_lambda(document),
        "in_ternary": in_ternary(document),
        "in_dict_value": in_dict_value(clauses),
    }
