"""Files of a training run, each written whole or not at all; and the one from which it resumes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

CHECKPOINT = "checkpoint.safetensors"


def save_checkpoint(folder: Path, state: Mapping[str, Tensor], identity: Mapping[str, Any]) -> None:
    """Write the state of a run, with what tells it from other runs."""
    write_tensors(folder / CHECKPOINT, state, {"identity": json.dumps(identity, sort_keys=True)})


def load_checkpoint(folder: Path, identity: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The state of an interrupted run, if the folder holds one.

    Raises:
        ValueError: If it was another run's.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        if file.metadata()["identity"] != json.dumps(identity, sort_keys=True):
            raise ValueError(f"{path} is a checkpoint of other settings; choose an empty folder")
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file in one go."""
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)
    os.replace(partial, path)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one go."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
