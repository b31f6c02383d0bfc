"""Fits transcoders to the small transformers whose circuit is known, for the audit of the metrics.

Which features carry a variable is unknown, but their joint effect is known: gate l is all that the MLP of block l
computes for the answer, so interchanging the features of that layer that a circuit keeps sets gate l. This holds for no
other dictionary: the stream after a block, which SAEs replace, carries all variables, so interchanging it sets them
all; and early features of a CLT see all bits and may write what a later gate computes.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import UInt
from tokenizers import Tokenizer
from tokenizers.models import BPE

from baselines.config import DictionaryConfig
from baselines.replacement import Replacement
from baselines.transcoder import TRANSCODER
from benchmark.corpus import Corpus, CorpusConfig, Split
from benchmark.discovery.finder import find_circuit
from benchmark.discovery.search import Budget
from benchmark.ground_truth.causal_model import BooleanChain, balanced_interchanges, interchange_accuracy, task_prompts
from benchmark.ground_truth.circuit_metrics import TARGET
from benchmark.ground_truth.trained_models import NotLearnedError, Skipped, TrainedModel
from benchmark.interventions.ablation import corpus_means
from benchmark.model.circuit import Circuit
from benchmark.model.graph import node_sites
from benchmark.seeds import seed_of
from sparse_model.known_circuit import EXAMPLES, PAIRS, TASKS, WINDOWS, Aligned, trained

SETTINGS = DictionaryConfig(features=64, k=8, tokens=400_000, batch=512, measured_tokens=3_000, revivals=8)
"""Training settings of the transcoders."""

LEAST_ACCURACY = 0.9
"""Interchange accuracy that a transcoder needs with nothing ablated: no circuit can recover what it has lost."""

SEARCH = Budget(tokens=60_000, learning_rate=0.03)
"""The long search that discovers the reference circuit."""


def known_models(seed: int = 0) -> Iterator[TrainedModel | Skipped]:
    """Transcoders of the trained transformers, or the reason why there is none: the target of the entry point."""
    for gates in TASKS:
        name = f"{BooleanChain(gates).name}, {TRANSCODER.name}"
        try:
            yield dictionary(trained(gates, seed), name)
        except NotLearnedError as error:
            yield Skipped(name, str(error))


def dictionary(aligned: Aligned, name: str) -> TrainedModel:
    """A transcoder for the audit; the true score of a circuit is its interchange accuracy.

    This is the share of balanced interchanges (`benchmark.ground_truth.causal_model`) after which the circuit gives the
    causal model's answer: a bit is set by interchanging its value channel in the first block, gate l by interchanging
    the features of block l, in each case only nodes that the circuit keeps. A circuit whose answer never changes has
    one half.

    Raises:
        NotLearnedError: If the transcoder with nothing ablated has less than `LEAST_ACCURACY`.
    """
    generator = torch.Generator().manual_seed(seed_of("known transcoder", name))
    model = fitted(aligned, generator)
    prompts, windows = task_prompts(aligned.chain, PAIRS, generator), aligned.chain.prompts(WINDOWS, generator)
    means, places = corpus_means(model, windows), places_in(model, aligned)
    examples = balanced_interchanges(aligned.chain, EXAMPLES, generator)

    def truth(circuit: Circuit) -> float:
        return interchange_accuracy(model, circuit, means, aligned.chain, places, examples)

    whole = truth(Circuit.whole(node_sites(model, "unit")))
    if not whole >= LEAST_ACCURACY:
        raise NotLearnedError(
            f"{name}: interchange accuracy {whole:.3f} with nothing ablated, less than {LEAST_ACCURACY}"
        )
    found = find_circuit(model, prompts, means, graph="unit", target=TARGET, budget=SEARCH, generator=generator)
    return TrainedModel(
        name=name,
        model=model,
        circuit=found.circuit,
        prompts=prompts,
        means=means,
        windows=windows,
        origin=aligned.chain.name,
        dense=aligned.model,
        truth=truth,
        exact=False,
    )


def fitted(aligned: Aligned, generator: torch.Generator) -> Replacement:
    """A transcoder trained on the activations of a transformer as in the benchmark, with errors ablated."""
    corpus, seed = ChainCorpus(aligned.chain), int(torch.randint(2**31, (1,), generator=generator))
    needed = {"dense": aligned.model}
    with TemporaryDirectory() as folder:
        TRANSCODER.run_train(corpus, SETTINGS, seed, needed, Path(folder), lambda done, total, note="": None)
        model = TRANSCODER.run_load(Path(folder), "errors_ablated", needed)
    assert isinstance(model, Replacement), type(model)
    return model


def places_in(model: Replacement, aligned: Aligned) -> list[Circuit]:
    """The nodes of each variable by its number: the value channel of a bit, the features of a gate."""
    places = [Circuit.empty(node_sites(model, "unit")) for _ in aligned.places]
    for bit in range(aligned.chain.inputs):
        places[bit].masks["blocks.0.v"][:] = aligned.places[bit].masks["blocks.0.v"]
    for layer, place in enumerate(places[aligned.chain.inputs :]):
        place.masks[f"blocks.{layer}.feature"][:] = True
    return places


class ChainCorpus(Corpus):
    """Random prompts of a causal model, each followed by its answer, used as a corpus."""

    chain: BooleanChain

    def __init__(self, chain: BooleanChain) -> None:
        super().__init__(Path(), CorpusConfig(context=chain.bits + 1), Tokenizer(BPE()))
        self.__dict__["chain"] = chain

    def windows(self, split: Split) -> UInt[np.ndarray, "window position"]:
        """The windows of a split, the same at every call."""
        generator = torch.Generator().manual_seed(seed_of("chain corpus", split))
        bits = self.chain.draw(4 * WINDOWS, generator)
        answers = self.chain.no + self.chain.values(bits)[:, -1:].long()
        return torch.cat([self.chain.tokens(bits, generator), answers], dim=1).numpy().astype(np.uint16)
