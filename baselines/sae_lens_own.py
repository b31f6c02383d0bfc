"""sae-lens's own training steps, with the settings and weights of ours: what ours are checked and timed against."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from baselines.sae_lens_training import TrainingTranscoder

from sae_lens import BatchTopKTrainingSAE, TopKTrainingSAE  # isort: skip  # after ours, which silences its import


def own_sae(ours: TopKTrainingSAE) -> TopKTrainingSAE:
    """sae-lens's own class in the place of our quicker one."""
    own = BatchTopKTrainingSAE if isinstance(ours, BatchTopKTrainingSAE) else TopKTrainingSAE
    return _like(ours, own)


def own_transcoder(ours: TrainingTranscoder) -> TrainingTranscoder:
    """A transcoder that takes sae-lens's own BatchTopK step."""
    made: TrainingTranscoder = _like(ours, OwnTranscoder)
    return made


class OwnTranscoder(TrainingTranscoder):
    """sae-lens's own step of a BatchTopK SAE with another target than the input: sae-lens trains no transcoders."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        of_sae: Callable[[Tensor, Tensor], Tensor] = self.mse_loss_fn  # type: ignore[has-type]
        self.mse_loss_fn = lambda prediction, rows: of_sae(prediction, self.source_and_target(rows)[1])

    def training_forward_pass(self, step_input: Any) -> Any:
        """sae-lens's step: norms multiply the pre-activations, and `torch.topk` selects."""
        return BatchTopKTrainingSAE.training_forward_pass(self, step_input)

    def encode_with_hidden_pre(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and pre-activations of the first part of every row."""
        features, before = super().encode_with_hidden_pre(self.source_and_target(x)[0])
        return features, before

    def calculate_aux_loss(self, step_input: Any, **others: Any) -> Any:
        """AuxK on the error of the target."""
        target = self.source_and_target(step_input.sae_in)[1]
        return super().calculate_aux_loss(step_input=replace(step_input, sae_in=target), **others)


def _like(ours: TopKTrainingSAE, own: type[Any]) -> Any:
    """One of that class with the same settings and weights."""
    made = own(ours.cfg)
    made.load_state_dict(ours.state_dict())
    return made
