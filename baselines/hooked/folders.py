"""What a run has to know of a model before it is read: its files, its tokenizer, its context. Imports no torch."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baselines.hooked import HookedConfig
from benchmark.corpus.given_tokenizer import HUB, read_given, tokenizer_file
from benchmark.corpus.hub import from_hub
from benchmark.files import CorruptFileError, digest_of, inside, read_json

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
"""The files of a model, in both formats; several files of weights are listed in an index."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""Endings of files of weights that are not read, as they may contain code."""

POSITIONS = ("n_ctx", "max_position_embeddings", "n_positions")
"""The keys of a configuration that say how many positions a model has."""

VOCABULARIES = ("d_vocab", "vocab_size")
"""The keys that say how many tokens it has."""

ARCHITECTURES = (
    "ApertusForCausalLM",
    "BloomForCausalLM",
    "GPT2LMHeadModel",
    "GPTJForCausalLM",
    "GPTNeoForCausalLM",
    "GPTNeoXForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
    "GemmaForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "OPTForCausalLM",
    "Olmo2ForCausalLM",
    "Olmo3ForCausalLM",
    "OlmoForCausalLM",
    "Phi3ForCausalLM",
    "PhiForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
)
"""The architectures of Hugging Face that TransformerLens converts, without mixtures of experts."""

ON_HUB = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
"""What the name of a model on the Hub looks like."""


@dataclass(frozen=True)
class OutsideModel:
    """A model as its user names it.

    Attributes:
        name: A folder, or a name on the Hub.
        folder: The folder with its configuration; of a model on the Hub, that of a snapshot in the cache.
        config: The content of `config.json`.
        on_hub: Whether it is one of the Hub, whose other files are fetched when they are needed.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    on_hub: bool

    @property
    def is_hooked_transformer(self) -> bool:
        """Whether the configuration is that of a `HookedTransformer`."""
        return "model_type" not in self.config and "d_model" in self.config

    def number(self, keys: tuple[str, ...]) -> int | None:
        """The first of some keys of the configuration that is a number; `None` if none is."""
        return next((value for key in keys if isinstance(value := self.config.get(key), int)), None)


def corpus_settings(config: HookedConfig) -> dict[str, object]:
    """The tokenizer of a model, the token that it puts first, and the number of the model's positions.

    Raises:
        ValueError: In one line, if the model or its tokenizer cannot be used.
    """
    model = outside_model(config)
    tokenizer = config.tokenizer or f"{HUB * model.on_hub}{model.name}"
    given = read_given(tokenizer_file(tokenizer))
    tokens = model.number(VOCABULARIES)
    if tokens is not None and given.vocabulary > tokens:
        raise ValueError(
            f"hooked.model {model.name!r} has {tokens:,} tokens, and tokenizer {tokenizer!r} {given.vocabulary:,}; "
            "choose the model's own by hooked.tokenizer"
        )
    positions = model.number(POSITIONS)
    context = {} if positions is None else {"context": positions}
    return {"tokenizer": tokenizer, **({"beginning": given.beginning} if given.beginning else {}), **context}


def digests(config: HookedConfig) -> dict[str, str]:
    """A digest of the files of a model; of one on the Hub, its name and the commit."""
    model = outside_model(config)
    if model.on_hub:
        return {"hooked model": f"{model.name}@{model.folder.name}"}
    content = hashlib.sha256()
    for file in (model.folder / CONFIG, *weight_files(model.name, model.folder)):
        content.update(f"{file.name}\n{digest_of(file)}\n".encode())
    return {"hooked model": content.hexdigest()}


def outside_model(config: HookedConfig) -> OutsideModel:
    """The model that the settings name.

    Raises:
        ValueError: None is named, there is no such model, or its architecture cannot be converted.
    """
    name = config.model
    if not name:
        raise ValueError(
            "hooked.model is not set: name the folder of a model, or a model of the Hub, by --set hooked.model=DIR"
        )
    on_hub = not Path(name).is_dir()
    if on_hub and (Path(name).exists() or not ON_HUB.fullmatch(name)):
        raise ValueError(f"hooked.model {name!r}: there is no such folder")
    refused = f"hooked.model {name!r} is not a folder, and cannot be fetched from the Hub"
    folder = from_hub(name, CONFIG, refused).parent if on_hub else Path(name)
    if not (folder / CONFIG).is_file():
        raise ValueError(f"hooked.model {name!r}: the folder has no {CONFIG}")
    model = OutsideModel(name, folder, read_json(folder / CONFIG), on_hub)
    if not model.is_hooked_transformer:
        _check_architecture(model)
    return model


def is_model_folder(folder: Path) -> bool:
    """Whether a folder looks like one with a model of Hugging Face or a `HookedTransformer`."""
    if not (folder / CONFIG).is_file():
        return False
    model = OutsideModel(str(folder), folder, read_json(folder / CONFIG), on_hub=False)
    return model.is_hooked_transformer or "architectures" in model.config


def weight_files(name: str, folder: Path) -> list[Path]:
    """The safetensors files of a model in a folder.

    Args:
        name: What its user calls it.
        folder: The folder.

    Raises:
        ValueError: There are none, with what to do instead.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        listed = read_json(folder / INDEX).get("weight_map")
        if not isinstance(listed, dict) or not listed or not all(isinstance(file, str) for file in listed.values()):
            raise CorruptFileError(folder / INDEX, "has no weight_map with the files of tensors")
        return [inside(folder, file, folder / INDEX) for file in sorted(set(listed.values()))]
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
    if pickles:
        raise ValueError(
            f"hooked.model {name!r}: {pickles[0]} is a pickle, which may contain code and is not read; "
            "`AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(DIR)` of transformers writes safetensors"
        )
    raise ValueError(f"hooked.model {name!r}: the folder has no {WEIGHTS}")


def _check_architecture(model: OutsideModel) -> None:
    """`ValueError` if TransformerLens does not convert a model of Hugging Face."""
    named = model.config.get("architectures")
    found = named[0] if isinstance(named, list) and named else None
    if found not in ARCHITECTURES:
        raise ValueError(
            f"hooked.model {model.name!r} has the architecture {json.dumps(found)[:80]}; choose a model of one of "
            f"{', '.join(ARCHITECTURES)}, or a HookedTransformer"
        )
