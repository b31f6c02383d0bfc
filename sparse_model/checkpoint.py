"""The files of a training run: written atomically, and read with one-line errors that name the file and the remedy."""

import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

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
    with readable(path, "safetensors file"), safe_open(path, framework="pt") as file:
        found = (file.metadata() or {}).get("identity")
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a mapping)
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


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Turn any error while reading a damaged file into a one-line `ValueError` with file, fault and remedy."""
    try:
        yield
    except Exception as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} {_fault(path, kind)} ({detail[:120]})") from error


def _fault(path: Path, kind: str) -> str:
    """What is wrong with a file that cannot be read, and the remedy."""
    if not path.exists():
        return "does not exist; check the folder, or get the file again"
    if not path.is_file() or not os.access(path, os.R_OK):
        return "is not a readable file; check it and its permissions"
    with path.open("rb") as file:
        beginning = file.read(100)
    if not beginning:
        return "is empty; get it again"
    if beginning.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"
    if zipfile.is_zipfile(path):
        return "contains more than tensors; save only the model's state_dict()"
    return f"is not a complete {kind}; get it again"


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file."""
    with readable(path, "JSON file"):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} contains a {type(content).__name__}; it should contain an object, such as {{...}}")
    return content


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    with readable(path, "safetensors file"):
        tensors: dict[str, Tensor] = load_file(path)
    return tensors


def check_tensors(path: Path, found: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]]) -> None:
    """Compare the tensors of a file with what a model needs, before the model is built.

    Raises:
        ValueError: One line with the file and the names of tensors that are missing, unknown, of the wrong shape or not
            finite.
    """
    wrong = {
        "lacks": [name for name in shapes if name not in found],
        "contains unknown": [name for name in found if name not in shapes],
        "contains tensors whose shape does not match its config:": [
            f"{name} {list(found[name].shape)} instead of {list(shape)}"
            for name, shape in shapes.items()
            if name in found and tuple(found[name].shape) != tuple(shape)
        ],
        "contains values that are not finite in": [name for name, each in found.items() if not each.isfinite().all()],
    }
    for fault, names in wrong.items():
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise ValueError(f"{path} {fault} {', '.join(names[:5])}{more}")
