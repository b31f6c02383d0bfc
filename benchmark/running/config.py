"""The settings of a run: a preset, read from TOML, with the changes of the command line."""

import copy
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, Field

from benchmark.claims.settings import ClaimsConfig
from benchmark.concepts import CONCEPTS
from benchmark.concepts.labelled import LabelledTexts, read_concepts
from benchmark.corpus import CorpusConfig
from benchmark.discovery.rankings import RANKINGS
from benchmark.discovery.settings import CircuitConfig
from benchmark.methods import METHODS
from benchmark.running.cells import Cell
from benchmark.running.corpus_of_run import corpus_of_run
from benchmark.seeds import LARGEST_SEED
from benchmark.settings import Name, Seed, Settings, Tokens, Weight, validated
from benchmark.tasks import TASKS, Task, posed
from benchmark.tasks.listed import ListedTask, check_enough
from benchmark.tasks.reading import PREFIX, read_tasks
from benchmark.validity.settings import ValidityConfig

Table = dict[str, Any]

MOST_SEEDS = 1000
"""Most training seeds of a run."""

LONGEST_PRESET = 1_000_000
"""Most characters of a preset."""

LONGEST_CHANGE = 20_000
"""Most characters of one change to a preset, such as the list of a task's forms."""

PRESETS = files("benchmark.running") / "presets"
"""The folder of the presets."""


class ProfileConfig(Settings):
    """How the means of a model's nodes and its validation loss are computed."""

    mean_tokens: Tokens = 100_000
    """Training tokens over which the mean of each node is taken."""

    validation_tokens: Tokens = 100_000
    """Validation tokens over which the next-token loss is taken."""


SECTIONS: Mapping[str, type[BaseModel]] = {
    "corpus": CorpusConfig,
    "circuit": CircuitConfig,
    "profile": ProfileConfig,
    "validity": ValidityConfig,
    "claims": ClaimsConfig,
}
"""The settings that every run has, whatever its methods."""


class Preset(Settings):
    """A named set of settings, as its file has them.

    Attributes:
        name: Its name on the command line and in the records.
        summary: One sentence.
        tasks: The tasks whose circuits are discovered.
        seeds: The training seeds.
        tables: The settings of `corpus`, `circuit`, `profile`, `validity`, `claims` and of each method, unchecked.
        seconds: How long cells are expected to take on one core, by `kind method` or `kind`.
        corpus_digest: The digest that its corpus has with the pinned versions; empty if none is stated.
    """

    name: Name
    summary: str = Field(max_length=1000)
    tasks: tuple[Name, ...] = Field(strict=False, max_length=1000)
    seeds: tuple[Seed, ...] = Field(strict=False, max_length=MOST_SEEDS)
    tables: dict[str, Table] = Field(max_length=1000)
    seconds: dict[str, Weight] = Field(max_length=10_000)
    corpus_digest: str = Field("", pattern="^([0-9a-f]{64})?$")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run computes.

    Attributes:
        preset: The name that the records carry.
        methods: The methods whose circuits are discovered.
        tasks: The tasks for which they are discovered.
        seeds: The training seeds.
        corpus: Corpus settings.
        circuit: How circuits are discovered and scored.
        profile: How the means of nodes are computed.
        validity: Feature-validity settings.
        claims: How the published claims about sparse circuits are measured.
        method_configs: The settings of every method of the run and of those that they need, by name.
        seconds: How long cells are expected to take, by `kind method` or `kind`; affects nothing but their order.
        corpus_digest: The digest that the preset states for its corpus; empty if it states none, or if the corpus
            settings were changed.
        listed: The tasks that were read from files, by name.
        task_files: The name of the file of each of them, without its folder.
        labelled: The labelled texts of the files that `validity.files` names.
    """

    preset: str
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    corpus: CorpusConfig
    circuit: CircuitConfig
    profile: ProfileConfig
    validity: ValidityConfig
    claims: ClaimsConfig
    method_configs: Mapping[str, BaseModel]
    seconds: Mapping[str, float]
    corpus_digest: str = ""
    listed: Mapping[str, ListedTask] = field(default_factory=dict)
    task_files: Mapping[str, str] = field(default_factory=dict)
    labelled: tuple[LabelledTexts, ...] = ()

    def task(self, name: str) -> Task:
        """A task by name, from a file or installed; `ValueError` with the choices."""
        return self.listed[name].task if name in self.listed else TASKS.named(name)

    def estimated_seconds(self, cell: Cell) -> float:
        """How long a cell is expected to take on one core."""
        named = f"{cell.kind} {cell.params.get('method', '')}"
        return self.seconds.get(named, self.seconds.get(cell.kind, 1.0))


def preset_names() -> list[str]:
    """The names of the presets, the smallest first."""
    names = sorted(file.name.removesuffix(".toml") for file in PRESETS.iterdir() if file.name.endswith(".toml"))
    return sorted(names, key=lambda name: sum(load_preset(name).seconds.values()) * len(load_preset(name).seeds))


@cache
def load_preset(name: str) -> Preset:
    """A preset by name; `ValueError` with the choices."""
    file = PRESETS / f"{name}.toml"
    if not re.fullmatch(r"\w{1,100}", name) or not file.is_file():
        raise ValueError(f"unknown preset {name[:100]!r}; choose from {', '.join(preset_names())}")
    return preset_in(name, file.read_text(encoding="utf-8"))


def preset_in(name: str, text: str) -> Preset:
    """A preset from the text of its file; `ValueError` in one line if it is not one."""
    content = parsed_toml(text, f"preset {name}", LONGEST_PRESET)
    own: Table = {
        key: content.pop(key) for key in ("summary", "tasks", "seeds", "seconds", "corpus_digest") if key in content
    }
    return validated(Preset, {"name": name, **own, "tables": content}, f"preset {name}")


def parsed_toml(text: str, called: str, longest: int) -> Table:
    """The content of TOML; `ValueError` in one line with what it is called."""
    if len(text) > longest:
        raise ValueError(f"{called} has {len(text):,} characters; choose at most {longest:,}")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{called} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{called} is not TOML: {error}") from None


def configure(
    preset: str,
    method_names: Sequence[str] = ("all",),
    tasks: Sequence[str] = (),
    seeds: Sequence[int] = (),
    changes: Iterable[str] = (),
) -> RunConfig:
    """The settings of a run.

    Args:
        preset: Name of the preset.
        method_names: Methods whose circuits are wanted; `all` stands for every installed method that is not `by_name`.
        tasks: Tasks instead of the preset's; `all` stands for every installed task, `file:PATH` for those of a file.
        seeds: Training seeds instead of the preset's.
        changes: What to change in the preset, each `section.key=value` with a TOML value.

    Raises:
        ValueError: One line with the value and the choices.
    """
    base = load_preset(preset)
    chosen = _chosen(method_names, [name for name in METHODS if not METHODS[name].by_name], METHODS.named)
    used = [name for name in METHODS if name in {far for near in chosen for far in with_needed(near)}]
    classes = {**SECTIONS, **{name: METHODS.named(name).config for name in used}}
    tables = {section: copy.deepcopy(_table_of(base, section)) for section in classes}
    changed = [_change(tables, change, classes) for change in changes]
    if len(seeds) > MOST_SEEDS:
        raise ValueError(f"{len(seeds):,} seeds are too many; choose at most {MOST_SEEDS:,}")
    for seed in seeds:
        if not 0 <= seed <= LARGEST_SEED:
            raise ValueError(f"seed {seed} is out of range; choose from 0 to {LARGEST_SEED}")
    settings: dict[str, Any] = {
        name: validated(classes[name], table, name) for name, table in tables.items() if name != "corpus"
    }
    settings["corpus"] = corpus_of_run(
        tables["corpus"],
        {key for section, key in changed if section == "corpus"},
        {name: METHODS[name].corpus_settings(settings[name]) for name in used},
    )
    asked, task_files = _asked_tasks(tasks or base.tasks)
    listed = {name: task for name, task in asked.items() if isinstance(task, ListedTask)}
    _check_known_circuits(chosen, list(asked), settings)
    _check_tasks({name: each.task if isinstance(each, ListedTask) else each for name, each in asked.items()}, settings)
    return RunConfig(
        preset=base.name,
        methods=tuple(chosen),
        tasks=tuple(asked),
        seeds=tuple(dict.fromkeys(seeds or base.seeds)),
        **{name: settings[name] for name in SECTIONS},
        method_configs={name: settings[name] for name in used},
        seconds=base.seconds,
        corpus_digest=base.corpus_digest if settings["corpus"] == _corpus_of(base) else "",
        listed=listed,
        task_files=task_files,
        labelled=_labelled(settings["validity"].files),
    )


def _table_of(preset: Preset, section: str) -> Table:
    """The settings that a preset has for a section; for a method without any, those of the method that it is like."""
    like = METHODS[section].settings_of if section in METHODS else ""
    return preset.tables.get(section, preset.tables.get(like, {}))


def _corpus_of(preset: Preset) -> CorpusConfig:
    """The corpus of a preset as its file has it."""
    return validated(CorpusConfig, preset.tables.get("corpus", {}), "corpus")


def _labelled(files_named: Sequence[str]) -> tuple[LabelledTexts, ...]:
    """The labelled texts of some files; `ValueError` if two of them have a name or a concept in common."""
    found: dict[str, str] = {}
    texts = []
    for name in files_named:
        each = read_concepts(Path(os.path.expanduser(name)))
        for label in (f"file {each.name}", *(f"concept {concept}" for concept in each.summaries)):
            if label in found:
                raise ValueError(f"{name} and {found[label]} are both a {label}; rename one")
            found[label] = name
        texts.append(each)
    return tuple(texts)


def _asked_tasks(names: Sequence[str]) -> tuple[dict[str, Task | ListedTask], dict[str, str]]:
    """The tasks that are asked for, each once, and the name of the file of each that was read from one."""
    found: dict[str, Task | ListedTask] = {}
    files_of: dict[str, str] = {}
    for name in names:
        if name not in TASKS and Path(name).is_file():
            raise ValueError(f"unknown task {name!r}; for a task from a file write {PREFIX}{name}")
        if not name.startswith(PREFIX):
            found |= {each: TASKS.named(each) for each in _chosen([name], TASKS, TASKS.named)}
            continue
        path = Path(os.path.expanduser(name.removeprefix(PREFIX)))
        for task in read_tasks(path):
            if task.name in files_of:
                raise ValueError(f"{path} and {files_of[task.name]} both have a task {task.name!r}; rename one of them")
            for concept in task.concepts:
                CONCEPTS.named(concept)
            found[task.name], files_of[task.name] = task, path.name
    return found, files_of


def _check_tasks(asked: Mapping[str, Task], settings: Mapping[str, Any]) -> None:
    """`ValueError` if the settings of circuits name a form that a task does not have, or ask for more than it lists."""
    circuit: CircuitConfig = settings["circuit"]
    for name, forms in circuit.forms.items():
        (asked.get(name) or TASKS.named(name)).posed_in(forms)
    for task in asked.values():
        used = posed(task, circuit.forms)
        check_enough(used.holding_out(circuit.held_out) if circuit.held_out else used, circuit.pairs)


def _check_known_circuits(chosen: Sequence[str], tasks: Sequence[str], settings: Mapping[str, Any]) -> None:
    """`ValueError` if circuits should come with the models, and a method has none for a task."""
    ranking = settings["circuit"].ranking
    if not RANKINGS[ranking].with_model:
        return
    for name in chosen:
        known = METHODS[name].known_circuits(settings[name])
        if known is None:
            methods = ", ".join(other for other, method in METHODS.items() if method.circuits is not None)
            rankings = ", ".join(other for other, each in RANKINGS.items() if not each.with_model)
            raise ValueError(
                f"circuit.ranking = {ranking!r}: the models of {name} come with no circuits; choose the ranking from "
                f"{rankings}, or the method from {methods}"
            )
        if absent := [task for task in tasks if task not in known]:
            raise ValueError(
                f"circuit.ranking = {ranking!r}: {name} has no circuit for task {absent[0]!r}; choose tasks from "
                f"{', '.join(known)}"
            )


def with_needed(name: str) -> list[str]:
    """A method, preceded by all that it depends on directly or indirectly: what it is fitted on, reference models."""
    needed = (far for near in METHODS.named(name).depends_on for far in with_needed(near))
    return list(dict.fromkeys([*needed, name]))


def _chosen(names: Sequence[str], known: Iterable[str], look_up: Callable[[str], object]) -> list[str]:
    """The names, each once and looked up; `all` stands for those of `known`."""
    for name in names:
        if name != "all":
            look_up(name)
    every = list(known)
    return list(dict.fromkeys(each for name in names for each in (every if name == "all" else [name])))


def _change(tables: Mapping[str, Table], change: str, classes: Mapping[str, type[BaseModel]]) -> tuple[str, str]:
    """Apply one `section.key=value`, where a value that is not TOML is text, so that names need no quotes.

    Returns:
        The section and the first of its keys.
    """
    if len(change) > LONGEST_CHANGE:
        raise ValueError(f"--set {change[:40]!r}… has {len(change):,} characters; choose at most {LONGEST_CHANGE:,}")
    path, equals, text = change.partition("=")
    section, *keys = path.strip().split(".")
    if not equals or not keys or not all(keys):
        raise ValueError(f"--set {change!r} is not of the form section.key=value, such as circuit.target_loss=0.1")
    if hint := _elsewhere(section, keys[0]):
        raise ValueError(f"--set {path.strip()}: {hint}")
    if section not in classes:
        absent = "is not part of this run" if section in METHODS else "is unknown"
        raise ValueError(f"--set {path.strip()}: section {section!r} {absent}; choose from {', '.join(classes)}")
    _check_path(classes[section], section, keys)
    table = tables[section]
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ValueError(f"--set {path.strip()}: {key} is a single value, without keys of its own")
    try:
        content = tomllib.loads(f"value = {text.strip()}")
    except RecursionError:
        raise ValueError(f"--set {path.strip()}: its value is nested too deeply") from None
    except ValueError:  # not TOML, or an integer with too many digits
        content = {}
    value = content["value"] if content.keys() == {"value"} else text.strip()
    table[keys[-1]] = os.path.expanduser(value) if isinstance(value, str) and value.startswith("~/") else value
    return section, keys[0]


def _elsewhere(section: str, key: str) -> str:
    """What to do instead of setting a key of a method that it does not have; empty if nothing is known of it."""
    config = METHODS[section].config if section in METHODS else None
    return config.elsewhere.get(key, "") if config is not None and issubclass(config, Settings) else ""


def _check_path(model: type[BaseModel], place: str, keys: Sequence[str]) -> None:
    """`ValueError` with the choices if a section has no such key."""
    key, *rest = keys
    if key not in model.model_fields:
        raise ValueError(f"--set {place}.{key}: unknown key {key!r}; choose from {', '.join(model.model_fields)}")
    inside = model.model_fields[key].annotation
    if rest and isinstance(inside, type) and issubclass(inside, BaseModel):
        _check_path(inside, f"{place}.{key}", rest)
    elif rest and get_origin(inside) is not dict:
        raise ValueError(f"--set {place}.{'.'.join(keys)}: {place}.{key} is a single value, without keys of its own")
