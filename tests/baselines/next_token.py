"""The loss of the next token over windows, as a batch of `CachedRun`."""

from benchmark.interventions.replacement import EvalBatch
from benchmark.model.interface import next_token_losses


def next_token_eval(tokens, targets):
    """Mean cross entropy of the next token over all positions of each window."""
    return EvalBatch(tokens, None, lambda logits, row: next_token_losses(logits, targets[row]).mean(1))
