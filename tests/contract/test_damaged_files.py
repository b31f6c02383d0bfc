"""Whatever is in a file or in a setting, the answer is a result or one line: no traceback, no hang."""

import inspect
import json
import time
from contextlib import contextmanager

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutated import STRANGE, altered, damaged
from safetensors.torch import save

from baselines.clt.files import load_cross_layer, save_cross_layer
from baselines.dictionary import Dictionary, Encoder
from baselines.files import load_dictionary, load_mean_errors, save_mean_errors, save_top_k
from benchmark.cli.errors import LONGEST_MESSAGE, BadUsage, user_errors
from benchmark.corpus import SPLITS, Corpus, CorpusConfig, build
from benchmark.corpus.sources import open_source, source_version
from benchmark.files import CorruptFileError, read_as
from benchmark.interventions.edge_ablation import VERIFIED_EDGES, load_edges, save_edges
from benchmark.methods import Facts
from benchmark.model.circuit import Circuit
from benchmark.records.curves import OF_CELL, read_points
from benchmark.records.table import MEASUREMENTS, RECORDS, Record, read_measurements, read_records, table_text
from benchmark.running import config
from benchmark.running.config import SECTIONS, configure, preset_in
from benchmark.running.experiment import RUN, read_experiment
from benchmark.studies.best_known import COLUMNS, read_best_known
from sparse_model.config import TransformerConfig
from sparse_model.training import save_transformer
from sparse_model.transformer import Transformer, load_transformer

SLOWEST = 20.0
"""Seconds that no case may take, on a busy machine."""


def fuzzed(few, many):
    """Run a test with a few cases, and with many of them where tests may take minutes."""

    def decorated(test):
        @pytest.mark.parametrize(
            "cases", [pytest.param(few, id="few"), pytest.param(many, id="many", marks=pytest.mark.slow)]
        )
        def run(cases, **fixtures):
            quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
            profile = settings(max_examples=cases, deadline=None, suppress_health_check=quiet, database=None)
            test(profile, **fixtures)

        fixtures = [each for each in inspect.signature(test).parameters.values() if each.name != "profile"]
        cases = inspect.Parameter("cases", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__name__, run.__signature__ = test.__name__, inspect.Signature([cases, *fixtures])
        return run

    return decorated


@contextmanager
def one_line(kind=ValueError):
    """An error of this kind alone, in one line, and no endless computation."""
    began, refusal = time.monotonic(), None
    try:
        with user_errors():
            yield
    except BadUsage as error:
        refusal = error
    if refusal is not None:
        assert isinstance(refusal.__cause__, kind), refusal.__cause__
        assert refusal.message.isprintable()
        assert len(refusal.message) <= LONGEST_MESSAGE + 1
    assert time.monotonic() - began < SLOWEST


# Settings


KEYS = [
    f"{section}.{key}"
    for section, model in {**SECTIONS, "dense": TransformerConfig}.items()
    for key in [*model.model_fields, "no_such"]
]
VALUES = st.one_of(
    STRANGE.map(repr),
    STRANGE.map(lambda value: json.dumps(value, default=str)),
    st.text(max_size=30),
    st.sampled_from(
        ["[" * 5000, "{a=" * 400, "9" * 9000, "1979-01-01", "0x" + "f" * 300, "'path:/dev'", '{"a.b" = 1}']
    ),
)
CHANGES = st.builds(
    lambda key, more, value: f"{key}{more}={value}",
    st.one_of(st.sampled_from(KEYS), st.text(max_size=20)),
    st.sampled_from(["", "", "", ".x", ".x.y", ".."]),
    VALUES,
)


@fuzzed(few=80, many=3000)
def test_any_change_to_a_preset_is_taken_or_refused_in_one_line(profile):
    @profile
    @given(st.lists(CHANGES, min_size=1, max_size=3))
    def check(changes):
        with one_line():
            configure("smoke", ["dense"], changes=changes)

    check()


@fuzzed(few=40, many=1500)
def test_any_preset_is_taken_or_refused_in_one_line(profile, monkeypatch):
    text = (config.PRESETS / "smoke.toml").read_bytes()

    @profile
    @given(damaged(text))
    def check(content):
        with one_line():
            preset = preset_in("smoke", content.decode())
            monkeypatch.setattr(config, "load_preset", lambda name: preset)
            configure("smoke", ["dense"])

    check()


# Tables


ROWS = [
    Record(preset="smoke", method="dense", metric="edges", value=3.5, low=1.0, high=4.0, interval="prompts", n=8),
    Record(preset="smoke", method="dense", metric="nodes", status="failed", reason="none, alas"),
]


@fuzzed(few=80, many=2000)
def test_any_table_is_read_or_refused_in_one_line(profile, tmp_path):
    path = tmp_path / RECORDS

    @profile
    @given(damaged(table_text(ROWS, Record).encode()))
    def check(content):
        path.write_bytes(content)
        with one_line(CorruptFileError):
            read_records(path)

    check()


@fuzzed(few=20, many=500)
def test_any_table_of_best_known_circuits_is_read_or_refused_in_one_line(profile, tmp_path):
    path = tmp_path / "best_known.csv"
    row = "smoke,dense,native,unit,for_while,0,0.15,abc,3,2,mask,blocks.0.v 1,yes"

    @profile
    @given(damaged(f"{','.join(COLUMNS)}\n{row}\n".encode()))
    def check(content):
        path.write_bytes(content)
        with one_line(CorruptFileError):
            read_best_known(path)

    check()


# Corpora


@fuzzed(few=40, many=1000)
def test_any_folder_is_a_corpus_or_refused_in_one_line(profile, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    code = b"def f(x):\n    return [x, 1]\n\n\nclass A:\n    def g(self):\n        pass\n"
    files = st.dictionaries(
        st.sampled_from(["a.py", "b.txt", "c", "d.md"]),
        st.one_of(
            damaged(code * 5), st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-16"))
        ),
        min_size=1,
    )

    @profile
    @given(files)
    def check(contents):
        for name in ("a.py", "b.txt", "c", "d.md"):
            (folder / name).unlink(missing_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        source = f"path:{folder}"
        with one_line():
            corpus = CorpusConfig(sources={source: 1.0}, context=4)
            source_version(source, corpus)
            found = open_source(source, corpus)
            for split in SPLITS:
                assert all(isinstance(document, str) for document in found.documents(split))

    check()


# Artifacts


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """A folder with a file of every kind that a cell reads."""
    folder = tmp_path_factory.mktemp("artifacts")
    text = folder / "text"
    text.mkdir()
    for number in range(40):
        (text / f"{number}.py").write_text(f"def f{number}(x):\n    return x + {number} * {number}\n" * 5)
    (folder / "corpus").mkdir()
    corpus = CorpusConfig(sources={f"path:{text}": 1.0}, tokens=500, vocabulary=300, context=8)
    build(corpus, folder / "corpus", lambda done, total, note="": None)
    generator = torch.Generator().manual_seed(0)
    model = Transformer(TransformerConfig(layers=1, d_model=16, vocabulary=9, context=4)).initialise(generator)
    save_transformer(model, folder, curve=[])
    encoder = Encoder(torch.randn(12, 8), torch.zeros(12), k=3)
    save_top_k(encoder, torch.randn(8, 12), torch.zeros(8), folder / "sae")
    save_mean_errors([torch.zeros(8)], folder)
    (folder / "clt").mkdir()
    save_cross_layer(Dictionary([encoder], [[torch.randn(8, 12)]], [torch.zeros(8)]), folder / "clt")
    Circuit({"blocks.0.v": torch.ones(8, dtype=torch.bool)}).save(folder / "circuit.safetensors")
    save_edges({("blocks.0.v", "blocks.1.k"): torch.tensor([[0, 3]])}, folder / VERIFIED_EDGES)
    facts = {"validation_loss": 1.0, "parameters": 3, "nonzero_parameters": 2, "bigram_parameters": 0}
    (folder / "facts.json").write_text(json.dumps({**facts, "training_flops": 3.0, "dictionary": {"fvu": 0.1}}))
    (folder / MEASUREMENTS).write_text(json.dumps([{"metric": "edges", "value": 3.0, "n": 4, "interval": "prompts"}]))
    point = {"curve": "agreement", "unit": "1", "x": 1, "series": "agreement", "value": 0.5, "n": 3}
    (folder / OF_CELL).write_text(json.dumps([point]))
    scope = {"methods": ["dense"], "tasks": ["for_while"], "seeds": [0]}
    run = {"preset": "smoke", "settings": {"circuit": {}}, "corpus": "abc", "tables": {RECORDS: scope}, "origins": []}
    (folder / RUN).write_text(json.dumps(run))
    return folder


def load_corpus(folder):
    corpus = Corpus.load(folder / "corpus")
    corpus.windows("train")
    Corpus.digest(folder / "corpus")
    return corpus.decode([1, 2])


READERS = {
    "corpus/corpus.json": load_corpus,
    "corpus/tokenizer.json": load_corpus,
    "config.json": load_transformer,
    "sae/cfg.json": lambda folder: load_dictionary(folder / "sae", ["."]),
    "clt/clt.json": lambda folder: load_cross_layer(folder / "clt"),
    "facts.json": lambda folder: read_as(folder / "facts.json", Facts),
    MEASUREMENTS: read_measurements,
    OF_CELL: read_points,
    RUN: read_experiment,
}

TENSORS = {
    "model.safetensors": load_transformer,
    "sae/sae_weights.safetensors": lambda folder: load_dictionary(folder / "sae", ["."]),
    "clt/W_enc_0.safetensors": lambda folder: load_cross_layer(folder / "clt"),
    "clt/W_dec_0.safetensors": lambda folder: load_cross_layer(folder / "clt"),
    "mean_error.safetensors": load_mean_errors,
    "circuit.safetensors": lambda folder: Circuit.load(folder / "circuit.safetensors"),
    VERIFIED_EDGES: lambda folder: load_edges(folder / VERIFIED_EDGES),
}

ARRAYS = {"corpus/train.tokens.npy": load_corpus, "corpus/train.offsets.npy": load_corpus}


def check_reader(folder, name, read, content):
    """A reader refuses a file with this content in one line that names a file, or reads it."""
    sound = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    try:
        with one_line(CorruptFileError):
            read(folder)
    finally:
        (folder / name).write_bytes(sound)


@pytest.mark.parametrize("name", READERS)
@fuzzed(few=25, many=300)
def test_any_json_of_an_artifact_is_read_or_refused_in_one_line(profile, artifacts, name):
    sound = (artifacts / name).read_bytes()
    READERS[name](artifacts)

    @profile
    @given(st.one_of(altered(json.loads(sound)), damaged(sound)))
    def check(content):
        check_reader(artifacts, name, READERS[name], content)

    check()


@pytest.mark.parametrize("name", [*TENSORS, *ARRAYS])
@fuzzed(few=25, many=300)
def test_any_tensors_of_an_artifact_are_read_or_refused_in_one_line(profile, artifacts, name):
    sound, read = (artifacts / name).read_bytes(), {**TENSORS, **ARRAYS}[name]
    read(artifacts)
    contents = damaged(sound)
    if name in TENSORS:
        header, data = json.loads(sound[8 : 8 + int.from_bytes(sound[:8], "little")]), sound
        data = sound[8 + int.from_bytes(sound[:8], "little") :]
        joined = altered(header).map(lambda text: len(text).to_bytes(8, "little") + text + data)
        others = st.builds(
            lambda shape, kind: save({key: torch.zeros(shape, dtype=kind) for key in header if key[:2] != "__"}),
            st.lists(st.integers(0, 4), max_size=3),
            st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8]),
        )
        contents = st.one_of(contents, joined, others)

    @profile
    @given(contents)
    def check(content):
        check_reader(artifacts, name, read, content)

    check()
