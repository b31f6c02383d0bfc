"""The corpus of a run: that of the preset, with what the user changed and what the models of its methods need."""

from collections.abc import Collection, Mapping
from typing import Any

from benchmark.corpus import CorpusConfig, with_tokenizer
from benchmark.corpus.config import TRAINED
from benchmark.settings import validated


def corpus_of_run(
    table: Mapping[str, Any], chosen: Collection[str], needed: Mapping[str, Mapping[str, object]]
) -> CorpusConfig:
    """The settings of the corpus of a run.

    Args:
        table: The preset's settings, with the user's changes.
        chosen: The keys that the user changed.
        needed: The settings that the models of each method need (`Method.corpus`), by method.

    Raises:
        ValueError: In one line: two methods need different ones, the user set others, or the tokenizer is unusable.
    """
    joined, needed_by = dict(table), dict[str, str]()
    for method, settings in needed.items():
        for key, value in settings.items():
            if key not in CorpusConfig.model_fields:
                choices = ", ".join(CorpusConfig.model_fields)
                raise ValueError(f"method {method!r} needs corpus.{key}, which is unknown; choose from {choices}")
            if key == "context":
                continue
            if key in needed_by and joined[key] != value:
                raise ValueError(
                    f"{needed_by[key]} needs corpus.{key} = {joined[key]!r} and {method} needs {value!r}; run them one "
                    "after the other, each with an --out of its own"
                )
            if key in chosen and table[key] != value:
                raise ValueError(f"--set corpus.{key}={table[key]}: the models of {method} need {value!r}")
            joined[key], needed_by[key] = value, method
    joined |= _context(table, chosen, needed)
    if (tokenizer := joined.get("tokenizer", TRAINED)) != TRAINED:
        if "vocabulary" in chosen:
            raise ValueError(
                f"--set corpus.vocabulary={table['vocabulary']}: the vocabulary is that of tokenizer {tokenizer!r}; "
                "leave it out"
            )
        joined.pop("vocabulary", None)
    return with_tokenizer(validated(CorpusConfig, joined, "corpus"))


def _context(
    table: Mapping[str, Any], chosen: Collection[str], needed: Mapping[str, Mapping[str, object]]
) -> dict[str, object]:
    """The context, no longer than that of any model; empty if the one of the table fits."""
    most = {method: settings["context"] for method, settings in needed.items() if "context" in settings}
    context = table.get("context", CorpusConfig.model_fields["context"].default)
    for method, longest in most.items():
        if not isinstance(longest, int):
            raise ValueError(
                f"method {method!r} needs corpus.context = {longest!r}, which is not a number of positions"
            )
        if isinstance(context, int) and longest < context:
            if "context" in chosen:
                raise ValueError(f"--set corpus.context={context}: the models of {method} have {longest} positions")
            context = longest
    return {"context": context} if most else {}
