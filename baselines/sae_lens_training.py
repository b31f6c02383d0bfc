"""Trains SAEs and transcoders with the trainer of sae-lens, all of them on one stream of activations.

This is the only module that imports sae-lens (https://github.com/decoderesearch/SAELens), which takes seconds: import
it only to train.
"""

import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baselines.activations import ActivationStream, Normaliser
from baselines.config import DictionaryConfig
from baselines.dictionary import auxiliary_loss, check_weights, forget_moments, kth_largest, revived
from baselines.dictionary_training import DictionaryTraining, restore_adam, state_of_adam
from baselines.sparse_features import decode, fire, which_fired
from benchmark.files import read_json
from benchmark.progress import Progress
from sparse_model.checkpoint import Checkpoints, State
from sparse_model.resuming import train_to_end

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # sae-lens imports TransformerLens's old names
    from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig, TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.saes.sae import TrainStepOutput
    from sae_lens.saes.transcoder import JumpReLUTranscoderConfig
    from sae_lens.training.sae_trainer import SAETrainer

logging.getLogger("sae_lens").setLevel(logging.WARNING)


class QuickTopK(TopKTrainingSAE):  # type: ignore[misc]
    """sae-lens's TopK SAE with a training step that is faster on a CPU; the loss is the same except for AuxK's ReLU.

    sae-lens multiplies pre-activations by their decoder's norm, selects, and divides by it again. Here the norms are
    used for the selection only, which numpy does, what follows goes through the features that fired only, and AuxK is
    computed for dead features only. The trainer is told which features fired in any row, all that it needs unless it
    logs how often each does, and not in which.
    """

    def training_forward_pass(self, step_input: Any) -> Any:
        """sae-lens's step: squared error and AuxK."""
        source, target = self.source_and_target(step_input.sae_in)
        before, norms = F.linear(source, self.W_enc.T, self.b_enc), self.W_dec.detach().norm(dim=1)
        features = fire(before, norms, self.least(before.detach() * norms), source, self.W_enc.T, self.b_enc)
        prediction = decode(features, self.W_dec) + self.b_dec
        error = (prediction - target).square().sum() / len(target)
        auxiliary, dead = error.new_zeros(()), step_input.dead_neuron_mask
        if dead.any():
            missed = (target - prediction).detach()
            silent = F.linear(source, self.W_enc.T[dead], self.b_enc[dead])
            auxiliary = float(self.cfg.aux_loss_coefficient) * auxiliary_loss(silent, self.W_dec[dead], missed)
        return TrainStepOutput(
            sae_in=target,
            sae_out=prediction,
            feature_acts=which_fired(features)[None],
            hidden_pre=before,
            loss=error + auxiliary,
            losses={"mse_loss": error, "auxiliary_reconstruction_loss": auxiliary},
        )

    def source_and_target(self, rows: Float[Tensor, "row channel"]) -> tuple[Tensor, Tensor]:
        """The input and what is to be predicted: the same for an SAE."""
        return rows, rows

    def least(self, strength: Float[Tensor, "row feature"]) -> Float[Tensor, "#row 1"]:
        """How strong a feature is at least if it is kept: as the weakest of the strongest of its row. Reorders rows."""
        return kth_largest(strength, self.cfg.k, reorder=True)


class QuickBatchTopK(QuickTopK, BatchTopKTrainingSAE):  # type: ignore[misc]
    """sae-lens's BatchTopK SAE, faster on a CPU in the same way and with the same loss."""

    topk_threshold: Tensor

    def least(self, strength: Float[Tensor, "row feature"]) -> Float[Tensor, "#row 1"]:
        """As strong as the weakest of the strongest of the batch; the threshold moves towards it. Reorders all."""
        weakest = kth_largest(strength.view(1, -1), int(self.cfg.k * len(strength)), reorder=True).clamp(min=0)
        target = weakest.squeeze().to(self.topk_threshold)
        self.topk_threshold = torch.lerp(self.topk_threshold, target, self.cfg.topk_threshold_lr)
        return weakest


@dataclass
class TranscoderTrainingConfig(BatchTopKTrainingSAEConfig):  # type: ignore[misc]
    """sae-lens's BatchTopK settings, with the width of the target."""

    d_out: int = 0

    def get_inference_config_class(self) -> type[Any]:
        """JumpReLU: a trained BatchTopK is one threshold, and sae-lens has such transcoders."""
        saved_as: type[Any] = JumpReLUTranscoderConfig
        return saved_as


class TrainingTranscoder(QuickBatchTopK):
    """A transcoder for sae-lens's trainer, which has none: a row is the input followed by the target."""

    cfg: TranscoderTrainingConfig

    def initialize_weights(self) -> None:
        """Initialise as sae-lens does, but with a decoder as wide as the target that is not the encoder's transpose."""
        super().initialize_weights()
        decoder = F.normalize(torch.randn(self.cfg.d_sae, self.cfg.d_out), dim=-1)
        self.W_dec = nn.Parameter(decoder * self.cfg.decoder_init_norm)
        self.b_dec = nn.Parameter(torch.zeros(self.cfg.d_out))

    def process_sae_in(self, sae_in: Tensor) -> Tensor:
        """The input as it is, since the decoder's bias has another width."""
        return sae_in

    def source_and_target(self, rows: Float[Tensor, "row channel"]) -> tuple[Tensor, Tensor]:
        """The two parts of every row."""
        source, target = rows.split([self.cfg.d_in, self.cfg.d_out], dim=1)
        return source, target


def new_sae(config: DictionaryConfig, activation: str, d_in: int) -> TopKTrainingSAE:
    """An untrained SAE for normalised activations; the global generator draws its weights."""
    settings = {"aux_loss_coefficient": config.auxiliary, "apply_b_dec_to_input": False, "decoder_init_norm": 1.0}
    if activation == "topk":
        return QuickTopK(TopKTrainingSAEConfig(d_in=d_in, d_sae=config.features, k=config.k, **settings))
    return QuickBatchTopK(BatchTopKTrainingSAEConfig(d_in=d_in, d_sae=config.features, k=float(config.k), **settings))


def new_transcoder(config: DictionaryConfig, d_in: int, d_out: int) -> TrainingTranscoder:
    """An untrained transcoder for normalised activations; the global generator draws its weights."""
    settings: dict[str, Any] = {"d_in": d_in, "d_out": d_out, "d_sae": config.features, "k": float(config.k)}
    settings |= {"aux_loss_coefficient": config.auxiliary, "apply_b_dec_to_input": False, "decoder_init_norm": 1.0}
    return TrainingTranscoder(TranscoderTrainingConfig(**settings))


class SAETraining(DictionaryTraining):
    """SAEs that are trained in lockstep, each on the activations of its own name in a batch.

    `sae_lens.training.multi_sae_trainer` does the same, but prints a progress bar and does not revive dead features.
    """

    def __init__(
        self,
        saes: Mapping[str, TopKTrainingSAE],
        batches: Iterator[Mapping[str, Float[Tensor, "batch channel"]]],
        config: DictionaryConfig,
        generator: torch.Generator,
        stream: ActivationStream | None = None,
    ) -> None:
        super().__init__(config, generator, stream)
        self._batches = batches
        settings = SAETrainerConfig(
            total_training_samples=config.steps * config.batch,
            train_batch_size_samples=config.batch,
            lr=config.learning_rate,
            lr_end=config.learning_rate,  # without it the trainer raises a bare AssertionError
            lr_warm_up_steps=int(config.warm_up * config.steps),
            lr_decay_steps=int(config.decay * config.steps),
            dead_feature_window=config.dead_after,
            feature_sampling_window=config.steps + 1,
            logger=LoggingConfig(log_to_wandb=False),
            device=str(next(iter(saes.values())).device),
        )
        self._trainers = {name: SAETrainer(cfg=settings, sae=sae, data_provider=iter(())) for name, sae in saes.items()}

    def step(self) -> float:
        """One step of every SAE, and the revival of dead features when it is time; the mean of the losses."""
        batch = next(self._batches)
        outputs = {name: trainer.step(batch[name]) for name, trainer in self._trainers.items()}
        loss = float(sum(output.loss.item() for output in outputs.values()) / len(outputs))
        for name, trainer in self._trainers.items():
            trainer.n_training_steps += 1
            if self.config.revives(self.done + 1) and math.isfinite(loss):
                revive(trainer, batch[name], outputs[name], self.generator)
        return loss

    def parts(self) -> dict[str, State]:
        """For each SAE its parameters, Adam, and for how many steps each feature has not fired."""
        found = {}
        for name, trainer in self._trainers.items():
            silent_for = State({"steps": trainer.n_forward_passes_since_fired})
            adam = state_of_adam(trainer.optimizer, trainer.lr_scheduler)
            found[name] = State.joined({"sae": State(trainer.sae.state_dict()), "adam": adam, "silent_for": silent_for})
        return found

    def restore(self, state: State) -> None:
        """Restore what `parts` has given, joined."""
        for name, trainer in self._trainers.items():
            own = state.part(name)
            trainer.sae.load_state_dict(own.part("sae").tensors)
            restore_adam(trainer.optimizer, trainer.lr_scheduler, own.part("adam"))
            trainer.n_forward_passes_since_fired.copy_(own.part("silent_for").tensors["steps"])
            trainer.n_training_steps = state.part("run").values["done"]


def fit(
    saes: Mapping[str, TopKTrainingSAE],
    batches: Iterator[Mapping[str, Float[Tensor, "batch channel"]]],
    config: DictionaryConfig,
    generator: torch.Generator,
    progress: Progress,
    stream: ActivationStream | None = None,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Train SAEs in lockstep; with checkpoints, the batches must come from the stream."""
    train_to_end(SAETraining(saes, batches, config, generator, stream), progress, checkpoints)
    check_weights(saes.values(), config)
    for sae in saes.values():
        sae.eval()


@torch.no_grad()
def revive(trainer: SAETrainer, rows: Float[Tensor, "row channel"], output: Any, generator: torch.Generator) -> None:
    """Move the dead features to where the error of this batch is large, and count them as alive."""
    sae, (dead,) = trainer.sae, trainer.dead_neurons.nonzero(as_tuple=True)
    source, _ = sae.source_and_target(rows)
    encoder, bias, decoder = revived(source, output.sae_in - output.sae_out, len(dead), generator)
    sae.W_enc[:, dead], sae.b_enc[dead], sae.W_dec[dead] = encoder.T, bias, decoder
    forget_moments(trainer.optimizer, [(sae.W_enc, (slice(None), dead)), (sae.b_enc, dead), (sae.W_dec, dead)])
    trainer.n_forward_passes_since_fired[dead] = 0


def fold(sae: TopKTrainingSAE, source: Normaliser, target: Normaliser) -> None:
    """Fold the normalisers into an SAE or transcoder, so that it gives the same features for raw activations.

    The decoder's rows then have norm 1 / `target.scale`.
    """
    with torch.no_grad():
        sae.fold_W_dec_norm()
        sae.cfg.rescale_acts_by_decoder_norm = False  # the norms are one, so they no longer affect the selection
        sae.W_enc.mul_(source.scale)
        sae.b_enc.sub_(source.mean @ sae.W_enc)
        sae.W_dec.div_(target.scale)
        sae.b_dec.div_(target.scale).add_(target.mean)


def save(sae: TopKTrainingSAE, folder: Path) -> None:
    """Write what was trained, its settings sorted by name: sae-lens takes them from a set, in an order of chance."""
    _, settings = sae.to("cpu").save_inference_model(folder)
    path = Path(settings)
    path.write_text(json.dumps(read_json(path), sort_keys=True), encoding="utf-8")
