"""Turns the pairs of a task into token tensors, and rejects pairs that a tokenizer breaks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle, islice, zip_longest
from random import Random

import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from benchmark.tasks import Form, PromptPair, Split, Task

MAX_TOKENS = 64
"""Length of the longest prompt of any task, tokens."""

REMEDY = (
    "if the tokenizer is trained on the corpus, more text like it (such as the source idioms) or a larger "
    "corpus.vocabulary"
)
"""What helps if a tokenizer breaks the words of a task."""

LINE_END = "\n"

ATTEMPTS = 2000
"""How often a pair is drawn before giving up."""

NAMED = 10
"""Most listed pairs that a message names."""


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
    random, first = Random(f"{task.name}/{split}/{seed}"), [] if beginning is None else [beginning]
    if task.listed(split) is None:
        for answer in task.answers:
            _one_token(task, tokenizer, answer)
        encoded = _pairs(task, tokenizer, split, random, max_tokens - len(first))
    else:
        encoded = _listed_pairs(task, tokenizer, split, random, max_tokens - len(first))
    found = list(islice(encoded, pairs))
    if len(found) < pairs:
        raise ValueError(f"task {task.name!r} has {len(found)} {split} pairs; {pairs} are asked for")
    rows = [[*first, *ids] for pair, _, _ in found for ids in pair]
    answers = torch.tensor([answers for _, answers, _ in found], dtype=torch.int64).reshape(-1, 2)
    tokens = torch.zeros(len(rows), max(map(len, rows), default=0), dtype=torch.int64)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    last = torch.tensor([len(ids) - 1 for ids in rows], dtype=torch.int64)
    names = tuple(dict.fromkeys(form for _, _, form in found)) or ("",)
    form = torch.tensor([names.index(form) for _, _, form in found], dtype=torch.int64).repeat_interleave(2)
    return PromptBatch(tokens, last, answers.reshape(-1), answers.flip(1).reshape(-1), names, form)


def _pairs(
    task: Task, tokenizer: Tokenizer, split: Split, random: Random, max_tokens: int
) -> Iterator[tuple[list[list[int]], list[int], str]]:
    """Token ids of prompts and answers, and the form, of valid pairs: forms in turn, no pair twice or turned round."""
    turns: list[Form | None] = list(task.forms_of(split)) if task.make is None else [None]
    random.shuffle(turns)
    seen: set[frozenset[str]] = set()
    for form in cycle(turns):
        for _ in range(ATTEMPTS):
            pair = task.pair(random, split, form)
            first, second = (_ids(tokenizer, prompt) for prompt in pair.prompts)
            if frozenset(pair.prompts) not in seen and (task.length_is_cause or len(first) == len(second)):
                break
        else:
            posed = f" in form {pair.form!r}" * bool(pair.form)
            raise ValueError(
                f"task {task.name!r}{posed}: after {len(seen)} pairs no new one of equal length in {ATTEMPTS} "
                f"attempts, such as {pair.prompts[0]!r} and {pair.prompts[1]!r} ({len(first)} and {len(second)} "
                f"tokens); {REMEDY} helps where the tokenizer breaks words"
            )
        seen.add(frozenset(pair.prompts))
        yield [first, second], _checked_answers(task, tokenizer, pair, [first, second], max_tokens), pair.form


def _listed_pairs(
    task: Task, tokenizer: Tokenizer, split: Split, random: Random, max_tokens: int
) -> Iterator[tuple[list[list[int]], list[int], str]]:
    """The same of listed pairs, each form in an order drawn once, until no form has any left."""
    forms = random.sample(task.forms_of(split), len(task.forms_of(split)))
    orders = [random.sample(form.listed, len(form.listed)) for form in forms]
    for turn in zip_longest(*orders):
        for pair in (task.changed(split, each) for each in turn if each is not None):
            encoded = [_ids(tokenizer, prompt) for prompt in pair.prompts]
            yield encoded, _checked_answers(task, tokenizer, pair, encoded, max_tokens), pair.form


def check_listed(task: Task, tokenizer: Tokenizer, max_tokens: int = MAX_TOKENS) -> None:
    """Check every listed pair of a task, whether it will be drawn or not; tasks without listed pairs pass.

    Raises:
        ValueError: What is wrong with the first pair that does not fit the tokenizer, and the places of all others.
    """
    flaws: dict[str, str] = {}
    pairs = [pair for form in task.all_forms for pair in form.listed]
    for pair in pairs:
        try:
            _checked_answers(task, tokenizer, pair, [_ids(tokenizer, each) for each in pair.prompts], max_tokens)
        except ValueError as error:
            flaws[pair.where] = str(error)
    if flaws:
        named = ", ".join([*list(flaws)[:NAMED], *["…"] * (len(flaws) > NAMED)])
        rest = f" ({len(flaws)} of {len(pairs)} pairs do not fit the tokenizer: {named})" if len(flaws) > 1 else ""
        raise ValueError(next(iter(flaws.values())) + rest)


def _checked_answers(
    task: Task, tokenizer: Tokenizer, pair: PromptPair, encoded: list[list[int]], max_tokens: int
) -> list[int]:
    """The tokens of a pair's answers, after checking the pair."""
    first, second = encoded
    called = _called(task, pair)
    if len(first) != len(second) and not task.length_is_cause:
        raise ValueError(
            f"{called}: the prompts {pair.prompts[0]!r} and {pair.prompts[1]!r} have {len(first)} and {len(second)} "
            "tokens; they have equally many unless length_is_cause is set"
        )
    if first[-1] != second[-1]:
        ends = " and ".join(repr(tokenizer.decode([ids[-1]])) for ids in encoded)
        raise ValueError(f"{called}: the prompts of {pair.prompts!r} end in different tokens: {ends}")
    if (longest := max(len(first), len(second))) > max_tokens:
        prompt = pair.prompts[len(second) > len(first)]
        raise ValueError(
            f"{called}: the prompt {prompt!r} has {longest} tokens, more than {max_tokens} ({MAX_TOKENS}, or "
            f"corpus.context where that is less); {REMEDY} makes it shorter"
        )
    answers = [_one_token(task, tokenizer, answer, pair) for answer in pair.answers]
    for prompt, ids, text, answer, continuation in zip(
        pair.prompts, encoded, pair.answers, answers, pair.continuations, strict=True
    ):
        if _ids(tokenizer, prompt + text + continuation)[: len(ids) + 1] != [*ids, answer]:
            end = _pieces(tokenizer, _ids(tokenizer, prompt + text + continuation)[len(ids) - 1 :])
            raise ValueError(f"{called}: after the prompt {prompt!r} the answer {text!r} is not one token, but {end}")
    return answers


def _called(task: Task, pair: PromptPair | None = None) -> str:
    """How messages name a task, or a listed pair of it."""
    return f"task {task.name!r}" + (f", {pair.where}" if pair is not None and pair.where else "")


def _one_token(task: Task, tokenizer: Tokenizer, answer: str, pair: PromptPair | None = None) -> int:
    ids = _continuing(tokenizer, answer)
    if len(ids) != 1:
        raise ValueError(
            f"{_called(task, pair)}: the answer {answer!r} is {len(ids)} tokens ({_pieces(tokenizer, ids)}), not one; "
            f"{REMEDY} makes it one"
        )
    return ids[0]


def _pieces(tokenizer: Tokenizer, ids: list[int]) -> str:
    return ", ".join(repr(tokenizer.decode([token])) for token in ids)


def _continuing(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text that continues another, without the space that some tokenizers put first."""
    before = _ids(tokenizer, LINE_END)
    if len(before) == 1:
        return _ids(tokenizer, text)
    return _ids(tokenizer, LINE_END + text)[len(before) :]


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids
