import math

import pytest
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.studies.match import MatchingRun, next_tokens


def search(loss, wanted, tokens, trials=8):
    seen = []
    for _ in range(trials):
        seen.append(MatchingRun(tokens, loss(tokens), loss(tokens) - wanted))
        if abs(seen[-1].gap) < 0.01:
            break
        tokens = next_tokens(seen)
    return seen


@pytest.mark.parametrize("wanted", [2.5, 3.0, 3.4])
def test_search_meets_a_loss_that_falls_with_log_tokens(wanted):
    seen = search(lambda tokens: 10 - 0.6 * math.log(tokens), wanted, 1_000_000)
    assert abs(seen[-1].gap) < 0.01
    assert len(seen) <= 4


def test_search_meets_a_loss_that_flattens():
    seen = search(lambda tokens: 2 + 300 / tokens**0.4, 3.0, 4_000_000)
    assert abs(seen[-1].gap) < 0.01


def test_one_step_never_runs_away():
    assert next_tokens([MatchingRun(1_000_000, 9.0, 6.0)]) < 5_000_000


def test_method_without_tokens_is_one_line_with_its_name(tmp_path):
    arguments = ["match", "random_dictionary", "--preset", "smoke", "--store", str(tmp_path / "store")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "method 'random_dictionary' has no setting 'tokens'" in result.stderr


def test_unknown_method_names_the_choices(tmp_path):
    result = CliRunner().invoke(main, ["match", "lasso", "--store", str(tmp_path / "store")])
    assert result.exit_code == 2
    assert "unknown method 'lasso'; choose from" in result.stderr
