import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_model.config import TrainingConfig
from sparse_model.schedule import annealed, learning_rate_at

CONFIG = TrainingConfig(
    density=0.04, embedding_density=0.2, learning_rate=1.0, warm_up=0.1, anneal_from=0.1, anneal_until=0.5
)


def test_density_falls_linearly_between_the_two_shares():
    shares = [0.0, 0.1, 0.3, 0.5, 0.999]
    assert [annealed(share, 0.04, CONFIG) for share in shares] == pytest.approx([1, 1, 0.52, 0.04, 0.04])
    assert [annealed(share, 0.2, CONFIG) for share in shares] == pytest.approx([1, 1, 0.6, 0.2, 0.2])


def test_shark_fin_has_the_values_that_one_gets_by_hand():
    # warm-up, then (1000 - step) / 900, times sqrt(0.04 / density)
    expected = {0: 0, 50: 0.5 * 0.2, 100: 1 * 0.2, 300: 7 / 9 * (0.04 / 0.52) ** 0.5, 500: 5 / 9, 750: 2.5 / 9}
    for step, rate in expected.items():
        assert learning_rate_at(step, 1000, CONFIG) == pytest.approx(rate)


def test_a_dense_run_has_no_fin():
    dense = CONFIG.model_copy(update={"density": 1.0})
    assert learning_rate_at(300, 1000, dense) == pytest.approx(7 / 9)


def test_an_annealing_that_ends_at_once_is_the_target_from_the_start():
    assert annealed(0.0, 0.1, TrainingConfig(anneal_from=0.0, anneal_until=0.0)) == 0.1


@given(st.floats(0, 1), st.floats(0.001, 1), st.floats(0, 0.5), st.floats(0.5, 1))
def test_density_stays_between_the_target_and_one(progress, target, begin, end):
    config = TrainingConfig(anneal_from=begin, anneal_until=end)
    assert target - 1e-9 <= annealed(progress, target, config) <= 1
