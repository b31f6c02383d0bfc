"""The concepts that are not conjunctions, by family."""

from benchmark.concepts.concept import Concept

KARPATHY = "Karpathy et al. 2015, Visualizing and understanding recurrent networks"
GAO = "Gao et al. 2025, Weight-sparse transformers have interpretable circuits"
OURS = "this benchmark"


def _ours(
    place: str, name: str, summary: str, sibling: str, source: str = OURS, level_names: tuple[str, ...] = ("no", "yes")
) -> Concept:
    """A concept of this benchmark; `place` is its module, then its family if that is not the module's name."""
    module, _, family = place.partition(" ")
    labels = f"benchmark.concepts.{module}:{name}"
    return Concept(name, summary, labels, source, sibling, level_names, family=family or module)


def _line(word: str, sibling: str, source: str = OURS) -> Concept:
    summary = f"the logical line starts with {word}"
    return _ours("lines", f"line_starts_with_{word}", summary, f"line_starts_with_{sibling}", source)


def _call(name: str, sibling: str) -> Concept:
    return _ours("calls", f"in_call_of_{name}", f"the innermost open call is of {name}", f"in_call_of_{sibling}")


def _word_seen(word: str, sibling: str) -> Concept:
    return _ours("names words", f"word_seen_{word}", f"the word {word} has occurred", f"word_seen_{sibling}")


_DEPTHS = ("none", "one", "two or more")
_INDENTS = ("none", "one", "two", "three or more")
_ARGUMENTS = ("not in a call", "first", "second", "third or later")

SINGLE = (
    _ours("strings", "in_single_quoted_string", "inside a string that ' opened", "in_double_quoted_string", KARPATHY),
    _ours("strings", "in_double_quoted_string", 'inside a string that " opened', "in_single_quoted_string", KARPATHY),
    _ours("strings", "in_string", "inside a string", "in_comment", KARPATHY),
    _ours("strings", "in_comment", "inside a comment", "in_string", KARPATHY),
    _ours("strings", "in_docstring", "inside a docstring", "in_string"),
    _ours("strings", "in_f_string", "inside an f-string", "in_string"),
    _ours("strings", "in_f_string_braces", "between the braces of an f-string", "in_f_string"),
    _ours("brackets", "bracket_depth", "how many brackets are open", "in_call", GAO, _DEPTHS),
    _ours("brackets", "in_brackets", "some bracket is open", "in_call", GAO),
    _ours("brackets", "in_parentheses", "the innermost open bracket is (", "in_square_brackets"),
    _ours("brackets", "in_square_brackets", "the innermost open bracket is [", "in_braces", GAO),
    _ours("brackets", "in_braces", "the innermost open bracket is {", "in_square_brackets", GAO),
    _ours("brackets", "in_index", "the innermost open bracket is that of an index", "in_square_brackets"),
    _ours("calls", "in_call", "among the arguments of a call", "in_def_signature"),
    _ours("calls", "in_def_signature", "between the parentheses of a def", "in_call", GAO),
    _ours("calls", "argument_number", "which argument of the innermost call", "bracket_depth", OURS, _ARGUMENTS),
    _ours("calls", "in_keyword_argument", "in the value of a keyword argument", "in_default_value"),
    _ours("calls", "in_default_value", "in the default value of a parameter", "in_keyword_argument"),
    _ours("calls", "in_parameter_annotation", "in the annotation of a parameter", "in_default_value"),
    _ours("calls", "in_class_bases", "between the parentheses after the name of a class", "in_def_signature"),
    _ours("calls", "in_method_call", "the innermost open call is of an attribute", "in_call"),
    _call("print", sibling="write"),
    _call("len", sibling="isinstance"),
    _call("range", sibling="enumerate"),
    _call("enumerate", sibling="range"),
    _call("open", sibling="print"),
    _call("isinstance", sibling="len"),
    _call("add", sibling="write"),
    _call("write", sibling="print"),
    _ours("clauses", "in_assigned_value", "after the = of an assignment", "in_keyword_argument"),
    _ours("clauses", "in_condition", "between if, elif or while and its colon", "in_ternary"),
    _ours("clauses", "in_for_target", "between the for of a statement and its in", "in_for_iterable"),
    _ours("clauses", "in_for_iterable", "between the in of a for statement and its colon", "in_for_target"),
    _ours("clauses", "in_comprehension", "after the first for of a comprehension", "in_for_iterable"),
    _ours("clauses", "in_lambda", "in a lambda", "in_comprehension"),
    _ours("clauses", "in_ternary", "after the if of a conditional expression", "in_condition"),
    _ours("clauses", "in_dict_value", "after the colon of an entry in braces", "in_keyword_argument"),
    _line("if", "while", KARPATHY),
    _line("while", "for", GAO),
    _line("for", "while", GAO),
    _line("return", "if", GAO),
    _line("def", "class"),
    _line("class", "def"),
    _line("with", "for"),
    _line("elif", "if"),
    _line("raise", "return"),
    _ours("lines", "in_import_statement", "the logical line starts with import or from", "line_starts_with_with"),
    _ours("lines", "in_decorator", "the logical line starts with @", "line_starts_with_def"),
    _ours("indentation lines", "indentation_depth", "how far the line is indented", "bracket_depth", OURS, _INDENTS),
    _ours("names", "name_bound_to_set", "the name just read was bound to set()", "name_bound_to_string", GAO),
    _ours("names", "name_bound_to_string", "the name just read was bound to a string", "name_bound_to_set", GAO),
    _ours("names", "name_seen_before", "the name just read has occurred before", "name_bound_to_string"),
    _ours("names", "in_attribute", "in the name of an attribute or at its dot", "in_method_call"),
    _word_seen("self", sibling="return"),
    _word_seen("return", sibling="self"),
    _word_seen("for", sibling="open"),
    _word_seen("open", sibling="for"),
    _word_seen("set", sibling="lambda"),
    _word_seen("lambda", sibling="set"),
)
"""Every concept that is not a conjunction, in the order in which they are listed."""
