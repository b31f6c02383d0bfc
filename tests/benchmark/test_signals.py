"""Ctrl-C ends the command with 130 from its first import on, and never with a traceback."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from benchmark.stopping import SECONDS_OF_ONE_REQUEST, handled_by, interrupt, stop_requests

PROGRAM = """
import os, signal, sys

class Interrupter:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.{number})

sys.meta_path.insert(0, Interrupter())
sys.argv = ["bench", "list", "methods"]
from benchmark.__main__ import main
main()
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["benchmark.cli", "click", "benchmark.cli.run", "benchmark.methods", "sparse_model"])
def test_a_signal_while_modules_are_loaded_exits_with_130(module, number):
    program = PROGRAM.format(module=module, number=number)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def test_the_first_signal_is_a_request_and_a_later_one_interrupts():
    with stop_requests() as stop_requested:
        assert not stop_requested()
        for _ in range(2):  # sent twice at once, as `timeout` does
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop_requested()
        time.sleep(SECONDS_OF_ONE_REQUEST + 0.1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back_and_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with handled_by(interrupt):
            assert signal.getsignal(signal.SIGTERM) is interrupt
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGTERM) is not interrupt


def test_a_thread_changes_no_handler():
    seen = []

    def look():
        with stop_requests() as stop_requested:
            seen.append((stop_requested(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(False, signal.getsignal(signal.SIGTERM))]
