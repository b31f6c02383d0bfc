"""Cells that add numbers, count how often they are computed, and misbehave on demand."""

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path

from benchmark.files import CorruptFileError
from benchmark.running.cells import Cell, CellKind

KIND = CellKind(1, "toy_cells:compute", ("name",))


def compute(params, inputs, folder, progress):
    note_down(params, "computed")
    steps = folder / "steps"
    done = int(steps.read_text()) if steps.exists() else 0
    for step in range(done, params.get("steps", 1)):
        misbehave(params, step)
        progress(step + 1, params.get("steps", 1), f"at {step + 1}")
        steps.write_text(str(step + 1))
    steps.unlink(missing_ok=True)
    if params.get("behaviour") == "cannot read":
        raise CorruptFileError(inputs["need 0"] / "total.json", "is not a complete JSON file")
    total = params["number"] + sum(json.loads((path / "total.json").read_text()) for path in inputs.values())
    (folder / "total.json").write_text(json.dumps(total))


def misbehave(params, step):
    if step != params.get("at", 0):
        time.sleep(params.get("seconds", 0.0))
        return
    match params.get("behaviour"):
        case "raise":
            sys.stdout.write("about to raise\n")
            raise ValueError("this is\nwrong")
        case "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case "full in Rust":
            raise ValueError("I/O error: No space left on device (os error 28)")
        case "hang":
            time.sleep(600)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "warned once" if not (Path(params["diary"]) / f"{params['name']}.warned").exists():
            (Path(params["diary"]) / f"{params['name']}.warned").touch()
            os.kill(os.getpid(), signal.SIGUSR2)
        case "die once" if not (Path(params["diary"]) / f"{params['name']}.died").exists():
            (Path(params["diary"]) / f"{params['name']}.died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


def note_down(params, what):
    with (Path(params["diary"]) / f"{params['name']}.txt").open("a") as diary:
        diary.write(f"{what}\n")


def toy(diary, name, number=1, needs=(), **params):
    """A cell whose total is its number plus those of the cells that it needs."""
    params = {"name": name, "number": number, "diary": str(diary), **params}
    return Cell("toy", params, {f"need {index}": cell for index, cell in enumerate(needs)})


def times_computed(diary, name):
    file = Path(diary) / f"{name}.txt"
    return len(file.read_text().splitlines()) if file.exists() else 0


def total(store, cell):
    return json.loads((store.artifact(cell.key) / "total.json").read_text())


def compute_with_kernels(params, inputs, folder, progress):
    """Note down how linear maps are computed, once a second cell is being computed by another worker."""
    from sparse_model import linear

    (Path(params["diary"]) / f"{params['name']}.begun").touch()
    for _ in range(600):
        if (Path(params["diary"]) / f"{params['other']}.begun").exists():
            break
        time.sleep(0.05)
    else:
        raise TimeoutError(params["other"])
    (folder / "way").write_text(linear._way)


def kernels_seen(folder):
    return (folder / "way").read_text()


def end_at_once(*arguments):
    os._exit(3)
