"""A model of one's own: what is read, what its corpus is, and everything that is refused, before anything runs."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from stated import check_stated
from toy_tokenizers import BEGINNING, byte_level, saved

import benchmark
from baselines.hooked import HOOKED, HookedConfig
from baselines.hooked.folders import corpus_settings, digests, outside_model
from baselines.hooked.reading import quiet, read_model
from baselines.hooked.sizes import resources
from benchmark.corpus import Corpus, CorpusConfig
from benchmark.files import CorruptFileError
from benchmark.model.hooked import HookedCircuitModel
from benchmark.model.interface import forward
from benchmark.resources import NUMBER, Shapes

VOCABULARY, CONTEXT = 500, 32


class RandomCorpus(Corpus):
    def windows(self, split):
        shape = (20, self.config.window)
        return np.random.default_rng(0).integers(0, VOCABULARY, shape).astype(np.uint16)


def tokens():
    return torch.randint(VOCABULARY, (3, CONTEXT), generator=torch.Generator().manual_seed(1))


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=VOCABULARY, num_hidden_layers=2, max_position_embeddings=64, **shape)
    )


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4))


def qwen2():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 4}
    return Qwen2ForCausalLM(
        Qwen2Config(vocab_size=VOCABULARY, num_hidden_layers=1, max_position_embeddings=64, **shape)
    )


MODELS = {"llama": llama, "gpt2": gpt2, "qwen2": qwen2}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each model with its folder, named so that its name misleads."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        for name, make in MODELS.items():
            model, folder = make().eval(), tmp_path_factory.mktemp("llama-7b-bert")
            model.save_pretrained(folder)
            saved(byte_level(VOCABULARY), folder)
            found[name] = model, folder
    return found


@pytest.fixture
def folder(made, tmp_path):
    """A copy of the folder of the Llama, to be damaged."""
    return shutil.copytree(made["llama"][1], tmp_path / "model")


def config_of(folder, **others):
    return HookedConfig(model=str(folder), **others)


def changed(folder, **fields):
    """The folder, with fields of its configuration changed."""
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **fields}))
    return folder


# What is read


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_hugging_face_has_the_logits_of_transformers_before_and_after_it_is_stored(name, made, tmp_path):
    original, folder = made[name]
    corpus = RandomCorpus(tmp_path, CorpusConfig(vocabulary=VOCABULARY, context=CONTEXT), byte_level())
    facts = HOOKED.run_train(corpus, config_of(folder, validation_tokens=128), 0, {}, tmp_path, lambda *_: None)
    model = HOOKED.run_load(tmp_path, "native", {})
    with torch.no_grad():
        wanted = original(tokens()).logits
        torch.testing.assert_close(forward(model, tokens()), wanted, atol=1e-5, rtol=1e-5)
    windows = torch.from_numpy(corpus.windows("validation").astype(np.int64))[np.linspace(0, 19, 4).astype(int)]
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(
            original(windows[:, :-1]).logits.flatten(0, 1).double(), windows[:, 1:].flatten()
        )
    assert facts.validation_loss == pytest.approx(float(loss), abs=1e-4)
    assert facts.training_flops is None
    assert facts.parameters >= original.num_parameters()


def test_positions_of_rotary_embeddings_are_no_more_than_the_context(made):
    assert read_model(outside_model(config_of(made["llama"][1])), CONTEXT).cfg.n_ctx == CONTEXT
    assert read_model(outside_model(config_of(made["gpt2"][1])), CONTEXT).cfg.n_ctx == 64


def test_a_hooked_transformer_is_read_from_its_parameters_and_its_configuration(tmp_path):
    from transformer_lens import HookedTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = {"n_layers": 1, "d_model": 16, "n_ctx": 40, "d_head": 4, "d_vocab": VOCABULARY, "act_fn": "gelu"}
        original = HookedTransformer(shape)
    save_file(dict(original.named_parameters()), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(original.cfg.to_dict(), default=str))
    outside = outside_model(config_of(tmp_path))
    assert outside.is_hooked_transformer
    torch.testing.assert_close(read_model(outside, CONTEXT)(tokens()), original(tokens()))
    save_file({"embed.W_E": torch.zeros(VOCABULARY, 16)}, tmp_path / "model.safetensors")
    with pytest.raises(CorruptFileError, match=r"model\.safetensors lacks pos_embed\.W_pos, blocks\.0"):
        read_model(outside, CONTEXT)
    changed(tmp_path, wings=2)
    with pytest.raises(ValueError, match=r"not the configuration of a HookedTransformer: TypeError: .*'wings'"):
        read_model(outside_model(config_of(tmp_path)), CONTEXT)


def test_a_folder_is_opened_outside_a_run(made, folder):
    original, _ = made["llama"]
    model = benchmark.load_model(folder)
    assert model.model.cfg.n_ctx == 64
    with torch.no_grad():
        torch.testing.assert_close(forward(model, tokens()), original(tokens()).logits, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match=r"has the architecture \"BertForMaskedLM\"; choose a model of one of"):
        benchmark.load_model(changed(folder, architectures=["BertForMaskedLM"]))
    (folder / "config.json").write_text('{"name": "something else"}')
    with pytest.raises(
        ValueError, match=r"is not a model that can be opened; .* one of a model that hooked or released"
    ):
        benchmark.load_model(folder)


# What its corpus is


def test_the_corpus_has_the_tokenizer_its_beginning_and_the_positions_of_the_model(made):
    _, folder = made["llama"]
    wanted = {"tokenizer": str(folder), "beginning": BEGINNING, "context": 64}
    assert corpus_settings(config_of(folder)) == wanted


def test_a_tokenizer_that_puts_nothing_first_leaves_the_beginning_to_the_user(folder, tmp_path):
    other = saved(byte_level(VOCABULARY, special=("<|endoftext|>",)), tmp_path / "other")
    found = corpus_settings(config_of(folder, tokenizer=str(other)))
    assert found == {"tokenizer": str(other), "context": 64}


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(folder):
    changed(folder, vocab_size=499)
    with pytest.raises(ValueError, match=r"has 499 tokens, and tokenizer '.*' 500; choose the model's own"):
        corpus_settings(config_of(folder))


def test_the_digest_changes_with_the_weights_and_with_the_configuration(folder):
    seen = [digests(config_of(folder))["hooked model"]]
    weights = load_file(folder / "model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1}, folder / "model.safetensors")
    seen.append(digests(config_of(folder))["hooked model"])
    changed(folder, rms_norm_eps=0.1)
    seen.append(digests(config_of(folder))["hooked model"])
    assert len(set(seen)) == 3


def test_a_model_of_the_hub_is_known_by_its_commit_and_fetched_by_its_client(made, tmp_path, monkeypatch):
    from huggingface_hub import constants

    commit, at = "1" * 40, tmp_path / "models--someone--model"
    shutil.copytree(made["llama"][1], at / "snapshots" / commit)
    (at / "refs").mkdir()
    (at / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    config = HookedConfig(model="someone/model")
    wanted = {"tokenizer": "hf:someone/model", "beginning": BEGINNING, "context": 64}
    assert corpus_settings(config) == wanted
    assert digests(config) == {"hooked model": f"someone/model@{commit}"}
    original, _ = made["llama"]
    with torch.no_grad():
        found = read_model(outside_model(config), CONTEXT)(tokens())
        torch.testing.assert_close(found, original(tokens()).logits, atol=1e-5, rtol=1e-5)


# What it takes


def numbers(connection):
    """How many numbers the maps of a connection are."""
    maps = [connection.weight, connection.full, *(connection.parts or {}).values()]
    return sum(each.numel() for each in maps if each is not None)


def check_sizes(stated, hooked):
    """The sizes that are stated without the model are those of the model."""
    model, size = HookedCircuitModel(hooked), stated.variants["native"]
    units = [site.size for site in model.sites if site.kind not in ("residual_read", "residual_write")]
    assert (size.sites, size.site_count) == (sum(site.size for site in model.sites), len(model.sites))
    assert size.units == sum(units)
    assert size.largest == max(each.numel() for each in hooked.parameters())
    assert size.connections + size.terminals == sum(map(numbers, model.connections("unit")))
    check_stated(size.parameters, sum(each.numel() for each in hooked.parameters()))
    assert stated.training.memory_bytes > 2 * NUMBER * size.parameters


@pytest.mark.parametrize("name", MODELS)
def test_the_sizes_in_a_plan_are_those_of_the_model(name, made):
    config = config_of(made[name][1])
    check_sizes(resources(config, Shapes(VOCABULARY, CONTEXT)), read_model(outside_model(config), CONTEXT))


def test_the_sizes_of_a_hooked_transformer_are_those_of_its_configuration(tmp_path):
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    shape = {"n_layers": 2, "d_model": 12, "n_ctx": CONTEXT, "d_head": 4, "n_heads": 3, "d_mlp": 20, "act_fn": "gelu"}
    with quiet():
        hooked = HookedTransformer(HookedTransformerConfig(d_vocab=VOCABULARY, parallel_attn_mlp=True, **shape))
    (tmp_path / "config.json").write_text(
        json.dumps({"d_vocab": VOCABULARY, "parallel_attn_mlp": True, "original_architecture": None, **shape})
    )
    check_sizes(resources(config_of(tmp_path), Shapes(VOCABULARY, CONTEXT)), hooked)
    (tmp_path / "config.json").write_text(json.dumps({"d_model": 12}))
    assert resources(config_of(tmp_path), Shapes(VOCABULARY, CONTEXT)) is None


# What is refused


def test_a_model_that_is_not_named_or_not_there_is_refused_with_what_to_do(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"^hooked\.model is not set: name the folder .* by --set hooked\.model=DIR$"):
        outside_model(HookedConfig())
    with pytest.raises(ValueError, match=r"^hooked\.model '/no/such/place': there is no such folder$"):
        outside_model(HookedConfig(model="/no/such/place"))
    with pytest.raises(ValueError, match=r"^hooked\.model '\./place': there is no such folder$"):
        outside_model(HookedConfig(model="./place"))
    with pytest.raises(
        ValueError,
        match=r"^hooked\.model 'some/model' is not a folder, and cannot be fetched from the Hub: the Hub does not",
    ):
        outside_model(HookedConfig(model="some/model"))
    with pytest.raises(ValueError, match=r"the folder has no config\.json$"):
        outside_model(config_of(tmp_path))


@pytest.mark.parametrize("named", [["BertForMaskedLM"], [], None])
def test_an_architecture_that_is_not_converted_is_named_with_the_choices(folder, named):
    with pytest.raises(
        ValueError, match=r"has the architecture (\"BertForMaskedLM\"|null); choose .* LlamaForCausalLM"
    ):
        outside_model(config_of(changed(folder, architectures=named)))


def test_a_pickle_is_refused_by_name_with_what_to_do_instead(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"pytorch_model\.bin is a pickle, .* not read; `AutoModel.*writes safetensors"
    ):
        digests(config_of(folder))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ValueError, match=r"the folder has no model\.safetensors$"):
        digests(config_of(folder))


def test_an_index_that_leads_out_of_the_folder_is_refused(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../other.safetensors"}}')
    with pytest.raises(CorruptFileError, match=r"names the file '\.\./other\.safetensors', which is not inside"):
        digests(config_of(folder))


def test_weights_that_do_not_fit_are_refused_in_one_line(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({name: each[:1] for name, each in weights.items()}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"^hooked\.model '.*' cannot be converted: ") as refused:
        read_model(outside_model(config_of(folder)), CONTEXT)
    assert "\n" not in str(refused.value)


def test_missing_and_unknown_weights_are_named(folder):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("down_proj.weight"))
    save_file({key: each for key, each in weights.items() if key != name}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=rf"cannot be converted: .* lacks {name}$"):
        read_model(outside_model(config_of(folder)), CONTEXT)
    save_file({**weights, "wings": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"cannot be converted: .* has unknown wings$"):
        read_model(outside_model(config_of(folder)), CONTEXT)


def test_a_part_that_is_not_converted_is_found_by_the_logits(folder, monkeypatch):
    from transformer_lens import loading_from_pretrained as loading

    before = loading.get_pretrained_state_dict

    def without_a_part(*arguments):
        state = before(*arguments)
        return {**state, "blocks.0.mlp.W_out": state["blocks.0.mlp.W_out"] * 0}

    monkeypatch.setattr(loading, "get_pretrained_state_dict", without_a_part)
    with pytest.raises(ValueError, match=r"LlamaForCausalLM gives other logits than transformers, by 0\.\d+ of the"):
        read_model(outside_model(config_of(folder)), CONTEXT)
