"""Where a search from Python takes prompts, means and settings from: a finished run, a corpus, or preset quick."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from tokenizers import Tokenizer
from torch import Tensor

from benchmark.corpus import Corpus
from benchmark.corpus.sampling import spread_windows
from benchmark.discovery.arguments import check_kind, check_target
from benchmark.discovery.rankings import RANKINGS
from benchmark.discovery.search import Budget
from benchmark.discovery.settings import CircuitConfig
from benchmark.evaluate import measured_means
from benchmark.interventions.ablation import Means
from benchmark.interventions.ablations import ABLATIONS
from benchmark.model.interface import CircuitModel
from benchmark.running.circuit_inputs import drawn_prompts
from benchmark.running.config import ProfileConfig, load_preset
from benchmark.running.finished import FinishedRun, open_run
from benchmark.seeds import LARGEST_SEED
from benchmark.settings import Checked, validated
from benchmark.tasks import Task
from benchmark.tasks.encoding import MAX_TOKENS
from benchmark.tasks.prompts import TaskPrompts

PRESET = "quick"
"""The preset whose settings are used without a run."""

Windows = Int[Tensor, "window position"]


@dataclass(frozen=True, eq=False)
class Source:
    """Where prompts, means and windows come from.

    Attributes:
        run: A finished run, if there is one.
        corpus: The corpus of the model, that of the run if there is one.
        tokenizer: The tokenizer of a model without a corpus.
        beginning: Token that every prompt begins with, if the model of the tokenizer expects one.
        windows: Text for a model without a corpus, token ids `[window, position]`; preferred to that of the corpus.
    """

    run: FinishedRun | None
    corpus: Corpus | None
    tokenizer: Tokenizer | None
    windows: Windows | None
    beginning: int | None = None

    @classmethod
    def of(
        cls,
        run: FinishedRun | str | Path | None,
        corpus: Corpus | None,
        tokenizer: Any = None,
        windows: Windows | None = None,
        beginning: int | None = None,
    ) -> "Source":
        """The source of what is given; `ValueError` if two things name a tokenizer, or something is of another kind."""
        given = {"run": run, "corpus": corpus, "tokenizer": tokenizer}
        several = [name for name, value in given.items() if value is not None]
        if len(several) > 1:
            raise ValueError(f"{' and '.join(several)} are given; give one of them")
        opened = open_run(run) if isinstance(run, str | Path) else run
        if opened is not None:
            check_kind("run", opened, FinishedRun, "the folder of a run, or what benchmark.open_run returns")
        if corpus is not None:
            check_kind("corpus", corpus, Corpus, "a Corpus, such as benchmark.open_run(…).corpus")
        if windows is not None:
            _check_windows(windows)
        of_model = opened.corpus if opened is not None else corpus
        found = _tokenizer(tokenizer)
        if beginning is not None:
            _check_beginning(beginning, found)
        return cls(opened, of_model, found, windows, beginning)

    def prompts(self, task: Task, config: CircuitConfig, seed: int) -> TaskPrompts:
        """The prompts of a task, for the tokenizer of the model."""
        if self.corpus is not None:
            known = self.corpus
            return drawn_prompts(task, known.tokenizer, known.config.context, config, seed, known.beginning)
        if self.tokenizer is None:
            raise ValueError(f"task {task.name!r} needs a tokenizer for its prompts: give run, corpus or tokenizer")
        return drawn_prompts(task, self.tokenizer, MAX_TOKENS, config, seed, self.beginning)

    def means(self, model: CircuitModel, given: Means | None) -> tuple[Means, Mapping[str, Tensor]]:
        """The given means; otherwise those over windows, and the means by position."""
        if given is not None:
            return given, {}
        if self.windows is not None:
            return measured_means(model, self.windows)
        if self.corpus is None:
            raise ValueError(
                "means are not given, and there is no text to measure them on: give run, corpus or windows"
            )
        profile = self.run.profile if self.run else preset_settings("profile", ProfileConfig)
        return measured_means(model, spread_windows(self.corpus, "train", profile.mean_tokens)[0])

    def edge_windows(self, config: CircuitConfig) -> Windows:
        """Windows over which what flows along edges is averaged; none without text."""
        if self.windows is not None:
            return self.windows[: max(1, config.edge_tokens // self.windows.shape[1])]
        if self.corpus is None:
            return torch.zeros(0, 0, dtype=torch.int64)
        return spread_windows(self.corpus, "train", config.edge_tokens)[0]


def circuit_config(
    run: FinishedRun | None, target: float | None, ranking: str | None, ablation: str | None, budget: Budget | None
) -> CircuitConfig:
    """The settings of a run or of preset quick, in which all forms of a task count, with what is given instead."""
    base = run.circuit if run else preset_settings("circuit", CircuitConfig).model_copy(update={"forms": {}})
    changes: dict[str, Any] = {}
    if target is not None:
        check_target(target)
        changes["target_loss"] = float(target)
    if ranking is not None:
        RANKINGS.named(ranking)
        changes["ranking"] = ranking
    if ablation is not None:
        ABLATIONS.named(ablation)
        changes["ablation"] = ablation
    if budget is not None:
        check_kind("budget", budget, Budget, "a Budget")
        renamed = {"tokens": "budget_tokens", "margin": "search_margin"}
        changes |= {renamed.get(name, name): value for name, value in asdict(budget).items()}
    return validated(CircuitConfig, {**base.model_dump(), **changes}, "find_circuit")


def preset_settings(section: str, model: type[Checked]) -> Checked:
    """The settings of a section in preset quick."""
    return validated(model, load_preset(PRESET).tables.get(section, {}), section)


def check_seed(seed: object) -> None:
    """`ValueError` unless it is a seed."""
    if not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"seed must be a whole number from 0 to {LARGEST_SEED}, got {seed!r:.60}")


def _tokenizer(given: Any) -> Tokenizer | None:
    """A tokenizer, taken out of that of another library if need be."""
    found: Tokenizer | None = getattr(given, "backend_tokenizer", given)
    if found is not None:
        check_kind("tokenizer", found, Tokenizer, "a tokenizers.Tokenizer or a fast tokenizer of transformers")
    return found


def _check_beginning(beginning: object, tokenizer: Tokenizer | None) -> None:
    """`ValueError` unless it is a token of the given tokenizer."""
    if tokenizer is None:
        raise ValueError("beginning goes with tokenizer; a run or a corpus has its own")
    size = tokenizer.get_vocab_size()
    if not isinstance(beginning, int) or not 0 <= beginning < size:
        raise ValueError(f"beginning must be a token id from 0 to {size - 1}, got {beginning!r:.60}")


def _check_windows(windows: object) -> None:
    """`ValueError` unless they are token ids `[window, position]`, at least one."""
    shaped = isinstance(windows, Tensor) and windows.dim() == 2 and windows.numel() and not windows.is_floating_point()
    if not shaped:
        shown = f"{windows.dtype} of shape {list(windows.shape)}" if isinstance(windows, Tensor) else f"{windows!r:.60}"
        raise ValueError(f"windows must be a tensor of token ids of shape [window, position], got {shown}")
