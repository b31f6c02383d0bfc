"""Turn the pairs of a task into token tensors, and refuse what a tokenizer breaks."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import NamedTuple

import torch
from jaxtyping import Int
from tokenizers import Tokenizer
from torch import Tensor

from benchmark.tasks import PromptPair, Split, Task

MAX_TOKENS = 64
"""The longest prompt of any task."""

REMEDY = "more text like it (such as the source idioms) or a larger corpus.vocabulary"
"""What helps where a tokenizer breaks the words of a task."""

ATTEMPTS = 2000
"""How often a pair is drawn again before it is said that none fits."""


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts of one task; rows 2i and 2i + 1 are a pair.

    Attributes:
        tokens: Token ids, padded on the right with 0.
        last: Position of each prompt's last token, after which the answer is asked for.
        answer: Token that follows.
        other: Token that follows the other prompt of the pair.
    """

    tokens: Int[Tensor, "prompt position"]
    last: Int[Tensor, " prompt"]
    answer: Int[Tensor, " prompt"]
    other: Int[Tensor, " prompt"]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def positions(self) -> Int[Tensor, "prompt 1"]:
        """Where logits are wanted, as `benchmark.model.interface.forward` takes it."""
        return self.last[:, None]

    @cached_property
    def pair(self) -> Int[Tensor, " prompt"]:
        """Number of each prompt's pair; pairs of the same two prompts share one, whichever prompt comes first."""
        rows = [tuple(row[: last + 1]) for row, last in zip(self.tokens.tolist(), self.last.tolist(), strict=True)]
        numbers: dict[frozenset[tuple[int, ...]], int] = {}
        pairs = [
            numbers.setdefault(frozenset(rows[first : first + 2]), len(numbers)) for first in range(0, len(rows), 2)
        ]
        return torch.tensor(pairs, dtype=torch.int64).repeat_interleave(2)

    @property
    def clusters(self) -> int:
        """How many of the pairs are distinct: the `n` of whatever is a mean over the prompts."""
        return len(self.pair.unique())

    def rows(self, index: Int[Tensor, " chosen"] | slice) -> "PromptBatch":
        """Some of the prompts."""
        return PromptBatch(self.tokens[index], self.last[index], self.answer[index], self.other[index])


@dataclass(frozen=True, eq=False)
class TaskPrompts:
    """The prompts of a task: masks are learned on `train`, cut on `validation`, reported on `test`."""

    train: PromptBatch
    validation: PromptBatch
    test: PromptBatch


class _Encoded(NamedTuple):
    prompts: tuple[list[int], list[int]]
    answers: tuple[int, ...]


def prompts(
    task: Task, tokenizer: Tokenizer, split: Split, pairs: int, seed: int, max_tokens: int = MAX_TOKENS
) -> PromptBatch:
    """The prompts of a task, the same for the same arguments.

    Pairs are drawn again until the two prompts are equally long (unless length is the cause) and new.

    Args:
        task: Any task.
        tokenizer: That of the corpus.
        split: `train`, `validation` or `test`.
        pairs: How many pairs.
        seed: Of the generator.
        max_tokens: The longest prompt allowed: 64, or the model's context if that is less.

    Raises:
        ValueError: An answer is not one token where it stands, the prompts of a pair end in different tokens, a prompt
            is too long, or the task cannot make so many pairs.
    """
    for answer in task.answers:
        _one_token(task, tokenizer, answer)
    found = _pairs(task, tokenizer, split, Random(f"{task.name}/{split}/{seed}"), max_tokens)
    return _batch([next(found) for _ in range(pairs)])


def _pairs(task: Task, tokenizer: Tokenizer, split: Split, random: Random, max_tokens: int) -> Iterator[_Encoded]:
    """Pairs that fit, none twice, whichever of its prompts comes first."""
    seen: set[frozenset[str]] = set()
    while True:
        for _ in range(ATTEMPTS):
            pair = task.pair(random, split)
            first, second = (_ids(tokenizer, prompt) for prompt in pair.prompts)
            if frozenset(pair.prompts) not in seen and (task.length_is_cause or len(first) == len(second)):
                break
        else:
            raise ValueError(
                f"task {task.name!r}: after {len(seen)} pairs no new one of equal length in {ATTEMPTS} attempts, "
                f"such as {pair.prompts[0]!r} and {pair.prompts[1]!r} ({len(first)} and {len(second)} tokens); "
                f"{REMEDY} helps where the tokenizer breaks words"
            )
        seen.add(frozenset(pair.prompts))
        yield _checked(task, tokenizer, pair, (first, second), max_tokens)


def _checked(
    task: Task, tokenizer: Tokenizer, pair: PromptPair, encoded: tuple[list[int], list[int]], max_tokens: int
) -> _Encoded:
    """The token ids of a pair's prompts and answers, if they are what a pair must be."""
    first, second = encoded
    if first[-1] != second[-1]:
        ends = " and ".join(repr(tokenizer.decode([ids[-1]])) for ids in encoded)
        raise ValueError(f"task {task.name!r}: the prompts of {pair.prompts!r} end in different tokens: {ends}")
    if (longest := max(len(first), len(second))) > max_tokens:
        prompt = pair.prompts[len(second) > len(first)]
        raise ValueError(
            f"task {task.name!r}: the prompt {prompt!r} has {longest} tokens, more than {max_tokens} ({MAX_TOKENS}, or "
            f"corpus.context where that is less); {REMEDY} makes it shorter"
        )
    answers = tuple(_one_token(task, tokenizer, answer) for answer in pair.answers)
    for prompt, ids, text, answer, continuation in zip(
        pair.prompts, encoded, pair.answers, answers, pair.continuations, strict=True
    ):
        if _ids(tokenizer, prompt + text + continuation)[: len(ids) + 1] != [*ids, answer]:
            end = _pieces(tokenizer, _ids(tokenizer, prompt + text + continuation)[len(ids) - 1 :])
            raise ValueError(
                f"task {task.name!r}: after the prompt {prompt!r} the answer {text!r} is not one token, but {end}"
            )
    return _Encoded(encoded, answers)


def _one_token(task: Task, tokenizer: Tokenizer, answer: str) -> int:
    ids = _ids(tokenizer, answer)
    if len(ids) != 1:
        raise ValueError(
            f"task {task.name!r}: the answer {answer!r} is {len(ids)} tokens ({_pieces(tokenizer, ids)}), not one; "
            f"{REMEDY} makes it one"
        )
    return ids[0]


def _pieces(tokenizer: Tokenizer, ids: list[int]) -> str:
    return ", ".join(repr(tokenizer.decode([token])) for token in ids)


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _batch(encoded: list[_Encoded]) -> PromptBatch:
    """Right-padded tensors."""
    rows = [ids for pair in encoded for ids in pair.prompts]
    answers = torch.tensor([pair.answers for pair in encoded], dtype=torch.int64).reshape(-1, 2)
    tokens = torch.zeros(len(rows), max(map(len, rows), default=0), dtype=torch.int64)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    last = torch.tensor([len(ids) - 1 for ids in rows], dtype=torch.int64)
    return PromptBatch(tokens, last, answers.reshape(-1), answers.flip(1).reshape(-1))
