"""The conjunctions of two concepts, and the rule by which they are listed.

The list is frozen. It holds every pair of concepts that meets the following conditions on 100,000 tokens of the
validation split and as many of the test split of the default corpus, taken together:

1. Both have two levels, they are of different families, and neither is of the family `words`: a word that has occurred
   splits the text in two rather than marking a place in it.
2. Both hold at 0.2 % of the tokens or more, and that is at most 0.7 of the rate of either one.
3. The overlap of its labels (intersection over union) with those of any other single concept, and of any conjunction
   listed before it, is at most 0.6: of conjunctions that are nearly the same, one is listed. The five that were listed
   before there was a rule come first, then the most frequent.

`in_comment_and_word_seen_return`, which the first condition leaves out, is kept because earlier runs scored it.
"""

from benchmark.concepts.concept import Concept
from benchmark.concepts.single import OURS, SINGLE

EXAMPLES = {
    "in_single_quoted_string_and_in_square_brackets": "[a, 'b'] + 'c'",
    "in_single_quoted_string_and_in_braces": "{a, 'b'} | 'c'",
    "in_single_quoted_string_and_in_method_call": "a.b('c', d) + 'e'",
    "in_single_quoted_string_and_in_call_of_open": "open(a, 'b') + 'c'",
    "in_single_quoted_string_and_in_assigned_value": "x = 'a' + b; 'c'",
    "in_single_quoted_string_and_line_starts_with_raise": "raise A('b')\n'c'",
    "in_double_quoted_string_and_in_square_brackets": '[a, "b", \'c\'] + "d"',
    "in_double_quoted_string_and_in_braces": '{a, "b"} | "c"',
    "in_double_quoted_string_and_in_call": 'f("a", b=\'c\') + "d"',
    "in_double_quoted_string_and_in_method_call": 'a.b("c", d) + "e"',
    "in_double_quoted_string_and_in_call_of_open": 'open(a, "b") + "c"',
    "in_double_quoted_string_and_in_assigned_value": 'x = "a" + b; "c"',
    "in_double_quoted_string_and_line_starts_with_raise": 'raise A("b")\n"c"',
    "in_string_and_in_square_brackets": 'x = ["a", f("b")] + "c"',
    "in_string_and_in_braces": '{"a": 3, b: "c"} | "d"',
    "in_string_and_in_call": 'f("a", b="c") + "d"',
    "in_string_and_in_method_call": "a.b(\"c\", d) + 'e'",
    "in_string_and_in_call_of_open": "open(\"a\", b) + 'c'",
    "in_string_and_in_assigned_value": "x = \"a\" + b; 'c'",
    "in_f_string_and_in_method_call": 'a.b(f"c", "d") + f"e"',
    "in_f_string_and_in_assigned_value": 'x = f"a" + "b"; f"c"',
    "in_brackets_and_in_assigned_value": "x = f(y) + 3; f(z)",
    "in_brackets_and_in_condition": "if f(x): g(y)",
    "in_brackets_and_in_lambda": "x = lambda y: f(y), (z)",
    "in_brackets_and_line_starts_with_for": "for x in f(y): g(z)\n(x)",
    "in_brackets_and_line_starts_with_return": "return f(x)\nf(x)",
    "in_brackets_and_in_decorator": "@f(x)\ndef g(y): z",
    "in_brackets_and_name_seen_before": "x = f(x, y) + x",
    "in_brackets_and_in_attribute": "f(x.a) + y.b",
    "in_parentheses_and_in_assigned_value": "x = (y, [z]); (x)",
    "in_square_brackets_and_in_call": "f([x], y) + [z]",
    "in_square_brackets_and_line_starts_with_def": "def f(x=[y]): z\n[x]",
    "in_square_brackets_and_name_seen_before": "x = [x, y] + x",
    "in_braces_and_in_call": "f({x}, y) | {z}",
    "in_call_and_in_comprehension": "f(x for x in y), [z for z in y]",
    "in_call_and_in_lambda": "f(lambda: x, y), lambda: z",
    "in_call_and_in_dict_value": "f({x: y}), {z: w}",
    "in_call_and_line_starts_with_if": "if f(x): y\nf(z)",
    "in_call_and_name_seen_before": "x = f(x, y) + x",
    "in_method_call_and_in_assigned_value": "x = a.b(c); a.b(c)",
    "in_method_call_and_line_starts_with_return": "return a.b(c)\na.b(c)",
    "in_method_call_and_name_seen_before": "a.b(a, c) + a",
    "in_call_of_open_and_in_assigned_value": "x = open(y); open(z)",
    "in_assigned_value_and_name_seen_before": "x = x + y; x",
    "in_assigned_value_and_in_attribute": "x = y.a + z; x.a",
    "in_condition_and_name_seen_before": "x\nif x and y: x",
    "in_condition_and_in_attribute": "if x.a: y.b",
    "in_lambda_and_line_starts_with_return": "return lambda: x\nlambda: y",
    "in_lambda_and_name_seen_before": "x = lambda y: x, x",
    "in_ternary_and_line_starts_with_return": "return x if y else z\nx if y else z",
    "in_ternary_and_name_seen_before": "x = x if x else y",
    "line_starts_with_for_and_name_seen_before": "for x in x: y\nx",
    "line_starts_with_return_and_name_seen_before": "return x + x\nx",
    "line_starts_with_return_and_in_attribute": "return x.a\nx.a",
    "line_starts_with_def_and_name_seen_before": "def f(x): x\nx",
    "in_comment_and_word_seen_return": "x  # a\nreturn x  # b",
}
"""By conjunction, in the order of the single concepts, a text in which its parts hold together and each alone."""

SIBLINGS = {
    "in_string_and_in_square_brackets": "in_string_and_in_braces",
    "in_string_and_in_braces": "in_string_and_in_square_brackets",
}
"""The concepts that are more easily confused with a conjunction than its first part is."""


def _conjunction(name: str) -> Concept:
    first, second = name.split("_and_")
    summaries = {concept.name: concept.summary for concept in SINGLE}
    return Concept(
        name,
        f"{summaries[first]}, and {summaries[second]}",
        f"benchmark.concepts.conjunctions:{name}",
        OURS,
        SIBLINGS.get(name, first),
        parts=(first, second),
    )


CONJUNCTIONS = tuple(_conjunction(name) for name in EXAMPLES)
"""Every conjunction."""
