"""A finished run: its settings, its records, and the trained models and corpus behind them."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.methods import METHODS
from benchmark.records.table import RECORDS, Record
from benchmark.running.config import ProfileConfig, with_needed
from benchmark.running.experiment import RUN, Experiment, changes_from_preset, read_experiment, records_in
from benchmark.running.models import load_native, load_variant
from benchmark.running.opening import open_model
from benchmark.running.store import ArtifactError, MissingArtifactError, Store
from benchmark.settings import Checked, validated

if TYPE_CHECKING:
    from benchmark.corpus import Corpus
    from benchmark.discovery.settings import CircuitConfig
    from benchmark.leaderboard.display import Leaderboard
    from benchmark.leaderboard.ranking import Board, Rules
    from benchmark.model.interface import CircuitModel
    from benchmark.validity.settings import ValidityConfig


@dataclass(frozen=True, eq=False, repr=False)
class FinishedRun:
    """A run whose tables are in a folder and whose artifacts are in a store; `open_run` opens it.

    Attributes:
        folder: The folder of the tables.
        experiment: Its settings.
        records: What it measured.
        store: Where its artifacts are.
    """

    folder: Path
    experiment: Experiment
    records: Sequence[Record]
    store: Store

    def __repr__(self) -> str:
        seeds = sorted({row.seed for row in self.records if row.seed is not None})
        methods = ", ".join(dict.fromkeys(row.method for row in self.records))
        return f"FinishedRun({str(self.folder)!r}: preset {self.experiment.preset}, {methods}, seeds {seeds})"

    def load_model(self, method: str, *, seed: int = 0, variant: str | None = None) -> "CircuitModel":
        """A trained model of the run, ready to be recorded and edited.

        Args:
            method: Name of the method.
            seed: Its training seed.
            variant: How to read its artifact; the first variant if left out.

        Raises:
            ValueError: In one line, if the run has no such method or seed, or the store lacks an artifact.
            CorruptArtifactError: A file of an artifact is missing, changed or unexpected.
        """
        inputs = self.inputs(method, seed)
        names = [each.name for each in METHODS.named(method).variants]
        if variant not in (None, *names):
            raise ValueError(f"variant of {method} must be {' or '.join(names)}, got {variant!r:.60}")
        return load_variant(method, variant or names[0], inputs)

    def load_reference(self, method: str, *, seed: int = 0) -> "CircuitModel":
        """The reference model of a method's circuits: the one that it explains, or its own.

        Takes and raises the same as `load_model`.
        """
        explained = METHODS.named(method).explains
        return load_native(explained or method, self.inputs(method, seed))

    def inputs(self, method: str, seed: int) -> Mapping[str, Path]:
        """The folders of the corpus and of the artifacts of a method and all that it depends on, by role.

        Raises:
            ValueError: As `load_model`.
        """
        wanted = ("corpus", *with_needed(method))
        missing: ArtifactError | None = None
        for needs in self._needs(method, seed):
            try:
                return {role: self.store.artifact(needs[role]) for role in wanted}
            except MissingArtifactError as error:
                missing = error
        raise ValueError(self._why_missing(method, seed, missing))

    @cached_property
    def corpus(self) -> "Corpus":
        """The corpus of the run.

        Raises:
            ValueError: In one line, if the store does not have it.
        """
        from benchmark.corpus import Corpus

        try:
            return Corpus.load(self.store.artifact(self.experiment.corpus))
        except MissingArtifactError as error:
            row = self.records[0]
            again = self.command(row.method, row.seed or 0)
            raise ValueError(f"the corpus of the run is missing: {error}; `{again}` makes it again") from None

    @property
    def circuit(self) -> "CircuitConfig":
        """How its circuits were discovered and scored."""
        from benchmark.discovery.settings import CircuitConfig

        return self._settings("circuit", CircuitConfig)

    @property
    def profile(self) -> ProfileConfig:
        """How the means of its nodes were computed."""
        return self._settings("profile", ProfileConfig)

    @property
    def validity(self) -> "ValidityConfig":
        """Its settings of feature validity."""
        from benchmark.validity.settings import ValidityConfig

        return self._settings("validity", ValidityConfig)

    def command(self, method: str, seed: int) -> str:
        """The command that computes again what the store lacks of a method and a seed."""
        changes = [part for change in changes_from_preset(self.experiment, method) for part in ("--set", change)]
        folders = ["--out", str(self.folder), "--store", str(self.store.root)]
        names = self.experiment.tables[RECORDS].tasks if RECORDS in self.experiment.tables else ()
        files = self.experiment.task_files
        tasks = dict.fromkeys(f"file:{files[name]}" if name in files else name for name in names)
        named = ["--preset", self.experiment.preset, "--method", method, "--seeds", str(seed)]
        return shlex.join(["bench", "run", *named, *(["--tasks", ",".join(tasks)] * bool(tasks)), *changes, *folders])

    def _settings(self, section: str, model: type[Checked]) -> Checked:
        return validated(model, self.experiment.settings.get(section, {}), f"{self.folder / RUN}: {section}")

    def seeds(self, method: str) -> list[int]:
        """The training seeds of a method in the run, of one too that was only trained for others.

        Raises:
            ValueError: The method is not in the run; with the choices.
        """
        return _seeds(self._rows_of(method))

    def _needs(self, method: str, seed: int) -> Iterator[Mapping[str, str]]:
        """The keys of what cells of the method and seed needed, by role, of those cells that the store has."""
        beginnings = dict.fromkeys(row.config_hash for row in self._rows(method, seed) if row.config_hash)
        for key in (key for beginning in beginnings for key in self.store.keys_of([beginning])):
            manifest = self.store.manifest(key)
            if manifest.params.get("seed") == seed and {"corpus", method} <= manifest.needs.keys():
                yield manifest.needs

    def _rows(self, method: str, seed: int) -> list[Record]:
        """The rows whose cells needed the artifact of a method and a seed, its own rows first.

        Raises:
            ValueError: There are none.
        """
        rows = self._rows_of(method)
        if seed not in (seeds := _seeds(rows)):
            choices = ", ".join(map(str, seeds))
            folder = str(self.folder)
            raise ValueError(
                f"seed {seed!r:.60} of {method} is not in the run in folder {folder!r}; choose from {choices}"
            )
        return sorted((row for row in rows if row.seed == seed), key=lambda row: row.method != method)

    def _rows_of(self, method: str) -> list[Record]:
        """The rows whose cells needed what a method has trained.

        Raises:
            ValueError: There are none; with the choices.
        """
        METHODS.named(method)
        trained = {name: [*_needed(name)] for name in dict.fromkeys(row.method for row in self.records)}
        rows = [row for row in self.records if method in trained[row.method]]
        if not rows:
            choices = ", ".join(dict.fromkeys(name for names in trained.values() for name in names))
            raise ValueError(
                f"method {method!r} is not in the run in folder {str(self.folder)!r}; choose from {choices}"
            )
        return rows

    def _why_missing(self, method: str, seed: int, missing: ArtifactError | None) -> str:
        rows = self._rows(method, seed)
        failed = [row.reason for row in rows if row.status == "failed"]
        again = f"`{self.command(method, seed)}` makes it again"
        if len(failed) == len(rows):
            return f"{method}, seed {seed}, was not trained: {failed[0]}; {again}"
        why = missing or f"store {str(self.store.root)!r} has none of its artifacts"
        return f"{method}, seed {seed}: {why}; {again}"


def _seeds(rows: Iterable[Record]) -> list[int]:
    return sorted({row.seed for row in rows if row.seed is not None})


def open_run(folder: str | Path = "results", store: str | Path = "store") -> FinishedRun:
    """Open a finished run, to load its models and to search for circuits with its settings.

    Args:
        folder: The folder of its tables, the `--out` of `bench run`.
        store: The folder of its artifacts, the `--store` of `bench run`.

    Raises:
        ValueError: In one line, if there is no run in the folder.
    """
    out, place = _folder("folder", folder), _folder("store", store)
    experiment = read_experiment(out)
    if experiment is None:
        what = f"folder {str(out)!r} has no {RUN}" if out.is_dir() else f"there is no folder {str(out)!r}"
        raise ValueError(f"{what}, so there is no run to open; `bench run --out {shlex.quote(str(out))}` makes one")
    return FinishedRun(out, experiment, records_in(out), Store(place))


def load_model(
    folder: str | Path,
    method: str | None = None,
    *,
    seed: int = 0,
    variant: str | None = None,
    store: str | Path = "store",
) -> "CircuitModel":
    """Load a trained model of a finished run, or the model in a folder of its own, ready to be recorded and edited.

    Args:
        folder: The folder of the run's tables, such as `results`; or that of a model that was released with a paper.
        method: Name of the method; for a run alone.
        seed: Training seed.
        variant: How to read its artifact; the first variant if left out.
        store: The folder of the run's artifacts.

    Raises:
        ValueError: In one line, if the folder has no run and no model, the run no such method or seed, or the store no
            such artifact.
        CorruptArtifactError: A file of an artifact is missing, changed or unexpected.
    """
    if method is None and (_folder("folder", folder).is_dir() and not (Path(folder) / RUN).exists()):
        return open_model(Path(folder))
    run = open_run(folder, store)
    if method is None:
        choices = ", ".join(dict.fromkeys(row.method for row in run.records))
        raise ValueError(f"method must be named, since {str(run.folder)!r} has a run; choose from {choices}")
    return run.load_model(method, seed=seed, variant=variant)


def load_leaderboard(folder: str | Path = "results") -> "Leaderboard":
    """The leaderboard of the records in a folder, with intervals; `to_frame` gives it as a `pandas.DataFrame`.

    Args:
        folder: The folder of the tables of a run.

    Raises:
        ValueError: In one line, if there are no records, or they cannot be read.
    """
    from benchmark.leaderboard.display import Leaderboard
    from benchmark.leaderboard.ranking import leaderboard

    return Leaderboard(tuple(leaderboard(*ranked_records(_folder("folder", folder)))))


def ranked_records(out: Path) -> "tuple[list[Record], dict[str, Rules]]":
    """All records of a folder, and the rules by which each preset in them is ranked.

    The rules are those of `run.json`; of the installed preset for tables without one; else the default rules.

    Raises:
        ValueError: There are no records.
    """
    from benchmark.discovery.settings import CircuitConfig
    from benchmark.leaderboard.ranking import Rules, rules_of
    from benchmark.running.config import load_preset

    records, experiment = records_in(out), read_experiment(out)
    presets = {row.preset for row in records}
    if experiment is not None:
        circuit = validated(CircuitConfig, experiment.settings.get("circuit", {}), f"{out / RUN}: circuit")
        return records, dict.fromkeys(presets, rules_of(circuit))
    rules = dict.fromkeys(presets, Rules())
    for preset in presets:
        with suppress(ValueError):  # the preset is not installed
            rules[preset] = rules_of(CircuitConfig(**load_preset(preset).tables.get("circuit", {})))
    return records, rules


def board_of(out: Path, preset: str | None = None) -> "Board":
    """The records of a preset, which need not be named if there is only one.

    Raises:
        ValueError: In one line, if there are no records, or none of the preset, or several presets and none is named.
    """
    from benchmark.leaderboard.ranking import Board

    records, rules = ranked_records(out)
    presets = sorted(rules)
    chosen = presets[0] if preset is None else preset
    if chosen not in rules or (preset is None and len(presets) > 1):
        asked = "several presets" if preset is None else f"no records of preset {preset!r}"
        raise ValueError(f"{asked} in folder {str(out)!r}; choose --preset from {', '.join(presets)}")
    return Board(chosen, [row for row in records if row.preset == chosen], rules[chosen])


def _needed(method: str) -> list[str]:
    """A method and all that it depends on; itself alone if it is not installed."""
    return with_needed(method) if method in METHODS else [method]


def _folder(name: str, given: object) -> Path:
    if not isinstance(given, str | Path) or not str(given).strip():
        raise ValueError(f"{name} must be the path of a folder, got {given!r:.60}")
    return Path(given)
