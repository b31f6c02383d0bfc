"""The page: its sections in their order, put into one HTML file that loads nothing from anywhere.

What a browser may run is named by its hash in the page's content security policy, so a script that came in with a name
or a reason would not run even if it were not escaped.
"""

import base64
import gzip
import hashlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path

from benchmark.report.page import circuits, claims, faithfulness, overview, provenance, trust, validity
from benchmark.report.page.made_from import digest_of
from benchmark.report.page.section import Section
from benchmark.report.page.source import PageRun
from benchmark.report.page.templating import embedded, rendered
from benchmark.report.words import counted

PAGE = "report.html"
"""The name of the page in a folder of tables."""

SECTIONS: Mapping[str, Callable[[PageRun], Section]] = {
    "Overview": overview.section,
    "Circuits": circuits.section,
    "Feature validity": validity.section,
    "Faithfulness": faithfulness.section,
    "Published claims": claims.section,
    "Trust": trust.section,
    "How it was made": provenance.section,
}
"""What makes each section, by its title, in the order of the page."""

STYLES = ("page.css", "circuits.css")
"""The style sheets, in order."""

FRAME = "page.js"
"""The script of the page itself, which runs before those of the sections."""


def page(run: PageRun) -> str:
    """The page of a run as HTML; the same tables and artifacts give the same text."""
    made = [_without_paths(_made(title, section, run), run) for title, section in SECTIONS.items()]
    scripts = [_static(name) for name in dict.fromkeys([FRAME, *(each.script for each in made if each.script)])]
    text = rendered(
        "page.html",
        title=_title(run),
        subtitle=_subtitle(run),
        sections=made,
        data={each.id: _as_is(_shareable(embedded(each.data), run)) for each in made if each.data is not None},
        style=_as_is("".join(map(_static, STYLES))),
        scripts=[_as_is(script) for script in scripts],
        library=_compressed(_library()),
        policy=_policy([*scripts, _library()]),
        made_from=digest_of(run),
    )
    return str(text)  # a file, no part of another template


def _made(title: str, section: Callable[[PageRun], Section], run: PageRun) -> Section:
    """A section; one whose tables cannot be read says so, and the others are shown."""
    try:
        return section(run)
    except (ValueError, OSError) as error:
        name = title.lower().replace(" ", "-")
        return Section(name, title, "", (f"This section could not be made: {' '.join(str(error).split())}.",))


def _without_paths(made: Section, run: PageRun) -> Section:
    """A section that names no folder of this machine except by its last part, since pages are passed on."""
    from markupsafe import Markup

    missing = dict.fromkeys(_shareable(sentence, run) for sentence in made.missing)
    html = _shareable(made.html, run)
    escaped = hasattr(made.html, "__html__")  # by the template that made it
    return replace(made, html=Markup(html) if escaped else html, missing=tuple(missing))  # noqa: S704


def _shareable(text: str, run: PageRun) -> str:
    """A text without the paths that lead to the tables, the artifacts, the code and the user's own folder."""
    folders = [run.folder, *([run.store.root] if run.store else [])]
    shown = {str(path): path.name for folder in folders for path in (folder, folder.absolute()) if path.is_absolute()}
    shown |= {str(path): path.name for path in (Path.cwd(), Path(sys.prefix))} | {str(Path.home()): "~"}
    for path, name in sorted(shown.items(), key=lambda each: -len(each[0])):
        if len(Path(path).parts) > 1:
            text = name.join(re.split(rf"(?<![\w./]){re.escape(path)}(?![\w.-])", text))
    return text


def _title(run: PageRun) -> str:
    methods = _methods(run)
    return f"Circuits of {len(methods)} methods" if len(methods) > 1 else f"Circuits of {''.join(methods) or 'a run'}"


def _subtitle(run: PageRun) -> str:
    seeds = {row.seed for row in run.records if row.seed is not None}
    tasks = {row.task for row in run.records if row.task} - run.board.rules.control_tasks
    return f"Preset {run.preset}: {counted(len(tasks), 'task')}, {counted(len(seeds), 'training seed')}"


def _methods(run: PageRun) -> list[str]:
    """The methods without null baselines."""
    named = dict.fromkeys(row.method for row in run.records)
    return [name for name in named if name not in run.board.rules.controls]


@cache
def _static(name: str) -> str:
    """A script or style sheet of the page."""
    return (resources.files(__package__) / "static" / name).read_text(encoding="utf-8")


@cache
def _library() -> str:
    """The source of plotly.js, which comes with plotly."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _compressed(script: str) -> str:
    """A script as the page carries it, unpacked by the browser when the first chart comes into view."""
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def _policy(scripts: Sequence[str]) -> str:
    """The content security policy: no address may be loaded, and no script run except these."""
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts]
    images = "img-src data: blob:"
    allowed = f"style-src 'unsafe-inline'; script-src {' '.join(hashes)}"
    return f"default-src 'none'; {images}; {allowed}; base-uri 'none'; form-action 'none'"


def _as_is(text: str) -> str:
    """A file of our own, which is not escaped."""
    from markupsafe import Markup

    assert "</script" not in text, text[:80]
    assert "</style" not in text, text[:80]
    return Markup(text)  # noqa: S704 (no text from outside)
