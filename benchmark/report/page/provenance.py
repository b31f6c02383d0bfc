"""How the run was made: the command that makes it again, settings, seeds, versions, machine and cost."""

import json
import shlex
from collections.abc import Iterator, Mapping

from benchmark.records.table import RECORDS, Cost
from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number, table
from benchmark.report.page.templating import rendered
from benchmark.report.words import counted
from benchmark.running.duration import duration
from benchmark.running.experiment import RUN, Experiment, changes_from_preset

MIB_PER_GIB = 1024


def section(run: PageRun) -> Section:
    """How the run was made."""
    experiment = run.experiment
    costs = table(_costs(run.costs))
    html = rendered(
        "provenance.html",
        command=_command(experiment) if experiment else "",
        tables=table(_covered(experiment)) if experiment else "",
        origins=table(_origins(experiment)) if experiment else "",
        settings=[(name, table(_settings(name, values))) for name, values in experiment.settings.items()]
        if experiment
        else [],
        digests=list(_digests(experiment)) if experiment else [],
        versions=sorted({row.code_version for row in run.records if row.code_version}),
        cost=_total(run.costs),
        costs=costs,
    )
    return Section("made", "How it was made", html, tuple(_missing(run, costs)))


def _missing(run: PageRun, costs: str) -> Iterator[str]:
    if run.experiment is None:
        yield f"There is no {RUN}, so settings, versions and machine are not known; `bench run` writes it."
    if not costs:
        yield f"There is no table of costs; {run.tables.command(f'run --preset {run.preset} --method all')} writes it."


def _command(experiment: Experiment) -> str:
    """The command that computes the records again; files are given by their names alone."""
    covered = experiment.tables.get(RECORDS)
    if covered is None:
        return ""
    files = experiment.task_files
    tasks = dict.fromkeys(f"file:{files[name]}" if name in files else name for name in covered.tasks)
    words = ["bench", "run", "--preset", experiment.preset, "--method", ",".join(covered.methods)]
    words += ["--seeds", ",".join(map(str, covered.seeds)), *(["--tasks", ",".join(tasks)] * bool(tasks))]
    return shlex.join(
        [*words, *(part for change in _changes(experiment, covered.methods) for part in ("--set", change))]
    )


def _changes(experiment: Experiment, methods: tuple[str, ...]) -> list[str]:
    """What was changed in the preset, for all methods together; methods that are not installed here add nothing."""
    from benchmark.methods import METHODS

    known = [method for method in methods if method in METHODS]
    return list(dict.fromkeys(change for method in known for change in changes_from_preset(experiment, method)))


def _covered(experiment: Experiment) -> Table:
    columns = [Column("Table"), Column("Methods"), Column("Tasks"), Column("Seeds")]
    rows: list[list[Cell | str]] = [
        [name, ", ".join(scope.methods), ", ".join(scope.tasks), ", ".join(map(str, scope.seeds))]
        for name, scope in experiment.tables.items()
    ]
    return Table("What each table covers", columns, rows, sortable=False)


def _origins(experiment: Experiment) -> Table:
    columns = [Column("Code"), Column("Machine"), Column("Cores", numeric=True), Column("Libraries")]
    rows: list[list[Cell | str]] = [
        [
            origin.code_version,
            Cell(origin.platform, note=origin.processor),
            number(origin.cores),
            ", ".join(f"{name} {version}" for name, version in sorted(origin.libraries.items())),
        ]
        for origin in experiment.origins
    ]
    return Table("What wrote the rows, the earliest first", columns, rows, sortable=False)


def _settings(name: str, values: Mapping[str, object]) -> Table:
    rows: list[list[Cell | str]] = [
        [key, value if isinstance(value, str) else json.dumps(value, sort_keys=True)] for key, value in values.items()
    ]
    return Table(f"Settings of {name}", [Column("Setting"), Column("Value")], rows, sortable=False)


def _digests(experiment: Experiment) -> Iterator[tuple[str, str]]:
    yield "corpus", experiment.corpus
    if experiment.forms is not None:
        yield "forms of the tasks", experiment.forms.digest
    if experiment.concepts is not None:
        yield "concepts", experiment.concepts
    yield from ((f"labelled concepts in {name}", digest) for name, digest in experiment.concept_files.items())
    yield from ((f"kernel of {name}", str(choice)) for name, choice in sorted(experiment.kernels.items()))


def _total(rows: list[Cost]) -> str:
    if not rows:
        return ""
    seconds = sum(row.seconds for row in rows)
    peak = max((row.peak_mib or 0.0) for row in rows) / MIB_PER_GIB
    return f"{counted(len(rows), 'cell')} took {duration(seconds)} of one core; the largest used {peak:.2g} GiB."


def _costs(rows: list[Cost]) -> Table:
    """Seconds by method and kind of cell."""
    groups: dict[tuple[str, str], list[Cost]] = {}
    for row in rows:
        groups.setdefault((row.method or "all methods", row.kind), []).append(row)
    columns = [
        Column("Method"),
        Column("Kind of cell"),
        Column("Cells", numeric=True),
        Column("Time", "of one core, all together", numeric=True),
        Column("Peak memory", "MiB, of one process", numeric=True),
    ]
    cells: list[list[Cell | str]] = [
        [
            method,
            kind,
            number(len(group)),
            Cell(duration(sum(row.seconds for row in group)), sum(row.seconds for row in group)),
            number(max((row.peak_mib or 0.0) for row in group)),
        ]
        for (method, kind), group in sorted(groups.items())
    ]
    return Table("Cost by method and kind of cell", columns, cells)
