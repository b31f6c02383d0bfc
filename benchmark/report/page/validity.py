"""Feature validity: what nodes detect against what their labels can replace, and what top examples hide."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.files import readable
from benchmark.records.table import VALIDITY, Record
from benchmark.report.meanings import Assessment, read_assessment
from benchmark.report.page.chart import chart
from benchmark.report.page.concept_controls import ConceptControls, Content, concept_controls
from benchmark.report.page.feature import ShownFeature, band_of
from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.table import Cell, Column, Table, number, table
from benchmark.report.page.templating import rendered
from benchmark.report.words import limits, listed, short

if TYPE_CHECKING:
    from benchmark.report.figures import Figure

ID = "feature-validity"

VERDICTS = ("illusion", "graded", "meant", "undecided", "undefined")
"""What names are worth."""

MOST_ILLUSIONS = 24
"""Most features with a misleading name that are shown."""

Assessed = Sequence[tuple[Record, Assessment]]
"""The assessment of each model, with a row of it."""


def section(run: PageRun) -> Section:
    """The section; without a store the scatter alone."""
    figure = run.figure("labels")
    missing = list(figure.missing)
    assessed, unread = _assessed(run)
    missing += unread
    concepts = _concepts(assessed)
    illusions = _illusions(assessed, run.board.rules.controls)
    planted = _planted(run, assessed)
    html = rendered(
        "validity.html",
        chart=chart(figure),
        concepts=concepts,
        names=table(_names(assessed)),
        illusions=illusions,
        planted=planted,
    )
    if assessed and planted is None:
        missing.append("No feature could be planted: the store lacks the corpus, or nothing in it fits.")
    data = {"points": _points(figure, concepts)} if concepts else None
    return Section(ID, "Feature validity", html, tuple(missing), data, "validity.js" if concepts or illusions else "")


def _assessed(run: PageRun) -> tuple[list[tuple[Record, Assessment]], list[str]]:
    """The assessment of each model, controls last, and what is said of those that cannot be read."""
    rows = [row for row in run.records if row.metric == "nodes_with_a_name" and row.status != "failed"]
    rows.sort(key=lambda row: row.method in run.board.rules.controls)
    if not rows:
        return [], ["No features were assessed; `bench run` does it for every method."]
    if run.store is None:
        return [], ["Controls and examples are read from the store of the run; `bench report --store DIR` shows them."]
    found, lacking, damaged = list[tuple[Record, Assessment]](), list[str](), list[str]()
    for row in rows:
        try:
            content = read_assessment(row, [row], run.store)
        except (ValueError, OSError) as error:
            damaged.append(f"{row.method} {row.variant}: {' '.join(str(error).split())}.")
            continue
        if content is None:
            lacking.append(f"{row.method} {row.variant}")
        else:
            found.append((row, content))
    if lacking:
        damaged.append(f"The store lacks the assessment of {listed(lacking)}; `bench run` computes it again.")
    return found, damaged


def _concepts(assessed: Assessed) -> list[ConceptControls]:
    """Every concept in every model."""
    from benchmark.report.concept_text import CONTROLS

    found: list[ConceptControls] = []
    for row, content in assessed:
        with readable(Path(VALIDITY), "assessment"):
            for each in content["concepts"]:
                found.append(concept_controls(len(found), row, each, CONTROLS))
    return found


def _points(figure: "Figure", concepts: Sequence[ConceptControls]) -> list[list[str]]:
    """For each series of the figure, the anchor of the concept that each point is; empty for none."""

    def anchor(method: str, variant: str, text: str) -> str:
        for each in concepts:
            same = (each.method, each.variant) == (method, variant)
            if same and text.startswith(f"{each.concept}, seed {each.seed}:"):
                return each.id
        return ""

    return [[anchor(series.method, series.variant, text) for text in series.text] for series in figure.series]


def _names(assessed: Assessed) -> Table:
    """What the names of each model's nodes are worth."""
    columns = [Column("Method"), Column("Variant"), Column("Seed", numeric=True), Column("Judged", numeric=True)]
    columns += [Column(verdict.capitalize(), numeric=True) for verdict in VERDICTS]
    rows: list[list[Cell | str]] = []
    for row, content in assessed:
        counts = Counter(node["verdict"] for node in content["named"])
        seed = Cell("" if row.seed is None else str(row.seed), row.seed)
        figures = [number(float(count)) for count in (counts.total(), *(counts[each] for each in VERDICTS))]
        rows.append([row.method, row.variant, seed, *figures])
    return Table("What names by top-activating examples are worth", columns, rows)


def _illusions(assessed: Assessed, controls: frozenset[str]) -> list[ShownFeature]:
    """Features whose names mislead, those that another meaning explains better first."""
    found: list[tuple[tuple[bool, float], ShownFeature]] = []
    for row, content in assessed:
        with readable(Path(VALIDITY), "assessment"):
            for node in content["named"]:
                if node["verdict"] == "illusion" and row.method not in controls:
                    found.append((_telling(node), _shown(row, node)))
    return [feature for _, feature in sorted(found, key=lambda each: each[0])][:MOST_ILLUSIONS]


def _telling(node: Content) -> tuple[bool, float]:
    """How much an illusion tells, the most first: a better meaning is known, and the name holds less below the top."""
    purity = node["purity"]
    top, middle = (purity[band] if purity[band] is not None else 0.0 for band in ("high", "middle"))
    return not node["better"], middle - top


def _shown(row: Record, node: Content) -> ShownFeature:
    """A named node as a feature."""
    return ShownFeature(
        title=f"{row.method} ({row.variant}), {node['node']}",
        name=node["concept"],
        facts=tuple(_facts(node)),
        bands=tuple(band_of(band, lines, node["purity"][band]) for band, lines in node["examples"].items()),
    )


def _facts(node: Content) -> Iterator[tuple[str, str]]:
    label, own = node["label"], node["quantised"]
    yield "label score of the name", f"{short(label['value'])} {limits(label['low'], label['high'])}".strip()
    yield "its own value at as many levels", short(own["value"])
    if node["better"]:
        yield "better explained by", f"{node['better']} ({short(node['better_score'])})"
    for other in node["middle"][:1]:
        told = (
            f"{other['concept']} at {other['share']:.0%} of them, elsewhere without the name {other['elsewhere']:.0%}"
        )
        yield "at middle activations without the name", told


def _planted(run: PageRun, assessed: Assessed) -> ShownFeature | None:
    """The planted feature on the corpus of the assessed models; `None` if the store does not have it."""
    if run.store is None or not assessed:
        return None
    from benchmark.corpus import Corpus
    from benchmark.report.page.planted_feature import planted_feature

    row, _ = assessed[0]
    try:
        needs = run.store.manifest(run.store.key_of(row.config_hash)).needs
        return planted_feature(Corpus.load(run.store.artifact(needs["corpus"])))
    except (ValueError, OSError):
        return None
