"""The size of a model of one's own in closed form, from its configuration alone: for `bench plan`. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baselines.hooked import HookedConfig
from baselines.hooked.folders import POSITIONS, VOCABULARIES, OutsideModel, outside_model
from benchmark.resources import NUMBER, ModelSize, Resources, Shapes, Training

COPIES = 4
"""Copies of the weights while a model is converted: in the file, in transformers' model, converted, and in ours."""

WINDOWS = 16
"""Windows per forward pass when the loss is measured: those of `benchmark.model.interface`, which imports torch."""

SCORES = 3
"""Numbers per head and pair of positions that attention holds: scores, the masked scores, and the pattern."""

UNGATED = ("Apertus", "Bloom", "GPT", "OPT", "PhiForCausalLM")
"""How the names of architectures of Hugging Face begin whose MLPs have no gate."""

PARALLEL = ("GPTJ", "GPTNeoX", "PhiForCausalLM")
"""How the names of those begin whose attention and MLP read the stream at the same place."""

NAMES = {
    "layers": ("n_layers", "num_hidden_layers", "n_layer", "num_layers"),
    "d_model": ("d_model", "hidden_size", "n_embd"),
    "heads": ("n_heads", "num_attention_heads", "n_head", "num_heads"),
    "vocabulary": VOCABULARIES,
}
"""The keys under which configurations have a size that every model has."""


@dataclass(frozen=True)
class HookedSizes:
    """The sizes of a model.

    Attributes:
        layers: Number of blocks.
        d_model: Channels of the stream.
        heads: Query heads.
        d_head: Channels of a head.
        key_heads: Heads of keys and values.
        neurons: Neurons of an MLP; 0 without MLPs.
        gated: Whether a neuron reads twice.
        parallel: Whether an MLP reads the stream before the attention of its block.
        vocabulary: Number of tokens.
        positions: Rows of the position embeddings.
    """

    layers: int
    d_model: int
    heads: int
    d_head: int
    key_heads: int
    neurons: int
    gated: bool
    parallel: bool
    vocabulary: int
    positions: int

    @property
    def queries(self) -> int:
        """Query nodes of a block."""
        return self.heads * self.d_head

    @property
    def keys(self) -> int:
        """Key nodes of a block, and value nodes."""
        return self.key_heads * self.d_head

    @property
    def reads(self) -> int:
        """Reads of a neuron."""
        return 1 + self.gated

    @property
    def writes(self) -> int:
        """Writes of a value node, one for each query head that it serves."""
        return self.heads // self.key_heads

    @property
    def block_weights(self) -> int:
        """Entries of the matrices of a block."""
        return self.d_model * (2 * self.queries + 2 * self.keys + (1 + self.reads) * self.neurons)

    def held(self, context: int) -> int:
        """The most numbers per position that a sublayer holds besides the stream."""
        return max((2 + self.gated) * self.neurons, SCORES * self.heads * context)

    def attention_held(self, context: int) -> int:
        """Numbers per position of the scores of an attention layer, and of its queries, keys and values."""
        return SCORES * self.heads * context + self.queries + 2 * self.keys

    @property
    def parameters(self) -> int:
        """Number of parameters, with the biases that TransformerLens adds; norms left out."""
        biases = self.queries + 2 * self.keys + 2 * self.d_model + self.neurons
        ends = (2 * self.d_model + 1) * self.vocabulary + self.positions * self.d_model
        return self.layers * (self.block_weights + biases) + ends


def resources(config: HookedConfig, shapes: Shapes) -> Resources | None:
    """What a model of one's own takes, which is not trained; `None` if its configuration does not say its sizes."""
    sizes = sizes_of(outside_model(config), shapes.context)
    if sizes is None:
        return None
    size = model_size(sizes, shapes.context)
    windows = max(1, config.validation_tokens // shapes.context)
    passes = NUMBER * min(windows, WINDOWS) * shapes.context * max(size.held, 2 * sizes.vocabulary)
    read = Training(
        parameters=sizes.parameters,
        memory_bytes=NUMBER * sizes.parameters + max((COPIES - 1) * NUMBER * sizes.parameters, passes),
        store_bytes=NUMBER * sizes.parameters,
        flops=windows * shapes.context * size.flops,
    )
    return Resources(read, {"native": size})


def sizes_of(model: OutsideModel, context: int) -> HookedSizes | None:
    """The sizes that a configuration says; `None` if it does not say them all."""
    config = model.config
    found = {size: model.number(keys) for size, keys in NAMES.items()}
    known = {size: number for size, number in found.items() if number}
    if len(known) < len(NAMES):
        return None
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    d_model, heads = known["d_model"], known["heads"]
    neurons = model.number(("d_mlp", "intermediate_size", "n_inner", "ffn_dim")) or 4 * d_model
    keys = model.number(("n_key_value_heads", "num_key_value_heads")) or heads
    if config.get("multi_query") is True:
        keys = 1
    return HookedSizes(
        **known,
        d_head=model.number(("d_head", "head_dim")) or max(1, d_model // heads),
        key_heads=min(heads, max(1, keys)),
        neurons=0 if config.get("attn_only") is True else neurons,
        gated=_is_gated(config, architecture),
        parallel=_says(config, "parallel_attn_mlp", architecture.startswith(PARALLEL)),
        positions=_positions(model, context),
    )


def replaceable_sizes_of(model: OutsideModel, context: int) -> HookedSizes | None:
    """The sizes of a model whose layers dictionaries replace; `None` if its configuration does not say them all.

    Raises:
        ValueError: Names the part of the model with which its layers cannot be replaced, as `baselines.hooked_base`
            does once the model has been read.
    """
    sizes = sizes_of(model, context)
    if sizes is None:
        return None
    parts = {
        "no MLPs": sizes.neurons == 0,
        "parallel attention and MLP": sizes.parallel and sizes.neurons > 0,
        "positions 'shortformer'": model.config.get("positional_embedding_type") == "shortformer",
    }
    for part, present in parts.items():
        if present:
            raise ValueError(f"hooked.model {model.name!r}: its layers cannot be replaced: it has {part}")
    return sizes


def model_size(sizes: HookedSizes, context: int) -> ModelSize:
    """How large a model is where circuits are discovered in it."""
    units = sizes.queries + 2 * sizes.keys + sizes.neurons
    channels = 2 * sizes.d_model * (1 if sizes.neurons == 0 else 2)
    return ModelSize(
        parameters=sizes.parameters,
        sites=sizes.layers * (units + channels),
        site_count=sizes.layers * (5 if sizes.neurons == 0 else 8),
        units=sizes.layers * units,
        meaningful=sizes.layers * (units + channels),
        held=4 * sizes.d_model + sizes.held(context),
        largest=max(sizes.vocabulary * sizes.d_model, sizes.neurons * sizes.d_model),
        connections=_connections(sizes),
        terminals=_terminals(sizes),
        flops=2 * sizes.layers * (sizes.block_weights + 2 * context * sizes.queries)
        + 2 * sizes.vocabulary * sizes.d_model,
    )


def _connections(sizes: HookedSizes) -> int:
    """Entries of the virtual weights between units, with their parts where a node reads or writes several times."""
    sources = [(sizes.keys, sizes.writes), (sizes.neurons, 1)]
    targets = [(sizes.queries + 2 * sizes.keys, 1), (sizes.neurons, sizes.reads)]
    between = sum(_pairs(source, target) for source in sources for target in targets)
    inside = 0 if sizes.parallel else _pairs(sources[0], targets[1])
    return sizes.layers * (sizes.layers - 1) // 2 * between + sizes.layers * inside


def _pairs(source: tuple[int, int], target: tuple[int, int]) -> int:
    """Entries of the weights between some nodes, each given with the number of their writes or reads."""
    parts = source[1] * target[1]
    return source[0] * target[0] * (1 if parts == 1 else 1 + parts)


def _terminals(sizes: HookedSizes) -> int:
    """Entries of the weights from the embeddings to units, and from units to the logits."""
    reading = (sizes.queries + 2 * sizes.keys) * (1 + sizes.d_model) + sizes.neurons * (1 + sizes.reads * sizes.d_model)
    writing = sizes.keys * (1 + sizes.writes * sizes.vocabulary) + sizes.neurons * (1 + sizes.vocabulary)
    return sizes.layers * (reading + writing)


def _is_gated(config: Mapping[str, Any], architecture: str) -> bool:
    """Whether an MLP has a gate: as TransformerLens's configuration says, or as the architecture has it."""
    return _says(config, "gated_mlp", bool(architecture) and not architecture.startswith(UNGATED))


def _says(config: Mapping[str, Any], key: str, otherwise: bool) -> bool:
    """A switch of TransformerLens's configuration, or what holds where it is not there."""
    value = config.get(key)
    return value if isinstance(value, bool) else otherwise


def _positions(model: OutsideModel, context: int) -> int:
    """Rows of the position embeddings; a model without a table of them has none."""
    if model.is_hooked_transformer:
        has_table = model.config.get("positional_embedding_type", "standard") in ("standard", "shortformer")
    else:
        has_table = "n_positions" in model.config or "ffn_dim" in model.config
    if not has_table:
        return 0
    return min(model.number(POSITIONS) or context, context)
