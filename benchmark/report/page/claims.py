"""Published claims about sparse circuits: the verdict on each, and the numbers behind it."""

from collections import Counter
from collections.abc import Sequence

from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number, table
from benchmark.report.page.templating import rendered
from benchmark.report.words import counted, listed, short
from benchmark.studies.verdicts import AtPoint, Claim, Criterion, Finding

VERDICTS = ("confirmed", "refuted", "undecided")


def section(run: PageRun) -> Section:
    """Every claim with its criteria, values, intervals and verdicts."""
    claims = [
        (anchor(at), claim.sentence, *verdict_sentence(found), table(_table(claim, found)))
        for at, (claim, found) in enumerate(run.verdicts)
    ]
    return Section("claims", "Published claims", rendered("claims.html", claims=claims), tuple(_missing(run)))


def anchor(at: int) -> str:
    """The anchor of a claim in the page, by its place in the list."""
    return f"claims-{at + 1}"


def verdict_sentence(found: Sequence[Finding]) -> tuple[str, str]:
    """One word for the verdicts of a claim's criteria, `mixed` where they differ, and a sentence."""
    counts = Counter(finding.verdict for finding in found)
    if len(counts) == 1:
        (verdict,) = counts
        if verdict == "undecided":
            (reason, times), *_ = Counter(finding.reason for finding in found).most_common()
            return verdict, f"{reason}{'' if times == len(found) else f' ({times} of {len(found)} numbers)'}."
        return verdict, f"by {'its one number' if len(found) == 1 else f'all {len(found)} numbers'}."
    parts = [f"{verdict} by {counts[verdict]}" for verdict in VERDICTS if counts[verdict]]
    return "mixed", f"of {counted(len(found), 'number')}, {listed(parts)}."


def _table(claim: Claim, found: Sequence[Finding]) -> Table:
    columns = [
        Column("Number"),
        Column("Value", "95 % interval", numeric=True),
        Column("Holds if", numeric=True),
        Column("Seeds", numeric=True),
        Column("Verdict"),
    ]
    rows: list[list[Cell | str]] = [
        [
            criterion.of,
            number(finding.value, *finding.interval),
            Cell(_bound(criterion), criterion.bound),
            number(finding.seeds),
            Cell(finding.verdict, note=finding.reason),
        ]
        for criterion, finding in zip(claim.criteria, found, strict=True)
    ]
    return Table(f"Numbers by which the claim is judged: {claim.sentence}", columns, rows, sortable=False)


def _bound(criterion: Criterion | AtPoint) -> str:
    return f"{'above' if criterion.above else 'below'} {short(criterion.bound)}"


def _missing(run: PageRun) -> list[str]:
    if run.sweep:
        return []
    return [f"Claims about L0 and width: there is no sweep. {run.tables.command('sweep all')} makes it."]
