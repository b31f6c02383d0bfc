"""The page of a run in a browser: it draws its charts, loads nothing, and has nothing to complain about."""

import re
import shutil
import subprocess

import pytest
from toy_tables import write_toy_tables

from benchmark.report.page.writing import write_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

PATIENCE = 120
"""Seconds until the browser must have ended."""


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    return found


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """The page as it is after its scripts have run, and what the browser has logged and asked for."""
    folder = tmp_path_factory.mktemp("page")
    file = write_page(write_toy_tables(folder / "results"), None, folder / "report.html")
    net = folder / "net.json"
    done = subprocess.run(
        [
            browser,
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}"),
            *("--enable-logging=stderr", "--v=0", f"--log-net-log={net}", "--window-size=1440,6000"),
            *("--virtual-time-budget=20000", "--dump-dom", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return file, done.stdout, done.stderr, net.read_text()


@pytest.mark.slow
def test_the_page_draws_every_chart_without_a_complaint(opened):
    file, document, log, _ = opened
    charts = file.read_text().count('<figure class="chart"')
    assert charts > 3
    assert document.count('class="plot-container') == charts
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []


@pytest.mark.slow
def test_the_page_asks_for_itself_alone(opened):
    *_, net = opened
    asked = set(re.findall(r'"url":"(\w+:[^"]*)"', net))
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:", "chrome"))]


@pytest.mark.slow
def test_the_tables_can_be_sorted_by_buttons_in_their_headings(opened):
    _, document, *_ = opened
    ranked = document[document.index("<caption>Ranked") :]
    heading = ranked[: ranked.index("</thead>")]
    assert heading.count('<button type="button">') == heading.count("<th ")
