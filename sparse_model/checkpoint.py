"""The files of a training run: written atomically, and read with one-line errors that name the file and the remedy."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmark.files import read_tensors, readable

CHECKPOINT = "checkpoint.safetensors"


def save_checkpoint(folder: Path, state: Mapping[str, Tensor], identity: Mapping[str, Any]) -> None:
    """Write the state of a run, and the settings that identify it."""
    write_tensors(folder / CHECKPOINT, state, {"identity": json.dumps(identity, sort_keys=True)})


def load_checkpoint(folder: Path, identity: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """The state of an interrupted run, if the folder contains one.

    Raises:
        ValueError: If it is the state of a run with other settings.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    state = read_tensors(path)
    with readable(path, "safetensors file"), safe_open(path, framework="pt") as file:
        found = (file.metadata() or {}).get("identity")
    if found != json.dumps(identity, sort_keys=True):
        raise ValueError(f"{path} is a checkpoint of a run with other settings; choose an empty folder")
    return state


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically."""
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)
    os.replace(partial, path)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
