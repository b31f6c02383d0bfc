"""Turns the pairs of a task into token ids, and rejects those that a tokenizer breaks. Imports no torch."""

from collections.abc import Iterator
from itertools import cycle, islice, zip_longest
from random import Random

from tokenizers import Tokenizer

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

EncodedPair = tuple[list[list[int]], list[int], str]
"""Token ids of the two prompts of a pair, the tokens of their answers, and the name of the pair's form."""


def encoded_pairs(
    task: Task,
    tokenizer: Tokenizer,
    split: Split,
    pairs: int,
    seed: int,
    max_tokens: int = MAX_TOKENS,
    beginning: int | None = None,
) -> list[EncodedPair]:
    """The pairs that `benchmark.tasks.prompts.prompts` makes tensors of; arguments and errors are the same."""
    random, first = Random(f"{task.name}/{split}/{seed}"), [] if beginning is None else [beginning]
    if task.listed(split) is None:
        _check_answers(task, tokenizer)
        encoded = _pairs(task, tokenizer, split, random, max_tokens - len(first))
    else:
        encoded = _listed_pairs(task, tokenizer, split, random, max_tokens - len(first))
    found = [([[*first, *ids] for ids in pair], answers, form) for pair, answers, form in islice(encoded, pairs)]
    if len(found) < pairs:
        raise ValueError(f"task {task.name!r} has {len(found)} {split} pairs; {pairs} are asked for")
    return found


def _pairs(task: Task, tokenizer: Tokenizer, split: Split, random: Random, max_tokens: int) -> Iterator[EncodedPair]:
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
) -> Iterator[EncodedPair]:
    """The same of listed pairs, each form in an order drawn once, until no form has any left."""
    forms = random.sample(task.forms_of(split), len(task.forms_of(split)))
    orders = [random.sample(form.listed, len(form.listed)) for form in forms]
    for turn in zip_longest(*orders):
        for pair in (task.changed(split, each) for each in turn if each is not None):
            encoded = [_ids(tokenizer, prompt) for prompt in pair.prompts]
            yield encoded, _checked_answers(task, tokenizer, pair, encoded, max_tokens), pair.form


def check_listed(task: Task, tokenizer: Tokenizer, max_tokens: int = MAX_TOKENS, beginning: int | None = None) -> None:
    """Check every listed pair of a task, whether it will be drawn or not; tasks without listed pairs pass.

    The longest prompt and the first token are limited and given as for `encoded_pairs`.

    Raises:
        ValueError: What is wrong with the first pair that does not fit the tokenizer, and the places of all others.
    """
    flaws: dict[str, str] = {}
    longest = max_tokens - (beginning is not None)
    pairs = [pair for form in task.all_forms for pair in form.listed]
    for pair in pairs:
        try:
            _checked_answers(task, tokenizer, pair, [_ids(tokenizer, each) for each in pair.prompts], longest)
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


def _check_answers(task: Task, tokenizer: Tokenizer) -> None:
    """`ValueError` with all answers of a task that are not one token."""
    encoded = {answer: _continuing(tokenizer, answer) for answer in task.answers}
    if broken := {answer: ids for answer, ids in encoded.items() if len(ids) != 1}:
        raise ValueError(_not_one_token(_called(task), tokenizer, broken))


def _one_token(task: Task, tokenizer: Tokenizer, answer: str, pair: PromptPair) -> int:
    ids = _continuing(tokenizer, answer)
    if len(ids) != 1:
        raise ValueError(_not_one_token(_called(task, pair), tokenizer, {answer: ids}))
    return ids[0]


def _not_one_token(called: str, tokenizer: Tokenizer, broken: dict[str, list[int]]) -> str:
    """The message about answers that are not one token, with the tokens that they are."""
    (answer, ids), *others = broken.items()
    also = "".join(f", nor is {other!r} ({_pieces(tokenizer, parts)})" for other, parts in others)
    return (
        f"{called}: the answer {answer!r} is {len(ids)} tokens ({_pieces(tokenizer, ids)}), not one{also}; "
        f"{REMEDY} makes {'them' if others else 'it'} one"
    )


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
