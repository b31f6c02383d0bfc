"""The documentation builds without a warning, and the site asks no other host for anything."""

import re
import subprocess
import sys

import pytest
from guides import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the dependency group docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
def test_the_site_loads_nothing_from_another_host(site):
    loaded = re.compile(r'<(?:script|img|iframe)[^>]*\ssrc="https?:|<link[^>]*\shref="https?:(?![^>]*canonical)')
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert not [page.name for page in pages if loaded.search(page.read_text(encoding="utf-8"))]
    styles = [style.read_text(encoding="utf-8") for style in site.rglob("*.css")]
    assert not [style for style in styles if re.search(r"url\(['\"]?https?:|@import", style)]


@pytest.mark.slow
def test_the_reference_has_the_signature_and_the_arguments_of_a_function(site):
    text = (site / "api" / "metrics.html").read_text(encoding="utf-8")
    assert 'id="benchmark.metrics.faithfulness"' in text
    assert "circuit_kl" in text
