"""The operating points of a sweep: each family at several values of its tuned settings.

A point is an ordinary run of one family with some settings changed. It consists of the same cells as `bench run`, so
nothing is computed twice. Its circuits are those of the family's first ranked variant, in the unit graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from benchmark.methods import METHODS, Axis, Variant, with_role
from benchmark.running.cells import Cell
from benchmark.running.config import RunConfig, Table, configure
from benchmark.running.plan import Planner, by_urgency

FEWEST = 3
"""Fewest operating points that make a frontier."""

Item = tuple[str, int]
"""Task and seed."""


@dataclass(frozen=True, eq=False)
class OperatingPoint:
    """One operating point.

    Attributes:
        family: Name of the method.
        name: Its settings, `k=6 features=256`.
        run: All settings.
        own: The settings of the family's own point, which is the preset's; `None` for that point itself.
    """

    family: str
    name: str
    run: RunConfig
    own: RunConfig | None = None

    @cached_property
    def circuits(self) -> dict[Item, Cell]:
        """The circuit of each task and seed."""
        method = METHODS.named(self.family)
        return {
            (task, seed): self._planner.circuit(method, self._variant, "unit", task, seed)
            for seed in self.run.seeds
            for task in self.run.tasks
        }

    @cached_property
    def splittings(self) -> dict[int, Cell]:
        """By seed, how features of the family's own point and of this one divide each other; dictionaries only."""
        method = METHODS.named(self.family)
        if method.explains is None:
            return {}
        other = None if self.own is None else Planner(self.own)
        return {seed: self._planner.splitting(method, self._variant.name, seed, other) for seed in self.run.seeds}

    @cached_property
    def profiles(self) -> dict[str, Cell]:
        """The cells that measure the model's capability and cost, one per seed, by key."""
        return {cell.needs["profile"].key: cell.needs["profile"] for cell in self.circuits.values()}

    @property
    def wanted(self) -> list[Cell]:
        """The cells that measure the point, without the cells that they need."""
        return [*self.circuits.values(), *self.splittings.values()]

    @cached_property
    def cells(self) -> list[Cell]:
        """All its cells, the most urgent first."""
        return by_urgency(self.wanted, self.run.estimated_seconds)

    @cached_property
    def _planner(self) -> Planner:
        return Planner(self.run)

    @property
    def _variant(self) -> Variant:
        return next(one for one in METHODS.named(self.family).variants if one.ranked and "unit" in one.graphs)


def family_names() -> list[str]:
    """The installed methods that declare settings to vary in a sweep, the references first."""
    return [name for name in dict.fromkeys((*with_role("reference"), *METHODS)) if METHODS.named(name).sweep]


def sweep_points(
    preset: str,
    families: Sequence[str] = (),
    tasks: Sequence[str] = (),
    seeds: Sequence[int] = (),
    changes: Sequence[str] = (),
) -> list[OperatingPoint]:
    """The operating points of some families, or of all installed ones (also if one is `all`), without repeats.

    Tasks and seeds replace the preset's if given; `changes` are other changes to the preset, as `configure` takes them.

    Raises:
        ValueError: In one line, with the value and the choices; also if the preset's value leaves too few points.
    """
    known = family_names()
    for name in families:
        if name not in (*known, "all"):
            raise ValueError(f"unknown family {name!r}; choose from {', '.join(known)}")
    chosen = list(dict.fromkeys(known if "all" in families or not families else families))
    if not chosen:
        raise ValueError("no installed method declares settings to vary in a sweep")
    base = configure(preset, chosen, tasks, seeds, changes)
    points = []
    for family in chosen:
        own = None
        for settings in _settings(base, family):
            varied = [f"{family}.{key}={value!r}" for key, value in settings.items()]
            run = configure(preset, chosen, tasks, seeds, [*changes, *varied])
            name = " ".join(f"{key}={value:g}" for key, value in settings.items())
            points.append(OperatingPoint(family, name, replace(run, methods=(family,)), own))
            own = own or points[-1].run
    return points


def _settings(base: RunConfig, family: str) -> list[dict[str, float | int]]:
    """The varied settings of each point of a family, the preset's own first."""
    config = base.method_configs[family].model_dump()
    axes = METHODS.named(family).sweep
    for axis in axes:
        if not isinstance(config.get(axis.key), int | float):
            choices = ", ".join(key for key, value in config.items() if isinstance(value, int | float))
            raise ValueError(f"{family} sweeps {axis.key!r}, which is not a numeric setting; choose from {choices}")
    own = {axis.key: config[axis.key] for axis in axes}
    found = [own]
    for axis in axes:
        values = [_varied(config, axis, factor) for factor in axis.factors]
        if len(set(values)) < min(FEWEST, len(values)):
            told = ", ".join(f"{value:g}" for value in values)
            raise ValueError(f"{family}.{axis.key}={config[axis.key]} leaves fewer than {FEWEST} points: {told}")
        found += [{**own, axis.key: value} for value in values if value != own[axis.key]]
    return found


def _varied(config: Table, axis: Axis, factor: float) -> float | int:
    """A setting times a factor, within its range; a count is rounded to a multiple of what must divide it."""
    value: float | int = config[axis.key]
    if factor == 1:
        return value
    if isinstance(value, float):
        return min(max(float(f"{value * factor:.6g}"), axis.least(config)), axis.most)
    step = 1 if axis.multiple_of is None else int(config[axis.multiple_of])
    return max(step, round(value * factor / step) * step)
