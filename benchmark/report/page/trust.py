"""Trust: the regret of the finder, null baselines, the audit of the metrics, variance, and what the run cannot know."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from benchmark.leaderboard.ranking import LeaderboardRow, Summary
from benchmark.report.page.chart import chart
from benchmark.report.page.limits import statuses, unknown
from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number, table
from benchmark.report.page.templating import rendered
from benchmark.report.words import short

NULLS: Mapping[str, tuple[str, str, str]] = {
    "Loss of the circuit": ("circuit_loss", "random_circuit_loss", "a random circuit of its size; lower is better"),
    "Loss without it": ("necessity", "random_necessity", "without a random circuit; higher is better"),
    "Label score": ("pooled_label_score", "pooled_shifted_score", "labels shifted to other text; higher is better"),
    "Density": ("connection_density", "connection_density_null", "permuted weights; lower is sparser"),
}
"""What is shown next to its null baseline, by heading: the metric, the baseline, and what the baseline is."""

AUDIT = ("metric", "status", "oracle", "degraded", "random", "noise_share", "truth_correlation", "truth_low")
"""The columns of `audit.csv` that are shown; the last two are followed by the upper limit and the reason."""

PARTS = ("training", "finder", "prompts")
"""The components of the variance, as columns of `variance.csv`."""


def section(run: PageRun) -> Section:
    """What the numbers above are worth."""
    regret = run.figure("regret")
    audit, variance = table(_audit(run)), table(_variance(run))
    html = rendered(
        "trust.html",
        regret=chart(regret),
        nulls=table(_nulls(run)),
        controls=table(_controls(run)),
        audit=audit,
        variance=variance,
        unknown=list(unknown(run)),
        statuses=table(statuses(run)),
    )
    return Section("trust", "Trust", html, (*regret.missing, *_missing(run, audit, variance)))


def _missing(run: PageRun, audit: str, variance: str) -> Iterator[str]:
    if not audit:
        yield f"There is no audit of the metrics; {run.tables.command('audit')} makes it."
    if not variance:
        yield f"There is no split of the variance; {run.tables.command('variance')} makes it."


def _nulls(run: PageRun) -> Table:
    """Each ranked row's scores, with the same score of a null baseline below."""
    rows = [row for row in run.leaderboard if row.place.graph == "unit" and not run.board.why_unranked(row.place)]
    columns = [Column("Method"), *(Column(title, f"below it: {what}", True) for title, (_, _, what) in NULLS.items())]
    cells: list[list[Cell | str]] = [
        [_name(row), *(_beside(row, metric, null) for metric, null, _ in NULLS.values())] for row in rows
    ]
    return Table("Scores with their null baselines", columns, cells)


def _beside(row: LeaderboardRow, metric: str, null: str) -> Cell:
    found, baseline = (row.scores.get(name, Summary()).value for name in (metric, null))
    return Cell(short(found), found, "" if baseline is None else f"null {short(baseline)}")


def _controls(run: PageRun) -> Table:
    """Null methods, which should reach no task, and what each method reaches of the control tasks."""
    rows = [row for row in run.leaderboard if row.place.graph == "unit"]
    columns = [
        Column("Method", "null baselines first"),
        Column("Tasks reached", "a null baseline should reach none", numeric=True),
        Column("Control tasks reached", "none should be", numeric=True),
        Column("Edges", numeric=True),
        Column("Faithful", numeric=True),
    ]
    ordered = sorted(rows, key=lambda row: row.place.method not in run.board.rules.controls)
    cells: list[list[Cell | str]] = [
        [
            _name(row, "null baseline" if row.place.method in run.board.rules.controls else ""),
            Cell(f"{short(row.tasks_reached)} of {row.tasks}", row.tasks_reached),
            number(row.control_tasks_reached),
            number(row.scores.get("edges", Summary()).value),
            number(row.scores.get("faithfulness", Summary()).value),
        ]
        for row in ordered
    ]
    return Table("Methods and tasks that should not work", columns, cells)


def _name(row: LeaderboardRow, told: str = "") -> Cell:
    variant = row.place.variant.replace("native", "").replace("_", " ")
    return Cell(row.place.method, note=", ".join(filter(None, (variant, told))))


def _audit(run: PageRun) -> Table:
    columns = [
        Column("Metric"),
        Column("Audit"),
        Column("Known circuit", numeric=True),
        Column("A third swapped", numeric=True),
        Column("Random", numeric=True),
        Column("Noise", "of another search, relative to known against random", numeric=True),
        Column("Truth", "rank correlation on trained models", numeric=True),
    ]
    rows: list[list[Cell | str]] = []
    for row in run.rows_of("audit.csv", (*AUDIT, "truth_high", "reason")):
        values = [_parsed(row[name]) for name in AUDIT[2:-2]]
        truth, low, high = (_parsed(row[name]) for name in ("truth_correlation", "truth_low", "truth_high"))
        status = Cell(row["status"].replace("_", " "), note=row["reason"])
        rows.append([row["metric"].replace("_", " "), status, *map(number, values), number(truth, low, high)])
    return Table("Can each metric tell a known circuit from a wrong one?", columns, rows)


def _variance(run: PageRun) -> Table:
    """The rows of `variance.csv` with all of their scores; those of sizes are factors."""
    columns = [
        Column("Circuit"),
        Column("Score"),
        *(
            Column(
                f"Between {part.replace('finder', 'finder seeds').replace('training', 'trainings')}",
                "standard deviation",
                True,
            )
            for part in PARTS
        ),
        Column("Detectable", "smallest difference with 80 % power", numeric=True),
    ]
    names = (
        "preset",
        "method",
        "graph",
        "task",
        "metric",
        "scale",
        "detectable",
        *(f"{part}_deviation" for part in PARTS),
    )
    rows: list[list[Cell | str]] = []
    for row in run.rows_of("variance.csv", (*names, "reason")):
        if row["preset"] == run.preset and not row["reason"]:
            circuit = Cell(row["method"], note=f"{row['task']}, {row['graph']} graph")
            parts = [_scaled(row, f"{part}_deviation") for part in PARTS]
            rows.append([circuit, row["metric"].replace("_", " "), *parts, _scaled(row, "detectable")])
    return Table("How much scores vary (sizes: as factors)", columns, rows)


def _scaled(row: Mapping[str, str], name: str) -> Cell:
    """A deviation; of the logs of a size, the factor that it stands for."""
    import math

    value = _parsed(row[name])
    if value is None or not row["scale"]:
        return number(value)
    factor = math.exp(value)
    return Cell(f"\N{MULTIPLICATION SIGN}{short(factor)}", factor)


def _parsed(text: str) -> float | None:
    """A number of a table; `None` for an empty field, or what is none."""
    with suppress(ValueError):
        return float(text)
    return None
