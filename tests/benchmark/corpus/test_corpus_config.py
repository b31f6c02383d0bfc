"""What a corpus config accepts."""

import pytest
from pydantic import ValidationError

from benchmark.corpus import CorpusConfig


def test_default_mix_is_idioms_and_packages():
    sources = CorpusConfig().sources
    assert sources["idioms"] == 0.7
    assert all(name.startswith("package:") for name in sources if name != "idioms")


def test_a_package_without_a_name_is_told_what_one_looks_like():
    with pytest.raises(ValueError, match=r"'package:' does not name a distribution, such as package:sympy"):
        CorpusConfig(sources={"package:": 1.0})


@pytest.mark.parametrize("name", ["idiom", "path:", "hf:", "stdlib:3", "https://example.org"])
def test_unknown_source_is_named_with_the_choices(name):
    with pytest.raises(
        ValueError, match=rf"unknown corpus source '{name}'; choose from idioms, package:NAME, stdlib, path"
    ):
        CorpusConfig(sources={name: 1.0})


@pytest.mark.parametrize("share", [0.0, -0.5, float("nan"), float("inf")])
def test_shares_must_be_positive(share):
    with pytest.raises(ValidationError, match=r"greater than 0|finite number"):
        CorpusConfig(sources={"idioms": share, "stdlib": 0.5})


def test_shares_must_add_up_to_one():
    with pytest.raises(ValidationError, match=r"add up to 0\.8; they must add up to 1"):
        CorpusConfig(sources={"idioms": 0.5, "stdlib": 0.3})


@pytest.mark.parametrize(
    "setting",
    [{"tokens": 0}, {"vocabulary": 256}, {"vocabulary": 65_537}, {"context": 0}, {"sources": {}}, {"size": 1}],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValidationError):
        CorpusConfig(**setting)


def test_held_out_splits_hold_five_percent_and_at_least_thirty_two_windows():
    assert CorpusConfig(tokens=1_000_000).wanted("test") == 50_000
    assert CorpusConfig(tokens=1_000).wanted("validation") == 32 * 257
