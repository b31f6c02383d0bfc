"""An outsider's method: a one-layer model of our transformer that is never trained, from outside our packages."""

import torch
from pydantic import BaseModel

from benchmark import Facts, Method, Variant


class Settings(BaseModel):
    width: int = 16


UNIFORM = Method(
    name="outside_uniform",
    summary="A tiny untrained transformer.",
    source="tests",
    config=Settings,
    variants=(Variant("native", ("unit",)),),
    train="uniform_method:train",
    load="uniform_method:load",
)


def train(corpus, config, seed, needed, folder, progress):
    from sparse_model.config import TransformerConfig
    from sparse_model.training import save_transformer
    from sparse_model.transformer import Transformer

    shape = TransformerConfig(layers=1, d_model=config.width, vocabulary=corpus.tokenizer.get_vocab_size())
    model = Transformer(shape).initialise(torch.Generator().manual_seed(seed))
    save_transformer(model, folder, [])
    return Facts(7.0, 1, 1, 0, 0.0)


def load(folder, variant, needed):
    from sparse_model.transformer import load_transformer

    return load_transformer(folder)
