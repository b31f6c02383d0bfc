"""Where a model computes, and how numbers get there and back.

A model may be on any device and of any number type. What is computed from its activations stays there; prompts, masks
of circuits, orders of nodes and losses of prompts are small, decide what is done next, and are on the CPU in float32.
"""

from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Model = TypeVar("Model")

_chosen: list[torch.device] = [torch.device("cpu")]
"""Where this process trains models and puts those that it loads."""


def available(device: str) -> str:
    """The kind of device that a choice means here: `cpu`, `cuda` or `mps`.

    Raises:
        ValueError: This machine, or this build of PyTorch, has no such device.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next((name for name in ("cuda", "mps") if present[name]), "cpu")
    if not present.get(device):
        here = ", ".join(["auto", *(name for name, there in present.items() if there)])
        raise ValueError(f"there is no device {device!r} here; choose from {here}")
    return device


def of_worker(device: str, worker: int) -> str:
    """The device of a worker, by the kind of device and the worker's number: several GPUs are shared out."""
    return f"cuda:{worker % torch.cuda.device_count()}" if device == "cuda" else device


def choose_device(name: str) -> None:
    """Train models on a device from now on, and put those that are loaded there."""
    _chosen[:] = [torch.device(name)]


def chosen_device() -> torch.device:
    """Where this process trains models and puts those that it loads; the CPU unless another was chosen."""
    return _chosen[0]


def placed(model: Model) -> Model:
    """A model moved to the chosen device by its method `to`, as modules of torch have; others stay where they are."""
    move = getattr(model, "to", None)
    if move is not None and device_of(model) != chosen_device():
        move(chosen_device())
    return model


def device_of(model: object) -> torch.device:
    """The device of a model: its attribute `device`, or that of its parameters; the CPU if it has neither."""
    device = getattr(model, "device", None)
    if isinstance(device, torch.device):
        return device
    if isinstance(model, torch.nn.Module):
        return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return torch.device("cpu")


def to_numpy(values: Float[Tensor, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Activations as a float32 array, from any device and number type."""
    array: np.ndarray = values.detach().float().cpu().numpy()
    return array


def in_double(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Activations in double precision, for sums over the corpus; on the CPU if their device has none (MPS)."""
    try:
        return values.double()
    except TypeError:
        return values.cpu().double()
