"""The one door: records of methods, tasks, concepts, metrics, rankings and ablations, ours and other distributions'.

A registry holds our own records in their own order, then those of every installed distribution that names one in the
entry-point group of that kind. It is read when it is first asked, in every process, so that workers know what the
command line knows. A record that cannot be loaded is left out and named in `unavailable`; the rest stay usable.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar

DISTRIBUTION = "sparse-circuit-bench"
"""The name under which we are installed."""

GROUPS = "sparse_circuit_bench"
"""Every entry-point group is `sparse_circuit_bench.KIND`, such as `sparse_circuit_bench.tasks`."""


Entry = TypeVar("Entry")
"""A frozen dataclass with a `name`, a `summary` of one sentence and a `source`."""


@dataclass(frozen=True)
class Loaded(Generic[Entry]):
    """What a registry found.

    Attributes:
        records: By name.
        origins: The distribution that each record comes from, by name.
        unavailable: One line for each record that was left out, with its distribution and the reason.
    """

    records: dict[str, Entry]
    origins: dict[str, str]
    unavailable: tuple[str, ...]


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Every record of one kind by name.

    Args:
        kind: What the records are, singular: `task`. The entry-point group is its plural.
        record: The class of the records.
        ours: Our own records, in the order in which they are listed.
        check: Raises `ValueError` for a record of another distribution that promises something impossible.
    """

    def __init__(
        self,
        kind: str,
        record: type[Entry],
        ours: Iterable[Entry] = (),
        check: Callable[[Entry], None] = lambda record: None,
    ) -> None:
        self.kind = kind
        self.group = f"{GROUPS}.{kind}s"
        self._record = record
        self._ours = {_name(each): each for each in ours}
        self._check = check

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
        """Add a record in this process alone, for a notebook or a test; workers know only what is installed.

        Raises:
            ValueError: The name is taken, or the record promises something impossible.
        """
        self._validate(record, type(record).__name__)
        self._loaded.records[_name(record)], self._loaded.origins[_name(record)] = record, "this session"
        return record

    def origin(self, name: str) -> str:
        """The distribution that a record comes from, with its version unless it is ours."""
        return self._loaded.origins[name]

    @property
    def unavailable(self) -> tuple[str, ...]:
        """One line for each record that was left out."""
        return self._loaded.unavailable

    @cached_property
    def _loaded(self) -> Loaded[Entry]:
        records, origins, unavailable = dict(self._ours), dict.fromkeys(self._ours, DISTRIBUTION), []
        for entry in sorted(entry_points(group=self.group), key=lambda entry: (not _is_ours(entry), entry.name)):
            try:
                record = entry.load()
                self._validate(record, entry.value, records)
            except (Exception, SystemExit) as error:  # whatever a distribution's module raises while it is imported
                reason = " ".join(str(error).split())
                unavailable.append(
                    f"{self.kind} {entry.name} of {_origin(entry)} was left out: {type(error).__name__}: {reason}"
                )
            else:
                records[_name(record)], origins[_name(record)] = record, _origin(entry)
        return Loaded(records, origins, tuple(unavailable))

    def _validate(self, record: Entry, called: str, taken: Iterable[str] | None = None) -> None:
        """`ValueError` that says what is wrong with a record."""
        if not isinstance(record, self._record):
            raise ValueError(f"{called} is a {type(record).__name__}, not a {self._record.__name__}")
        if _name(record) in (self if taken is None else taken):
            raise ValueError(f"there is already a {self.kind} called {_name(record)!r}")
        self._check(record)


def resolve(reference: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that a record names as `module:function`, or gives itself."""
    found: Callable[..., Any] = resolve_name(reference) if isinstance(reference, str) else reference
    return found


def _name(record: Any) -> str:
    return str(record.name)


def _is_ours(entry: EntryPoint) -> bool:
    return entry.dist is not None and entry.dist.name == DISTRIBUTION


def _origin(entry: EntryPoint) -> str:
    """The distribution of an entry point."""
    if entry.dist is None:
        return "an unknown distribution"
    return DISTRIBUTION if _is_ours(entry) else f"{entry.dist.name} {entry.dist.version}"
