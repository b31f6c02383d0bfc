import pytest
import torch
from jaxtyping import TypeCheckError

from benchmark.tasks.answers import partners, prompt_losses


def test_wrong_shapes_are_refused_by_the_first_calls_in_every_test():
    with pytest.raises(TypeCheckError):
        prompt_losses(torch.zeros(3), None)


@pytest.mark.parametrize("again", [1, 2])
def test_every_test_checks_first_calls_anew(again):
    for _ in range(20):
        partners(4)
    with pytest.raises(TypeCheckError):
        prompt_losses(torch.zeros(3), None)
