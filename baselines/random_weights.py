"""The null baseline of the weight-sparse transformer: the same model, never trained."""

from pathlib import Path

from benchmark.corpus import Corpus
from benchmark.methods import Facts, Method
from benchmark.progress import Progress
from sparse_model.config import CorpusModelConfig
from sparse_model.method import NATIVE

RANDOM_WEIGHTS = Method(
    name="random_weights",
    summary="A weight-sparse transformer that was never trained: what circuits are found in noise?",
    source="the random control of Adebayo et al. 2018, https://arxiv.org/abs/1810.03292",
    config=CorpusModelConfig,
    variants=NATIVE,
    train="baselines.random_weights:train",
    load="sparse_model.transformer:load",
    resources="sparse_model.resources:resources_untrained",
    role="control",
)


def train(
    corpus: Corpus, config: CorpusModelConfig, seed: int, needed: object, folder: Path, progress: Progress
) -> Facts:
    """Draw the weights with which training would start, and keep as many as it would end with."""
    import torch

    from benchmark.disk import remove_partial
    from sparse_model.training import facts_of, project, save_transformer
    from sparse_model.transformer import Transformer

    shape = config.transformer(corpus.config.vocabulary, corpus.config.context)
    model = Transformer(shape).initialise(torch.Generator().manual_seed(seed))
    project(model, config, config.density, config.embedding_density)
    save_transformer(model, folder, curve=[])
    remove_partial(folder)
    progress(1, 1, "")
    return facts_of(model, corpus, config, trained=False)
