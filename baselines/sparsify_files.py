"""Reads SAEs and transcoders in the format of EleutherAI's sparsify (https://github.com/EleutherAI/sparsify).

A folder is named after a module of the model, such as `layers.3.mlp`, and has `cfg.json` and `sae.safetensors`:
`encoder.weight` [feature, channel], `encoder.bias`, `W_dec` [feature, channel], `b_dec` and, with a skip connection,
`W_skip` [channel, channel]. Features are the k largest of relu(encoder (x - b_dec)), or of relu(encoder x) for a
transcoder.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from baselines.dictionary import Encoder
from baselines.file_names import SETTINGS, SPARSIFY_WEIGHTS
from baselines.sae_lens_files import SavedLayer, Width, with_skip
from benchmark.files import CorruptFileError, check_finite, read_json, read_tensors, readable
from benchmark.settings import Settings, validated


class SparsifySettings(Settings):
    """The fields of a configuration."""

    d_in: Width
    k: Width
    activation: Literal["topk"] = "topk"
    expansion_factor: Width = 32
    num_latents: int = Field(0, ge=0, le=10**8)
    skip_connection: bool = False
    transcode: bool = False
    normalize_decoder: bool = True
    """Only for training."""
    multi_topk: bool = False
    """Only for training."""

    @property
    def features(self) -> int:
        """Number of features."""
        return self.num_latents or self.d_in * self.expansion_factor


def read_sparsify_layer(folder: Path) -> SavedLayer:
    """The dictionary in a folder of sparsify; `CorruptFileError` names what is not supported."""
    try:
        settings = validated(SparsifySettings, read_json(folder / SETTINGS), "its settings")
        if settings.k > settings.features:
            raise ValueError(f"k is {settings.k}; choose 1 to {settings.features}")
    except CorruptFileError:
        raise
    except ValueError as error:
        raise CorruptFileError(folder / SETTINGS, f"cannot be used: {error}") from error
    features, width, path = settings.features, settings.d_in, folder / SPARSIFY_WEIGHTS
    shapes = {"encoder.weight": (features, width), "encoder.bias": (features,), "W_dec": (features, width)}
    shapes |= {"b_dec": (width,)} | ({"W_skip": (width, width)} if settings.skip_connection else {})
    stored = read_tensors(path, shapes)
    with readable(path, "dictionary"):
        if any(not each.is_floating_point() for each in stored.values()):
            raise ValueError("weights that are not of floating point")
        check_finite(path, stored)
        weights = {name: each.double() for name, each in stored.items()}
    encoder, decoder, bias = weights["encoder.weight"], weights["W_dec"], weights["encoder.bias"]
    if not settings.transcode:
        bias = bias - encoder @ weights["b_dec"]
    if settings.skip_connection:
        encoder, decoder, bias = with_skip(encoder, decoder, bias, weights["W_skip"])
    linear = width if settings.skip_connection else 0
    made = Encoder(encoder.float().contiguous(), bias.float(), k=settings.k, linear=linear)
    write, always = decoder.float().T.contiguous(), weights["b_dec"].float()
    return SavedLayer(made, write, always, settings.transcode, reads=None, predicts=None)
