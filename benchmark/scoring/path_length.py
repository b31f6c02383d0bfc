"""Does a circuit compute in the same steps as the reference model? Path lengths and stream interchange interventions.

A cross-layer transcoder can collapse a computation of several hops into one: features of an early layer write the
answer straight into a later MLP's output, with perfect reconstruction and a smaller circuit (Lange, Dearstyne and Maher
2026, https://openreview.net/forum?id=8sE1yCPnbR). Faithfulness cannot detect this; these scores can.

- *Path length*: units on a path from the embeddings to the logits, with paths weighted by attribution.
- *Stream interchange*: between two blocks, the residual stream at all positions is replaced by that of the pair's other
  prompt (an interchange intervention, Geiger et al. 2021, arXiv 2106.02997; every method has the stream, so nodes need
  not correspond). In a transformer nothing else passes from block to block, so the answer flips; in a circuit, whose
  other prompt is run under the same ablation, whatever bypasses the stream stays as it was.
- *Write interchange*: only what the last block wrote to the stream is replaced by that of the other prompt. The effect
  is smaller than in the reference model if a dictionary recomputes from the embeddings what the previous block wrote.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmark import metrics
from benchmark.discovery.edge_attribution import attributions, source_means
from benchmark.interventions.ablation import Means
from benchmark.interventions.edge_ablation import kept_ends
from benchmark.model.interface import (
    STREAM,
    CircuitModel,
    Connection,
    Edit,
    begin,
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

INTERCHANGES = ("stream_interchange_r2", "write_interchange_r2", "stream_share")

Stream = Float[Tensor, "prompt position channel"]

Part = Callable[[Stream, Stream], Stream]
"""Which part of the stream to interchange at a boundary, given the stream before and after the last block."""


@torch.no_grad()
def path_length(case: DiscoveredCircuit) -> list[Measurement]:
    """Path lengths of a circuit, and the effects of residual-stream interchange interventions in it."""
    return depth_scores(case, case.setting.reference, case.connections, case.setting.windows)


def depth_scores(
    case: CircuitUnderTest,
    reference: CircuitModel,
    connections: Iterable[Connection],
    corpus: Int[Tensor, "window position"],
) -> list[Measurement]:
    """The same for any circuit, with source means taken over `corpus`."""
    connections = list(connections)
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
    return [mean, replace(longest, n=None), *_stream_interchange(case, reference)]


# Stream interchange


def _stream_interchange(case: CircuitUnderTest, reference: CircuitModel) -> list[Measurement]:
    """How well a circuit predicts both interchanges, and how much of its own computation passes through the stream.

    Explained variance is taken over boundaries and prompts. The two prompts of a pair move in opposite directions, so
    a circuit in which nothing changes scores close to 0.
    """
    batch = first_pairs(equally_long(case.batch))
    reason = _why_no_interchange(case.model, reference, batch)
    if reason:
        return [case.missing(metric, reason) for metric in INTERCHANGES]
    edit, parts = case.edit(batch), (whole_stream, written)
    stream, writes = (stream_effects(case.model, batch, edit, part=part) for part in parts)
    known_stream, known_writes = (stream_effects(reference, batch, part=part) for part in parts)
    difference = first_answer_difference(answer_logits(case.model, batch, edit), batch)
    moved = difference[partners(len(batch))] - difference  # the whole run becomes that of the other prompt
    pairs = ((known_stream, stream), (known_writes, writes), (moved.expand_as(stream), stream))
    return [
        case.measured(metric, metrics.logit_difference_r2(known.flatten(), found.flatten()), batch)
        for metric, (known, found) in zip(INTERCHANGES, pairs, strict=True)
    ]


def _why_no_interchange(model: CircuitModel, reference: CircuitModel, batch: PromptBatch) -> str:
    if not len(batch):
        return "the prompts of every pair differ in length"
    ours, theirs = (len(boundaries(each)) + 1 for each in (model, reference))
    if ours != theirs:
        return f"the circuit has {ours} blocks, the reference model {theirs}"
    if ours == 1:
        return "one block has no stream between blocks"
    if any(STREAM not in begin(each, batch.tokens[:1]) for each in (model, reference)):
        return f"the model's state has no {STREAM!r}"
    return ""


def whole_stream(before: Stream, after: Stream) -> Stream:
    """The whole residual stream."""
    return after


def written(before: Stream, after: Stream) -> Stream:
    """What the last block wrote to the stream."""
    return after - before


def stream_effects(
    model: CircuitModel, batch: PromptBatch, edit: Edit = unedited, *, part: Part
) -> Float[Tensor, "boundary prompt"]:
    """Effect of a stream interchange on the logit difference, in nats towards the answer of the pair's first prompt.

    A part of the stream between two blocks is replaced by that of the other prompt, which must have the same length.
    The rest of the state (pending decoder outputs) is left unchanged, and `edit` applies to both prompts.
    """
    unchanged = first_answer_difference(answer_logits(model, batch, edit), batch)
    state, done, effects = begin(model, batch.tokens), 0, []
    for stage in boundaries(model):
        before, state = state[STREAM], run_stages(model, state, edit, first=done, last=stage)
        mine = part(before, state[STREAM])
        mixed = {**state, STREAM: state[STREAM] + (mine[partners(len(batch))] - mine)}
        logits = forward(model, batch.tokens, edit, batch.positions, mixed, stage)[:, 0]
        effects.append(first_answer_difference(logits, batch) - unchanged)
        done = stage
    return torch.stack(effects)


def boundaries(model: CircuitModel) -> list[int]:
    """The first stage after each block except the last."""
    last = {site.layer: site.stage for site in model.sites}
    return [last[layer] + 1 for layer in sorted(last)[:-1]]
