"""The cross-layer transcoder written naively, as one einsum over all pairs of layers: what ours is timed against."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from baselines.clt.coder import THRESHOLD_MOVES, CrossLayerTranscoder
from baselines.coder_training import Sources
from baselines.sparse_features import Features, dense


class NaiveTranscoder(CrossLayerTranscoder):
    """The same loss with BatchTopK: one decoder tensor `[source, target, feature, channel]`, zero towards the past.

    Args:
        ours: Whose settings and weights it takes.
    """

    def __init__(self, ours: CrossLayerTranscoder) -> None:
        assert ours.config.activation == "batchtopk", ours.config.activation
        super().__init__(ours.config, ours.W_enc.shape[-1], ours.d_out, ours.layers, torch.Generator().manual_seed(0))
        self.load_state_dict(ours.state_dict())
        padded = [
            F.pad(decoder.detach().unflatten(1, (-1, ours.d_out)), (0, 0, source, 0))
            for source, decoder in enumerate(ours.W_dec)
        ]
        del self.W_dec
        self.all_decoders = nn.Parameter(torch.stack(padded).transpose(1, 2).contiguous())
        self.later: Tensor
        self.register_buffer("later", torch.ones(ours.layers, ours.layers).triu()[:, :, None, None])

    def before(self, inputs: Sequence[Float[Tensor, "row source"]]) -> list[Float[Tensor, "row feature"]]:
        """Pre-activations of each layer."""
        return list(torch.einsum("lrd,lfd->lrf", torch.stack(list(inputs)), self.W_enc) + self.b_enc[:, None])

    def features(
        self, before: Sequence[Float[Tensor, "row feature"]], inputs: Sources
    ) -> list[Float[Tensor, "row feature"]]:
        """The largest activations times decoder norm of the whole batch."""
        together = torch.stack(list(before))
        norms = (self.all_decoders * self.later).square().sum((1, 3)).sqrt()
        strength = (together * norms[:, None]).detach().flatten()
        strongest = strength.topk(self.config.k * len(before) * len(before[0]))
        self.batch_threshold.lerp_(strongest.values[-1].clamp(min=0), THRESHOLD_MOVES)
        kept = torch.zeros_like(strength).scatter(0, strongest.indices, 1.0).view_as(together)
        return list(together.relu() * kept)

    def predicted(self, features: Sequence[Features]) -> list[Float[Tensor, "row channel"]]:
        """The predicted MLP output of each layer."""
        decoders = self.all_decoders * self.later
        return list(
            torch.einsum("srf,stfd->trd", torch.stack([dense(each) for each in features]), decoders)
            + self.b_dec[:, None]
        )
