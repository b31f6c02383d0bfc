"""The command `bench`, also as `python -m benchmark`."""

from benchmark.stopping import handled_by, stop_at_once


def main() -> None:
    """Run the command; Ctrl-C exits with code 130 from here on, also while modules are loaded."""
    with handled_by(stop_at_once):
        from benchmark.cli import main as bench

        bench(prog_name="bench")


if __name__ == "__main__":
    main()
