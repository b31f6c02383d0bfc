import pytest
import torch
import torch.nn.functional as F

import sparse_model.loss as module
from sparse_model.config import TransformerConfig
from sparse_model.loss import piecewise_losses, train_on
from sparse_model.transformer import Transformer


@pytest.mark.parametrize("bigram", [True, False])
@pytest.mark.parametrize("logits_at_once", [1, 19 * 7, 2**19])
def test_loss_in_pieces_has_the_value_and_gradients_of_the_naive_one(monkeypatch, bigram, logits_at_once):
    monkeypatch.setattr(module, "LOGITS_AT_ONCE", logits_at_once)
    generator = torch.Generator().manual_seed(0)
    config = TransformerConfig(layers=1, d_model=16, vocabulary=19, context=9, bigram=bigram)
    model = Transformer(config).initialise(generator)
    tokens, targets = torch.randint(0, 19, (2, 4, 9), generator=generator)
    naive = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
    naive.backward()
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    assert train_on(model, tokens, targets) == pytest.approx(naive.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-6)
    losses = piecewise_losses(model, tokens, targets)
    torch.testing.assert_close(losses.mean(), naive.detach())


def test_gradients_of_two_batches_add_up():
    generator = torch.Generator().manual_seed(0)
    model = Transformer(TransformerConfig(layers=1, d_model=16, vocabulary=19, context=9)).initialise(generator)
    tokens, targets = torch.randint(0, 19, (2, 4, 9), generator=generator)
    train_on(model, tokens, targets)
    once = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    train_on(model, tokens, targets)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, 2 * once[name])
