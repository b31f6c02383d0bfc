"""Turns the pairs of a task into token tensors."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmark.tasks import Split, Task
from benchmark.tasks.encoding import MAX_TOKENS, encoded_pairs


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts of one task; rows 2i and 2i + 1 are a pair."""

    tokens: Int[Tensor, "prompt position"]
    """Token ids, padded on the right with 0, which may be the id of a token: see `real`."""
    last: Int[Tensor, " prompt"]
    """Position of each prompt's last token, where the answer is read."""
    answer: Int[Tensor, " prompt"]
    """The token that answers each prompt."""
    other: Int[Tensor, " prompt"]
    """The token that answers the other prompt of the pair."""
    forms: tuple[str, ...] = ("",)
    """Names of the forms of the prompts; a single empty name if there are no forms."""
    form: Int[Tensor, " prompt"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    """Index in `forms` of each prompt's form; the first for all if left out."""

    def __post_init__(self) -> None:
        if len(self.form) != len(self.tokens):
            assert not len(self.form), f"{len(self.form)} forms for {len(self.tokens)} prompts"
            object.__setattr__(self, "form", torch.zeros(len(self.tokens), dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def positions(self) -> Int[Tensor, "prompt 1"]:
        """The query positions for `benchmark.model.interface.forward`."""
        return self.last[:, None]

    @property
    def real(self) -> Bool[Tensor, "prompt position"]:
        """Where the prompts are, and not their padding."""
        return torch.arange(self.tokens.shape[1]) <= self.last[:, None]

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
        """Number of distinct pairs: the `n` of any mean over the prompts."""
        return len(self.pair.unique())

    def rows(self, index: Int[Tensor, " chosen"] | slice) -> "PromptBatch":
        """Some of the prompts."""
        tokens, last, answer, other, form = (
            each[index] for each in (self.tokens, self.last, self.answer, self.other, self.form)
        )
        return PromptBatch(tokens, last, answer, other, self.forms, form)


@dataclass(frozen=True, eq=False)
class TaskPrompts:
    """The prompts of a task: `train` to rank nodes, `validation` to choose the circuit's size, `test` to report."""

    train: PromptBatch
    validation: PromptBatch
    test: PromptBatch
    task: str = field(default="", kw_only=True)
    """Name of the task, by which a circuit that is known already is looked up."""

    @property
    def splits(self) -> dict[Split, PromptBatch]:
        """The prompts by split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def joined(first: PromptBatch, second: PromptBatch) -> PromptBatch:
    """The prompts of two batches, whose forms are different ones even if they have the same names."""
    tokens = pad_sequence([*first.tokens, *second.tokens], batch_first=True)
    last, answer, other, form = (
        torch.cat(parts)
        for parts in (
            (first.last, second.last),
            (first.answer, second.answer),
            (first.other, second.other),
            (first.form, second.form + len(first.forms)),
        )
    )
    return PromptBatch(tokens, last, answer, other, (*first.forms, *second.forms), form)


def prompts(
    task: Task,
    tokenizer: Tokenizer,
    split: Split,
    pairs: int,
    seed: int,
    max_tokens: int = MAX_TOKENS,
    beginning: int | None = None,
) -> PromptBatch:
    """The prompts of a task, the same for the same arguments.

    The forms of the split take turns, in an order drawn once, so that their numbers of pairs differ by at most one.
    Pairs are redrawn until the two prompts are equally long (unless length is the cause) and new. Of a task whose pairs
    are listed, each comes at most once; a form whose pairs have all been drawn misses its turn. The longest prompt
    allowed has 64 tokens, or the model's context if that is less. Each begins with the token `beginning`, if there is
    one.

    Raises:
        ValueError: An answer is not one token in its place, the prompts of a pair end in different tokens, a prompt is
            too long, or the task cannot generate that many pairs.
    """
    found = encoded_pairs(task, tokenizer, split, pairs, seed, max_tokens, beginning)
    rows = [ids for pair, _, _ in found for ids in pair]
    answers = torch.tensor([answers for _, answers, _ in found], dtype=torch.int64).reshape(-1, 2)
    tokens = torch.zeros(len(rows), max(map(len, rows), default=0), dtype=torch.int64)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    last = torch.tensor([len(ids) - 1 for ids in rows], dtype=torch.int64)
    names = tuple(dict.fromkeys(form for _, _, form in found)) or ("",)
    form = torch.tensor([names.index(form) for _, _, form in found], dtype=torch.int64).repeat_interleave(2)
    return PromptBatch(tokens, last, answers.reshape(-1), answers.flip(1).reshape(-1), names, form)
