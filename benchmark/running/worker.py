"""A worker process: computes the cells whose orders come through a pipe, one at a time."""

import contextlib
import os
import signal
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from benchmark.running.cells import Order
from benchmark.running.computing import ReportedProgress, compute, preparation, settle, use_one_thread
from benchmark.running.reports import Advanced, Chosen, Settle, Stop
from benchmark.running.store import Store


def work(connection: Connection, root: Path, chosen: Chosen, device: str, number: int) -> None:
    """Compute the cells whose orders come through `connection`, until it is closed.

    The process leaves Ctrl-C and SIGTERM to the main process and ends with it, however that ends.

    Args:
        connection: Receives orders and sends reports.
        root: The folder of the store.
        chosen: The choices of kernels to use.
        device: The kind of device that models are on.
        number: The number of this worker, from 0.
    """
    use_one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    store = Store(root)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            order: Order | Settle | Stop = connection.recv()
            if isinstance(order, Settle):
                settled = settle(order.recorded, store)
                chosen = settled.chosen
                connection.send(settled)
            elif isinstance(order, Order):
                connection.send(compute(order, store, _progress(connection), preparation(chosen, device, number)))


def _progress(connection: Connection) -> ReportedProgress:
    """The progress of a cell that is reported through a connection; whatever arrives there asks it to stop."""

    def send(done: int, total: int, note: str) -> None:
        connection.send(Advanced(done, total, note))

    return ReportedProgress(send, connection.poll)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
