"""Published claims about sparse circuits: the verdict on each, and the numbers behind it."""

import math
from collections import Counter
from collections.abc import Sequence

from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number, table
from benchmark.report.page.templating import rendered
from benchmark.report.words import counted, limits, listed, short
from benchmark.studies.verdicts import AtPoint, Claim, Criterion, Finding

VERDICTS = ("confirmed", "refuted", "undecided")


def section(run: PageRun) -> Section:
    """Every claim with its criteria, values, intervals and verdicts."""
    claims = [
        (anchor(at), claim.sentence, *verdict_sentence(claim, found), table(_table(claim, found)))
        for at, (claim, found) in enumerate(run.verdicts)
    ]
    return Section("claims", "Published claims", rendered("claims.html", claims=claims), tuple(_missing(run)))


def anchor(at: int) -> str:
    """The anchor of a claim in the page, by its place in the list."""
    return f"claims-{at + 1}"


def verdict_sentence(claim: Claim, found: Sequence[Finding]) -> tuple[str, str]:
    """One word for the verdicts on a claim, `mixed` where its criteria differ, and a sentence with the first number."""
    counts: Counter[str] = Counter(finding.verdict for finding in found)
    if list(counts) == ["undecided"]:
        (reason, times), *_ = Counter(finding.reason for finding in found).most_common()
        return "undecided", f"{reason}{'' if times == len(found) else f' ({times} of {len(found)} numbers)'}."
    if len(counts) == 1:
        (verdict,) = counts
        told = "by its one number" if len(found) == 1 else f"by all {len(found)} numbers"
    else:
        verdict = "mixed"
        parts = [f"{each} by {counts[each]}" for each in VERDICTS if counts[each]]
        told = f"of {counted(len(found), 'number')}, {listed(parts)}"
    return verdict, f"{told}{_first(claim, found)}."


def _first(claim: Claim, found: Sequence[Finding]) -> str:
    """The first number that is known, which is the one that the claim is about."""
    for criterion, finding in zip(claim.criteria, found, strict=True):
        if math.isfinite(finding.value):
            return f"; {criterion.of}: {' '.join(filter(None, (short(finding.value), limits(*finding.interval))))}"
    return ""


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
