"""What a row says of a circuit that was not reached."""

from benchmark.scoring.case import not_reached_because


def test_a_low_mean_loss_is_not_given_as_the_reason_for_not_reaching_the_target():
    assert not_reached_because(0.31, 0.15) == "the lowest loss of any prefix is 0.310 where it was cut"
    assert not_reached_because(0.058, 0.15).endswith("0.058 where it was cut, but it stays too high in some form")
