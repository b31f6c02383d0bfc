"""Trains a transformer on a corpus, from dense to ever fewer weights, and resumes an interrupted run.

The recipe is that of the script released with Gao et al. 2025 (https://github.com/openai/circuit_sparsity,
circuit_sparsity/train.py). Where the script and the paper's text differ: the gradient is always scaled to a root mean
square of 1, not clipped; biases stay dense; weight decay comes after the projection. Where this file and the script
differ: W_Q, W_K and W_V are three matrices, each with its own share, numbers are float32, and the density of the
embeddings is a separate setting instead of the block density times width / 256.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.corpus import Corpus
from benchmark.corpus.sampling import tokens_and_targets
from benchmark.methods import DivergedError, Facts
from benchmark.model.devices import chosen_device, device_of
from benchmark.model.interface import nonzero_parameters
from benchmark.progress import Progress
from sparse_model.batches import Batches
from sparse_model.checkpoint import Checkpoints, State, digest_of, write_json, write_tensors
from sparse_model.config import CorpusModelConfig, TrainingConfig, TransformerConfig
from sparse_model.loss import piecewise_losses, train_on
from sparse_model.resuming import moments_of, restore_moments, train_to_end
from sparse_model.schedule import annealed, learning_rate_at
from sparse_model.sparsity import Axis, keep_largest
from sparse_model.transformer import Transformer

NEURON_AXES: dict[str, Axis] = {
    "W_Q": "rows",
    "W_K": "rows",
    "W_V": "rows",
    "W_O": "columns",
    "W_in": "rows",
    "W_out": "columns",
}
"""The matrices of a block, and the axis of their neurons or attention channels."""

CURVE_POINTS = 200
"""Number of points of the training curve."""


def train(
    corpus: Corpus, config: CorpusModelConfig, seed: int, needed: object, folder: Path, progress: Progress
) -> Facts:
    """Train a transformer, or resume an interrupted run from its checkpoint: the `train` of a `Method`.

    The result is the same to the bit, however often the run was interrupted.

    Args:
        corpus: The training corpus.
        config: The architecture and the recipe.
        seed: Determines the initial weights and the order of the tokens.
        needed: Unused: no other model is needed.
        folder: Receives `model.safetensors`, `config.json` and `training.json`, and a checkpoint until then. A damaged
            checkpoint, or one of other settings, another corpus or other code, is set aside.
        progress: Receives the loss, the density and the speed.

    Raises:
        ValueError: The training diverges.
        StopRequested: Passed on from `progress`; the folder contains a checkpoint of the last finished step.
    """
    identity = {
        "model": config.transformer(corpus.config.vocabulary, corpus.config.context).model_dump(),
        "training": config.model_dump(),
        "seed": seed,
        "corpus": digest_of(corpus.windows("train")),
    }
    checkpoints = Checkpoints(folder, identity)
    with new_run(corpus, config, seed) as run:
        train_to_end(run, progress, checkpoints)
    facts = facts_of(run.model, corpus, config)
    save_transformer(run.model, folder, curve=run.curve())
    checkpoints.remove()
    return facts


def new_run(corpus: Corpus, config: CorpusModelConfig, seed: int) -> AbstractContextManager["Run"]:
    """A run that has not taken a step yet, in this process or in as many processes as it has ranks.

    Raises:
        ValueError: It has several ranks, and Lightning Fabric is not installed.
    """
    if config.ranks == 1:
        return nullcontext(Run(corpus, config, seed))
    if find_spec("lightning_fabric") is None:
        raise ValueError(
            f"ranks {config.ranks} needs Lightning Fabric; install sparse-circuit-bench[distributed] or choose 1"
        )
    from sparse_model.ranks import leading_run

    return leading_run(corpus, config, seed)


class Learner:
    """A model in training: its weights, Adam's moments and the step of the recipe, for any tokens.

    Args:
        shape: The architecture.
        training: The recipe.
        seed: Determines the initial weights.
    """

    def __init__(self, shape: TransformerConfig, training: CorpusModelConfig, seed: int) -> None:
        self.training = training
        self.model = Transformer(shape).initialise(torch.Generator().manual_seed(seed)).to(chosen_device())
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            betas=(training.momentum, training.second_momentum),
            eps=training.epsilon,
            fused=True,
        )
        self.total = training.steps(shape.context)

    def set_gradient(self, tokens: Int[Tensor, "batch position"], targets: Int[Tensor, "batch position"]) -> float:
        """Set the gradient of the mean loss on these tokens, and return the loss, nats."""
        self.optimizer.zero_grad()
        rounded = self.training.precision == "bfloat16"
        with torch.autocast(device_of(self.model).type, torch.bfloat16) if rounded else nullcontext():
            return train_on(self.model, tokens, targets)

    def update(self, step: int) -> None:
        """Update the weights with the gradient that has been set."""
        normalise_gradient(list(self.model.parameters()))
        rate = learning_rate_at(step, self.total, self.training)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        density = annealed(step / self.total, self.training.density, self.training)
        embedding_density = annealed(step / self.total, self.training.embedding_density, self.training)
        project(self.model, self.training, density, embedding_density)
        decay_weights(self.model, rate * self.training.weight_decay)


class Run(Learner):
    """A training run on a corpus, with the loss of every step so far."""

    def __init__(self, corpus: Corpus, training: CorpusModelConfig, seed: int) -> None:
        super().__init__(training.transformer(corpus.config.vocabulary, corpus.config.context), training, seed)
        self.batches = Batches(corpus.windows("train"), training.batch, seed)
        self.losses: list[float] = []
        self._begun = 0

    @property
    def done(self) -> int:
        """Number of steps that have been done."""
        return len(self.losses)

    def advance(self) -> None:
        """Do the next step."""
        loss = self.step(self.done)
        DivergedError.unless_finite(loss, self.done, self.training)
        self.losses.append(loss)

    def report(self, seconds: float) -> tuple[int, int, str]:
        """The loss, the density and the speed since the run was begun or resumed."""
        speed = (self.done - self._begun) * self.training.batch * self.model.config.context / max(seconds, 1e-9)
        density = annealed((self.done - 1) / self.total, self.training.density, self.training)
        note = f"loss {self.losses[-1]:.2f}  density {density:.2f}  {speed / 1000:.0f}k tokens/s"
        return self.done, self.total, note

    def step(self, step: int) -> float:
        """Do one step of the recipe and return the loss before it, nats."""
        loss = self.set_gradient(*self.batches.at(step))
        self.update(step)
        return loss

    def state(self) -> State:
        """Everything that later steps depend on; the tokens of a step are a function of its number."""
        parts = {"weights": State(self.model.state_dict()), "moments": State(moments_of(self.optimizer))}
        parts["losses"] = State({"by_step": torch.tensor(self.losses, dtype=torch.float64)})
        return State.joined(parts)

    def resume(self, state: State) -> None:
        """Restore the run that `state` was taken from."""
        self.model.load_state_dict(state.part("weights").tensors)
        restore_moments(self.optimizer, state.part("moments").tensors)
        self.losses = state.part("losses").tensors["by_step"].tolist()
        self._begun = self.done

    def curve(self) -> list[dict[str, int | float]]:
        """The loss by step, averaged over equal parts of the run."""
        stretch = math.ceil(self.total / CURVE_POINTS)
        pieces = [(begin, self.losses[begin : begin + stretch]) for begin in range(0, self.total, stretch)]
        return [{"step": begin + len(piece), "loss": sum(piece) / len(piece)} for begin, piece in pieces]


@torch.no_grad()
def normalise_gradient(parameters: list[torch.nn.Parameter]) -> None:
    """Divide the gradient by its root mean square over all parameters together, bigram table included.

    The paper's text says clipped; the released script always normalises, which is why Adam's epsilon is 0.1.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    scale = norm / math.sqrt(sum(parameter.numel() for parameter in parameters)) + 1e-5
    for gradient in gradients:
        gradient.div_(scale)


@torch.no_grad()
def project(model: Transformer, training: TrainingConfig, density: float, embedding_density: float) -> None:
    """Set all but the largest weights to zero (paper A.2).

    The matrices of the blocks keep `density`, and every neuron its minimum; the embeddings keep `embedding_density`,
    as do learned positions and, with `sparse_biases`, biases. Norm gains, sinks, concatenated positions and the bigram
    table stay dense.
    """
    for name, parameter in model.named_parameters():
        last = name.rpartition(".")[2]
        if last in NEURON_AXES:
            count = round(density * parameter.numel())
            keep_largest(parameter, count, training.minimum_per_neuron, NEURON_AXES[last])
        elif last in ("W_E", "W_U") or (last == "W_pos" and model.config.positional == "learned"):
            keep_largest(parameter, round(embedding_density * parameter.numel()))
        elif last.startswith("b_") and training.sparse_biases:
            keep_largest(parameter[None], round(embedding_density * parameter.numel()))


@torch.no_grad()
def decay_weights(model: Transformer, share: float) -> None:
    """Shrink every weight matrix by a share of itself."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and name != "bigram":
            parameter.mul_(1 - share)


def validation_loss(model: Transformer, corpus: Corpus, windows: int, batch: int = 16) -> float:
    """Mean next-token cross entropy on the first validation windows, nats."""
    chosen = corpus.windows("validation")[:windows]
    losses = [
        piecewise_losses(model, *tokens_and_targets(chosen[begin : begin + batch])).flatten()
        for begin in range(0, len(chosen), batch)
    ]
    return float(torch.cat(losses).double().mean())


def facts_of(model: Transformer, corpus: Corpus, training: TrainingConfig, *, trained: bool = True) -> Facts:
    """The facts recorded of a transformer; zero FLOPs if it was not trained."""
    tokens = training.steps(model.config.context) * training.batch * model.config.context if trained else 0
    return facts_after(model, corpus, training.validation_windows, tokens)


def facts_after(model: Transformer, corpus: Corpus, windows: int, tokens: int | None) -> Facts:
    """The facts recorded of a transformer, with its loss on so many windows.

    Args:
        model: The transformer.
        corpus: The corpus of the run.
        windows: Number of validation windows, from the first.
        tokens: Number of tokens that it was trained on; `None` if that is not known.
    """
    bigram = model.bigram if model.config.bigram else None
    table, entries = (0, 0) if bigram is None else (bigram.numel(), int(bigram.count_nonzero()))
    nonzero = nonzero_parameters(model) - entries
    return Facts(
        validation_loss=validation_loss(model, corpus, windows),
        parameters=sum(parameter.numel() for parameter in model.parameters()) - table,
        nonzero_parameters=nonzero,
        bigram_parameters=table,
        training_flops=None if tokens is None else 6.0 * nonzero * tokens,
    )


def save_transformer(model: Transformer, folder: Path, curve: list[dict[str, int | float]]) -> None:
    """Write the files that `load_transformer` reads, and the training curve."""
    write_json(folder / "training.json", {"curve": curve})
    write_json(folder / "config.json", model.config.model_dump())
    write_tensors(folder / "model.safetensors", {name: tensor.detach() for name, tensor in model.named_parameters()})
