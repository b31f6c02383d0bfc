"""How the prompts of a run's tasks are drawn, and which tasks a given tokenizer breaks. Imports no torch."""

import re

from tokenizers import Tokenizer

from benchmark.corpus.config import SPLITS, TRAINED, Split
from benchmark.corpus.given_tokenizer import read_given, tokenizer_file
from benchmark.discovery.settings import CircuitConfig
from benchmark.running.config import RunConfig
from benchmark.seeds import seed_of
from benchmark.tasks import Task, posed
from benchmark.tasks.encoding import MAX_TOKENS, REMEDY, check_listed, encoded_pairs

FOR_TRAINED = re.compile(rf"; {re.escape(REMEDY)} (makes \w+ \w+|helps where the tokenizer breaks words)")
"""The part of a message that is about tokenizers that are trained on the corpus."""


def in_forms(known: Task, config: CircuitConfig) -> Task:
    """A task in the forms that count, one of them held out for testing if the settings say so."""
    task = posed(known, config.forms)
    return task.holding_out(config.held_out) if config.held_out else task


def drawing(task: Task, split: Split, config: CircuitConfig, context: int, seed: int) -> tuple[int, int, int]:
    """How the prompts of a split are drawn: the number of pairs, the seed, and the most tokens of a prompt."""
    return config.pairs[split], seed_of("prompts", task.name, split, seed), min(MAX_TOKENS, context)


def not_posed(run: RunConfig) -> dict[str, str]:
    """Why tasks of a run cannot be posed, in a line for each that a given tokenizer breaks, by task.

    The prompts are those of the first training seed. Nothing is known of a tokenizer that is trained on the corpus.
    """
    if run.corpus.tokenizer == TRAINED:
        return {}
    tokenizer = read_given(tokenizer_file(run.corpus.tokenizer)).tokenizer
    reasons = {name: _reason(in_forms(run.task(name), run.circuit), tokenizer, run) for name in run.tasks}
    return {name: reason for name, reason in reasons.items() if reason}


def _reason(task: Task, tokenizer: Tokenizer, run: RunConfig) -> str:
    """Why a task cannot be posed; empty if it can."""
    beginning = tokenizer.token_to_id(run.corpus.beginning) if run.corpus.begins else None
    context = run.corpus.context
    try:
        check_listed(task, tokenizer, min(MAX_TOKENS, context), beginning)
        for split in SPLITS:
            encoded_pairs(task, tokenizer, split, *drawing(task, split, run.circuit, context, run.seeds[0]), beginning)
    except ValueError as error:
        return FOR_TRAINED.sub("", str(error))
    return ""
