"""Metrics of one task: a model's preference, in its last-position logits, for an answer over its alternative."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from benchmark.metrics.arrays import Array, checked, mean, token_of


def logit_difference(logits: Array, answer: Array, other: Array) -> Float[NDArray[np.float64], " prompt"]:
    """Logit of the answer minus that of the alternative, per prompt.

    Args:
        logits: `[prompt, vocab]`, at the last position of each prompt.
        answer: `[prompt]`, token id of the right answer.
        other: `[prompt]`, token id of the alternative.
    """
    return _logit_differences(answer, other, logits=logits)[0]


def _logit_differences(
    answer: Array, other: Array, **logits: Array
) -> tuple[Float[NDArray[np.float64], " prompt"], ...]:
    """The logit difference of each of several logits of the same prompts and vocabulary."""
    known = checked(**{name: (values, "prompt vocab") for name, values in logits.items()})
    for name, values in zip(logits, known, strict=True):
        if not values.shape[1]:
            raise ValueError(f"{name} must have logits of at least one token, got shape {list(values.shape)}")
    prompts, token = str(len(known[0])), token_of(known[0].shape[1])
    right, wrong = checked(answer=(answer, prompts, token), other=(other, prompts, token))
    rows, (right, wrong) = np.arange(len(right)), (each.astype(np.intp) for each in (right, wrong))
    return tuple(each[rows, right].astype(np.float64) - each[rows, wrong].astype(np.float64) for each in known)


def prompt_losses(logits: Array, answer: Array, other: Array) -> Float[NDArray[np.float64], " prompt"]:
    """Cross entropy of the softmax over {answer, alternative}, per prompt, in nats; chance is ln 2."""
    return _softplus(-logit_difference(logits, answer, other))


def task_loss(logits: Array, answer: Array, other: Array) -> float:
    """Two-way cross entropy of a task, Gao et al. 2025 (arXiv 2511.13653) section 2.2.

    Args:
        logits: `[prompt, vocab]`, at the last position of each prompt.
        answer: `[prompt]`, token id of the right answer.
        other: `[prompt]`, token id of the alternative.

    Returns:
        Mean over prompts in nats, from 0, lower is better; chance is ln 2; `nan` without prompts.
    """
    return mean(prompt_losses(logits, answer, other))


def prompt_kls(reference: Array, logits: Array, answer: Array, other: Array) -> Float[NDArray[np.float64], " prompt"]:
    """KL(reference || logits) of the two-way distributions over {answer, alternative}, per prompt, in nats."""
    known, found = _logit_differences(answer, other, reference=reference, logits=logits)
    right = np.exp(-_softplus(-known)) * (_softplus(-found) - _softplus(-known))
    wrong = np.exp(-_softplus(known)) * (_softplus(found) - _softplus(known))
    return np.maximum(right + wrong, 0)  # rounding can give a value just below zero


def pair_kl(reference: Array, logits: Array, answer: Array, other: Array) -> float:
    """Divergence of a model's choice between answer and alternative from that of the reference model.

    Args:
        reference: `[prompt, vocab]`, last-position logits of the reference model.
        logits: `[prompt, vocab]`, those of the circuit.
        answer: `[prompt]`, token id of the right answer.
        other: `[prompt]`, token id of the alternative.

    Returns:
        Mean KL(reference || logits) over prompts in nats, from 0, lower is closer; `nan` without prompts.
    """
    return mean(prompt_kls(reference, logits, answer, other))


def _softplus(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(1 + e^x), without overflow."""
    result: NDArray[np.float64] = np.logaddexp(0.0, values)
    return result
