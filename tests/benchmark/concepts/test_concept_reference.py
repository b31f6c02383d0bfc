"""Every concept against Python's own `tokenize` and `ast`, on documents of both corpora."""

import ast
import warnings
from itertools import islice
from random import Random

import numpy as np
import pytest
from concept_reference import reference

from benchmark.concepts import CONCEPTS
from benchmark.concepts.pairs import EXAMPLES
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
    "x = f(a, *b, c=(d), **e)(lambda a, b: (a), [g for g, h in i if g], key=lambda a=3: a == b,)\n",
    "def f(a: int, b: g[h, (i)] = (3), *, c=lambda d, e: {d: e}, **k: (l)) -> m == n: o\n",
    "class A(f(B), c=D.e(3)):\n    x: int = 3; y\n    z @= [3]; w: f(a=3)\n",
    "if x := f(a[1:2]): y\nelif (lambda: x): z = a if b else c if d else e; f\nwhile a: iffy = elifs = 3\nwhiles = 3\n",
    "for i, (inner, j[k]) in enumerate(in_x) if a else b: x in y\nformat_ = forms(form for form in formats)\n",
    "async def f():\n    async for x in y: [z async for z in w if z if (a if b else c) for v in w]\n    ifs = fors\n",
    "x = {a: (b), **c, 'd': lambda e, f: {g}, (h): [i, j]}, {k: l if m else n for k, l in o}, {p, (q)}\n",
    "x = (lambda: a if b else lambda c, d: e, f), [lambda: a for lambda_x in b]\nlambda_y = [0 for x in y]\n",
    "match x:\n    case {'a': y, 'b': A(c, d=e)} if y: z\n    case y, z if (z): a.B(c)(d).e(f)\n",
    "@a.b(c)\n@d\ndef e():\n    # f\n\n    r'''g'''\n    'h'\n@i\nclass J:\n    f'k'\n    def l(): 'm'\n",
    "'a' 'b'\nfrom ..a.b import (c)\nimport d.e, f as g\nfrom . import h\nx = 1..i + 'j'.k[l].m\n",
    "x = f'a{b:{c}}{{d}}{{{e}}}' + F\"\"\"{f['g']}\n{h!r}\"\"\" + '{i}' + rf'{j}'\n",
    "if a:\n      # b\n  if c:\n\n      d = [e,\n f]\n # g\n      while h:\n        if i:\n         j\n  k\nl\n",
    "if a:\n\tif b:\n\t    '''c\nd'''\n# e\n\tf\n",
    "print(len(open(a).write(b.add(range(3))), print), isinstance)\nopens(a), a.open(b), (open)(c), open[d](e)\n",
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
    "if x:\n\ty\n        # c\n\tz\n",
    "x = 'a'[1] + f'b'[2:]\n",
    "é = 'ü'\né # ß\nfunc_é(é, 'é')\n",
)


@pytest.mark.parametrize("text", TRICKY)
def test_concepts_agree_with_python_on_corners_of_its_grammar(text):
    assert list(disagreements([text])) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_conjunction_shows_its_parts_together_and_each_alone(name):
    text = EXAMPLES[name]
    first, second = (expected(text)[part] > 0 for part in CONCEPTS[name].parts)
    shown = {(bool(one), bool(other)) for one, other in zip(first, second, strict=True)}
    assert shown >= {(True, True), (True, False), (False, True)}
    assert np.array_equal(np.asarray(CONCEPTS[name].function(text)), first & second)
