import copy
import operator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from emulated_device import EmulatedTensor, emulated_device
from torch import nn

TWO_DEVICES = "Expected all tensors to be on the same device"


@pytest.fixture
def device():
    with emulated_device() as device:
        yield device


class Toy(nn.Module):
    """Attention and an MLP on embeddings that are tied to the logits, with a buffer."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 8)
        self.qkv, self.up, self.down = nn.Linear(8, 24), nn.Linear(8, 16), nn.Linear(16, 8)
        self.norm, self.unembed = nn.LayerNorm(8), nn.Linear(8, 7, bias=False)
        self.unembed.weight = self.embed.weight
        self.register_buffer("scale", torch.tensor([0.5] * 8))

    def forward(self, tokens, *, mask=None):
        stream = self.embed(tokens) * self.scale
        heads = (each.unflatten(-1, (2, 4)).transpose(1, 2) for each in self.qkv(stream).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(*heads, attn_mask=mask, is_causal=mask is None)
        stream = stream + mixed.transpose(1, 2).flatten(2)
        return self.unembed(self.norm(stream + self.down(F.gelu(self.up(stream)))))


def toy(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Toy()


def tokens():
    return torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(1))


def loss(model, ids):
    return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def matrix(device="cpu"):
    return torch.arange(6.0).view(2, 3).to(device)


# Equal to the CPU


OPTIMIZERS = [
    (torch.optim.AdamW, {}),
    (torch.optim.AdamW, {"foreach": True}),
    (torch.optim.AdamW, {"foreach": False}),
    (torch.optim.Adam, {"fused": True}),
    (torch.optim.SGD, {"momentum": 0.9, "foreach": True}),
]


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_training_equals_the_cpu_bit_for_bit(device, optimizer, options):
    ours, theirs = toy().to(device), toy()
    steps = [optimizer(each.parameters(), lr=0.1, **options) for each in (ours, theirs)]
    for _ in range(3):
        losses, norms = [], []
        for model, step, ids in zip((ours, theirs), steps, (tokens().to(device), tokens()), strict=True):
            step.zero_grad()
            losses.append(loss(model, ids))
            losses[-1].backward()
            norms.append(nn.utils.clip_grad_norm_(model.parameters(), 0.1))
            step.step()
        assert losses[0].item() == losses[1].item()
        assert norms[0].item() == norms[1].item()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert isinstance(mine, EmulatedTensor), name
        assert torch.equal(mine.cpu(), other), name
        assert torch.equal(mine.grad.cpu(), other.grad), name


def test_attention_with_a_mask_is_close_to_that_of_the_cpu(device):
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    found = toy().to(device)(tokens().to(device), mask=mask.to(device))
    torch.testing.assert_close(found.cpu(), toy()(tokens()))


def test_gradients_pass_views_written_in_place_and_copies_between_devices(device):
    def gradient(where):
        leaf = torch.arange(6.0).requires_grad_()
        values = leaf.to(where) * 2
        rows = values.view(2, 3)
        rows[0].mul_(3)
        rows[:, 1] = 0
        values[2:] += leaf.to(where)[:4]
        return torch.autograd.grad(values.cpu().square().sum(), leaf)[0]

    assert torch.equal(gradient(device), gradient("cpu"))


def test_an_autograd_function_runs_on_the_device(device):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            ctx.save_for_backward(values)
            return values**3

        @staticmethod
        def backward(ctx, gradient):
            return 3 * ctx.saved_tensors[0] ** 2 * gradient

    leaf = matrix(device).requires_grad_()
    Cube.apply(leaf).sum().backward()
    assert leaf.grad.tolist() == (3 * matrix() ** 2).tolist()


def test_a_gradient_on_another_device_is_refused(device):
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            return values.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient.cpu()

    with pytest.raises(RuntimeError, match="expected device meta but got cpu"):
        Wrong.apply(matrix(device).requires_grad_()).sum().backward()
    with pytest.raises(RuntimeError, match="expected device meta but got cpu"):
        (matrix(device).requires_grad_() * 2).backward(matrix())
    with pytest.raises(RuntimeError, match="assign a gradient with device type 'cpu'"):
        matrix(device).requires_grad_().grad = matrix()


# Tensors


MAKERS = {
    "zeros": lambda device: torch.zeros(2, device=device),
    "full": lambda device: torch.full((2,), 3.0, device=device),
    "arange": lambda device: torch.arange(3, device=device),
    "eye": lambda device: torch.eye(2, device=device),
    "linspace": lambda device: torch.linspace(0, 1, 3, device=device),
    "tensor": lambda device: torch.tensor([[1, 2], [3, 4]], device=device),
    "tensor of tensors": lambda device: torch.tensor([matrix(device)[0, 1], 2.0], device=device),
    "as_tensor of an array": lambda device: torch.as_tensor(np.ones(2), device=device),
    "ones_like": lambda device: torch.ones_like(matrix(), device=device),
    "zeros_like": lambda device: torch.zeros_like(matrix(device)),
    "new_tensor": lambda device: matrix(device).new_tensor([1, 2]),
    "new_full": lambda device: matrix(device).new_full((2,), 7),
    "empty, then filled": lambda device: torch.empty(2, device=device).fill_(4),
    "to": lambda device: matrix().to(device),
    "to like another": lambda device: matrix().to(matrix(device)),
    "nonzero": lambda device: matrix(device).nonzero(),
    "boolean mask": lambda device: matrix(device)[matrix(device) > 2],
    "one_hot": lambda device: F.one_hot(torch.arange(3, device=device)),
    "topk": lambda device: matrix(device).topk(2).indices,
    "einsum": lambda device: torch.einsum("ij,kj->ik", matrix(device), matrix(device)),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_new_tensor_is_on_the_device_with_the_numbers_of_the_cpu(device, make):
    made, expected = make(device), make("cpu")
    assert isinstance(made, EmulatedTensor)
    assert made.device == device
    assert made.dtype == expected.dtype
    assert type(made.cpu()) is torch.Tensor
    assert torch.equal(made.cpu(), expected)


@pytest.mark.parametrize("make", [torch.rand, torch.randn, torch.randperm])
def test_random_numbers_can_be_drawn_on_the_device(device, make):
    torch.manual_seed(0)
    drawn = make(4, device=device)
    torch.manual_seed(0)
    assert drawn.tolist() == make(4).tolist()


def test_a_default_device_is_understood(device):
    with device:
        layer, numbers = nn.Linear(2, 2), torch.tensor([1.0, 2.0])
    assert isinstance(layer.weight, EmulatedTensor)
    assert layer.weight.abs().sum() > 0
    assert numbers.tolist() == [1, 2]


@pytest.mark.parametrize("initialise", [nn.init.trunc_normal_, nn.init.orthogonal_, nn.init.xavier_uniform_])
def test_initialisation_writes_numbers(device, initialise):
    assert initialise(torch.zeros(3, 3, device=device)).abs().sum() > 0


def test_single_numbers_can_be_read(device):
    number = matrix(device)[1, 2]
    assert (number.item(), float(number), int(number), bool(number), number.tolist()) == (5.0, 5.0, 5, True, 5.0)
    assert f"{number:.2f}" == "5.00"
    assert [0, 1, 2][torch.tensor(1, device=device)] == 1
    assert matrix()[torch.tensor(1, device=device)].tolist() == [3, 4, 5]


def test_a_view_written_to_changes_its_base(device):
    base = torch.zeros(6, device=device)
    base.view(2, 3)[1].fill_(1)
    base[:1].add_(2)
    base.split(2)[1][0] = 3
    base.chunk(2)[0].unbind()[1].mul_(0).add_(4)
    assert base.tolist() == [2, 4, 3, 1, 1, 1]
    assert base.unsqueeze_(0).shape == (1, 6)
    assert (base + base).shape == (1, 6)
    with torch.no_grad():
        base.detach()[0, 0] = 9
    assert base[0, 0] == 9


def test_copies_cross_devices_both_ways(device):
    ours, theirs = torch.zeros(2, 3, device=device), torch.zeros(2, 3)
    assert torch.equal(ours.copy_(matrix()).cpu(), matrix())
    assert torch.equal(theirs.copy_(matrix(device)), matrix())
    ours[0] = torch.tensor([7.0, 8.0, 9.0])
    assert ours[0].tolist() == [7, 8, 9]


def test_assert_close_looks_at_the_numbers(device):
    torch.testing.assert_close(matrix(device), matrix(device))
    with pytest.raises(AssertionError, match="not close"):
        torch.testing.assert_close(matrix(device), matrix(device) + 1)
    with pytest.raises(AssertionError, match="not close"):
        torch.testing.assert_close(matrix(device), matrix() + 1, check_device=False)
    with pytest.raises(AssertionError, match="'device' do not match"):
        torch.testing.assert_close(matrix(device), matrix())


# Modules


def test_a_module_moves_there_and_back_with_its_buffers_gradients_and_tied_parameters(device):
    model = toy()
    loss(model, tokens()).backward()
    tied, gradient = model.embed.weight, model.qkv.weight.grad.clone()
    for where in (device, torch.device("cpu")):
        model.to(where)
        assert model.embed.weight is model.unembed.weight is tied
        assert isinstance(tied, nn.Parameter)
        assert tied.requires_grad
        assert {each.device for each in (*model.parameters(), *model.buffers(), tied.grad)} == {where}
        assert torch.equal(model.qkv.weight.grad.cpu(), gradient)
    assert type(tied) is nn.Parameter


def test_a_module_moves_after_its_optimizer_was_made(device):
    model = toy()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model.to(device)
    loss(model, tokens().to(device)).backward()
    before = model.qkv.weight.detach().clone()
    optimizer.step()
    assert (model.qkv.weight != before).any()


def test_a_module_can_be_copied_loaded_and_converted(device):
    model, other = toy().to(device), toy(seed=1)
    duplicate = copy.deepcopy(model)
    duplicate.load_state_dict(other.state_dict())
    assert torch.equal(duplicate.qkv.weight.cpu(), other.qkv.weight)
    assert torch.equal(model.qkv.weight.cpu(), toy().qkv.weight)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.qkv.weight, toy().qkv.weight)
    duplicate.bfloat16()
    assert duplicate(tokens().to(device)).dtype == duplicate.qkv.weight.cpu().dtype == torch.bfloat16


def test_assigned_data_are_what_operations_see(device):
    weight = nn.Parameter(matrix(device))
    weight.data = torch.ones(2, 3, device=device)
    assert weight.sum() == 6
    weight.data.mul_(2)
    assert weight.sum() == 12


# Refusals


MIXED = {
    "add": lambda ours, theirs: ours + theirs,
    "add, reversed": lambda ours, theirs: theirs + ours,
    "in place": lambda ours, theirs: ours.add_(theirs),
    "a product with a number on the device": lambda ours, theirs: theirs * ours[0, 0],
    "comparison": lambda ours, theirs: ours == theirs,
    "matmul": lambda ours, theirs: ours @ theirs.T,
    "linear": F.linear,
    "einsum": lambda ours, theirs: torch.einsum("ij,kj->ik", ours, theirs),
    "attention": lambda ours, theirs: F.scaled_dot_product_attention(
        *(each[None, None] for each in (ours, theirs, ours))
    ),
    "cat": lambda ours, theirs: torch.cat([ours, theirs]),
    "stack": lambda ours, theirs: torch.stack([ours, theirs]),
    "stack of numbers": lambda ours, theirs: torch.stack([ours[0, 0], theirs[0, 0]]),
    "where with a mask on the CPU": lambda ours, theirs: torch.where(theirs > 2, ours, 0.0),
    "masked_fill with a mask on the CPU": lambda ours, theirs: ours.masked_fill(theirs > 2, 0.0),
    "masked_fill with one truth on the CPU": lambda ours, theirs: ours.masked_fill(torch.tensor(True), 0.0),
    "gather": lambda ours, theirs: ours.gather(1, theirs.long().clamp(max=1)),
    "index_select": lambda ours, theirs: ours.index_select(0, torch.tensor([0])),
    "index_add_": lambda ours, theirs: ours.index_add_(0, torch.tensor([0, 1]), ours),
    "scatter_": lambda ours, theirs: ours.scatter_(1, torch.zeros(2, 1, dtype=torch.long), 1.0),
    "embedding": lambda ours, theirs: F.embedding(torch.tensor([0]), ours),
    "embedding of one token": lambda ours, theirs: F.embedding(torch.tensor(0), ours),
    "cross_entropy": lambda ours, theirs: F.cross_entropy(ours, torch.tensor([0, 1])),
    "layer_norm": lambda ours, theirs: F.layer_norm(ours, (3,), theirs[0]),
    "equal": torch.equal,
    "equal numbers": lambda ours, theirs: torch.equal(ours[0, 0], theirs[0, 0]),
    "indices on the device": lambda ours, theirs: theirs[torch.tensor([0, 1], device=ours.device)],
    "a mask on the device": lambda ours, theirs: theirs[ours > 2],
    "values put in from the CPU": lambda ours, theirs: operator.setitem(ours, torch.tensor([0, 1]), theirs),
    "values put in from the device": lambda ours, theirs: operator.setitem(theirs, torch.tensor([0, 1]), ours),
    "a number on the CPU written to": lambda ours, theirs: theirs[0, 0].add_(ours[0, 0]),
    "an output on the CPU": lambda ours, theirs: torch.add(ours, ours, out=theirs),
    "addcmul with a number second": lambda ours, theirs: torch.addcmul(ours, theirs.sum(), ours),
    "a list": lambda ours, theirs: torch._foreach_add([ours], [theirs]),
}


@pytest.mark.parametrize("operation", MIXED.values(), ids=MIXED)
def test_tensors_of_two_devices_are_refused(device, operation):
    with pytest.raises(RuntimeError, match=rf"{TWO_DEVICES}.* of aten\.\w+"):
        operation(matrix(device), matrix())


MIXED_MODULES = {
    "tokens on the CPU": lambda model: model(tokens()),
    "a buffer left on the CPU": lambda model: setattr(model, "scale", toy().scale) or model(tokens().to("meta")),
    "a mask on the CPU": lambda model: model(tokens().to("meta"), mask=torch.ones(5, 5, dtype=torch.bool)),
}


@pytest.mark.parametrize("call", MIXED_MODULES.values(), ids=MIXED_MODULES)
def test_a_module_refuses_what_was_left_on_the_cpu(device, call):
    with pytest.raises(RuntimeError, match=TWO_DEVICES):
        call(toy().to(device))


def filled(tensor, index, value):
    tensor[index] = value
    return tensor


ALLOWED = {
    "a number": lambda values, cpu: values * cpu.sum(),
    "a number first": lambda values, cpu: cpu.sum() - values,
    "a number in place": lambda values, cpu: values.add_(cpu.sum()),
    "where": lambda values, cpu: torch.where(values > 2, cpu.sum(), cpu.max()),
    "clamp": lambda values, cpu: values.clamp(max=torch.tensor(2.0)),
    "lerp": lambda values, cpu: values.lerp(values + 1, torch.tensor(0.5)),
    "masked_fill": lambda values, cpu: values.masked_fill(values > 2, torch.tensor(9.0)),
    "fill_": lambda values, cpu: values.fill_(torch.tensor(9.0)),
    "indices": lambda values, cpu: values[torch.tensor([1, 0])],
    "a list": lambda values, cpu: values[[1, 0]],
    "a list in a tuple": lambda values, cpu: values[:, [2, 0]],
    "a list put in": lambda values, cpu: filled(values, [1], 0.0),
    "a mask": lambda values, cpu: values[cpu > 2],
    "a number put in": lambda values, cpu: filled(values, torch.tensor([0]), torch.tensor(9.0)),
    "numbers put in by a mask": lambda values, cpu: filled(values, cpu > 2, 0.0),
    "a slice": lambda values, cpu: filled(values, slice(0, 1), cpu[1:]),
}


@pytest.mark.parametrize("operation", ALLOWED.values(), ids=ALLOWED)
def test_numbers_and_indices_on_the_cpu_are_allowed(device, operation):
    found = operation(matrix(device), matrix())
    assert found.device == device
    assert torch.equal(found.cpu(), operation(matrix(), matrix()))


def test_gradients_pass_indices_on_the_cpu(device):
    leaf = matrix(device).requires_grad_()
    leaf[torch.tensor([0, 0])].sum().backward()
    assert leaf.grad.tolist() == [[2, 2, 2], [0, 0, 0]]


def test_two_numbers_on_the_cpu_are_too_many(device):
    with pytest.raises(RuntimeError, match="too many CPU scalars"):
        matrix(device).clamp(torch.tensor(1.0), torch.tensor(2.0))


DRAWS = {
    "rand": lambda device, generator: torch.rand(2, device=device, generator=generator),
    "randint": lambda device, generator: torch.randint(2, (2,), device=device, generator=generator),
    "randperm": lambda device, generator: torch.randperm(2, device=device, generator=generator),
    "normal_": lambda device, generator: matrix(device).normal_(generator=generator),
    "multinomial": lambda device, generator: torch.multinomial(matrix(device), 1, generator=generator),
    "bernoulli": lambda device, generator: torch.bernoulli(matrix(device) / 5, generator=generator),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_generator_of_the_cpu_is_refused(device, draw):
    draw("cpu", torch.Generator())
    with pytest.raises(RuntimeError, match="Expected a 'meta' device type for generator but found 'cpu'"):
        draw(device, torch.Generator())


@pytest.mark.parametrize(
    "convert", [lambda each: each.numpy(), np.asarray, np.array, np.exp, lambda each: np.array([each])]
)
def test_numpy_is_refused_as_for_cuda(device, convert):
    with pytest.raises(TypeError, match=r"can't convert .* to numpy. Use Tensor.cpu\(\)"):
        convert(matrix(device))
    assert matrix(device).numpy(force=True).tolist() == matrix(device).cpu().numpy().tolist()


FLOAT64 = {
    "double": lambda device: torch.ones(2, device=device).double(),
    "zeros": lambda device: torch.zeros(2, dtype=torch.float64, device=device),
    "to": lambda device: torch.ones(2, dtype=torch.float64).to(device),
    "an array": lambda device: torch.as_tensor(np.ones(2), device=device),
    "sum": lambda device: torch.ones(2, device=device).sum(dtype=torch.float64),
    "a module": lambda device: nn.Linear(2, 2).double().to(device),
    "converted before it is copied": lambda device: torch.ones(2, device=device).to("cpu", torch.float64),
    "copied to": lambda device: torch.ones(2, dtype=torch.float64).copy_(torch.ones(2, device=device)),
}


@pytest.mark.parametrize("use", FLOAT64.values(), ids=FLOAT64)
def test_float64_is_refused_on_request_only(use):
    with emulated_device() as device:
        use(device)
    with emulated_device(float64=False) as device:
        with pytest.raises(TypeError, match="Cannot convert a MPS Tensor to float64"):
            use(device)
        assert torch.ones(2, device=device).cpu().double().sum() == 2
        assert torch.zeros(2, device=device).copy_(torch.ones(2, dtype=torch.float64)).dtype == torch.float32


def test_outside_of_the_context_nothing_is_emulated():
    with emulated_device() as device:
        ours = matrix(device)
    for use in (torch.exp, torch.Tensor.cpu, lambda each: each + 1):
        with pytest.raises(RuntimeError, match="outside of `emulated_device"):
            use(ours)
    bare = torch.ones(2, device="meta")
    assert not isinstance(bare, EmulatedTensor)
    with emulated_device() as device, pytest.raises(RuntimeError, match="without numbers"):
        torch.ones(2, device=device) + bare


def test_pickle_is_refused_as_the_numbers_would_be_lost(device, tmp_path):
    with pytest.raises(NotImplementedError, match="cannot be pickled"):
        torch.save(matrix(device), tmp_path / "numbers.pt")
