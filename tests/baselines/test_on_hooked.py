"""Our dictionaries on a model of one's own: fitted to its activations, and stated to take what they take."""

import json
from dataclasses import asdict

import pytest
import torch
from stated import bytes_of_files, check_stated, random_windows
from test_hooked_base import hooked
from test_saved import write_sae
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

import baselines.sparse_features
from baselines.hooked import HookedConfig
from baselines.hooked.reading import written_config
from baselines.on_hooked import CLT_ON_HOOKED, RANDOM_DICTIONARY_ON_HOOKED, SAE_ON_HOOKED, TRANSCODER_ON_HOOKED
from baselines.saved import HOOKED_SAE, SavedConfig
from benchmark.methods import METHODS
from benchmark.model.hooked import HookedCircuitModel
from benchmark.model.interface import forward
from benchmark.resources import NUMBER, Shapes
from benchmark.running.config import configure
from benchmark.running.plan import plan
from benchmark.studies.live_memory import peak_bytes

pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning")

VOCABULARY, CONTEXT, LAYERS = 300, 32, 3
FITTED = (SAE_ON_HOOKED, TRANSCODER_ON_HOOKED, CLT_ON_HOOKED)
SIZES = {"d_model": 64, "n_heads": 4, "d_head": 16, "d_mlp": 128, "d_vocab": VOCABULARY, "n_ctx": CONTEXT}


class Case:
    """A method on a `HookedTransformer` of random weights, whose configuration lies in a folder."""

    def __init__(self, method, architecture, folder, steps=5):
        self.method, self.model = method, hooked(architecture, **SIZES)
        settings = {"features": 128, "k": 8, "measured_tokens": 512}
        if method in FITTED:
            settings |= {"batch": 512, "tokens": steps * 512, "revivals": 0}
        self.config = method.config(**settings)
        folder.mkdir()
        (folder / "config.json").write_text(written_config(self.model))
        shapes = Shapes(VOCABULARY, CONTEXT, {"hooked": HookedConfig(model=str(folder))})
        self.stated = method.stated_resources(self.config, shapes)

    @property
    def needed(self):
        return {"hooked": HookedCircuitModel(self.model)}

    def train(self, folder):
        folder.mkdir(exist_ok=True)
        corpus = random_windows(VOCABULARY, CONTEXT)
        return self.method.run_train(corpus, self.config, 0, self.needed, folder, lambda *_: None)

    def load(self, folder, variant):
        return self.method.run_load(folder, variant, self.needed)


@pytest.mark.parametrize("method", FITTED, ids=lambda method: method.name)
def test_a_dictionary_is_fitted_to_the_activations_of_the_model(method, tmp_path):
    early, late = (
        Case(method, "llama", tmp_path / f"model {steps}", steps).train(tmp_path / f"artifact {steps}")
        for steps in (2, 30)
    )
    assert late.dictionary["fvu"] < 0.9 * early.dictionary["fvu"]
    assert late.training_flops == pytest.approx(15 * early.training_flops)
    case = Case(method, "llama", tmp_path / "model")
    tokens = torch.randint(VOCABULARY, (2, CONTEXT), generator=torch.Generator().manual_seed(0))
    available = case.load(tmp_path / "artifact 30", "errors_available")
    assert_close(forward(available, tokens), case.model(tokens), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("method", "architecture"),
    [*((method, "llama") for method in (*FITTED, RANDOM_DICTIONARY_ON_HOOKED)), (TRANSCODER_ON_HOOKED, "layer norms")],
    ids=lambda each: getattr(each, "name", each),
)
def test_what_it_takes_is_stated_from_the_configuration_of_the_model(method, architecture, tmp_path, monkeypatch):
    case, artifact = Case(method, architecture, tmp_path / "model"), tmp_path / "artifact"
    artifact.mkdir()
    peak = peak_bytes(lambda: (artifact / "facts.json").write_text(json.dumps(asdict(case.train(artifact)))))
    model = NUMBER * sum(each.numel() for each in case.model.parameters())
    check_stated(case.stated.training.memory_bytes, model + peak)
    check_stated(case.stated.training.store_bytes, bytes_of_files(artifact))
    for variant, size in case.stated.variants.items():
        loaded = case.load(artifact, variant)
        assert (size.sites, size.site_count) == (sum(site.size for site in loaded.sites), len(loaded.sites))
        maps = [
            each.numel()
            for connection in loaded.connections("unit")
            for each in (connection.weight, connection.full, *(connection.parts or {}).values())
            if each is not None
        ]
        check_stated(size.connections + size.terminals, sum(maps))
    monkeypatch.setattr(baselines.sparse_features, "DENSEST", 0.0)  # entries alone are computed out of sight
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
        case.train(tmp_path / "again")
    check_stated(case.stated.training.flops, counted.get_total_flops())


def test_a_saved_dictionary_states_the_same_sizes(tmp_path):
    model = hooked("layer norms")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(written_config(model))
    for layer in range(LAYERS):
        write_sae(tmp_path / "source" / str(layer), f"blocks.{layer}.hook_resid_post")
    shapes = Shapes(24, 10, {"hooked": HookedConfig(model=str(tmp_path / "model"))})
    config = SavedConfig(path=str(tmp_path / "source"), measured_tokens=200)
    stated = HOOKED_SAE.stated_resources(config, shapes)
    like = SAE_ON_HOOKED.stated_resources(SAE_ON_HOOKED.config(features=24, k=3), shapes)
    assert stated.variants == like.variants
    assert stated.training.dictionary_bytes == like.training.dictionary_bytes
    assert stated.training.tokens == 0


@pytest.mark.parametrize(
    ("changes", "part"),
    [({"attn_only": True}, "no MLPs"), ({"parallel_attn_mlp": True}, "parallel attention and MLP")],
)
def test_a_model_whose_layers_cannot_be_replaced_is_refused_when_a_run_is_planned(changes, part, tmp_path):
    (tmp_path / "config.json").write_text(written_config(hooked("layer norms", **changes)))
    shapes = Shapes(24, 10, {"hooked": HookedConfig(model=str(tmp_path))})
    with pytest.raises(ValueError, match=rf"^hooked\.model '.*': its layers cannot be replaced: it has {part}$"):
        SAE_ON_HOOKED.stated_resources(SAE_ON_HOOKED.config(), shapes)


# By name


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of an SAE on a model whose folder has nothing but its configuration."""
    monkeypatch.setattr("baselines.hooked.folders.corpus_settings", lambda config: {})
    monkeypatch.setattr("baselines.hooked.folders.digests", lambda config: {"hooked model": "0"})
    (tmp_path / "config.json").write_text(written_config(hooked("layer norms")))
    return lambda *changes: configure("smoke", ["sae_on_hooked"], changes=[f"hooked.model={tmp_path}", *changes])


def test_it_has_the_settings_that_the_preset_has_for_the_method_that_it_is_like(run):
    assert run().method_configs["sae_on_hooked"] == configure("smoke", ["sae"]).method_configs["sae"]
    assert run("sae_on_hooked.k=3").method_configs["sae_on_hooked"].k == 3


def test_it_needs_the_model_and_no_dense_one(run):
    planned = plan(run())
    assert {cell.params["method"] for cell in planned.cells if cell.kind == "train"} == {"hooked", "sae_on_hooked"}
    assert list(planned.added) == ["hooked"]


def test_all_methods_leave_it_out():
    assert not [name for name in configure("smoke").methods if name.endswith("hooked")]
    assert not any(METHODS[f"{name}_on_hooked"].family for name in ("sae", "transcoder", "clt", "random_dictionary"))


def test_a_model_of_ones_own_in_place_of_dense_is_refused_with_how_it_is_done():
    for methods in (["dense"], ["hooked"]):
        with pytest.raises(
            ValueError, match=r"^--set dense\.hooked: a model .* --method hooked --set hooked\.model=DIR"
        ):
            configure("smoke", methods, changes=["dense.hooked=gpt2"])
