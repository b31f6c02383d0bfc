"""Low-rank sparse attention: many sparse heads of rank one replace each attention layer of the dense model.

He et al. 2025, "Towards understanding the nature of attention with low-rank sparse decomposition", arXiv 2504.20938
(Lorsa). A layer has H heads and G < H query-key circuits, each shared by H / G consecutive heads. Of the normalised
stream x[s] that the dense attention reads, at positions s <= t:

1. q_g[t] = W_Q_g x[t] + b_Q_g and k_g[s] = W_K_g x[s] + b_K_g, as wide as the heads of the dense model;
2. A_g[t, s] = softmax over s of q_g[t] . k_g[s] / sqrt(width), and 0 for s > t;
3. the pre-activation of head i in group g(i): y_i[t] = sum over s of A_g(i)[t, s] (w_V_i . x[s]) + b_i;
4. its activation: z_i[t] = max(y_i[t], 0) if y_i[t] is among the K largest of its position, else 0;
5. the prediction of what the attention writes: sum over i of z_i[t] w_O_i + b.

The loss is the squared error of the prediction, plus AuxK for dead heads (Gao et al. 2024, arXiv 2406.04093, A.2).
Query-key circuits begin as those of the dense heads in turn, and values and outputs as random directions of the dense
head's own, as the authors recommend (https://github.com/OpenMOSS/Language-Model-SAEs, `docs/models/lorsa.md`).

*Nodes.* Each activation z_i is one node, as a feature of a transcoder is: it reads the stream by w_V_i, at the
positions that its pattern averages, and writes w_O_i. The channels of q_g and k_g are nodes too, as those of the dense
model are; where a circuit keeps none of them, the pattern is that of their means: all earlier positions alike. So no
part of such a layer is an opaque block, and neurons stay what they are: a comparison with `dense` sees other attention
and nothing else. As there, no edge joins queries and keys to the heads whose pattern they make.

*Errors.* An error is what the dense attention writes minus the prediction, made of the unedited queries, keys and
activations of its own layer. So editing a query changes the stream by what it changes in the activations, each times
its output: the error does not undo it.

*Deviations from the authors.* Negative activations are zeroed, as in all dictionaries here. Biases b_i are added after
mixing, which changes nothing since the rows of a pattern add up to one. There are no rotary embeddings, as the dense
model has none, and an attention sink of the dense model is not copied. The query-key circuits learn from AuxK too.
"""

from pydantic import model_validator

from baselines.config import SWEEP, VARIANTS, DictionaryConfig
from benchmark.methods import Axis, Method
from benchmark.settings import Size


class LorsaConfig(DictionaryConfig):
    """Settings of the sparse attention; its features are heads, and a batch consists of whole windows."""

    qk_heads: Size = 8
    """Query-key circuits per layer, each shared by features / qk_heads heads."""

    @model_validator(mode="after")
    def _heads_are_shared_evenly(self) -> "LorsaConfig":
        if self.features % self.qk_heads:
            below = max(self.features // self.qk_heads, 1) * self.qk_heads
            choices = f"choose {below} or {below + self.qk_heads} features"
            raise ValueError(f"features {self.features} is not a multiple of qk_heads {self.qk_heads}; {choices}")
        return self


LORSA = Method(
    name="lorsa",
    summary="Low-rank sparse attention: many sparse heads of rank one replace each attention layer.",
    source="He et al. 2025, https://arxiv.org/abs/2504.20938",
    config=LorsaConfig,
    variants=VARIANTS,
    train="baselines.lorsa.training:train",
    load="baselines.lorsa.training:load",
    resources="baselines.lorsa.resources:resources",
    needs=("dense",),
    explains="dense",
    sweep=(SWEEP[0], Axis("features", (0.5, 1.0, 2.0), "width", multiple_of="qk_heads")),
    by_name=True,
)
