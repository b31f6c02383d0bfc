"""The page of a run in a browser: it draws its charts, asks for nothing, has no complaint, and obeys keys."""

import pytest
from devtools import installed_browser, opened
from toy_tables import write_toy_tables

from benchmark.report.page.writing import write_page

pytestmark = pytest.mark.slow

DRAWN = "document.querySelectorAll('.plot .svg-container').length"

CHARTS = "document.querySelectorAll('figure.chart').length"

CONTROLS = "a[href], button, summary, select, input"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return write_page(write_toy_tables(folder / "results"), None, folder / "report.html")


@pytest.fixture(params=[1440, 390], ids="{} pixels".format)
def tab(request, file, tmp_path):
    browser = installed_browser()
    if browser is None:
        pytest.skip("no Chromium or Chrome is installed")
    with opened(browser, file, tmp_path / "profile", width=request.param) as tab:
        tab.width = request.param
        yield tab


def test_every_chart_is_drawn_without_a_request_or_a_complaint(tab, file):
    assert tab.evaluate(CHARTS) > 3
    tab.wait(f"{DRAWN} === {CHARTS}")
    assert {url for url in tab.requested if not url.startswith(("data:", "about:"))} == {file.as_uri()}
    assert tab.logged == []


def test_nothing_is_wider_than_the_window(tab):
    tab.wait(f"{DRAWN} === {CHARTS}")
    assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_a_table_is_sorted_by_enter_in_a_heading(tab):
    tab.evaluate("document.querySelector('table.sortable thead th:nth-child(2) button').focus()")
    rows = "[...document.querySelector('table.sortable').tBodies[0].rows].map((row) => row.cells[1].textContent)"
    order = "document.querySelector('table.sortable thead th:nth-child(2)').getAttribute('aria-sort')"
    assert tab.evaluate(order) is None
    tab.press("Enter", 13)
    assert (tab.evaluate(order), tab.evaluate(rows)) == ("ascending", ["1", "2", "3"])
    tab.press("Enter", 13)
    assert (tab.evaluate(order), tab.evaluate(rows)) == ("descending", ["3", "2", "1"])


def test_tab_reaches_every_control_that_can_be_seen(tab):
    seen = f"[...document.querySelectorAll('{CONTROLS}')].filter((each) => each.checkVisibility())"
    tab.wait(f"{DRAWN} === {CHARTS}")
    controls = tab.evaluate(f"{seen}.length")
    tab.evaluate(f"{seen}.forEach((each) => each.addEventListener('focus', () => {{ each.dataset.reached = 'yes'; }}))")
    assert controls > 20
    for _ in range(3 * controls):
        tab.press("Tab", 9)
        if tab.evaluate("document.querySelectorAll('[data-reached]').length") == controls:
            return
    assert tab.evaluate(f"{seen}.filter((each) => !each.dataset.reached).map((each) => each.outerHTML)") == []


def test_the_button_changes_the_colours(tab):
    paper = "getComputedStyle(document.body).backgroundColor"
    before = tab.evaluate(paper)
    tab.evaluate("document.getElementById('theme').click()")
    assert tab.evaluate(paper) != before
