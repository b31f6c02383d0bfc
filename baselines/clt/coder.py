"""The cross-layer transcoder during training: its sparse features, its predictions and its loss.

Ameisen et al. 2025 (https://transformer-circuits.pub/2025/attribution-graphs/methods.html): features
a_l = JumpReLU(W_enc_l x_l), predictions y_l = sum over s <= l of W_dec_{s->l} a_s, loss = sum over l |y_l - y|^2 plus
a penalty tanh(c |W_dec_i| a_i) on every feature, with the norm of all its decoders together. TopK (Gao et al. 2024,
arXiv 2406.04093) and BatchTopK (Bussmann et al. 2024, arXiv 2412.06410) replace the penalty: features compete by
activation times norm, and AuxK revives dead ones (Gao et al., A.2).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from baselines.activations import Normaliser
from baselines.clt import CLTConfig
from baselines.coder_training import Loss, Sources, SparseCoder, Targets
from baselines.dictionary import Dictionary, Encoder, auxiliary_loss, kth_largest, revived
from baselines.sparse_features import Features, decode, dense, fire, which_fired

THRESHOLD_MOVES = 0.01
"""Share of the way that BatchTopK's threshold moves towards a batch's smallest kept value."""


class JumpReLU(torch.autograd.Function):
    """x where it is above its threshold, with a straight-through gradient to the threshold.

    Rajamanoharan et al. 2024 (arXiv 2407.14435), equations 11 and 12.
    """

    @staticmethod
    def forward(context: Any, before: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        """`before` where it is above `threshold`, else zero."""
        context.save_for_backward(before, threshold)
        context.bandwidth = bandwidth
        return before * (before > threshold)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Passed to values above the threshold, and to the threshold from values within half a bandwidth of it."""
        before, threshold = context.saved_tensors
        near = (before - threshold).abs() < context.bandwidth / 2
        to_threshold = -(threshold / context.bandwidth) * (near * gradients[0]).sum(0)
        return gradients[0] * (before > threshold), to_threshold, None


class CrossLayerTranscoder(SparseCoder):
    """All layers' encoders and decoders, in normalised units, for MLPs that map `d_in` to `d_out` channels."""

    def __init__(self, config: CLTConfig, d_in: int, d_out: int, layers: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.layers, self.d_out = config, layers, d_out
        features = config.features
        encoders = F.normalize(torch.randn(layers, features, d_in, generator=generator), dim=-1)
        self.W_enc = nn.Parameter(encoders)
        self.b_enc = nn.Parameter(torch.zeros(layers, features))
        self.W_dec = nn.ParameterList(
            F.normalize(torch.randn(features, (layers - source) * d_out, generator=generator), dim=-1)
            for source in range(layers)
        )
        self.b_dec = nn.Parameter(torch.zeros(layers, d_out))
        self.log_threshold = nn.Parameter(torch.full((layers, features), math.log(config.threshold)))
        self.batch_threshold: Tensor
        self.register_buffer("batch_threshold", torch.zeros(()))

    def before(self, inputs: Sources) -> list[Float[Tensor, "row feature"]]:
        """Pre-activations of each layer."""
        return [F.linear(x, weight, bias) for x, weight, bias in zip(inputs, self.W_enc, self.b_enc, strict=True)]

    def decoder_norms(self) -> Float[Tensor, "layer feature"]:
        """The norm of all decoders of a feature together."""
        return torch.stack([decoder.norm(dim=1) for decoder in self.W_dec])

    def features(self, before: Sequence[Float[Tensor, "row feature"]], inputs: Sources) -> Sequence[Features]:
        """The sparse features of each layer, from its pre-activations and inputs."""
        if self.config.activation == "jumprelu":
            thresholds = self.log_threshold.exp()
            return [
                JumpReLU.apply(F.relu(x), threshold, self.config.bandwidth)  # type: ignore[no-untyped-call]
                for x, threshold in zip(before, thresholds, strict=True)
            ]
        norms = self.decoder_norms().detach()
        given = zip(before, norms, self._least(before, norms), inputs, self.W_enc, self.b_enc, strict=True)
        return [fire(*each) for each in given]

    def predicted(self, features: Sequence[Features]) -> list[Float[Tensor, "row channel"]]:
        """The predicted MLP output of each layer, by one product per source with all its decoders side by side."""
        written: list[Tensor | int] = [0] * self.layers
        for source, (values, decoder) in enumerate(zip(features, self.W_dec, strict=True)):
            for target, write in enumerate(decode(values, decoder).split(self.d_out, dim=1), start=source):
                written[target] = written[target] + write
        return [write + bias for write, bias in zip(written, self.b_dec, strict=True)]

    @torch.no_grad()
    def _least(
        self, before: Sequence[Float[Tensor, "row feature"]], norms: Float[Tensor, "layer feature"]
    ) -> list[Float[Tensor, "#row 1"]]:
        """How large activation times decoder norm is at least where a feature is kept."""
        if self.config.activation == "topk":
            return [kth_largest(x * norm, self.config.k, reorder=True) for x, norm in zip(before, norms, strict=True)]
        strength = torch.stack(list(before)).mul_(norms[:, None])
        count = self.config.k * strength.shape[0] * strength.shape[1]
        threshold = kth_largest(strength.view(1, -1), count, reorder=True).clamp(min=0)
        if self.training:
            self.batch_threshold.lerp_(threshold.squeeze(), THRESHOLD_MOVES)
        return [threshold] * self.layers

    def loss(self, inputs: Sources, targets: Targets, dead: Bool[Tensor, "layer feature"], step: int) -> Loss:
        """The loss on normalised inputs and outputs of the MLPs; the penalty rises with the step, counted from 0."""
        before = self.before(inputs)
        features = self.features(before, inputs)
        missed = [y - given for y, given in zip(targets, self.predicted(features), strict=True)]
        total = torch.stack([error.square().sum(1).mean() for error in missed]).sum()
        if self.config.activation == "jumprelu":
            extra = self._penalty(before, [dense(each) for each in features], step / self.config.steps)
        else:
            extra = self._auxiliary(inputs, [error.detach() for error in missed], dead)
        return Loss(
            total.item(),
            total + extra,
            [error.detach() for error in missed],
            torch.stack([which_fired(each) for each in features]),
        )

    def _penalty(self, before: Sequence[Tensor], features: Sequence[Tensor], progress: float) -> Tensor:
        """The tanh penalty on active features, and the one that pulls silent ones up to their thresholds."""
        norms, thresholds = self.decoder_norms(), self.log_threshold.exp()
        fires = [torch.tanh(self.config.tanh_scale * x * norm) for x, norm in zip(features, norms, strict=True)]
        silent = [
            F.relu(threshold - x) * norm for x, threshold, norm in zip(before, thresholds, norms.detach(), strict=True)
        ]
        return progress * self.config.sparsity * _per_row(fires) + self.config.revival * _per_row(silent)

    def _auxiliary(self, inputs: Sources, missed: Targets, dead: Tensor) -> Tensor:
        """AuxK over all layers at once: dead features of every layer predict the error of that layer and later ones."""
        if not dead.any():
            return missed[0].new_zeros(())
        decoders = [
            F.pad(decoder[silent], (source * self.d_out, 0))
            for source, (decoder, silent) in enumerate(zip(self.W_dec, dead, strict=True))
        ]
        before = [
            F.linear(x, weight[silent], bias[silent])
            for x, weight, bias, silent in zip(inputs, self.W_enc, self.b_enc, dead, strict=True)
        ]
        loss = auxiliary_loss(torch.cat(before, dim=1), torch.cat(decoders), torch.cat(list(missed), dim=1))
        return self.config.auxiliary * loss

    @torch.no_grad()
    def revive(
        self, dead: Bool[Tensor, "layer feature"], inputs: Sources, missed: Targets, generator: torch.Generator
    ) -> Iterable[tuple[Tensor, Any]]:
        """Move dead features to where the error is large, each correcting a share of the error of all its layers."""
        for layer, silent in enumerate(dead):
            later = torch.cat(list(missed[layer:]), dim=1)
            encoder, bias, decoder = revived(inputs[layer], later, int(silent.sum()), generator)
            self.W_enc[layer, silent], self.b_enc[layer, silent], self.W_dec[layer][silent] = encoder, bias, decoder
        return [(self.W_enc, dead), (self.b_enc, dead), *zip(self.W_dec, dead, strict=True)]

    @torch.no_grad()
    def dictionary(self, sources: Sequence[Normaliser], targets: Sequence[Normaliser]) -> Dictionary:
        """The transcoder for raw activations, its features scaled so that each one's decoders together have norm 1."""
        encoders, scales = [], self.b_dec.new_tensor([target.scale for target in targets])
        for layer, (source, norm) in enumerate(zip(sources, self.decoder_norms(), strict=True)):
            weight = self.W_enc[layer] * norm[:, None] * source.scale
            bias = self.b_enc[layer] * norm - weight @ source.mean
            if self.config.activation == "topk":
                encoders.append(Encoder(weight, bias, k=self.config.k))
            elif self.config.activation == "batchtopk":
                encoders.append(Encoder(weight, bias, threshold=self.batch_threshold.expand_as(bias).clone()))
            else:
                encoders.append(Encoder(weight, bias, threshold=self.log_threshold[layer].exp() * norm))
        decoders = [
            F.normalize(decoder, dim=1).unflatten(1, (-1, self.d_out)) / scales[source:, None]
            for source, decoder in enumerate(self.W_dec)
        ]
        biases = [bias / target.scale + target.mean for bias, target in zip(self.b_dec, targets, strict=True)]
        return Dictionary(encoders, [[write.T for write in writes.unbind(1)] for writes in decoders], biases)


def _per_row(parts: Sequence[Float[Tensor, "row feature"]]) -> Float[Tensor, ""]:
    """The sum over features, and the mean over rows."""
    return torch.stack([part.sum(1).mean() for part in parts]).sum()
