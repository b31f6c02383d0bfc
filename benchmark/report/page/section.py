"""What a section of the page is: a heading, a fragment of HTML, and what could not be shown."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """One section of the page, as the module of its name makes it with `section(run: PageRun) -> Section`.

    Attributes:
        id: Its anchor in the page: lower case letters and hyphens; ids inside the fragment begin with it.
        title: Its heading.
        html: A fragment of HTML below the heading, made by a template that escapes what it is given; its own headings
            begin at `<h3>`.
        missing: One plain sentence for each thing that could not be shown, with the command that would make it.
        data: JSON that its script reads; the page embeds it as `<script type="application/json" id="data-ID">`.
        script: The name of its script in `static/`; empty for none.
    """

    id: str
    title: str
    html: str
    missing: tuple[str, ...] = ()
    data: Mapping[str, object] | None = None
    script: str = ""
