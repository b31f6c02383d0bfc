import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE

from baselines.random_weights import RANDOM_WEIGHTS
from baselines.random_weights.drawing import train
from benchmark.corpus import Corpus, CorpusConfig
from sparse_model.config import CorpusModelConfig
from sparse_model.transformer import Transformer, load_transformer

CONFIG = CorpusModelConfig(d_model=32, density=0.2, embedding_density=0.3)


@dataclass(frozen=True, eq=False)
class RandomCorpus(Corpus):
    def windows(self, split):
        return np.random.default_rng(0).integers(0, 300, (20, 17)).astype(np.uint16)


CORPUS = RandomCorpus(Path("nowhere"), CorpusConfig(vocabulary=300, context=16), Tokenizer(BPE()))


def test_it_is_the_initial_transformer_with_as_many_weights_as_a_trained_one(tmp_path):
    facts = train(CORPUS, CONFIG, 3, {}, tmp_path, lambda done, total, note="": None)
    model = load_transformer(tmp_path)
    initial = Transformer(model.config).initialise(torch.Generator().manual_seed(3))
    weight, kept = model.blocks[1].W_in, model.blocks[1].W_in != 0
    assert kept.sum() == round(0.2 * weight.numel())
    assert torch.equal(weight[kept], initial.blocks[1].W_in[kept])
    assert abs(facts.validation_loss - np.log(300)) < 0.1
    assert facts.training_flops == 0
    assert RANDOM_WEIGHTS.role == "control"


def test_the_records_are_read_without_importing_torch():
    names = "baselines.dense", "baselines.activation_sparse", "baselines.random_weights", "sparse_model.method"
    code = f"import sys, {', '.join(names)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
