"""Exports a trained transformer as a folder that stands alone: weights, config, tokenizer and model card."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from benchmark.corpus import Corpus, CorpusConfig
from benchmark.corpus.config import END_OF_TEXT, TRAINED
from benchmark.files import printable
from benchmark.methods import METHODS, TrainedArtifact
from benchmark.records.table import Record, printed

WEIGHTS = ("config.json", "model.safetensors")
"""The files that `sparse_model.transformer.load_transformer` reads."""

CIRCUIT_SCORES = ("nodes", "edges", "verified_edges", "faithfulness", "robust_faithfulness")
"""What the model card says of each circuit."""

STATUSES = {
    "not_generalised": "found, but above the target loss on test prompts",
    "one_seed": "measured on one training seed only",
    "unmatched": "of a model whose loss differs from that of the models it is compared with",
    "not_reached": "no circuit reaches the target loss",
    "not_certified": "not shown to be minimal within the budget",
    "unsolved": "the whole model does not solve the task",
    "undefined": "cannot be determined",
    "failed": "the computation failed",
}
"""What the statuses other than `ok` mean."""


def export(trained: TrainedArtifact, folder: Path) -> None:
    """Write `config.json`, `model.safetensors`, `tokenizer.json`, `tokenizer_config.json` and `README.md`.

    The first two are copies of what was trained, which `load_transformer` reads. The tokenizer is read by the libraries
    tokenizers and transformers.
    """
    corpus = Corpus.load(trained.inputs["corpus"])
    for name in WEIGHTS:
        shutil.copyfile(trained.folder / name, folder / name)
    shutil.copyfile(corpus.folder / "tokenizer.json", folder / "tokenizer.json")
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": corpus.config.context,
        "eos_token": corpus.config.end_of_text or END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        **({"bos_token": corpus.config.beginning} if corpus.config.begins else {}),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=1, sort_keys=True) + "\n", "utf-8")
    (folder / "README.md").write_text(model_card(trained, corpus.config), encoding="utf-8")


def model_card(trained: TrainedArtifact, corpus: CorpusConfig) -> str:
    """What the model is, what it was trained on, and its scores, with a note on each that is not sure."""
    method = METHODS.named(trained.method)
    preset = next((row.preset for row in trained.records if row.preset), "")
    lines = [
        "---",
        "library_name: sparse-circuit-bench",
        "tags: [mechanistic-interpretability, circuits]",
        "---",
        "",
        f"# {trained.method}, seed {trained.seed}",
        "",
        f"{method.summary} ({method.source})",
        "",
        "It was made by the benchmark sparse-circuit-bench to be taken apart, not to be used: it predicts the next",
        "token of its corpus and knows nothing else.",
        "",
        *_usage(corpus),
        "## Training",
        "",
        *_table(("", ""), _training(trained, corpus, preset)),
        "",
        "Every setting:",
        "",
        *_table(("setting", "value"), ((name, _value(value)) for name, value in sorted(trained.settings.items()))),
        "",
        *_scores(trained.records),
    ]
    return printable("\n".join(lines)) + "\n"


def _usage(corpus: CorpusConfig) -> Iterator[str]:
    begins = [f"ids.insert(0, tokenizer.token_to_id({json.dumps(corpus.beginning)}))"] if corpus.begins else []
    yield from (
        "## Use",
        "",
        "```python",
        "from pathlib import Path",
        "",
        "import torch",
        "from tokenizers import Tokenizer",
        "",
        "from sparse_model.transformer import load_transformer",
        "",
        'folder = Path(".")  # where this file is',
        "model = load_transformer(folder)",
        'tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))',
        'ids = tokenizer.encode("for i in range(", add_special_tokens=False).ids',
        *begins,
        "logits = model(torch.tensor([ids]))  # [1, position, token]",
        "```",
        "",
    )


def _training(trained: TrainedArtifact, corpus: CorpusConfig, preset: str) -> Iterator[tuple[str, str]]:
    shares = ", ".join(f"{share:.1%} {source}" for source, share in corpus.sources.items())
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(trained.libraries.items()))
    yield "corpus", f"{shares}; {corpus.tokens:,} tokens, seed {corpus.seed}"
    if corpus.tokenizer == TRAINED:
        yield "tokenizer", f"byte-level BPE of the corpus, at most {corpus.vocabulary:,} tokens"
    else:
        begins = f"; every text begins with {corpus.beginning}" if corpus.begins else ""
        yield "tokenizer", f"{PurePath(corpus.tokenizer).name}, {corpus.vocabulary:,} tokens{begins}"
    yield "context", f"{corpus.context} tokens"
    if "tokens" in trained.settings:
        yield "training tokens", f"{trained.settings['tokens']:,}"
    yield "seed", str(trained.seed)
    if preset:
        yield "preset", preset
    yield "code version", trained.code_version
    yield "libraries", libraries


def _scores(records: Sequence[Record]) -> Iterator[str]:
    """The tables of scores, and what the statuses in them mean."""
    whole = [row for row in records if not row.task and not row.concept]
    circuits = [row for row in records if row.task and not row.concept and row.metric in CIRCUIT_SCORES]
    if whole:
        yield from ("## Scores of the model", "")
        yield from _table(("metric", "value", "95 % interval", "unit", "note"), map(_of_model, whole))
        yield ""
    if circuits:
        yield from ("## Scores of its circuits", "")
        header = ("task", "graph", "metric", "value", "95 % interval", "ablation", "note")
        yield from _table(header, map(_of_circuit, circuits))
        yield ""
    used = [status for status in STATUSES if any(row.status == status for row in (*whole, *circuits))]
    if used:
        yield from ("Notes:", "")
        yield from (f"- `{status}`: {STATUSES[status]}." for status in used)


def _of_model(row: Record) -> tuple[str, ...]:
    return row.metric, printed(row.value), _interval(row), row.unit, _note(row)


def _of_circuit(row: Record) -> tuple[str, ...]:
    return row.task, row.graph, row.metric, printed(row.value), _interval(row), row.ablation, _note(row)


def _interval(row: Record) -> str:
    """The limits and what they are over; empty without an interval."""
    if row.low is None or row.high is None:
        return ""
    return f"{printed(row.low)} to {printed(row.high)} over {row.interval}"


def _note(row: Record) -> str:
    """The status and the reason of a value that is not sure, or of one that is missing."""
    return "" if row.status == "ok" else f"`{row.status}`: {row.reason}"


def _value(value: object) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping | list) else str(value)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table."""
    yield _row(header)
    yield _row(["---"] * len(header))
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
