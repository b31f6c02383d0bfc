"""Trains a transformer on a corpus, from dense to ever fewer weights, and resumes an interrupted run.

The recipe is that of the script released with Gao et al. 2025 (https://github.com/openai/circuit_sparsity,
circuit_sparsity/train.py). Where the script and the paper's text differ: the gradient is always scaled to a root mean
square of 1, not clipped; biases stay dense; weight decay comes after the projection. Where this file and the script
differ: W_Q, W_K and W_V are three matrices, each with its own share, numbers are float32, and the density of the
embeddings is a separate setting instead of the block density times width / 256.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from benchmark.corpus import Corpus
from benchmark.corpus.sampling import tokens_and_targets
from benchmark.methods import DivergedError, Facts
from benchmark.model.devices import chosen_device, device_of
from benchmark.model.interface import nonzero_parameters
from benchmark.progress import Progress
from sparse_model.batches import Batches
from sparse_model.checkpoint import load_checkpoint, save_checkpoint, write_json, write_tensors
from sparse_model.config import CorpusModelConfig, TrainingConfig
from sparse_model.loss import piecewise_losses, train_on
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

CHECKPOINT_SECONDS = 60.0
"""Seconds between two checkpoints."""

REPORT_SECONDS = 0.5
"""Seconds between two progress reports."""


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
        folder: Receives `model.safetensors`, `config.json` and `training.json`, and a checkpoint until then.
        progress: Receives the loss, the density and the speed.

    Raises:
        ValueError: If the folder contains a checkpoint of other settings, or the training diverges.
    """
    run = Run(corpus, config, seed)
    identity = {"model": run.model.config.model_dump(), "training": config.model_dump(), "seed": seed}
    checkpoint = load_checkpoint(folder, identity)
    if checkpoint is not None:
        run.resume(checkpoint)
    saved_at = time.monotonic()
    for _ in run.steps(progress):
        if time.monotonic() - saved_at >= CHECKPOINT_SECONDS:
            save_checkpoint(folder, run.state(), identity)
            saved_at = time.monotonic()
    facts = facts_of(run.model, corpus, config)
    save_transformer(run.model, folder, curve=run.curve())
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    return facts


class Run:
    """A training run in memory: the model, Adam's moments, and the loss of every step so far."""

    def __init__(self, corpus: Corpus, training: CorpusModelConfig, seed: int) -> None:
        self.training = training
        shape = training.transformer(corpus.config.vocabulary, corpus.config.context)
        self.model = Transformer(shape).initialise(torch.Generator().manual_seed(seed)).to(chosen_device())
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            betas=(training.momentum, training.second_momentum),
            eps=training.epsilon,
            fused=True,
        )
        self.batches = Batches(corpus.windows("train"), training.batch, seed)
        self.total = training.steps(shape.context)
        self.losses: list[float] = []

    def steps(self, progress: Progress) -> Iterator[int]:
        """Do the remaining steps, one per item."""
        begun, started, reported = len(self.losses), time.monotonic(), -math.inf
        for step in range(begun, self.total):
            loss = self.step(step)
            DivergedError.unless_finite(loss, step, self.training)
            self.losses.append(loss)
            now = time.monotonic()
            if now - reported >= REPORT_SECONDS or step + 1 == self.total:
                speed = (step + 1 - begun) * self.training.batch * self.model.config.context / (now - started)
                density = annealed(step / self.total, self.training.density, self.training)
                note = f"loss {loss:.2f}  density {density:.2f}  {speed / 1000:.0f}k tokens/s"
                progress(step + 1, self.total, note)
                reported = now
            yield step

    def step(self, step: int) -> float:
        """Do one step of the recipe and return the loss before it, nats."""
        self.optimizer.zero_grad()
        rounded = self.training.precision == "bfloat16"
        with torch.autocast(device_of(self.model).type, torch.bfloat16) if rounded else nullcontext():
            loss = train_on(self.model, *self.batches.at(step))
        normalise_gradient(list(self.model.parameters()))
        rate = learning_rate_at(step, self.total, self.training)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        density = annealed(step / self.total, self.training.density, self.training)
        embedding_density = annealed(step / self.total, self.training.embedding_density, self.training)
        project(self.model, self.training, density, embedding_density)
        decay_weights(self.model, rate * self.training.weight_decay)
        return loss

    def state(self) -> dict[str, Tensor]:
        """Everything that later steps depend on."""
        state = {"losses": torch.tensor(self.losses, dtype=torch.float64)}
        for name, parameter in self.model.named_parameters():
            moments = self.optimizer.state[parameter]
            state |= {f"weight/{name}": parameter.detach()}
            state |= {f"{moment}/{name}": moments[moment] for moment in ("step", "exp_avg", "exp_avg_sq")}
        return state

    def resume(self, state: dict[str, Tensor]) -> None:
        """Restore the run that `state` was taken from."""
        self.losses = state["losses"].tolist()
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(state[f"weight/{name}"])
                moments = {moment: state[f"{moment}/{name}"] for moment in ("step", "exp_avg", "exp_avg_sq")}
                self.optimizer.state[parameter] = {key: each.to(parameter.device) for key, each in moments.items()}

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
    bigram = model.bigram if model.config.bigram else None
    table, entries = (0, 0) if bigram is None else (bigram.numel(), int(bigram.count_nonzero()))
    nonzero = nonzero_parameters(model) - entries
    tokens = training.steps(model.config.context) * training.batch * model.config.context if trained else 0
    return Facts(
        validation_loss=validation_loss(model, corpus, training.validation_windows),
        parameters=sum(parameter.numel() for parameter in model.parameters()) - table,
        nonzero_parameters=nonzero,
        bigram_parameters=table,
        training_flops=6.0 * nonzero * tokens,
    )


def save_transformer(model: Transformer, folder: Path, curve: list[dict[str, int | float]]) -> None:
    """Write the files that `load_transformer` reads, and the training curve."""
    write_json(folder / "training.json", {"curve": curve})
    write_json(folder / "config.json", model.config.model_dump())
    write_tensors(folder / "model.safetensors", {name: tensor.detach() for name, tensor in model.named_parameters()})
