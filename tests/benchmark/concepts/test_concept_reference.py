"""Every concept against Python's own `tokenize` and `ast`, on documents of both corpora."""

import ast
import warnings
from itertools import islice
from random import Random

import numpy as np
import pytest
from concept_reference import reference

from benchmark.concepts import CONCEPTS
from benchmark.corpus import CorpusConfig
from benchmark.corpus.idioms import document
from benchmark.corpus.sources import open_source


def parses(text):
    """A method that was cut out of its class may be dedented only as far as its longest string."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text) is not None
        except SyntaxError:
            return False


def idioms(count):
    random = Random(11)
    return [document(random) for _ in range(count)]


def stdlib(count):
    source = open_source("stdlib", CorpusConfig())
    found = list(islice(filter(parses, source.documents("validation")), count))
    found += islice(filter(parses, source.documents("test")), count - len(found))
    assert len(found) == count
    return found


def expected(text):
    """Labels of every concept; a conjunction's name tells its parts."""
    found = reference(text)
    for name in CONCEPTS.keys() - found.keys():
        first, _, second = name.partition("_and_")
        found[name] = (found[first] > 0) & (found[second] > 0)
    return found


def disagreements(texts):
    for text in texts:
        for name, labels in expected(text).items():
            ours = np.asarray(CONCEPTS[name].function(text))
            for place in np.flatnonzero(ours != labels)[:1]:
                yield f"{name} says {ours[place]} at {text[max(place - 60, 0) : place]!r} {text[place]!r}"


@pytest.mark.parametrize("corpus", [idioms, stdlib])
def test_concepts_agree_with_pythons_own_tokens_and_tree(corpus):
    texts = corpus(200 if corpus is idioms else 50)
    assert list(islice(disagreements(texts), 10)) == []


@pytest.mark.slow
@pytest.mark.parametrize("corpus", [idioms, stdlib])
def test_concepts_agree_with_pythons_own_tokens_and_tree_on_many_documents(corpus):
    texts = corpus(2000 if corpus is idioms else 500)
    assert list(islice(disagreements(texts), 10)) == []


TRICKY = (
    "x = ''''a''' + '''b'c''''d'\n",
    'x = """a\\"""b"""\ny = """"""\nz = ""\n',
    "x = r'\\'a' + rb'\\\\' + F\"{x!r:>{y}}\" + u'b'\n",
    "x = 'a\\\nb' + 'c'\nif x:\n    return_ = x\n",
    "if(x): y = 3\nfor[x] in y: pass\nwhile\\\n x: pass\n",
    "x = 0.5.hex() + 1..real + 1.e5 + .5 + 0x1F\n",
    "def f(a, /, b: int = g(1), *c, d=(lambda e: e)(2), **h) -> k(3): return a(b)(c)[d](e)\n",
    "@f(x)\nclass A(B, metaclass=C(D)): x = set()\nx\n",
    "x: str = 'a'\ny = z = set(x)\nx, (y, *w[z]) = z, x\ny.x = x\nz\n",
    "s = ('a'\n     # 'b'\n     f'c')\ns\nb = b'a'\nb\nt = 'a', 'b'\nt\nu = 'a'.join(s)\nu\nv = set() | u\nv\n",
    "s = t = u = v = w = ''\nfor s, (a, t) in s, t: s\nwith s as u, (t) as v.x: u, v\nimport v.x, y as w\nv, w\n",
    "s = t = u = ''\ntry: pass\nexcept s as t: t\nasync def s(u=s): s, u, t\nfrom x import (t as y, u)\nt, u\n",
    "s = ''; t = ''\ns, t\nif s: t = set()\nt\ns += t\ndel s\ns\nfor_x = ''\nfor_x, for_xx, for_\n",
    "f = ''\nx = f'f' + f\nf = lambda f=3, g='': f\nf\ng = ''\nx = [g for g in g]\ng\nselfish = self.self\n",
    "match x:\n    case A(y=3): z = 'a'\nz\ntype = match = ''\ntype, match\nprint (x) (y)\n",
    "b = ''\ny = (f  # g\n     (x), [b  # b\n    ](c), a.  # b\n     b)\n",
    "é = 'ü'\né # ß\nfunc_é(é, 'é')\n",
)


@pytest.mark.parametrize("text", TRICKY)
def test_concepts_agree_with_python_on_corners_of_its_grammar(text):
    assert list(disagreements([text])) == []
