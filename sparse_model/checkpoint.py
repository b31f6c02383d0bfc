"""The files of a training run: written atomically, and read with one-line errors that name the file and the remedy.

A checkpoint is one safetensors file with the state of a run, what the run trains, and a checksum over all of it.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmark.disk import remove_partial, written_atomically
from benchmark.files import read_tensors, readable
from benchmark.plugins.versions import code_version, library_versions

CHECKPOINT = "checkpoint.safetensors"
"""The file of an interrupted training run."""

SET_ASIDE = "checkpoint.set-aside"
"""What a checkpoint from which this run cannot resume is renamed to, until the training is done."""

CHECKPOINT_SECONDS = 60.0
"""Seconds between two checkpoints, or more if writing one takes more than `LARGEST_SHARE` of them."""

LARGEST_SHARE = 0.01
"""The share of the training time that may be spent on writing checkpoints."""

LOG = logging.getLogger("sparse_circuit_bench")


@dataclass(frozen=True, eq=False)
class State:
    """Everything that the later steps of a training run depend on.

    Attributes:
        tensors: Parameters, moments, counters and states of generators.
        values: What is not a tensor, as JSON.
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Mapping[str, "State"]) -> "State":
        """The states of several parts, by name."""
        named = [(f"{name}/", part) for name, part in parts.items()]
        return cls(
            {start + key: tensor for start, part in named for key, tensor in part.tensors.items()},
            {start + key: value for start, part in named for key, value in part.values.items()},
        )

    def part(self, name: str) -> "State":
        """The state that `joined` took under this name."""
        return State(_beginning_with(f"{name}/", self.tensors), _beginning_with(f"{name}/", self.values))


class Checkpoints:
    """The checkpoint of one training run in its folder: at any moment there is at most one, and it is complete.

    Args:
        folder: The folder of the run.
        identity: What the run trains and on what, as JSON. The versions of our code and of the libraries are added, as
            other code may take other steps.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._path = folder / CHECKPOINT
        self._identity = {**identity, "code": code_version(), "libraries": library_versions()}
        self._saved_at, self._took = time.monotonic(), 0.0

    @property
    def due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return time.monotonic() - self._saved_at >= max(CHECKPOINT_SECONDS, self._took / LARGEST_SHARE)

    def save(self, state: State) -> None:
        """Write a checkpoint in the place of the last one.

        Raises:
            OSError: It cannot be written; the last one stays.
        """
        began = time.monotonic()
        texts = {"identity": _text(self._identity), "values": _text(state.values)}
        try:
            write_tensors(self._path, state.tensors, {**texts, "checksum": _checksum(state.tensors, texts)})
        finally:
            self._saved_at = time.monotonic()
            self._took = self._saved_at - began

    def load(self) -> State | None:
        """The state of an interrupted run; `None` if there is none, or none from which this run can resume.

        A checkpoint that is damaged, or that of a run with other settings or other code, is set aside with a warning.
        """
        if not self._path.exists():
            return None
        try:
            return self._read()
        except ValueError as error:
            self._path.replace(self._path.with_name(SET_ASIDE))
            LOG.warning("%s; it is set aside as %s and the training starts again", error, SET_ASIDE)
            return None

    def remove(self) -> None:
        """Remove what training is resumed from, once it is done, and what interrupted writes have left."""
        for name in (CHECKPOINT, SET_ASIDE):
            self._path.with_name(name).unlink(missing_ok=True)
        remove_partial(self._path.parent, below=True)

    def _read(self) -> State:
        """The state in the file; `ValueError` in one line if it is damaged or not of this run."""
        tensors = read_tensors(self._path)
        with readable(self._path, "checkpoint"), safe_open(self._path, framework="pt") as file:
            metadata = file.metadata()
            texts = {name: metadata[name] for name in ("identity", "values")}
            sound = metadata["checksum"] == _checksum(tensors, texts)
            found, values = (json.loads(text) for text in texts.values())
        if not sound:
            raise ValueError(f"{self._path} does not have the checksum that was written")
        wanted = json.loads(_text(self._identity))
        if differing := [name for name in sorted(wanted | found) if wanted.get(name) != found.get(name)]:
            raise ValueError(f"{self._path} is a checkpoint of a run with other {', '.join(differing)}")
        return State(tensors, values)


def _beginning_with(start: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The items whose names begin with `start`, which is left out."""
    return {name.removeprefix(start): value for name, value in content.items() if name.startswith(start)}


def _text(content: Mapping[str, Any]) -> str:
    """Canonical JSON."""
    return json.dumps(content, sort_keys=True)


def _checksum(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """SHA-256 over texts and tensors with their names, types and shapes."""
    content = hashlib.sha256(_text(texts).encode())
    for name, tensor in sorted(tensors.items()):
        content.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        content.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def digest_of(array: NDArray[Any]) -> str:
    """SHA-256 of the type, the shape and the bytes of an array, such as all windows of a corpus."""
    content = hashlib.sha256(f"{array.dtype} {array.shape}\n".encode())
    content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()


def digest_of_parameters(parameters: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 of the parameters of a model, given with their names."""
    return _checksum(dict(parameters), {})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically."""
    with written_atomically(path) as partial:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial, metadata)
        except SafetensorError as error:
            raise OSError(f"{path} could not be written ({error})") from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically."""
    with written_atomically(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
