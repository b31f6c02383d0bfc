"""What each cell of a run takes, in closed form, from its settings and from what its method states."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from benchmark.concepts import CONCEPTS
from benchmark.corpus import SPLITS
from benchmark.methods import METHODS, Method
from benchmark.resources import NUMBER, ModelSize, Resources, Shapes
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig

WINDOWS = 16
"""Windows per forward pass without gradients."""

TOGETHER = 4
"""Windows per pass with gradients, for feature validity."""

LOGITS, LOGITS_WITH_GRADIENTS = 2, 4
"""Arrays of the size of the logits that exist at one time, without and with gradients."""

READING = 1.75
"""Arrays of the size of a tensor that exist while it is read from its file and checked."""

COUNTED, DENSITIES = 3, 6
"""Numbers per connection while it is counted which nodes fire together, and while densities are computed from that."""

RECORDED, TRACKED = 3.6, 3
"""Numbers per value of a site while it is counted which nodes fire, and in a pass with gradients."""

CHUNK = 4_096
"""Prompt tokens that a search runs at once."""

KEPT = 4
"""Numbers per value of a site that a search keeps for its gradients. An estimate: how many prompts it runs with
gradients depends on what it finds."""

MASK_BYTES, ORDER_BYTES, SITE_BYTES = 1, 8, 75
"""Bytes in the files of a circuit: per node its mask and its place in the order, and per site a header."""

MANIFEST_BYTES = 1_700
"""Bytes of the manifest of an artifact."""

PROMPTS_BYTES, CIRCUIT_BYTES, PROFILE_BYTES, CLAIMS_BYTES, CONCEPT_BYTES = 150, 10_500, 600, 6_300, 21_000
"""Bytes of the tables of prompts, of a circuit, of a profile, of claims, and of the validity of one concept."""

CORPUS_BYTES, OFFSET_BYTES, ENTRY_BYTES = 3_700, 0.093, 60
"""Bytes of the facts of a corpus; per token, of where documents start; of a vocabulary entry."""


DOCUMENT_BYTES = 15
"""Bytes in memory per token while a corpus is built: its documents, and what tells which were seen before."""


@dataclass(frozen=True)
class Needs:
    """What one cell takes; `None` for what is not stated.

    Attributes:
        parameters: Number of parameters of its model, trained or loaded.
        activation_bytes: Bytes that it holds besides models, optimizer and gradients; in training what one batch keeps.
        optimizer_bytes: Bytes of the optimizer's moments.
        dictionary_bytes: Bytes of the encoders and decoders of a dictionary that it trains.
        memory_bytes: The most bytes of tensors at one time.
        store_bytes: Bytes of its files.
        flops: Floating-point operations.
        tokens: Tokens that it runs or writes.
    """

    parameters: int | None = None
    activation_bytes: int | None = None
    optimizer_bytes: int | None = None
    dictionary_bytes: int | None = None
    memory_bytes: int | None = None
    store_bytes: int | None = None
    flops: int | None = None
    tokens: int | None = None

    @property
    def stated(self) -> Mapping[str, int | None]:
        """By name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Planned:
    """What the cells of a run take.

    Args:
        run: The settings of the run.
    """

    def __init__(self, run: RunConfig) -> None:
        self._run = run
        self._resources: dict[str, Resources | None] = {}

    def needs(self, cell: Cell) -> Needs:
        """What a cell takes."""
        if cell.kind == "corpus":
            return self._corpus()
        if cell.kind == "prompts":
            return Needs(0, 0, 0, 0, 0, PROMPTS_BYTES + MANIFEST_BYTES, 0, None)
        method = METHODS.named(cell.params["method"])
        stated = self.resources(method)
        if stated is None:
            return Needs()
        if cell.kind == "train":
            own = stated.training
            return Needs(
                own.parameters,
                own.activation_bytes,
                own.optimizer_bytes,
                own.dictionary_bytes,
                own.memory_bytes,
                own.store_bytes + MANIFEST_BYTES,
                own.flops,
                own.tokens,
            )
        size = stated.variants.get(cell.params["variant"])
        return Needs() if size is None else self._of_model(cell, method, size)

    def resources(self, method: Method) -> Resources | None:
        """What a method states for its settings in this run."""
        if method.name not in self._resources:
            configs = {name: self._run.method_configs[name] for name in method.needs}
            shapes = Shapes(self._run.corpus.vocabulary, self._run.corpus.context, configs)
            self._resources[method.name] = method.stated_resources(self._run.method_configs[method.name], shapes)
        return self._resources[method.name]

    @property
    def training_tokens(self) -> int:
        """Tokens of the training split."""
        return self._run.corpus.tokens

    @property
    def token_bytes(self) -> int:
        """Bytes of a training token in memory."""
        return self._run.corpus.token_bytes

    # Kinds of cell

    def _corpus(self) -> Needs:
        config = self._run.corpus
        tokens = sum(config.wanted(split) for split in SPLITS)
        store = (
            (config.token_bytes + OFFSET_BYTES) * tokens
            + ENTRY_BYTES * config.vocabulary
            + CORPUS_BYTES
            + MANIFEST_BYTES
        )
        return Needs(0, 0, 0, 0, DOCUMENT_BYTES * tokens, round(store), 0, tokens)

    def _of_model(self, cell: Cell, method: Method, size: ModelSize) -> Needs:
        """What a cell takes that measures a trained model."""
        work = NUMBER * self._work(cell.kind, size)
        other = self._other(cell.kind, method)
        models = NUMBER * (size.parameters + (other.parameters if other else 0))
        loading = NUMBER * max(reading(size), size.parameters + reading(other) if other else 0)
        flops, tokens = None, None
        if cell.kind == "profile":
            tokens = self._tokens(cell.params["mean_tokens"]) + self._tokens(cell.params["validation_tokens"])
            flops = size.flops * tokens
        return Needs(
            parameters=size.parameters,
            activation_bytes=work,
            optimizer_bytes=0,
            dictionary_bytes=0,
            memory_bytes=max(models + work, loading),
            store_bytes=self._files(cell, size) + MANIFEST_BYTES,
            flops=flops,
            tokens=tokens,
        )

    def _work(self, kind: str, size: ModelSize) -> int:
        """Numbers that a cell holds at its peak besides its models."""
        vocabulary, context = self._run.corpus.vocabulary, self._run.corpus.context
        losses = WINDOWS * context * max(LOGITS * vocabulary, size.held)
        if kind == "profile":
            return losses
        if kind == "claims":
            counting = COUNTED * size.connections + round(WINDOWS * context * RECORDED * size.sites)
            return max(losses, counting, DENSITIES * size.connections)
        if kind in ("validity", "splitting"):
            known = 2 * size.meaningful * self._tokens(self._run.validity.choice_tokens)
            gradients = TOGETHER * context * (LOGITS_WITH_GRADIENTS * vocabulary + TRACKED * size.sites)
            return known + gradients
        return size.connections + size.terminals + CHUNK * KEPT * size.sites

    def _files(self, cell: Cell, size: ModelSize) -> int:
        """Bytes of the files of a cell that measures a trained model."""
        if cell.kind == "profile":
            octaves = self._run.corpus.context.bit_length()
            return (octaves + 1) * NUMBER * size.sites + 2 * SITE_BYTES * size.site_count + PROFILE_BYTES
        if cell.kind in ("validity", "splitting"):
            return CONCEPT_BYTES * len(self._run.validity.concepts or CONCEPTS)
        if cell.kind == "claims":
            return CLAIMS_BYTES
        nodes = size.sites if cell.params["graph"] == "channel" else size.units
        return (MASK_BYTES + ORDER_BYTES) * nodes + SITE_BYTES * size.site_count + CIRCUIT_BYTES

    def _tokens(self, wanted: int) -> int:
        """Tokens of whole windows, of which there is at least one."""
        context = self._run.corpus.context
        return max(1, wanted // context) * context

    # Models

    def _other(self, kind: str, method: Method) -> ModelSize | None:
        """The other model of a cell: the reference model of a circuit or of claims."""
        other = {"circuit": method.explains, "search": method.explains, "claims": self._run.claims.reference}.get(kind)
        if not other or other not in self._run.method_configs:
            return None
        stated = self.resources(METHODS.named(other))
        return next(iter(stated.variants.values()), None) if stated else None


def reading(size: ModelSize) -> int:
    """Numbers that exist while a model is read: those of its file, and the model or what checking a tensor makes."""
    return size.parameters + max(size.parameters, round(READING * size.largest))


def maximum(values: Iterable[int | None]) -> int | None:
    """The largest of some values; `None` if any is not stated."""
    found = list(values)
    known = [each for each in found if each is not None]
    return None if len(known) < len(found) else max(known, default=0)


def total(values: Iterable[int | None]) -> int | None:
    """The sum of some values; `None` if any is not stated."""
    found = list(values)
    known = [each for each in found if each is not None]
    return None if len(known) < len(found) else sum(known)
