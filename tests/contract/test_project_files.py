"""The files beside the code that others read: the citation, the forms for issues, the code of conduct."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]

CITATION_KEYS = {
    *("abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords"),
    *("license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact"),
    *("repository-code", "title", "type", "url", "version"),
}
"""The keys that the Citation File Format 1.2.0 knows at the top; the first four that are asserted are required."""


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_citation_has_what_the_format_asks_for():
    cited = read("CITATION.cff")
    assert cited.keys() <= CITATION_KEYS
    assert cited["cff-version"] == "1.2.0"
    assert all(isinstance(cited[key], str) and cited[key] for key in ("message", "title", "abstract", "version"))
    assert cited["type"] in ("software", "dataset")
    for work in (cited, *cited["references"]):
        assert work["authors"], work["title"]
        for author in work["authors"]:
            assert author.keys() in ({"name"}, {"family-names", "given-names"}), author
    assert len(set(cited["keywords"])) == len(cited["keywords"])


def test_the_citation_is_of_this_project_and_version():
    cited, about = read("CITATION.cff"), project()
    assert (cited["version"], cited["license"]) == (about["version"], about["license"])
    assert cited["title"].startswith(about["name"])
    assert set(cited["keywords"]) == set(about["keywords"])


FORMS = sorted(file.name for file in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if file.name != "config.yml")


@pytest.mark.parametrize("name", FORMS)
def test_a_form_for_issues_is_one_that_github_reads(name):
    form = read(f".github/ISSUE_TEMPLATE/{name}")
    assert {"name", "description", "body"} <= form.keys() <= {"name", "description", "labels", "title", "body"}
    names = [field["id"] for field in form["body"]]
    assert len(set(names)) == len(names)
    for field in form["body"]:
        assert field["type"] in ("textarea", "input", "dropdown", "checkboxes")
        assert field["attributes"]["label"]


@pytest.mark.parametrize(("name", "asked"), [("bug.yml", True), ("wrong-number.yml", True), ("new-method.yml", False)])
def test_a_form_asks_for_the_settings_of_the_run(name, asked):
    form = read(f".github/ISSUE_TEMPLATE/{name}")
    required = {field["id"] for field in form["body"] if field.get("validations", {}).get("required")}
    assert ("run" in required) == asked
    assert ({"run", "command", "expected"} <= required) == asked
    assert "run.json" in (ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text(encoding="utf-8")


def test_nobody_is_asked_to_write_to_an_address_that_does_not_exist():
    for name in ("CODE_OF_CONDUCT.md", "SECURITY.md", "CONTRIBUTING.md", "CITATION.cff"):
        assert not re.search(r"\S+@\S+\.\w+", (ROOT / name).read_text(encoding="utf-8")), name
