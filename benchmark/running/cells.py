"""Cells, the pieces of a run: each a pure function of its parameters and of the cells that it needs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class CellKind:
    """What the cells of a kind compute.

    Attributes:
        version: Raised by hand when the same parameters give another result; every such cell is then computed again.
        compute: `module:function`, called as `(params, inputs, folder, progress) -> None`. `inputs` maps each role to
            the folder of the needed cell; files go into `folder`, where an interrupted computation finds what it left.
        shown: The parameters that name a cell of this kind to people.
        check: What its cells check of what the run can do at all, as a noun phrase; empty if they check nothing. Apart
            from what they need, nothing else starts before they have ended, and nothing if all of a kind fail.
        all_needed: Whether nothing else starts if even one of these checks fails.
    """

    version: int
    compute: str
    shown: tuple[str, ...] = ()
    check: str = ""
    all_needed: bool = False


KINDS: dict[str, CellKind] = {
    "corpus": CellKind(2, "benchmark.evaluate:compute_corpus"),
    "task": CellKind(1, "benchmark.evaluate:compute_task", ("task",)),
    "prompts": CellKind(3, "benchmark.evaluate:compute_prompts", ("task", "seed"), check="task of the run"),
    "labelled": CellKind(
        1, "benchmark.evaluate:compute_labelled", ("labelled",), check="file of concepts", all_needed=True
    ),
    "train": CellKind(1, "benchmark.evaluate:compute_train", ("method", "seed")),
    "profile": CellKind(3, "benchmark.evaluate:compute_profile", ("method", "variant", "seed")),
    "validity": CellKind(4, "benchmark.evaluate:compute_validity", ("method", "variant", "seed")),
    "claims": CellKind(1, "benchmark.evaluate:compute_claims", ("method", "variant", "seed")),
    "splitting": CellKind(1, "benchmark.evaluate:compute_splitting", ("method", "variant", "seed")),
    "circuit": CellKind(13, "benchmark.evaluate:compute_circuit", ("method", "variant", "graph", "task", "seed")),
    "search": CellKind(6, "benchmark.evaluate:compute_search", ("method", "variant", "graph", "task", "seed")),
}
"""Every kind of cell by name."""


LABELLED = "labelled "
"""How the role begins in which a validity cell needs the labelled texts of a file; the name of the file follows."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One piece of a run; two cells with the same `key` are the same.

    Attributes:
        kind: A name of `KINDS`.
        params: Everything that changes what is computed, as JSON.
        needs: The cells whose artifacts it reads, by role.
        outside: Digests of what it reads from outside the store (files of a folder, the standard library, the source
            of other people's methods, tasks and concepts), by name.
    """

    kind: str
    params: Mapping[str, Any]
    needs: Mapping[str, "Cell"] = field(default_factory=dict)
    outside: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """SHA-256 over the kind, its version, the parameters, the needed cells' keys and what lies outside."""
        needs = {role: cell.key for role, cell in self.needs.items()}
        return key_of(self.kind, KINDS[self.kind].version, self.params, needs, self.outside)

    def order(self, run: str = "") -> "Order":
        """What a worker has to know about it.

        Args:
            run: The name of the run that computes it.
        """
        kind = KINDS[self.kind]
        needs = {role: cell.key for role, cell in self.needs.items()}
        return Order(self.key, self.kind, kind.compute, dict(self.params), needs, kind.version, dict(self.outside), run)

    @property
    def ablation(self) -> str:
        """The ablation under which its circuit is discovered; empty for cells of other kinds."""
        circuit: Mapping[str, str] = self.params.get("circuit", {})
        return circuit.get("ablation", "")

    @property
    def label(self) -> str:
        """Its name for people: `train METHOD seed 0`."""
        return label(self.kind, self.params)


@dataclass(frozen=True)
class Order:
    """A cell as it is sent to a worker, as text and JSON.

    Attributes:
        key: The key of the cell.
        kind: A name of `KINDS`.
        compute: The function that computes it, `module:function`.
        params: Its parameters.
        needs: The keys of the needed cells by role.
        version: The version of its kind.
        outside: Digests of what it reads from outside the store.
        run: The name of the run that computes it.
    """

    key: str
    kind: str
    compute: str
    params: Mapping[str, Any]
    needs: Mapping[str, str]
    version: int = 0
    outside: Mapping[str, str] = field(default_factory=dict)
    run: str = ""


def label(kind: str, params: Mapping[str, Any]) -> str:
    """The name for people of the cell of a kind with these parameters."""
    shown = {name: params[name] for name in KINDS[kind].shown if name in params} if kind in KINDS else {}
    return " ".join([kind, *(f"seed {value}" if name == "seed" else str(value) for name, value in shown.items())])


def key_of(
    kind: str, version: int, params: Mapping[str, Any], needs: Mapping[str, str], outside: Mapping[str, str]
) -> str:
    """SHA-256 over all that determines a cell; `needs` has the keys of the needed cells."""
    content = {"kind": kind, "version": version, "params": params, "needs": needs, "outside": outside}
    return digest(content)


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of canonical JSON, 64 hex digits; the order of keys makes no difference."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
