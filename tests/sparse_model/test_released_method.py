"""The method `released`: what a run takes from the released files, in their tokens, and what it says of the rest."""

import json
from random import Random

import pytest
import torch
from released_files import viz_data, write_model, write_tokenizer
from test_released import SETTINGS, checkpoint, logits

import benchmark
from benchmark.corpus import Corpus, build
from benchmark.corpus.idioms import document
from benchmark.corpus.tokenizer import train_tokenizer
from benchmark.methods import METHODS
from benchmark.model.circuit import circuits_of
from benchmark.model.interface import stated_means
from benchmark.planning.needs import Planned
from benchmark.running.config import configure
from benchmark.running.plan import plan
from sparse_model.released import artifact
from sparse_model.released.files import circuit_files, task_of
from sparse_model.released.method import RELEASED, ReleasedSettings

TOKENS = 400
"""Tokens of the tiny tokenizer, the end of text included."""

SHAPE = {**SETTINGS, "vocab_size": TOKENS, "block_size": 64, "pfrac": 0.0625, "rtopk": True}

KEPT = {"0.mlp.act_in": [0, 33], "0.mlp.post_act": [5], "1.attn.q": [3], "final_resid": [1, 2]}


def write_tokens(folder, tokens):
    """A tokenizer with some number of tokens, in the released files."""
    random = Random(0)
    write_tokenizer(folder, train_tokenizer([document(random) for _ in range(tokens // 4)], tokens))


def write_circuit(folder, content):
    folder.mkdir(parents=True)
    torch.save(content, folder / "viz_data.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A released model with its tokenizer, two circuits and the means of one site."""
    place = tmp_path_factory.mktemp("released")
    write_model(place / "model", SHAPE, checkpoint(SHAPE))
    write_tokens(place / "model", TOKENS)
    circuit = viz_data(KEPT, {"n_layer": 2, "d_model": 32, "n_mlp": None})
    for name in ("single_double_quote/prune_v2/64", "bracket_counting_beeg/prune_v4/k_optim", "unheard_of/prune_v4/8"):
        write_circuit(place / "circuits" / name, circuit)
    torch.save({"1.attn.q": torch.arange(32.0)}, place / "means.pt")
    return place


def changes(folder, *names):
    paths = {"path": "model", "circuits": "circuits", "means": "means.pt"}
    return [f"released.{name}={folder / paths[name]}" for name in names]


def run_of(folder, *names, others=()):
    return configure("smoke", ["released"], seeds=[0], changes=[*changes(folder, *names), *others])


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """The settings of a run, and what training has written, said and found."""
    out = tmp_path_factory.mktemp("trained")
    run = run_of(folder, "path", "circuits", "means", others=["corpus.tokens=20_000", "released.validation_windows=8"])
    (out / "corpus").mkdir()
    build(run.corpus, out / "corpus", lambda *args: None)
    (out / "model").mkdir()
    said = []
    settings = run.method_configs["released"]
    corpus = Corpus.load(out / "corpus")
    facts = RELEASED.run_train(corpus, settings, 0, {}, out / "model", lambda done, total, note: said.append(note))
    return corpus, out / "model", said, facts


def test_the_corpus_is_in_the_tokens_of_the_model_and_no_longer_than_it(folder):
    run = run_of(folder, "path")
    assert run.corpus.tokenizer == str(folder / "model")
    assert run.corpus.vocabulary == TOKENS
    assert run.corpus.end_of_text == "<|endoftext|>"
    assert run.corpus.context == 64  # that of the preset is 128


def test_the_end_of_text_is_the_models_last_token(trained):
    corpus, *_ = trained
    assert corpus.end_of_text == TOKENS - 1


def test_the_artifact_has_the_logits_of_the_released_files_and_needs_none_of_them(trained):
    corpus, folder, *_ = trained
    assert not list(folder.rglob("*.pt"))
    model = RELEASED.run_load(folder, "native", {})
    tokens = torch.tensor(corpus.windows("validation")[:2, :-1].astype(int))
    expected = torch.stack([logits(SHAPE, checkpoint(SHAPE), row) for row in tokens])
    torch.testing.assert_close(model(tokens), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_the_loss_is_that_of_the_corpus_and_what_training_took_is_not_known(trained):
    corpus, _, _, facts = trained
    windows = torch.tensor(corpus.windows("validation")[:8].astype(int))
    found = torch.stack([logits(SHAPE, checkpoint(SHAPE), row) for row in windows[:, :-1]]).flatten(0, 1)
    assert facts.validation_loss == pytest.approx(
        float(torch.nn.functional.cross_entropy(found, windows[:, 1:].flatten())), rel=1e-4
    )
    assert facts.training_flops is None
    assert facts.bigram_parameters == TOKENS**2


def test_what_is_left_unread_is_said(trained):
    _, folder, said, _ = trained
    notes = json.loads((folder / "released.json").read_text())
    assert notes == {
        "unknown_keys": ["pfrac", "rtopk"],
        "final_resid_nodes": {"bracket_counting": 2, "single_double_quote": 2},
        "unread_folders": ["unheard_of"],
    }
    assert said[0] == "left unread: pfrac, rtopk"
    assert said[-1].split("; ") == [
        "left unread: pfrac, rtopk",
        "4 nodes of final_resid, which is in no graph, left out",
        "folders of no task: unheard_of",
    ]


def test_circuits_and_means_come_with_the_model(trained):
    model = RELEASED.run_load(trained[1], "native", {})
    circuits = circuits_of(model)
    assert circuits.keys() == {"single_double_quote", "bracket_counting"}
    kept = {"blocks.0.mlp_in": [0, 33], "blocks.0.neuron": [5], "blocks.1.q": [3]}
    assert circuits["bracket_counting"].kept() == kept
    means = stated_means(model)
    assert means.keys() == {"blocks.1.q"}
    assert means["blocks.1.q"].equal(torch.arange(32.0))


def train_key(run):
    return next(cell.key for cell in plan(run).cells if cell.kind == "train")


def test_the_key_of_a_model_follows_its_files(folder, tmp_path):
    copy = tmp_path / "model"
    write_model(copy, SHAPE, checkpoint(SHAPE))
    for name in ("encoder.json", "vocab.bpe"):
        (copy / name).write_bytes((folder / "model" / name).read_bytes())
    run = configure("smoke", ["released"], changes=[f"released.path={copy}"])
    before = train_key(run)
    assert train_key(run) == before
    weights = checkpoint(SHAPE)
    weights["transformer.ln_f.weight"] += 1
    write_model(copy, SHAPE, weights)
    assert train_key(configure("smoke", ["released"], changes=[f"released.path={copy}"])) != before
    with_circuits = configure("smoke", ["released"], changes=[f"released.path={copy}", *changes(folder, "circuits")])
    assert RELEASED.outside_files(with_circuits.method_configs["released"]).keys() == {
        "beeg_config.json",
        "final_model.pt",
        "circuit bracket_counting",
        "circuit single_double_quote",
    }


def test_the_plan_states_the_parameters_that_the_model_has(folder, trained):
    run = run_of(folder, "path")
    stated = Planned(run).resources(RELEASED)
    *_, facts = trained
    assert stated.training.parameters == facts.parameters + facts.bigram_parameters
    assert stated.training.tokens == 0


def test_all_methods_do_without_the_released_ones():
    assert "released" in METHODS
    assert "released" not in configure("smoke", ["all"]).methods


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([], "released: path is missing; name the folder of the model with beeg_config.json and final_model.pt"),
        (["released.path=nowhere"], "nowhere/beeg_config.json does not exist"),
        (["released.path=MODEL", "corpus.context=65"], "the models of released have 64 positions"),
        (["released.path=MODEL", "released.tokenizer=CIRCUITS"], "the folder has no tokenizer.json"),
        (["released.path=SMALL", "released.tokenizer=MODEL"], "has 100 tokens, and tokenizer"),
        (["released.path=MODEL", "released.folders.for_while=x"], "folders are folders below circuits"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(folder, others, said):
    write_model(folder / "small", {**SHAPE, "vocab_size": 100}, {})
    for name, place in (("MODEL", folder / "model"), ("CIRCUITS", folder), ("SMALL", folder / "small")):
        others = [each.replace(name, str(place)) for each in others]
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the message is compared)
        configure("smoke", ["released"], changes=others)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_tokenizer_that_is_not_known_needs_its_file(tmp_path):
    write_model(tmp_path, {**SHAPE, "tokenizer_name": "other"}, {})
    with pytest.raises(ValueError, match="the tokenizer 'other' is not known; name a folder with its tokenizer"):
        RELEASED.corpus_settings(ReleasedSettings(path=str(tmp_path)))


def test_a_circuit_of_a_model_of_another_shape_is_refused(folder, tmp_path):
    write_circuit(tmp_path / "for_while", viz_data({"0.mlp.act_in": [1]}, {"d_model": 64}))
    model = artifact.load_released(folder / "model")
    settings = ReleasedSettings(path="x", circuits=str(tmp_path))
    with pytest.raises(ValueError, match="is of a model with d_model 64, and this one has 32"):
        artifact.write_circuits(model, settings, tmp_path)


# Where circuits are


def put(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "viz_data.pt").write_bytes(b"x")


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("single_double_quote", "single_double_quote"),
        ("single_double_quote_beeg3", "single_double_quote"),
        ("bracket_counting_beeg", "bracket_counting"),
        ("set_or_string_fixedvarname", "set_or_string_fixedvarname"),
        ("while_return_true_beeg", "while_return_true"),
        ("bracket_counting_beeg_", None),
        ("prune_v4", None),
    ],
)
def test_released_folders_are_called_like_tasks(name, task):
    assert task_of(name) == task


def test_a_folder_that_is_named_is_taken_and_several_are_not_guessed_from(tmp_path):
    put(tmp_path, "else_elif_beeg/prune_v4/k_optim", "else_elif_beeg/prune_v4/64", "strange/8")
    with pytest.raises(
        ValueError, match=r"'else_elif' has 2 circuits; choose by released.folders.else_elif: .*/64, .*optim"
    ):
        circuit_files(tmp_path, {})
    found = circuit_files(tmp_path, {"else_elif": "else_elif_beeg/prune_v4/64", "with_as": "strange"})
    assert found == {
        "else_elif": tmp_path / "else_elif_beeg/prune_v4/64/viz_data.pt",
        "with_as": tmp_path / "strange/8/viz_data.pt",
    }
    with pytest.raises(ValueError, match=r"released.folders.with_as 'gone': there is no viz_data.pt in it"):
        circuit_files(tmp_path, {"with_as": "gone"})
    with pytest.raises(ValueError, match="unknown task 'bird_song'"):
        circuit_files(tmp_path, {"bird_song": "strange"})


def test_a_folder_without_circuits_says_what_it_should_have(tmp_path):
    with pytest.raises(ValueError, match="has no circuits, such as single_double_quote"):
        circuit_files(tmp_path, {})
    with pytest.raises(ValueError, match="is not a folder"):
        circuit_files(tmp_path / "nowhere", {})


# Its ranking


def ranked(folder, *names, tasks=(), methods=("released",)):
    paths = changes(folder, *names) if "released" in methods else []
    return configure("smoke", methods, tasks, changes=[*paths, "circuit.ranking=released"])


def test_the_ranking_by_released_circuits_is_refused_for_methods_and_tasks_without_them(folder):
    known = ("bracket_counting", "single_double_quote")
    assert ranked(folder, "path", "circuits", tasks=known).tasks == known
    with pytest.raises(
        ValueError,
        match=r"^circuit\.ranking = 'released': released has no circuit for task 'for_while'; choose tasks from "
        r"bracket_counting, single_double_quote$",
    ):
        ranked(folder, "path", "circuits", tasks=("single_double_quote", "for_while"))
    with pytest.raises(
        ValueError,
        match=r"^circuit\.ranking = 'released': the models of dense come with no circuits; choose the ranking from "
        r"mask, .*, random, or the method from released$",
    ):
        ranked(folder, methods=("dense",))
    with pytest.raises(ValueError, match=r"^released\.circuits is missing; name .* by --set released\.circuits=DIR$"):
        ranked(folder, "path", tasks=known)


# Opened by path


def test_a_released_folder_is_opened_by_its_path(folder):
    model = benchmark.load_model(folder / "model")
    tokens = torch.randint(0, TOKENS, (2, 20), generator=torch.Generator().manual_seed(0))
    expected = torch.stack([logits(SHAPE, checkpoint(SHAPE), row) for row in tokens])
    torch.testing.assert_close(model(tokens), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_a_folder_of_something_else_is_not_opened(tmp_path):
    with pytest.raises(
        ValueError, match=r"is not a model that can be opened; choose a folder of results, or .* released reads"
    ):
        benchmark.load_model(tmp_path)
