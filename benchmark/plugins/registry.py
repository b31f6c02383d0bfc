"""Registries of methods, tasks, concepts, metrics, rankings and ablations, ours and other distributions'.

A registry holds our own records in their own order, then those of every installed distribution that names one in the
entry-point group of that kind. Each process reads it on first use, so workers know what the command line knows. A
record that cannot be loaded is left out and named in `unavailable`; the rest stay usable.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar

from benchmark.plugins.versions import DISTRIBUTION, Reference, outside_sources

GROUPS = "sparse_circuit_bench"
"""Every entry-point group is `sparse_circuit_bench.KIND`, such as `sparse_circuit_bench.tasks`."""

LONGEST_TEXT = 2000
"""Most characters of the summary and of the source of a record from elsewhere."""

Entry = TypeVar("Entry")
"""A frozen dataclass with a `name`, a `summary` of one sentence and a `source`."""


@dataclass(frozen=True)
class Loaded(Generic[Entry]):
    """What a registry found.

    Attributes:
        records: By name.
        origins: The distribution that each record comes from, by the record's name.
        values: `module:name` of each record that comes from an entry point, by the record's name.
        unavailable: One line per record that was left out, with its distribution and the reason.
    """

    records: dict[str, Entry]
    origins: dict[str, str]
    values: dict[str, str]
    unavailable: tuple[str, ...]


@dataclass(eq=False, repr=False)
class Registry(Mapping[str, Entry], Generic[Entry]):
    """Every record of one kind by name.

    Attributes:
        kind: What a record is, in the singular: `task`. The entry-point group is its plural.
        record: The class of the records.
        ours: Our own records, in the order in which they are listed.
        functions: The fields of a record that name its functions, each as `module:function` or the function itself.
        check: Raises `ValueError` for a record that could never work.
        check_outside: Raises `ValueError` for what a record of another distribution may not declare.
        order: Sort key within our records and within those of others; by default they stay in the order found.
        needs: Names of the records of the same kind without which a record is left out.
    """

    kind: str
    record: type[Entry]
    ours: Iterable[Entry] = ()
    _: KW_ONLY
    functions: tuple[str, ...] = ()
    check: Callable[[Entry], None] = lambda record: None
    check_outside: Callable[[Entry], None] = lambda record: None
    order: Callable[[Entry], Any] = lambda record: 0
    needs: Callable[[Entry], Iterable[str]] = lambda record: ()

    def __getitem__(self, name: str) -> Entry:
        return self._loaded.records[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded.records)

    def __len__(self) -> int:
        return len(self._loaded.records)

    def named(self, name: str) -> Entry:
        """A record by name; `ValueError` with the choices."""
        if name in self:
            return self[name]
        raise ValueError(f"unknown {self.kind} {name!r}; choose from {', '.join(self)}")

    def add(self, record: Entry) -> Entry:
        """Add a record in this process only, for a notebook or a test; workers know only what is installed.

        Raises:
            ValueError: The name is taken, or the record could never work.
        """
        self._validate(record, type(record).__name__)
        self._loaded.records[_name(record)], self._loaded.origins[_name(record)] = record, "this session"
        return record

    def origin(self, name: str) -> str:
        """The distribution that a record comes from, with its version if it is not ours."""
        return self._loaded.origins[name]

    def called(self, name: str) -> str:
        """A record's name in messages: `task 'import_from' of outsider 1.0`; ours go without the distribution."""
        origin = self._loaded.origins.get(name, DISTRIBUTION)
        return f"{self.kind} {name!r}" + f" of {origin}" * (origin != DISTRIBUTION)

    def outside(self, *names: str) -> dict[str, str]:
        """Digests of the source of records that are not ours, for the keys of the cells that they influence.

        Args:
            names: Names of the records; all of them if left out.
        """
        references: dict[str, Reference | None] = {}
        for name in names or self:
            references[f"{self.kind} {name}"] = self._loaded.values.get(name)
            for function in self.functions:
                references[f"{self.kind} {name} {function}"] = getattr(self[name], function)
        return outside_sources({role: reference for role, reference in references.items() if reference is not None})

    @property
    def unavailable(self) -> tuple[str, ...]:
        """One line per record that was left out."""
        return self._loaded.unavailable

    @cached_property
    def _loaded(self) -> Loaded[Entry]:
        ours = {_name(record): record for record in self.ours}
        found = Loaded(ours, dict.fromkeys(ours, DISTRIBUTION), {}, ())
        left_out, waiting = [], dict[str, EntryPoint]()
        entries = entry_points(group=f"{GROUPS}.{self.kind}s")
        for entry in sorted(entries, key=lambda entry: (_origin(entry) != DISTRIBUTION, entry.name)):
            try:
                record = entry.load()
                self._validate(record, entry.value, found.records)
                if _origin(entry) != DISTRIBUTION:
                    self.check_outside(record)
            except (Exception, SystemExit) as error:  # whatever a distribution's module raises while it is imported
                left_out.append((entry, f"{type(error).__name__}: {' '.join(str(error).split())}"))
            else:
                name = _name(record)
                waiting[name], found.records[name], found.values[name] = entry, record, entry.value
                found.origins[name] = _origin(entry)
        left_out += [(waiting[name], reason) for name, reason in self._without_needs(found.records)]
        named = [f"{self.kind} {entry.name} of {_origin(entry)} was left out: {reason}" for entry, reason in left_out]
        return self._sorted(replace(found, unavailable=tuple(named)))

    def _sorted(self, found: Loaded[Entry]) -> Loaded[Entry]:
        """The same records, ours before those of others, both in this registry's order."""

        def place(name: str) -> tuple[bool, Any]:
            return found.origins[name] != DISTRIBUTION, self.order(found.records[name])

        return replace(found, records={name: found.records[name] for name in sorted(found.records, key=place)})

    def _without_needs(self, records: dict[str, Entry]) -> Iterator[tuple[str, str]]:
        """Remove the records whose needs are missing or circular, directly or not; yield each name and reason."""
        needs, met = {name: list(self.needs(record)) for name, record in records.items()}, set[str]()
        while ready := [name for name in needs.keys() - met if met.issuperset(needs[name])]:
            met.update(ready)
        for name in sorted(needs.keys() - met):
            del records[name]
            absent = ", ".join(repr(need) for need in needs[name] if need not in met)
            yield name, f"it needs the {self.kind} {absent}, which is not there or needs {name!r} itself"

    def _validate(self, record: Entry, called: str, taken: Iterable[str] | None = None) -> None:
        """`ValueError` if something is wrong with a record."""
        if not isinstance(record, self.record):
            raise ValueError(f"{called} is a {type(record).__name__}, not a {self.record.__name__}")
        if not re.fullmatch(r"[\w-]{1,100}", _name(record)) or _name(record) == "all":
            raise ValueError(f"a name has letters, digits, _ and -, and is not 'all': {_name(record)[:100]!r}")
        for attribute in ("summary", "source"):
            text = getattr(record, attribute, "")
            if not isinstance(text, str) or not text.isprintable() or len(text) > LONGEST_TEXT:
                raise ValueError(f"its {attribute} is not one printable line of at most {LONGEST_TEXT:,} characters")
        for function in self.functions:
            reference = getattr(record, function)
            named = isinstance(reference, str) and re.fullmatch(r"[\w.]+:[\w.]+", reference)
            if not (named or callable(reference) or reference is None):
                raise ValueError(f"{function} is {reference!r}, not of the form 'module:function'")
        if _name(record) in (self if taken is None else taken):
            raise ValueError(f"there is already a {self.kind} called {_name(record)!r}")
        self.check(record)


def resolve(reference: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that a record names as `module:function` or contains."""
    found: Callable[..., Any] = resolve_name(reference) if isinstance(reference, str) else reference
    return found


def _name(record: Any) -> str:
    return str(record.name)


def _origin(entry: EntryPoint) -> str:
    """The distribution of an entry point."""
    if entry.dist is None:
        return "an unknown distribution"
    return DISTRIBUTION if entry.dist.name == DISTRIBUTION else f"{entry.dist.name} {entry.dist.version}"
