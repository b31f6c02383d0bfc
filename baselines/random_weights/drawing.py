"""An untrained weight-sparse transformer: weights as they are drawn, as many as training would leave."""

from pathlib import Path

import torch

from benchmark.corpus import Corpus
from benchmark.disk import remove_partial
from benchmark.methods import Facts
from benchmark.progress import Progress
from sparse_model.config import CorpusModelConfig
from sparse_model.training import facts_of, project, save_transformer
from sparse_model.transformer import Transformer


def train(
    corpus: Corpus, config: CorpusModelConfig, seed: int, needed: object, folder: Path, progress: Progress
) -> Facts:
    """Draw the weights with which training would start, and keep as many as it would end with."""
    shape = config.transformer(corpus.config.vocabulary, corpus.config.context)
    model = Transformer(shape).initialise(torch.Generator().manual_seed(seed))
    project(model, config, config.density, config.embedding_density)
    save_transformer(model, folder, curve=[])
    remove_partial(folder)
    progress(1, 1, "")
    return facts_of(model, corpus, config, trained=False)
