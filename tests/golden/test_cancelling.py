from collections.abc import Iterator

import cancelling
import pytest
import torch
from planted import loss
from torch import Tensor

from benchmark import metrics
from benchmark.interventions.ablation import corpus_means, keep_only
from benchmark.model.circuit import Circuit
from benchmark.model.interface import Edit, Site, record, unedited
from benchmark.tasks.answers import answer_logits

DRAWS = 8


@pytest.fixture(scope="module")
def model():
    return cancelling.model()


@pytest.fixture(scope="module")
def prompts():
    return cancelling.batch(32, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def means(model):
    return corpus_means(model, cancelling.means_tokens(torch.Generator().manual_seed(1)))


def resampled(model, batch, circuit: Circuit, *, jointly: bool) -> Iterator[Edit]:
    """Edits that give every ablated node its value in another prompt: one prompt for all nodes, or one for each."""
    clean, generator = record(model, batch.tokens), torch.Generator().manual_seed(2)
    rows = torch.arange(len(batch))
    for _ in range(DRAWS):
        shift = int(torch.randint(1, len(rows), (1,), generator=generator))

        def edit(site: Site, values: Tensor, shift=shift) -> Tensor:
            if site.name not in circuit.masks:
                return values
            shifts = torch.full((site.size,), shift)
            if not jointly:
                shifts = torch.randint(1, len(rows), (site.size,), generator=generator)
            taken = (rows[:, None] + shifts) % len(rows)  # [prompt, node]
            others = clean[site.name].gather(0, taken[:, None, :].expand_as(values))
            return torch.where(circuit.masks[site.name], values, others)

        yield edit


def mean_loss(model, batch, edits) -> float:
    losses = [loss(model, batch, edit) for edit in edits]
    return sum(losses) / len(losses)


def mean_faithfulness(model, batch, edits, means) -> float:
    def kl(edit: Edit) -> float:
        with torch.no_grad():
            return metrics.pair_kl(
                answer_logits(model, batch, unedited), answer_logits(model, batch, edit), batch.answer, batch.other
            )

    edits = list(edits)
    empty = keep_only(cancelling.unit_circuit(model, {}), means)
    return metrics.faithfulness(sum(map(kl, edits)) / len(edits), kl(empty))


def test_whole_model_does_the_task_and_the_empty_circuit_guesses(model, prompts, means):
    assert loss(model, prompts, unedited) < 0.02
    assert loss(model, prompts, keep_only(cancelling.unit_circuit(model, {}), means)) >= 0.693


def test_one_query_is_on_in_every_prompt_and_their_means_cancel(model, prompts, means):
    last = record(model, prompts.tokens)["blocks.1.q"][:, -1, list(cancelling.QUERIES)]
    assert torch.allclose(last.amin(1), torch.zeros(len(last)), atol=0.5)
    assert torch.allclose(last.amax(1), torch.full((len(last),), 40.0), atol=0.5)
    left, right = means["blocks.1.q"][list(cancelling.QUERIES)].tolist()
    assert left == pytest.approx(right, abs=0.5)


def test_mean_ablation_believes_the_decoy(model, prompts, means):
    decoy = keep_only(cancelling.unit_circuit(model, cancelling.DECOY_CIRCUIT), means)
    assert loss(model, prompts, decoy) < 0.15
    assert mean_faithfulness(model, prompts, [decoy], means) > 0.5


@pytest.mark.parametrize("jointly", [True, False])
def test_resample_ablation_does_not(model, prompts, means, jointly):
    decoy = cancelling.unit_circuit(model, cancelling.DECOY_CIRCUIT)
    edits = list(resampled(model, prompts, decoy, jointly=jointly))
    assert mean_loss(model, prompts, edits) > 0.4
    assert mean_faithfulness(model, prompts, edits, means) < 0.5


@pytest.mark.parametrize("jointly", [True, False])
def test_it_is_the_two_queries_that_tell(model, prompts, means, jointly):
    """All other ablated nodes stay at their means, so that no wrong answer comes in from another prompt."""
    decoy = cancelling.unit_circuit(model, cancelling.DECOY_CIRCUIT)
    queries = cancelling.unit_circuit(model, {"blocks.1.q": list(cancelling.QUERIES)}).complement()
    held = keep_only(decoy, means)
    edits = list(resampled(model, prompts, queries, jointly=jointly))

    def both(edit: Edit) -> Edit:
        return lambda site, values: edit(site, held(site, values))

    assert mean_loss(model, prompts, map(both, edits)) > 0.4
    assert mean_faithfulness(model, prompts, list(map(both, edits)), means) < 0.5


@pytest.mark.parametrize("jointly", [True, False])
def test_honest_circuit_holds_under_both_ablations(model, prompts, means, jointly):
    honest = cancelling.unit_circuit(model, cancelling.HONEST_CIRCUIT)
    assert loss(model, prompts, keep_only(honest, means)) < 0.15
    edits = list(resampled(model, prompts, honest, jointly=jointly))
    assert mean_loss(model, prompts, edits) < 0.15
    assert mean_faithfulness(model, prompts, edits, means) > 0.9
