"""Asks whether a circuit computes in the steps of the model it explains: path lengths, and the stream interchanged.

A cross-layer transcoder can rewrite a computation of several hops in one: features of an early layer write the answer
straight into a later MLP's output, with perfect reconstruction and a smaller circuit (Lange, Dearstyne and Maher 2026,
https://openreview.net/forum?id=8sE1yCPnbR). Faithfulness cannot see it; these numbers can.

- *Path length*: units on a path from the embeddings to the logits, paths weighted by attribution.
- *Stream interchange*: between two blocks the residual stream, at all positions, becomes that of the pair's other
  prompt (an interchange intervention, Geiger et al. 2021, arXiv 2106.02997; every method has the stream, so that no
  node need correspond to another). In a transformer nothing else goes from block to block, so the answer changes
  sides; in a circuit, whose other prompt is run under the same ablation, whatever goes round the stream stays.
- *Write interchange*: only what the last block wrote to the stream becomes that of the other prompt. A dictionary that
  works out again, from the embeddings, what the block before has written, changes less than the model does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.discovery.edge_attribution import attributions, source_means
from benchmark.interventions.ablation import Means
from benchmark.interventions.edge_ablation import kept_ends
from benchmark.model.interface import (
    CircuitModel,
    Connection,
    Edit,
    can_ablate_edges,
    forward,
    run_stages,
    unedited,
)
from benchmark.records.table import Measurement
from benchmark.scoring.case import CircuitUnderTest, DiscoveredCircuit
from benchmark.scoring.intervention_prediction import equally_long
from benchmark.scoring.redundant_nodes import first_pairs
from benchmark.tasks.answers import answer_logits, first_answer_difference, partners
from benchmark.tasks.prompts import PromptBatch

STREAM = "residual"
"""What a state calls the residual stream."""

INTERCHANGES = ("stream_interchange_r2", "write_interchange_r2", "stream_share")

Stream = Float[Tensor, "prompt position channel"]

Part = Callable[[Stream, Stream], Stream]
"""The part of the stream that is interchanged at a boundary, of the stream before the last block and after it."""


@torch.no_grad()
def path_length(case: DiscoveredCircuit) -> list[Measurement]:
    """Path lengths of a circuit, and what an interchange of the stream does in it."""
    return depth_scores(case, case.setting.reference, case.connections, case.setting.windows)


def depth_scores(
    case: CircuitUnderTest,
    reference: CircuitModel,
    connections: Iterable[Connection],
    corpus: Int[Tensor, "window position"],
) -> list[Measurement]:
    """The same for any circuit, whose sources are averaged over `corpus`."""
    return [*_path_lengths(case, list(connections), corpus), *_stream_interchange(case, reference)]


# Path lengths


def _path_lengths(
    case: CircuitUnderTest, connections: Sequence[Connection], corpus: Int[Tensor, "window position"]
) -> list[Measurement]:
    """The mean length of paths by attribution, and the longest."""
    why = "no path joins the embeddings and the logits"
    joined = [each for each in (kept_ends(one, case.circuit) for one in connections) if each is not None]
    if not can_ablate_edges(case.model):
        mean = case.missing("path_length", "the model does not say what flows along its edges")
    elif any(each.connection.weight is None for each in joined):
        mean = case.missing("path_length", "edges run through an opaque block")
    else:
        means: Means = {**case.means, **source_means(case.model, corpus)}
        flows = attributions(case.model, joined, means, case.batch, case.edit)
        attributed = [Connection(*each.pair, each.spread(flow)) for each, flow in zip(joined, flows, strict=True)]
        mean = case.measured("path_length", metrics.path_length(case.circuit, attributed), why=why)
    longest = case.measured("longest_path", metrics.longest_path(case.circuit, connections), why=why)
    return [mean, replace(longest, n=None)]


# The stream interchanged


@dataclass(frozen=True, eq=False)
class Interchanged:
    """What a part of the stream of each pair's other prompt does to the logit difference.

    Attributes:
        known: Change in what is to be predicted, towards the answer of the pair's first prompt, nats.
        circuit: Change in the circuit.
    """

    known: Float[Tensor, "boundary prompt"]
    circuit: Float[Tensor, "boundary prompt"]

    @property
    def r2(self) -> float:
        """Variance of the known changes, over boundaries and prompts, that the circuit's explain.

        The two prompts of a pair go opposite ways, so that no change at all scores 0 or nearly.
        """
        return metrics.logit_difference_r2(self.known.flatten(), self.circuit.flatten())


def _stream_interchange(case: CircuitUnderTest, reference: CircuitModel) -> list[Measurement]:
    """How well a circuit predicts both interchanges, and how much of itself passes through the stream."""
    batch = first_pairs(equally_long(case.batch))
    reason = _why_no_interchange(case.model, reference, batch)
    if reason:
        return [case.missing(metric, reason) for metric in INTERCHANGES]
    stream, writes = (interchanged(case, reference, batch, part) for part in (whole_stream, written))
    difference = first_answer_difference(answer_logits(case.model, batch, case.edit(batch)), batch)
    moved = difference[partners(len(batch))] - difference  # the whole run becomes that of the other prompt
    passing = Interchanged(moved.expand_as(stream.circuit), stream.circuit)
    found = zip(INTERCHANGES, (stream, writes, passing), strict=True)
    return [case.measured(name, each.r2, batch) for name, each in found]


def _why_no_interchange(model: CircuitModel, reference: CircuitModel, batch: PromptBatch) -> str:
    if not len(batch):
        return "the prompts of every pair differ in length"
    ours, theirs = (len(boundaries(each)) + 1 for each in (model, reference))
    if ours != theirs:
        return f"the circuit has {ours} blocks, what it explains {theirs}"
    if ours == 1:
        return "one block has no stream between blocks"
    if any(STREAM not in each.start(batch.tokens[:1]) for each in (model, reference)):
        return f"the model's state has no {STREAM!r}"
    return ""


def interchanged(case: CircuitUnderTest, reference: CircuitModel, batch: PromptBatch, part: Part) -> Interchanged:
    """What a part of the stream of each pair's other prompt does, in the reference model and in the circuit."""
    ours = stream_effects(case.model, batch, case.edit(batch), part=part)
    return Interchanged(stream_effects(reference, batch, part=part), ours)


def whole_stream(before: Stream, after: Stream) -> Stream:
    """All that the stream holds."""
    return after


def written(before: Stream, after: Stream) -> Stream:
    """What the last block wrote to it."""
    return after - before


def along(directions: Float[Tensor, "direction channel"]) -> Part:
    """What the stream holds along some orthonormal directions, such as that of a middle variable."""
    return lambda before, after: after @ directions.T @ directions


def stream_effects(
    model: CircuitModel, batch: PromptBatch, edit: Edit = unedited, *, part: Part
) -> Float[Tensor, "boundary prompt"]:
    """Change of the logit difference when a part of the stream between two blocks is that of the pair's other prompt.

    What a state carries besides (decoder outputs not yet written) stays as it is, and `edit` holds in both prompts. The
    pairs' prompts are equally long; nats towards the answer of the first one.
    """
    unchanged = first_answer_difference(answer_logits(model, batch, edit), batch)
    state, done, effects = model.start(batch.tokens), 0, []
    for stage in boundaries(model):
        before, state = state[STREAM], run_stages(model, state, edit, first=done, last=stage)
        mine = part(before, state[STREAM])
        mixed = {**state, STREAM: state[STREAM] + (mine[partners(len(batch))] - mine)}
        logits = forward(model, batch.tokens, edit, batch.positions, mixed, stage)[:, 0]
        effects.append(first_answer_difference(logits, batch) - unchanged)
        done = stage
    return torch.stack(effects)


def boundaries(model: CircuitModel) -> list[int]:
    """The first stage after each block but the last."""
    last = {site.layer: site.stage for site in model.sites}
    return [last[layer] + 1 for layer in sorted(last)[:-1]]
