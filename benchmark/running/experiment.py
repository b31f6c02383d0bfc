"""The experiment that a folder of tables belongs to, recorded in `run.json`, and what may be added to it."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel, ValidationError

from benchmark.concepts import concepts_digest
from benchmark.disk import replace_file
from benchmark.files import CorruptFileError, first_flaw, json_in
from benchmark.methods import METHODS
from benchmark.plugins.versions import code_version, library_versions
from benchmark.records.curves import CURVES
from benchmark.records.table import COSTS, RECORDS, Record, locked, read_records
from benchmark.running.cells import digest
from benchmark.running.config import SECTIONS, RunConfig, load_preset, with_needed
from benchmark.running.plan import Planner
from benchmark.running.reports import Chosen
from benchmark.tasks import TASKS, FormsOfTask, forms_by_task, forms_digest

RUN = "run.json"

REFERENCE = Path("results/reference")
"""The run that is committed with the code."""

GROWING = (RECORDS, "regret.csv", "leave_one_out.csv")
"""The tables to which runs of the same settings add rows."""

TABLES = (*GROWING, CURVES, COSTS, "leaderboard.csv", "sweep.csv", "variance.csv", "stability.csv")
"""The files with results that depend on the settings of a run."""

NAMED = 3
"""Largest number of differences that an error message names."""


OF_TOKENIZER = ("tokenizer", "vocabulary", "end_of_text", "beginning")
"""The settings of a corpus that a model which was trained elsewhere may determine."""


class Scope(BaseModel, frozen=True, extra="forbid"):
    """What a table covers."""

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]

    def joined(self, other: "Scope") -> "Scope":
        """The union of both."""
        return Scope(
            methods=tuple(dict.fromkeys([*self.methods, *other.methods])),
            tasks=tuple(dict.fromkeys([*self.tasks, *other.tasks])),
            seeds=tuple(sorted({*self.seeds, *other.seeds})),
        )


class Origin(BaseModel, frozen=True, extra="forbid"):
    """The program and the machine that wrote rows; it identifies neither a user nor a folder."""

    code_version: str
    libraries: Mapping[str, str]
    platform: str
    processor: str
    cores: int

    @classmethod
    def here(cls) -> "Origin":
        """This program on this machine."""
        return cls(
            code_version=code_version(),
            libraries=library_versions(),
            platform=platform.platform(),
            processor=platform.processor() or platform.machine(),
            cores=os.cpu_count() or 1,
        )


class Forms(BaseModel, frozen=True, extra="forbid"):
    """The forms in which the tasks of a run are posed.

    Attributes:
        count: Number of forms, all tasks together.
        digest: SHA-256 over them.
        tasks: Number and digest of each task's own forms.
    """

    count: int
    digest: str
    tasks: Mapping[str, FormsOfTask]

    @classmethod
    def of(cls, tasks: Mapping[str, FormsOfTask]) -> "Forms":
        """The forms of some tasks together."""
        return cls(count=sum(each.count for each in tasks.values()), digest=forms_digest(tasks), tasks=tasks)


class Experiment(BaseModel, frozen=True, extra="forbid"):
    """The content of `run.json`.

    Attributes:
        preset: Name of the preset.
        settings: Every setting, by section and key; a method's section is added with the method, and has the digest of
            the `files` that it reads from outside the store, if it reads any.
        corpus: Digest of the corpus: the key of its cell, over its settings and the state of its sources.
        tables: What each table covers so far.
        origins: What wrote their rows, the earliest first.
        forms: The forms of the tasks; `None` in a run from before tasks had forms.
        concepts: Digest of the list of concepts; `None` in a folder with rows from before it was recorded, whose labels
            may be others.
        kernels: The choices of kernels with which the rows were computed, which later runs keep to; none in a run from
            before they were recorded.
        task_files: The name of the file of each task that was read from one, without its folder.
        concept_files: Digest of each file of labelled concepts, by its name without folder and ending.
    """

    preset: str
    settings: Mapping[str, Mapping[str, Any]]
    corpus: str
    tables: Mapping[str, Scope]
    origins: tuple[Origin, ...]
    forms: Forms | None = None
    concepts: str | None = None
    kernels: Chosen = {}
    task_files: Mapping[str, str] = {}
    concept_files: Mapping[str, str] = {}

    @classmethod
    def of(cls, run: RunConfig, table: str, kernels: Chosen) -> "Experiment":
        """The experiment of a run that writes a table, computed with these choices of kernels."""
        sections = {name: getattr(run, name) for name in SECTIONS} | dict(run.method_configs)
        settings = {name: _shareable(config.model_dump(mode="json")) for name, config in sections.items()}
        for name, config in run.method_configs.items():
            if files := METHODS[name].outside_files(config):
                settings[name]["files"] = digest(files)
        return cls(
            preset=run.preset,
            settings=settings,
            corpus=Planner(run).corpus.key,
            tables={table: Scope(methods=run.methods, tasks=run.tasks, seeds=run.seeds)},
            origins=(Origin.here(),),
            forms=Forms.of(forms_by_task(map(run.task, run.tasks))),
            task_files=run.task_files,
            concept_files={each.name: digest(each.params) for each in run.labelled},
            concepts=concepts_digest(),
            kernels=kernels,
        )

    def differences(self, other: "Experiment") -> Iterator[str]:
        """How another experiment differs; if the presets do, nothing else is listed."""
        if self.preset != other.preset:
            yield f"preset is {self.preset!r} there and {other.preset!r} here"
            return
        shared = self.settings.keys() & other.settings.keys()
        ours, theirs = (
            dict(_leaves({name: each.settings[name] for name in each.settings if name in shared}))
            for each in (self, other)
        )
        for name in dict.fromkeys([*ours, *theirs]):
            if ours.get(name) != theirs.get(name):
                yield f"{name} is {ours.get(name)!r} there and {theirs.get(name)!r} here"
        if ours == theirs and self.corpus != other.corpus:
            yield f"the digest of the corpus is {self.corpus[:12]} there and {other.corpus[:12]} here"
        for name, forms in self.forms_by_task.items():
            if (others := other.forms_by_task.get(name, forms)) != forms:
                yield f"the digest of the forms of {name} is {forms.digest[:12]} there and {others.digest[:12]} here"
        if self.concepts and other.concepts and self.concepts != other.concepts:
            yield f"the digest of the concepts is {self.concepts[:12]} there and {other.concepts[:12]} here"

        if self.concept_files != other.concept_files:
            there, here = (
                ", ".join(f"{name} {found[:12]}" for name, found in each.concept_files.items()) or "none"
                for each in (self, other)
            )
            yield f"the labelled concepts (validity.files) are {there} there and {here} here"

    @property
    def forms_by_task(self) -> Mapping[str, FormsOfTask]:
        """Number and digest of the forms of each task; empty if not recorded."""
        return self.forms.tasks if self.forms else {}

    def joined(self, other: "Experiment") -> "Experiment":
        """This experiment with what a run of the same settings adds; tables that do not grow are replaced."""
        grown = {
            name: self.tables[name].joined(other.tables[name])
            for name in GROWING
            if name in self.tables and name in other.tables
        }
        return Experiment(
            preset=self.preset,
            settings={**self.settings, **other.settings},
            corpus=self.corpus,
            tables={**self.tables, **other.tables, **grown},
            origins=(*self.origins, *(one for one in other.origins if one not in self.origins)),
            forms=Forms.of({**self.forms_by_task, **other.forms_by_task}),
            concepts=self.concepts,
            kernels={**self.kernels, **other.kernels},
            task_files={**self.task_files, **other.task_files},
            concept_files=self.concept_files,
        )


def read_experiment(folder: Path) -> Experiment | None:
    """The `run.json` of a folder; `None` if there is none, `CorruptFileError` if it is some other file."""
    path = folder / RUN
    if not path.exists():
        return None
    content = json_in(path)
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise CorruptFileError(path, f"was not written by a run: {first_flaw(error)}") from None


def recorded_kernels(folder: Path) -> Chosen:
    """The choices of kernels with which a folder's tables were computed; none without a `run.json`.

    Raises:
        ValueError: In one line, if the file is some other.
    """
    experiment = read_experiment(folder)
    return experiment.kernels if experiment else {}


def records_in(folder: Path) -> list[Record]:
    """The records of a folder; if there are none, `ValueError` in one line that says how to get some."""
    records = read_records(folder / RECORDS)
    if not records:
        other = folder != REFERENCE and (REFERENCE / RECORDS).exists()
        told = f"; `--out {REFERENCE}` shows the run that comes with the code" * other
        raise ValueError(f"there is no run in folder {str(folder)!r}: `bench run --out {folder}` makes one{told}")
    return records


def check_task(name: str, folder: Path) -> None:
    """`ValueError` with the choices for a task that is neither installed nor one that a run has read from a file."""
    experiment = read_experiment(folder)
    if experiment is None or name not in experiment.task_files:
        TASKS.named(name)


def changes_from_preset(experiment: Experiment, method: str) -> list[str]:
    """What was changed in the preset for a method of a run, each `section.key=value` as `--set` takes it.

    Files and folders are given by their names, as `run.json` has them. What the corpus takes from a model that was
    trained elsewhere is left out. None if the preset is not installed any more.
    """
    try:
        tables = load_preset(experiment.preset).tables
    except ValueError:
        return []
    configs = {name: METHODS.named(name).config for name in with_needed(method)}
    given = {f"corpus.{key}" for key in OF_TOKENIZER} if any(METHODS.named(name).corpus for name in configs) else set()
    changes = []
    for section, model in {**SECTIONS, **configs}.items():
        of_preset = model.model_construct(**tables.get(section, {}))
        usual = _shareable(of_preset.model_dump(mode="json", warnings=False))
        changes += [
            f"{section}.{key}={_toml(value)}"
            for key, value in experiment.settings.get(section, {}).items()
            if f"{section}.{key}" not in given and (key not in usual or usual[key] != value)
        ]
    return changes


def _toml(value: Any) -> str:
    """A setting as TOML in one line."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_toml(each)}' for key, each in value.items())} }}"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list | tuple) else json.dumps(value)


def joined_experiment(folder: Path, run: RunConfig, table: str, kernels: Mapping[str, str] = {}) -> Experiment:
    """The content of a folder's `run.json` once a run with these choices of kernels has written a table into it.

    Raises:
        ValueError: In one line, if the folder's tables were made with other settings or with unknown ones.
    """
    new = Experiment.of(run, table, kernels)
    if not any((folder / name).exists() for name in TABLES):
        return new
    old = read_experiment(folder)
    if old is None:
        raise ValueError(
            f"folder {str(folder)!r} holds tables without a {RUN}, so the settings they were made with are unknown: "
            "choose another --out"
        )
    different = list(old.differences(new))
    if different:
        more = [f"and {len(different) - NAMED} more"] * (len(different) > NAMED)
        told = "; ".join([*different[:NAMED], *more])
        raise ValueError(f"folder {str(folder)!r} belongs to other settings: {told}: choose another --out")
    return old.joined(new)


@contextmanager
def adding_to(folder: Path, run: RunConfig, table: str, kernels: Chosen) -> Iterator[None]:
    """Lock the tables of a folder and write a `run.json` that covers what is written there inside the context.

    The file becomes what it was before if that cannot be written.

    Args:
        folder: The folder.
        run: The settings of the run.
        table: The table that is written.
        kernels: The choices of kernels with which the run computed.

    Raises:
        ValueError: As for `joined_experiment`; what was computed is still in the store.
    """
    with locked(folder):
        content = joined_experiment(folder, run, table, kernels).model_dump(mode="json")
        file = folder / RUN
        before = file.read_text(encoding="utf-8") if file.exists() else None
        replace_file(file, json.dumps(content, indent=1, allow_nan=False) + "\n")
        try:
            yield
        except BaseException:
            with suppress(OSError):  # a disk that fails may fail here too
                file.unlink() if before is None else replace_file(file, before)
            raise


def _shareable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which files and folders are given by their names alone, without the paths on this machine."""

    def shareable(named: str) -> str:
        kind, colon, place = named.partition(":")
        if colon and PurePath(place).is_absolute():
            return f"{kind}:{PurePath(place).name}"
        return PurePath(named).name if PurePath(named).is_absolute() else named

    found = {key: shareable(value) if isinstance(value, str) else value for key, value in settings.items()}
    sources = settings.get("sources")
    if not isinstance(sources, dict):
        return found
    return {**found, "sources": {shareable(name): share for name, share in sources.items()}}


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its name as `--set` takes it."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
