"""The transformer: GPT-2 shaped, with the options of Gao et al. 2025, observable and editable at every site.

- Weight-sparse transformers have interpretable circuits, https://arxiv.org/abs/2511.13653, appendix A.1
- Released inference code: https://github.com/openai/circuit_sparsity, circuit_sparsity/inference/gpt.py
- GPT-2: https://github.com/openai/gpt-2/blob/master/src/model.py

Every matrix is stored as `[target, source]`. A stage is one sublayer: stage 2l is the attention of block l, stage
2l + 1 its MLP. At a site three things happen in this order: AbsTopK, the edit, the TransformerLens hook point.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

import benchmark.model.interface
from benchmark.files import check_finite, check_shapes, read_tensors
from benchmark.model.edge_hooks import NO_EDGES_ABLATED, EdgeHooks
from benchmark.model.graph import EMBEDDING, LOGITS, Read, Write, terminal_connections, virtual_connections
from benchmark.model.interface import (
    GRAPHS,
    KIND_OF_HOOK,
    POSITIONS,
    Connection,
    EdgeAblation,
    Edit,
    Graph,
    Kind,
    Site,
    State,
    at_positions,
)
from benchmark.settings import read_settings
from sparse_model.attention import attend_with_sink
from sparse_model.config import TransformerConfig
from sparse_model.linear import linear
from sparse_model.sparsity import abs_top_k

UNITS: tuple[Kind, ...] = ("query", "key", "value", "neuron")
"""The kinds of node in the unit graph, which does not include residual channels."""

INITIAL_DEVIATION = 0.02
"""Standard deviation of every weight before training, as in GPT-2."""


class RMSNorm(nn.Module):
    """Divides a row by its root mean square, then multiplies by a learned gain."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, values: Float[Tensor, "*row channel"]) -> Float[Tensor, "*row channel"]:
        """The normalised rows; epsilon is that of `F.rms_norm`."""
        return F.rms_norm(values, self.weight.shape, self.weight)


class Block(nn.Module):
    """The parameters and hook points of one attention and one MLP sublayer; `Transformer` runs them."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.ln1 = RMSNorm(config.d_model)
        self.W_Q, self.b_Q = _weight(config.d_model, config.d_read), _weight(config.d_model)
        self.W_K, self.b_K = _weight(config.d_model, config.d_read), _weight(config.d_model)
        self.W_V, self.b_V = _weight(config.d_model, config.d_read), _weight(config.d_model)
        self.W_O, self.b_O = _weight(config.d_model, config.d_model), _weight(config.d_model)
        self.ln2 = RMSNorm(config.d_model)
        self.W_in, self.b_in = _weight(config.neurons, config.d_read), _weight(config.neurons)
        self.W_out, self.b_out = _weight(config.d_model, config.neurons), _weight(config.d_model)
        if config.sink:
            self.sink = _weight(config.heads)
        if config.positional == "concatenated":
            self.ln1_pos, self.ln2_pos = RMSNorm(config.d_positional), RMSNorm(config.d_positional)
        self.attn_in, self.q, self.k, self.v, self.attn_out = (HookPoint() for _ in range(5))
        self.mlp_in, self.neuron, self.mlp_out = (HookPoint() for _ in range(3))


class Transformer(HookedRootModule):  # type: ignore[misc]
    """A decoder-only transformer that implements `benchmark.model.interface.CircuitModel`.

    All weights are initially zero: call `initialise`, or load a state dict.
    """

    can_ablate_edges = True

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.W_E = _weight(config.vocabulary, config.d_model)
        if config.positional == "learned":
            self.W_pos = _weight(config.context, config.d_model)
        elif config.positional == "concatenated":
            self.W_pos = _weight(config.context, config.d_positional)
        self.blocks: Sequence[Block] = nn.ModuleList(Block(config) for _ in range(config.layers))  # type: ignore[assignment]
        self.ln_final = RMSNorm(config.d_model)
        self.W_U = _weight(config.vocabulary, config.d_model)
        if config.bigram:
            self.bigram = _weight(config.vocabulary, config.vocabulary)
        self.sites = tuple(site for layer in range(config.layers) for site in _sites_of_block(config, layer))
        self._site = {site.name: site for site in self.sites}
        self.independent_from = self.sites[-1].stage  # the last MLP, after the last attention
        self.attention_heads = config.heads
        self.setup()

    def initialise(self, generator: torch.Generator) -> "Transformer":
        """Draw the weights as the released code does: normal, residual writes smaller, biases zero.

        Learned positions start at zero, as there; concatenated ones do not, since their norm would be zero by zero.
        """
        writes = INITIAL_DEVIATION / math.sqrt(2 * self.config.layers)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                last = name.rpartition(".")[2]
                if last in ("W_O", "W_out"):
                    parameter.normal_(0, writes, generator=generator)
                elif last == "bigram":
                    parameter.uniform_(0, INITIAL_DEVIATION, generator=generator)
                elif last.startswith("W_") and not (last == "W_pos" and self.config.positional == "learned"):
                    parameter.normal_(0, INITIAL_DEVIATION, generator=generator)
        return self

    def forward(self, tokens: Int[Tensor, "batch position"]) -> Float[Tensor, "batch position vocab"]:
        """Logits at all positions, through the same stages as every circuit."""
        return benchmark.model.interface.forward(self, tokens)

    def start(self, tokens: Int[Tensor, "batch position"]) -> State:
        """The embedded tokens."""
        if self.config.positional != "none" and tokens.shape[1] > self.config.context:
            raise ValueError(f"{tokens.shape[1]} tokens are more than the context of {self.config.context} positions")
        residual = F.embedding(tokens, self.W_E)  # [batch, position, d_model]
        if self.config.positional == "learned":
            residual = residual + self.W_pos[: tokens.shape[1]]
        return {"tokens": tokens, "residual": residual}

    def advance(self, state: State, stage: int, edit: Edit, ablated_edges: EdgeAblation | None = None) -> State:
        """The state after one more sublayer has written to the stream."""
        layer, is_mlp = divmod(stage, 2)
        residual, edges = state["residual"], self.edge_hooks(state, ablated_edges)
        if is_mlp:
            mlp_in = self.mlp_input(layer, residual, edit, state.get(POSITIONS))
            write = self.mlp(layer, mlp_in, edit, edges, residual)
        else:
            write = self.attention(layer, residual, edit, edges)
        return {**state, **edges.state(), "residual": residual + write}

    def edge_hooks(self, state: State, ablated_edges: EdgeAblation | None, stage: int | None = None) -> EdgeHooks:
        """What has been written to the stream, the embeddings first; all stages have the same kind of norm."""
        edges = EdgeHooks(ablated_edges, state)
        if ablated_edges is not None and EMBEDDING not in edges.written:
            edges.wrote(EMBEDDING, F.embedding(state["tokens"], self.W_E))
        return edges

    def read_out(
        self,
        state: State,
        positions: Int[Tensor, "batch query"] | None = None,
        ablated_edges: EdgeAblation | None = None,
    ) -> Float[Tensor, "batch query vocab"]:
        """Logits at the query positions."""
        residual = at_positions(state["residual"], positions)
        logits = linear(self.ln_final(residual), self.W_U)
        if ablated_edges is not None:
            edges = EdgeHooks(ablated_edges, state)
            edges.written = {name: at_positions(values, positions) for name, values in edges.written.items()}
            logits = edges.into(LOGITS, logits, residual=residual)
        if not self.config.bigram:
            return logits
        tokens = state["tokens"] if positions is None else state["tokens"].gather(1, positions)
        logits += F.embedding(tokens, self.bigram)  # in place: another copy costs more than the product
        return logits

    def attention(
        self,
        layer: int,
        residual: Float[Tensor, "batch position channel"],
        edit: Edit,
        edges: EdgeHooks = NO_EDGES_ABLATED,
    ) -> Float[Tensor, "batch position channel"]:
        """What the attention sublayer of a block writes to the stream."""
        block, at = self.blocks[layer], f"blocks.{layer}."
        read = self.attention_input(layer, residual, edit)

        def projected(hook: str, weight: Tensor, bias: Tensor) -> Tensor:
            values = edges.into(f"{at}{hook}", linear(read, weight, bias), {f"{at}attn_in": read}, residual)
            return self._at(layer, hook, values, edit)  # [batch, position, head * d_head]

        q = projected("q", block.W_Q, block.b_Q)
        k = projected("k", block.W_K, block.b_K)
        v = projected("v", block.W_V, block.b_V)
        mixed = self.attend(layer, q, k, v)
        edges.wrote(f"{at}v", mixed)
        out = edges.into(f"{at}attn_out", linear(mixed, block.W_O, block.b_O), {f"{at}v": mixed})
        return self._at(layer, "attn_out", out, edit)

    def attention_input(
        self, layer: int, residual: Float[Tensor, "batch position channel"], edit: Edit
    ) -> Float[Tensor, "batch position read"]:
        """The input of a block's attention: the site `attn_in`."""
        return self._at(layer, "attn_in", self._normalised(self.blocks[layer], "ln1", residual), edit)

    def attend(
        self,
        layer: int,
        q: Float[Tensor, "batch position channel"],
        k: Float[Tensor, "batch position channel"],
        v: Float[Tensor, "batch position channel"],
    ) -> Float[Tensor, "batch position channel"]:
        """The values, averaged over earlier positions by the attention pattern of their head."""
        heads = (q.shape[-1] // self.config.d_head, self.config.d_head)
        q, k, v = (each.unflatten(-1, heads).transpose(1, 2) for each in (q, k, v))  # [batch, head, position, d_head]
        if self.config.sink:
            mixed = attend_with_sink(q, k, v, self.blocks[layer].sink)
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return mixed.transpose(1, 2).flatten(2)  # [batch, position, head * d_head]

    def mlp_input(
        self,
        layer: int,
        residual: Float[Tensor, "batch position channel"],
        edit: Edit,
        positions: Int[Tensor, "batch position"] | None = None,
    ) -> Float[Tensor, "batch position read"]:
        """The input of a block's MLP: the site `mlp_in`; `positions` says where the stream is, if not everywhere."""
        return self._at(layer, "mlp_in", self._normalised(self.blocks[layer], "ln2", residual, positions), edit)

    def mlp(
        self,
        layer: int,
        mlp_in: Float[Tensor, "batch position read"],
        edit: Edit,
        edges: EdgeHooks = NO_EDGES_ABLATED,
        residual: Float[Tensor, "batch position channel"] | None = None,
    ) -> Float[Tensor, "batch position channel"]:
        """What the MLP of a block writes to the stream: the sites `neuron` and `mlp_out`."""
        block, at = self.blocks[layer], f"blocks.{layer}."
        before = edges.into(f"{at}neuron", linear(mlp_in, block.W_in, block.b_in), {f"{at}mlp_in": mlp_in}, residual)
        neuron = self._at(layer, "neuron", F.gelu(before), edit)
        edges.wrote(f"{at}neuron", neuron)
        out = edges.into(f"{at}mlp_out", linear(neuron, block.W_out, block.b_out), {f"{at}neuron": neuron})
        return self._at(layer, "mlp_out", out, edit)

    def _normalised(self, block: Block, norm: str, residual: Tensor, positions: Tensor | None = None) -> Tensor:
        """The normalised stream, followed by the position embedding if that is concatenated."""
        read: Tensor = getattr(block, norm)(residual)
        if self.config.positional != "concatenated":
            return read
        embeddings = getattr(block, f"{norm}_pos")(self.W_pos[: residual.shape[1]] if positions is None else self.W_pos)
        placed = embeddings.expand(len(residual), -1, -1) if positions is None else embeddings[positions]
        return torch.cat([read, placed], dim=-1)

    def _at(self, layer: int, hook: str, values: Tensor, edit: Edit) -> Tensor:
        """The values of a site after AbsTopK, the edit and the hook point."""
        if hook in self.config.activation_sites:
            values = abs_top_k(values, int(self.config.activation_density * values.shape[-1]))
        edited = edit(self._site[f"blocks.{layer}.{hook}"], values)
        passed: Tensor = getattr(self.blocks[layer], hook)(edited)
        return passed

    def connections(self, graph: Graph) -> Iterator[Connection]:
        """The edges of the paper's channel graph, or the virtual weights between units."""
        if graph not in GRAPHS:
            raise ValueError(f"unknown graph {graph!r}; choose from {', '.join(GRAPHS)}")
        if graph == "channel":
            return self._channel_connections()
        between = virtual_connections(self.reads(), self.writes())
        return chain(between, self.terminals(self.reads(), self.writes()))

    def terminals(self, reads: Iterable[Read], writes: Iterable[Write]) -> Iterator[Connection]:
        """The connections from this model's token embeddings to units, and from units to its logits."""
        return terminal_connections(reads, writes, self.W_E, self.W_U * self.ln_final.weight)

    def _channel_connections(self) -> Iterator[Connection]:
        """The weight matrices of the blocks; residual writes are not connected to later reads (paper, figure 4)."""
        for layer, block in enumerate(self.blocks):
            at = f"blocks.{layer}."
            yield Connection(f"{at}attn_in", f"{at}q", block.W_Q)
            yield Connection(f"{at}attn_in", f"{at}k", block.W_K)
            yield Connection(f"{at}attn_in", f"{at}v", block.W_V)
            yield Connection(f"{at}v", f"{at}attn_out", block.W_O)
            yield Connection(f"{at}mlp_in", f"{at}neuron", block.W_in)
            yield Connection(f"{at}neuron", f"{at}mlp_out", block.W_out)

    def reads(self, kinds: Collection[Kind] = UNITS) -> Iterator[Read]:
        """What the units of these kinds read from the stream, with the norm's gain folded in."""
        for layer, block in enumerate(self.blocks):
            for hook, weight, norm, stage in (
                ("q", block.W_Q, block.ln1, 2 * layer),
                ("k", block.W_K, block.ln1, 2 * layer),
                ("v", block.W_V, block.ln1, 2 * layer),
                ("neuron", block.W_in, block.ln2, 2 * layer + 1),
            ):
                if KIND_OF_HOOK[hook] in kinds:
                    yield Read(f"blocks.{layer}.{hook}", stage, weight[:, : self.config.d_model] * norm.weight)

    def attention_read(self, layer: int, weight: Float[Tensor, "node d_read"]) -> Float[Tensor, "node d_model"]:
        """What reads the input of a block's attention, as a read of the stream."""
        return weight[:, : self.config.d_model] * self.blocks[layer].ln1.weight

    def mlp_read(self, layer: int, weight: Float[Tensor, "node d_read"]) -> Float[Tensor, "node d_model"]:
        """What reads the input of a block's MLP, as a read of the stream."""
        return weight[:, : self.config.d_model] * self.blocks[layer].ln2.weight

    def mlp_gain(self, layer: int) -> tuple[Float[Tensor, " d_model"], Float[Tensor, " d_model"]]:
        """What the norm of a block's MLP multiplies its rows with, and the zeros that it adds to them."""
        gain = self.blocks[layer].ln2.weight
        return gain, torch.zeros_like(gain)

    def matrices(self, layer: int, kind: str) -> list[Float[Tensor, "_ _"]]:
        """The weights of a sublayer, `attention` or `mlp`."""
        names = {"attention": ("W_Q", "W_K", "W_V", "W_O"), "mlp": ("W_in", "W_out")}[kind]
        return [self.blocks[layer].get_parameter(name) for name in names]

    def writes(self, kinds: Collection[Kind] = UNITS) -> Iterator[Write]:
        """What the units of these kinds write to the stream."""
        for layer, block in enumerate(self.blocks):
            if "value" in kinds:
                yield Write(f"blocks.{layer}.v", 2 * layer, block.W_O)
            if "neuron" in kinds:
                yield Write(f"blocks.{layer}.neuron", 2 * layer + 1, block.W_out)


def load_transformer(folder: Path) -> Transformer:
    """The trained transformer in an artifact's folder, in evaluation mode and without gradients."""
    config, path = read_settings(folder / "config.json", TransformerConfig), folder / "model.safetensors"
    return with_parameters(config, read_tensors(path, parameter_shapes(config)), path)


def parameter_shapes(config: TransformerConfig) -> dict[str, torch.Size]:
    """The shape of every parameter of a transformer, without allocating any."""
    with torch.device("meta"):
        return {name: parameter.shape for name, parameter in Transformer(config).named_parameters()}


def with_parameters(config: TransformerConfig, parameters: Mapping[str, Tensor], path: Path) -> Transformer:
    """A transformer in evaluation mode and without gradients, from the parameters in a file, which errors name."""
    check_shapes(path, {name: tensor.shape for name, tensor in parameters.items()}, parameter_shapes(config))
    check_finite(path, parameters)
    model = Transformer(config)
    model.load_state_dict(parameters)
    model.eval().requires_grad_(False)
    return model


def load(folder: Path, variant: str, needed: object) -> Transformer:
    """The transformer of an artifact: the `load` of a `Method` with one variant that needs no other model."""
    assert variant == "native", variant
    return load_transformer(folder)


def _weight(*shape: int) -> nn.Parameter:
    """A parameter of zeros."""
    return nn.Parameter(torch.zeros(shape))


def _sites_of_block(config: TransformerConfig, layer: int) -> Iterator[Site]:
    """The sites of a block in forward order."""
    at, attention, mlp = f"blocks.{layer}.", 2 * layer, 2 * layer + 1
    yield Site.at(f"{at}attn_in", config.d_read, attention)
    for hook in ("q", "k", "v", "attn_out"):
        yield Site.at(f"{at}{hook}", config.d_model, attention)
    yield Site.at(f"{at}mlp_in", config.d_read, mlp)
    yield Site.at(f"{at}neuron", config.neurons, mlp)
    yield Site.at(f"{at}mlp_out", config.d_model, mlp)
