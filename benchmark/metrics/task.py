"""Metrics of one task: what a model's last-position logits say about an answer and its alternative."""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from benchmark.metrics.arrays import Array, double, exact, mean


def logit_difference(
    logits: Float[Array, "prompt vocab"], answer: Int[Array, " prompt"], other: Int[Array, " prompt"]
) -> Float[NDArray[np.float64], " prompt"]:
    """Logit of the answer less that of the alternative, a prompt.

    Args:
        logits: At the last position of each prompt.
        answer: Token id of the right answer.
        other: Token id of the alternative.
    """
    rows, scores = np.arange(len(logits)), exact(logits)
    return double(scores[rows, exact(answer)]) - double(scores[rows, exact(other)])


def prompt_losses(
    logits: Float[Array, "prompt vocab"], answer: Int[Array, " prompt"], other: Int[Array, " prompt"]
) -> Float[NDArray[np.float64], " prompt"]:
    """Cross entropy of the softmax over {answer, alternative}, a prompt, in nats; chance is ln 2."""
    return _softplus(-logit_difference(logits, answer, other))


def task_loss(
    logits: Float[Array, "prompt vocab"], answer: Int[Array, " prompt"], other: Int[Array, " prompt"]
) -> float:
    """Two-way cross entropy of a task, Gao et al. 2025 (arXiv 2511.13653) section 2.2.

    Args:
        logits: At the last position of each prompt.
        answer: Token id of the right answer.
        other: Token id of the alternative.

    Returns:
        Mean over prompts in nats, from 0, lower is better; chance is ln 2; `nan` without prompts.
    """
    return mean(prompt_losses(logits, answer, other))


def prompt_kls(
    reference: Float[Array, "prompt vocab"],
    logits: Float[Array, "prompt vocab"],
    answer: Int[Array, " prompt"],
    other: Int[Array, " prompt"],
) -> Float[NDArray[np.float64], " prompt"]:
    """KL(reference || logits) of the two-way distributions over {answer, alternative}, a prompt, in nats."""
    known, found = logit_difference(reference, answer, other), logit_difference(logits, answer, other)
    right = np.exp(-_softplus(-known)) * (_softplus(-found) - _softplus(-known))
    wrong = np.exp(-_softplus(known)) * (_softplus(found) - _softplus(known))
    return np.maximum(right + wrong, 0)  # rounding can leave a hair below zero


def pair_kl(
    reference: Float[Array, "prompt vocab"],
    logits: Float[Array, "prompt vocab"],
    answer: Int[Array, " prompt"],
    other: Int[Array, " prompt"],
) -> float:
    """How far a model's choice between answer and alternative is from that of the model it explains.

    Args:
        reference: Last-position logits of the model that is explained.
        logits: Those of the circuit.
        answer: Token id of the right answer.
        other: Token id of the alternative.

    Returns:
        Mean KL(reference || logits) over prompts in nats, from 0, lower is closer; `nan` without prompts.
    """
    return mean(prompt_kls(reference, logits, answer, other))


def _softplus(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(1 + e^x), without overflow."""
    result: NDArray[np.float64] = np.logaddexp(0.0, values)
    return result
