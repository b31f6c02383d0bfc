import torch

from benchmark.studies.live_memory import peak_bytes

KIBIBYTE = 256
"""Numbers of four bytes."""


def kibibytes(run):
    return peak_bytes(run) / 1024


def test_what_is_freed_no_longer_counts_and_what_is_kept_does():
    def freed():
        for _ in range(3):
            made = torch.ones(KIBIBYTE)
            del made

    assert kibibytes(freed) == 1
    assert kibibytes(lambda: [torch.ones(KIBIBYTE) for _ in range(3)]) == 3


def test_a_temporary_result_counts_at_the_peak():
    def run():
        return ((torch.ones(KIBIBYTE) + 1) * 2).sum()

    assert 2 <= kibibytes(run) < 2.1


def test_views_and_changes_in_place_take_no_memory_and_keep_what_they_view():
    def run():
        made = torch.ones(KIBIBYTE)
        part = made.view(2, -1)[0].add_(1)
        del made
        return part, torch.ones(KIBIBYTE)

    assert kibibytes(run) == 2


def test_what_existed_before_does_not_count_but_gradients_do():
    weight = torch.ones(KIBIBYTE, requires_grad=True)
    assert kibibytes(lambda: weight.detach().mul_(2)) == 0

    def run():
        (weight * weight).sum().backward()

    assert 2 <= kibibytes(run) <= 4.1


def test_two_measurements_of_the_same_agree_to_the_byte():
    layer = torch.nn.Linear(32, 32)

    def run():
        layer.zero_grad()
        layer(torch.ones(8, 32)).square().sum().backward()

    run()
    assert peak_bytes(run) == peak_bytes(run) > 0
