"""A run's settings are the preset's with what was changed; what cannot be meant is refused in one line."""

import re
from dataclasses import replace

import pytest
from toy_methods import FITTED, ROOT, SPARSE, installed, toy_method

from benchmark.cli.run import _unexpected_corpus
from benchmark.corpus import build
from benchmark.discovery.settings import CircuitConfig
from benchmark.running.cells import Order
from benchmark.running.config import configure, load_preset, preset_names
from benchmark.running.plan import plan
from benchmark.running.store import Store
from benchmark.tasks import TASKS


@pytest.fixture(autouse=True)
def _toy_methods():
    with installed(ROOT, SPARSE, FITTED):
        yield


def test_presets_are_listed_the_smallest_first():
    assert preset_names() == ["smoke", "quick", "standard", "paper"]


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_names_known_tasks_and_valid_settings(name):
    settings = configure(name)
    assert set(settings.tasks) <= set(TASKS)
    assert "nonsense" in settings.tasks
    assert load_preset(name).summary


def test_the_presets_have_the_tasks_and_seeds_that_they_promise():
    assert (len(configure("smoke").tasks), configure("smoke").seeds) == (3, (0,))
    assert (len(configure("quick").tasks), configure("quick").seeds) == (9, (0,))
    assert (set(configure("standard").tasks), configure("standard").seeds) == (set(TASKS), (0, 1, 2))


def test_all_methods_stand_in_the_order_in_which_they_are_listed():
    assert configure("smoke").methods == ("root", "sparse", "fitted")


def test_a_method_that_needs_settings_of_its_user_runs_only_if_it_is_named():
    with installed(ROOT, SPARSE, toy_method("mine", by_name=True)):
        assert configure("smoke").methods == ("root", "sparse")
        assert configure("smoke", ["all", "mine"]).methods == ("root", "sparse", "mine")


def test_names_and_seeds_given_replace_those_of_the_preset():
    settings = configure("quick", ["sparse", "sparse"], ["for_while"], [3, 1, 3])
    assert (settings.methods, settings.tasks, settings.seeds) == (("sparse",), ("for_while",), (3, 1))


def test_a_run_has_settings_for_the_methods_that_are_needed_too():
    assert configure("quick", ["fitted"]).method_configs.keys() == {"fitted", "root"}
    assert configure("quick", ["fitted"]).methods == ("fitted",)


def test_changes_reach_every_section_and_leave_the_rest():
    settings = configure(
        "quick",
        ["sparse"],
        changes=[
            "circuit.target_loss=0.1",
            "circuit.ranking=random",
            "circuit.coefficients=[0.1, 1]",
            "corpus.tokens=1_000",
            "corpus.sources={idioms = 1.0}",
            "profile.mean_tokens=5",
            "sparse.density = 0.25",
            "sparse.model.width=4",
            "sparse.shares.a=0.5",
        ],
    )
    assert (settings.circuit.target_loss, settings.circuit.ranking) == (0.1, "random")
    assert settings.circuit.coefficients == (0.1, 1.0)
    assert (settings.corpus.tokens, settings.corpus.sources) == (1000, {"idioms": 1.0})
    assert settings.profile.mean_tokens == 5
    config = settings.method_configs["sparse"]
    assert (config.density, config.steps, config.model.width, config.shares) == (0.25, 10, 4, {"a": 0.5})


def test_changes_do_not_leak_into_the_next_run():
    before = configure("quick").corpus
    configure("quick", changes=["corpus.tokens=1_000", "corpus.sources={idioms = 1.0}"])
    assert configure("quick").corpus == before


REFUSED = [
    ({"preset": "huge"}, "unknown preset 'huge'; choose from smoke, quick, standard, paper"),
    ({"preset": "../quick"}, "unknown preset '../quick'; choose from smoke, quick, standard, paper"),
    ({"method_names": ["bert"]}, "unknown method 'bert'; choose from root, sparse, fitted"),
    ({"tasks": ["poetry"]}, f"unknown task 'poetry'; choose from {', '.join(TASKS)}"),
    ({"changes": ["sparse.density"]}, "--set 'sparse.density' is not of the form section.key=value"),
    ({"changes": ["density=1"]}, "--set 'density=1' is not of the form section.key=value"),
    (
        {"changes": ["bert.density=1"]},
        "section 'bert' is unknown; choose from corpus, circuit, profile, validity, claims",
    ),
    ({"changes": ["sparse.sparsity=1"]}, "unknown key 'sparsity'; choose from density, steps, model, shares"),
    ({"changes": ["sparse.model.depth=1"]}, "--set sparse.model.depth: unknown key 'depth'; choose from width"),
    ({"changes": ["sparse.density.x=1"]}, "sparse.density is a single value, without keys of its own"),
    ({"changes": ["sparse.density=0"]}, "sparse.density = 0: input should be greater than 0"),
    ({"changes": ["sparse.density=some"]}, "sparse.density = 'some': input should be a valid number"),
    ({"changes": ["sparse.steps=-3"]}, "sparse.steps = -3: input should be greater than or equal to 1"),
    ({"changes": ["sparse.steps=1.5"]}, "sparse.steps = 1.5: input should be a valid integer"),
    ({"changes": ["sparse.model.width=0"]}, "sparse.model.width = 0: input should be greater than or equal to 1"),
    ({"changes": ["claims.reference=bert"]}, "claims.reference = 'bert': unknown method 'bert'; choose from"),
    ({"changes": ["circuit.target_loss=nan"]}, "circuit.target_loss = nan: input should be a finite number"),
    (
        {"changes": ["circuit.ranking=best"]},
        "circuit.ranking = 'best': unknown ranking 'best'; choose from mask, attribution, integrated_gradients, "
        "removal, released, random",
    ),
    (
        {"changes": ["circuit.ablation=half"]},
        "circuit.ablation = 'half': unknown ablation 'half'; choose from mean, position_mean, zero, off, resample, c",
    ),
    ({"changes": ["corpus.sources.idioms=1.0"]}, "corpus: the shares of idioms, package:sympy, package:networkx, p"),
    ({"changes": ["corpus.sources={web = 1.0}"]}, "unknown corpus source 'web'; choose from"),
    (
        {"method_names": ["root"], "changes": ["sparse.steps=1"]},
        "section 'sparse' is not part of this run; choose from",
    ),
]


@pytest.mark.parametrize(("asked", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_cannot_be_meant_is_refused_in_one_line(asked, said):
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        configure(**{"preset": "quick", **asked})
    assert "\n" not in str(refused.value)


def test_a_value_that_would_smuggle_in_more_toml_is_taken_as_text():
    with pytest.raises(ValueError, match="valid integer"):
        configure("quick", changes=["sparse.steps=1\n[x]"])


def test_every_circuit_setting_says_what_it_is():
    described = {line.split(":")[0].strip() for line in CircuitConfig.__annotations__}
    assert described == set(CircuitConfig.model_fields)


BUILT = [name for name in preset_names() if name != "paper"]
"""The presets whose corpus is known; that of `paper` is too large to have been built."""


@pytest.mark.parametrize("name", BUILT)
def test_a_preset_states_the_digest_of_its_corpus_until_a_setting_of_the_corpus_is_changed(name):
    digest = load_preset(name).corpus_digest
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert configure(name, changes=["circuit.target_loss=0.1"]).corpus_digest == digest
    assert configure(name, changes=["corpus.seed=3"]).corpus_digest == ""


def test_a_run_says_in_one_line_that_its_corpus_is_another_than_the_preset_states(tmp_path):
    settings, store = configure("smoke"), Store(tmp_path)
    made = plan(settings)
    assert _unexpected_corpus(settings, made, store) == ""
    (corpus,) = (cell for cell in made.cells if cell.kind == "corpus")
    config = settings.corpus.model_copy(update={"sources": {"idioms": 1.0}, "tokens": 5000})
    order = Order(corpus.key, corpus.kind, "toy:compute", {}, {})
    build(config, store.partial(order), lambda done, total, note="": None)
    store.commit(order, seconds=1.0, peak_memory=1)
    said = _unexpected_corpus(settings, made, store)
    assert re.match(r"the digest of this corpus is \w{12}, preset smoke expects \w{12}: .*constraints\.txt", said)
    assert "\n" not in said
    assert _unexpected_corpus(replace(settings, corpus_digest=""), made, store) == ""
