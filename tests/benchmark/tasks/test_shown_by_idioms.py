"""The generated corpus shows what every task rests on, often, and holds none of the templates that it is tested on."""

import keyword
import re
from random import Random

import pytest

from benchmark.corpus.idioms import document
from benchmark.tasks import TASKS

SEEN = 200
"""Occurrences per million tokens below which an idiom counts as rare."""

NAME = r"[A-Za-z_.]+"

SHOWN = {
    "single_double_quote": (r'\("[^"\n]*"\)\n', r"\('[^'\n]*'\)\n"),
    "final_kwarg": (r"def \w+\([^()\n]*=\w+, \w+=None\W", r"def \w+\(\w+(, \w+)+\):\n"),
    "set_or_string": (
        r"\b(\w+) = set\(\w*\)\n(.*\n){0,3}? *\1\.add",
        r"\b(\w+) = (str\(\w+\)|[\"'].*[\"'])\n(.*\n){0,3}? *\1 \+=",
    ),
    "set_or_string_fixedvarname": (
        r"\bcurrent = set\(\w*\)\n(.*\n){0,3}? *current\.add",
        r"\bcurrent = (str\(\w+\)|[\"'].*[\"'])\n(.*\n){0,3}? *current \+=",
    ),
    "class_init": (r"self\.(\w+) = \1\n",),
    "with_as": (r"with open\(.*\) as", r"\w = open\(.*\) if"),
    "bracket_brace": (r"\{[\"'][^{}\[\]\n]*[\"']:", r"[^\[]\[[\"'][^{}\[\]\n]*[\"'],"),
    "with_open": (r"open\(.*, [\"']r[\"']\)", r"open\(.*, [\"']w[\"']\)"),
    "bracket_counting": (r"[^\[]\[[^\[\]\n]*\]\n", r" \[\[.*\]\]\n"),
    "for_while": (r"\bfor \w+ in\b", r"\bwhile \w+:\n"),
    "else_elif": (rf"elif {NAME}:\n", rf"if .* else {NAME}\n"),
    "fstring_brace": (r"f[\"'][^\"'\n]* \{", r"\([\"'][^\"'\n]*[\"']\)\n"),
    "if_ternary": (rf"^ *if {NAME}:\n", rf"= .* if {NAME} else"),
    "var_swap": (r"\b(\w+), (\w+) = \2, \1\n",),
    "indent_for": (r"^    for .*:\n        \w", r"^for .*:\n    \w"),
    "lambda_func": (r"lambda \w+:", r"def \w+\(\):\n"),
    "if_equals": (rf"\bif {NAME} ==", rf"^ *{NAME} = "),
    "enumerate_range": (r"for \w+, \w+ in enumerate", r"for \w+ in range"),
    "var_if": (rf"if {NAME} == True:\n", rf"^ *{NAME} = True\n"),
    "while_return_true": (r"while True:\n", r"return True\n"),
}
"""What a task's causes with their answers look like in the corpus."""

DRAWN = {"number": r"\d+", "class": "[A-Z][a-z]+"}
"""Placeholders that draw no noun."""


def idioms(count):
    random = Random(1)
    return [document(random) for _ in range(count)]


@pytest.fixture(scope="module")
def text():
    return "\n\n\n".join(idioms(12_000))


@pytest.fixture(scope="module")
def sample(tokenizer):
    """Text, and the number of its tokens in millions."""
    texts = idioms(3_000)
    return "\n\n\n".join(texts), sum(len(each.ids) for each in tokenizer.encode_batch(texts)) / 1e6


PARTS = re.compile(r"([^$]*)(?:\$(?:\{(\w+)\}|([a-zA-Z]+\d*))|$)")
"""What a template consists of: text, each followed by a placeholder in braces, by one without, or by the end."""


def found_in(text, template):
    """Where a template is in a text; most are ruled out by a line of theirs that is nowhere in it."""
    fixed = [line for literal, *_ in PARTS.findall(template) for line in literal.split("\n")]
    return pattern_of(template).search(text) if all(line in text for line in fixed) else None


def pattern_of(template):
    """A template as a regular expression: the same name wherever a placeholder is repeated, different names elsewhere.

    Names are nouns, not keywords; lines may be indented by any depth.
    """
    groups, pattern = {}, ""
    for literal, braced, plain in PARTS.findall(template):
        pattern += re.escape(literal).replace("\\\n", r"\n+ *")
        placeholder = braced or plain
        if kind := DRAWN.get(placeholder.rstrip("0123456789")):
            pattern += kind
        elif placeholder in groups:
            pattern += f"(?P={groups[placeholder]})"
        elif placeholder:
            others = "".join(rf"(?!(?P={group})\b)" for group in groups.values())
            groups[placeholder] = group = f"name_{len(groups)}"
            pattern += rf"(?!(?:{'|'.join(keyword.kwlist)})\b){others}(?P<{group}>[a-z][a-z_]*)"
    end = r"\b" if template[-1].isalnum() else ""
    return re.compile(rf"^ *{pattern}{end}", flags=re.MULTILINE)


def test_a_template_becomes_a_pattern():
    pattern = pattern_of("$a = $number\nfor $b in $a")
    assert pattern.search("if x:\n    rows = 3\n    for row in rows:")
    assert not pattern.search("rows = 3\nfor row in lines:")
    assert not pattern.search("rows = 3\nfor rows in rows:")
    assert not pattern.search("rows = False\nfor row in rows:")


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_no_template_of_a_held_out_form_is_in_the_generated_corpus(name, split, text):
    for form in TASKS[name].forms_of(split):
        for template in form.templates:
            found = found_in(text, template)
            assert found is None, (form.name, found.group())


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if not task.control])
def test_templates_of_train_forms_are_in_the_generated_corpus(name, text):
    shown = [form.name for form in TASKS[name].forms_of("train") if any(found_in(text, t) for t in form.templates)]
    assert len(shown) >= 3


@pytest.mark.parametrize("name", SHOWN)
def test_no_answer_of_a_task_is_rare_after_its_cause(name, sample):
    text, millions = sample
    for pattern in SHOWN[name]:
        shown = sum(1 for _ in re.finditer(pattern, text, flags=re.MULTILINE))
        assert shown / millions > SEEN, f"{name}: {pattern} {shown / millions:.0f} times per million tokens"


def test_what_is_shown_of_every_task_of_table_1_is_counted():
    assert set(SHOWN) == {name for name, task in TASKS.items() if task.all_forms and not task.control}
