"""The commands of Slurm that submitit calls, for one machine: jobs are processes, and a folder tells their states.

Called as `sbatch`, `srun`, `sacct` or `scancel`; the folder is that of the variable `FAKE_SLURM`.
"""

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

FOLDER = Path(os.environ["FAKE_SLURM"])


def sbatch(script):
    number = str(len(list(FOLDER.glob("*.sh"))) + 1)
    kept = FOLDER / f"{number}.sh"
    kept.write_text(Path(script).read_text())
    (FOLDER / f"{number}.options").write_text("\n".join(sorted(name for name in os.environ if name[:6] == "SLURM_")))
    if not (FOLDER / "closed").exists():
        command = ["bash", "-c", f"bash {kept}; echo $? > {FOLDER / number}.ended"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        environment = {**os.environ, "SLURM_JOB_ID": number}
        process = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)
        (FOLDER / f"{number}.pid").write_text(str(process.pid))
    sys.stdout.write(f"Submitted batch job {number}\n")


def srun(*arguments):
    given = [each.replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0") for each in arguments]
    place = {name: given[given.index(name) + 1] for name in ("--output", "--error")}
    command = given[given.index("--error") + 2 :]
    with open(place["--output"], "a") as out, open(place["--error"], "a") as err:
        sys.exit(subprocess.run(command, stdout=out, stderr=err).returncode)


def state(number):
    if (FOLDER / f"{number}.cancelled").exists():
        return "CANCELLED"
    if (FOLDER / f"{number}.ended").exists():
        return "COMPLETED" if (FOLDER / f"{number}.ended").read_text().strip() == "0" else "FAILED"
    return "RUNNING" if (FOLDER / f"{number}.pid").exists() else "PENDING"


def sacct(*arguments):
    numbers = [number for option, number in pairwise(arguments) if option == "-j"]
    lines = ["JobID|State|NodeList", *(f"{number}|{state(number)}|here" for number in numbers)]
    sys.stdout.write("\n".join(lines) + "\n")


def scancel(number):
    (FOLDER / f"{number}.cancelled").touch()
    if (FOLDER / f"{number}.pid").exists():
        os.killpg(int((FOLDER / f"{number}.pid").read_text()), signal.SIGTERM)


if __name__ == "__main__":
    {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scancel": scancel}[Path(sys.argv[0]).name](*sys.argv[1:])
