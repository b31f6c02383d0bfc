"""Templates of the page; whatever is put into one is escaped, since names and reasons may come from strangers."""

import json
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> "Environment":
    """The templates in `templates/`, with a filter `code`; a name that is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("benchmark.report.page", "templates")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["code"] = with_code
    return made


def with_code(text: str) -> str:
    """A sentence with what stands in backticks as code."""
    from markupsafe import Markup, escape

    if "`" not in text:
        return escape(text)
    parts = [
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def rendered(template: str, **values: object) -> str:
    """A template filled in, as markup that other templates do not escape again."""
    from markupsafe import Markup

    return Markup(environment().get_template(template).render(**values))  # noqa: S704 (escaped by the template)


def embedded(data: object) -> str:
    """Data as JSON inside a `<script>`: no text in it can end the script or begin a tag."""
    from markupsafe import Markup

    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 (escaped above)
