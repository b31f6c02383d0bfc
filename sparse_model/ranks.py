"""Trains one transformer in several processes, the ranks, each on a device of its own, by Lightning Fabric.

Rank 0 is the process that trains. It starts the others, sends them the state of the run and the tokens of every step,
reports, and writes checkpoints and the model. Each rank computes the gradient on its share of the batch; the gradients
are averaged, and every rank takes the same step with the average: Adam, projection and decay. All of this is the same
to rounding as in one process.

The other ranks are started by `subprocess`, as workers of a run are daemons, which cannot have children of
`multiprocessing`, and Fabric's own launcher would start the command `bench` again. They end with rank 0, however that
ends, because their standard input is then closed. The gradient is averaged here and not by Fabric's wrapper of a
module, as `sparse_model.loss` adds to it outside of autograd.
"""

import hashlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from benchmark.corpus import Corpus
from benchmark.model.devices import choose_device, chosen_device
from sparse_model import linear
from sparse_model.config import CorpusModelConfig, TransformerConfig
from sparse_model.resuming import moments_of, restore_moments
from sparse_model.training import Learner, Run

HERE = "127.0.0.1"
"""The address at which ranks find each other: all are on one machine."""

PATIENCE = timedelta(minutes=10)
"""How long a rank waits for the others; they wait while rank 0 writes a checkpoint."""

SECONDS_TO_END = 10.0
"""How long rank 0 waits for the others to end before it kills them."""

COMPARE = -1
"""The number of a step that asks for the digest of the weights instead."""


class OneMachine:
    """Tells Fabric which of the ranks this process is, and that all have been started: a `ClusterEnvironment`."""

    creates_processes_externally = True
    main_address = HERE

    def __init__(self, rank: int, ranks: int, port: int) -> None:
        self._rank, self._ranks, self.main_port = rank, ranks, port

    @staticmethod
    def detect() -> bool:
        """Whether it is to be used without having been asked for."""
        return False

    def world_size(self) -> int:
        """Number of ranks."""
        return self._ranks

    def set_world_size(self, size: int) -> None:
        """Fabric has counted the devices."""
        assert size == self._ranks

    def global_rank(self) -> int:
        """The number of this rank."""
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        """Fabric has computed the number of this rank."""
        assert rank == self._rank

    def local_rank(self) -> int:
        """Its number on this machine."""
        return self._rank

    def node_rank(self) -> int:
        """The number of this machine."""
        return 0

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Fabric has as many devices as there are ranks."""
        assert (num_devices, num_nodes) == (self._ranks, 1)

    def teardown(self) -> None:
        """Nothing of the process was changed."""


class Group:
    """One rank's connection to all others.

    Args:
        rank: Its number, from 0.
        devices: The device of each rank.
        port: Where rank 0 listens while the ranks connect.
    """

    def __init__(self, rank: int, devices: Sequence[str], port: int) -> None:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import ClusterEnvironment
        from lightning_fabric.strategies import DDPStrategy

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        ClusterEnvironment.register(OneMachine)
        self.rank, self.ranks = rank, len(devices)
        strategy = DDPStrategy(cluster_environment=OneMachine(rank, self.ranks, port), timeout=PATIENCE)
        kind = torch.device(devices[0]).type
        wanted = self.ranks if kind == "cpu" else [torch.device(device).index for device in devices]
        self._fabric = Fabric(accelerator=kind, devices=wanted, strategy=strategy)
        self._fabric.launch()

    def from_first(self, tensor: Tensor) -> Tensor:
        """The tensor of rank 0, on the device of this rank; on other ranks the argument gives its shape and type."""
        sent = tensor.detach().to(self._fabric.device).contiguous()
        torch.distributed.broadcast(sent, src=0)
        return sent

    def share_state(self, learner: Learner, step: int) -> None:
        """Give all ranks the weights of rank 0 and, after the first step, Adam's moments."""
        with torch.no_grad():
            for parameter in learner.model.parameters():
                parameter.copy_(self.from_first(parameter))
        if step > 0:
            moments = moments_of(learner.optimizer) or _empty_moments(learner)
            restore_moments(learner.optimizer, {name: self.from_first(moments[name]) for name in sorted(moments)})

    def step(self, learner: Learner, step: int, batch: Int[Tensor, "2 batch position"]) -> float:
        """Take a step on the tokens and targets of rank 0, each rank on its share, and return the loss, nats."""
        tokens, targets = self.from_first(batch).chunk(self.ranks, dim=1)[self.rank]
        loss = self._average(learner, learner.set_gradient(tokens, targets))
        learner.update(step)
        return loss

    def all_equal(self, learner: Learner) -> bool:
        """Whether all ranks have the same weights to the bit."""
        content = hashlib.sha256()
        for parameter in learner.model.parameters():
            content.update(parameter.detach().cpu().contiguous().numpy().data)
        own = torch.tensor([int.from_bytes(content.digest()[:4])], device=self._fabric.device)
        differ = (own != self.from_first(own)).float()
        self._fabric.all_reduce(differ, reduce_op="sum")
        return not differ.any()

    def _average(self, learner: Learner, loss: float) -> float:
        """Replace the gradient by its mean over all ranks, and return the mean of the losses."""
        gradients = [parameter.grad for parameter in learner.model.parameters() if parameter.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients] + [gradients[0].new_tensor([loss])])
        self._fabric.all_reduce(together, reduce_op="mean")
        *parts, last = together.split([gradient.numel() for gradient in gradients] + [1])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return float(last)


def _empty_moments(learner: Learner) -> dict[str, Tensor]:
    """What `moments_of` gives for Adam after a step, without its values."""
    moments: dict[str, Tensor] = {}
    for number, parameter in enumerate(learner.model.parameters()):
        moments |= {f"{number}/{name}": torch.empty_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
        moments[f"{number}/step"] = torch.empty((), device=parameter.device)
    return moments


class LeadingRun(Run):
    """The run of rank 0, whose steps all ranks take."""

    def __init__(self, corpus: Corpus, training: CorpusModelConfig, seed: int, group: Group) -> None:
        super().__init__(corpus, training, seed)
        self._group, self._shared = group, False

    def step(self, step: int) -> float:
        """Do one step of the recipe on all ranks and return the loss before it, nats."""
        self._group.from_first(torch.tensor([step]))
        if not self._shared:
            self._group.share_state(self, step)
            self._shared = True
        return self._group.step(self, step, torch.stack(self.batches.at(step)))

    def check(self) -> None:
        """Raise `RuntimeError` if steps have been taken and the ranks have different weights."""
        if not self._shared:
            return
        self._group.from_first(torch.tensor([COMPARE]))
        if not self._group.all_equal(self):
            raise RuntimeError(f"the {self._group.ranks} ranks have ended with different weights")


@contextmanager
def leading_run(corpus: Corpus, training: CorpusModelConfig, seed: int) -> Iterator[Run]:
    """A run on several ranks, which exist inside the context.

    Raises:
        ValueError: This machine has not as many devices.
        RuntimeError: A rank has ended, or has other weights at the end.
    """
    devices, port = devices_of(training.ranks), _free_port()
    shape = training.transformer(corpus.config.vocabulary, corpus.config.context)
    order = {
        "shape": shape.model_dump(),
        "training": training.model_dump(),
        "devices": devices,
        "port": port,
        "linear": linear.current(),
    }
    others: list[subprocess.Popen[str]] = []
    try:
        for rank in range(1, training.ranks):
            others.append(_start({**order, "rank": rank}))
        for other in others:
            assert other.stdout is not None
            other.stdout.readline()  # it has started, or it has ended
        _raise_for_ended(others, seconds=0.0)
        run = LeadingRun(corpus, training, seed, Group(0, devices, port))
        yield run
        run.check()
    except RuntimeError:
        _raise_for_ended(others, seconds=1.0)
        raise
    finally:
        _end(others)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def devices_of(ranks: int) -> list[str]:
    """The device of each rank, from the chosen one on.

    Raises:
        ValueError: There are not as many, or they cannot be used together.
    """
    first = chosen_device()
    if first.type == "cpu":
        return ["cpu"] * ranks
    count = torch.cuda.device_count() if first.type == "cuda" else 1
    if ranks > count:
        raise ValueError(f"ranks {ranks} needs {ranks} devices {first.type!r}; choose 1 to {count}")
    return [f"cuda:{((first.index or 0) + rank) % count}" for rank in range(ranks)]


def _free_port() -> int:
    """A port of this machine that nothing listens at."""
    with socket.socket() as server:
        server.bind((HERE, 0))
        port: int = server.getsockname()[1]
        return port


def _start(order: dict[str, Any]) -> subprocess.Popen[str]:
    """Start another rank."""
    places = os.pathsep.join(filter(None, sys.path))
    other = subprocess.Popen(
        [sys.executable, "-P", "-c", "from sparse_model.ranks import follow; follow()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        text=True,
    )
    assert other.stdin is not None
    with suppress(BrokenPipeError):  # it has ended, which is seen when it does not answer
        other.stdin.write(f"{json.dumps(order)}\n")
        other.stdin.flush()
    return other


def _raise_for_ended(others: Sequence[subprocess.Popen[str]], seconds: float) -> None:
    """Raise `RuntimeError` if a rank has ended, or ends within some seconds."""
    for rank, other in enumerate(others, start=1):
        with suppress(subprocess.TimeoutExpired):
            status = other.wait(seconds)
            raise RuntimeError(f"rank {rank} of the training has ended with status {status}")


def _end(others: Sequence[subprocess.Popen[str]]) -> None:
    """End the other ranks by closing their standard inputs."""
    for other in others:
        for stream in (other.stdin, other.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
    for other in others:
        try:
            other.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            other.kill()
            other.wait()


def follow() -> None:
    """Be a rank other than the first: take the steps that rank 0 takes, until it closes the standard input.

    Ctrl-C and SIGTERM, which reach all processes of a terminal or a job, are left to rank 0.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_first, daemon=True).start()
    print(flush=True)  # noqa: T201 (rank 0 waits for it)
    os.dup2(2, 1)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    linear.use(order["linear"])
    choose_device(order["devices"][order["rank"]])
    group = Group(order["rank"], order["devices"], order["port"])
    shape, training = TransformerConfig(**order["shape"]), CorpusModelConfig(**order["training"])
    learner, shared = Learner(shape, training, seed=0), False
    batch = torch.empty(2, training.batch, shape.context, dtype=torch.int64)
    while True:
        step = int(group.from_first(torch.tensor([0])))
        if step == COMPARE:
            group.all_equal(learner)
            continue
        if not shared:
            group.share_state(learner, step)
            shared = True
        group.step(learner, step, batch)


def _end_with_first() -> None:
    """Wait until rank 0 closes the standard input, and end."""
    sys.stdin.read()
    os._exit(0)
