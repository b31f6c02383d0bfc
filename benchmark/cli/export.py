"""`bench export`: a circuit, or what a method has trained, in the formats of other tools."""

from pathlib import Path

import click

from benchmark.cli.errors import METHOD, NAME, TASK, user_errors
from benchmark.cli.folders import FOLDER, results_option
from benchmark.seeds import LARGEST_SEED


@click.command()
@click.argument("method", type=METHOD)
@click.argument("task", required=False, type=TASK)
@click.option("--to", "form", required=True, type=NAME, metavar="FORMAT", help="The format; see above.")
@click.option("--variant", type=NAME, help="How the method's artifact is read.")
@click.option("--graph", type=click.Choice(["channel", "unit"]), help="The graph of the circuit.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), help="Training seed.")
@click.option("--out", type=FOLDER, help="File or folder to write.  [default: a new name in the current folder]")
@click.option("--force", is_flag=True, help="Replace files that are already there.")
@results_option
@click.option("--store", default="store", show_default=True, type=FOLDER, help="Folder of artifacts.")
def export(
    method: str,
    task: str | None,
    form: str,
    variant: str | None,
    graph: str | None,
    seed: int | None,
    out: Path | None,
    force: bool,
    results: Path,
    store: Path,
) -> None:
    """Export METHOD's circuit for TASK, or without TASK the model or the dictionary that it has trained.

    \b
    Formats of circuits:
      svg             a picture
      json            everything that is known of the circuit
      csv, parquet    tables of nodes and edges
      graphml         for networkx, Gephi and yEd
      dot             for Graphviz
      circuit-tracer  a folder for the front end of circuit-tracer
      mib             importances of heads and MLPs for MIB's circuit track

    \b
    Formats of what is trained are declared by the method, such as:
      pretrained      weights, config, tokenizer and model card of a transformer
      sae-lens        SAEs or transcoders, one folder of SAELens per layer
      circuit-tracer  transcoders or a CLT, as circuit-tracer loads them

    Of --variant, --graph and --seed, give those that tell the circuits of the run apart.
    """  # noqa: D301 - a backspace tells click to keep the lines of a list
    with user_errors():
        from benchmark.methods import METHODS

        METHODS.named(method)
        if task is None:
            from benchmark.export.stored import write_artifact

            if variant or graph:
                raise ValueError("--variant and --graph go with a TASK, as they choose one of its circuits")
            place = out or Path(f"{method}-{form}")
            files = write_artifact(results, method, form, place, store=store, seed=seed, force=force)
        else:
            from benchmark.export.formats import graph_format, write_graph
            from benchmark.export.stored import stored_graph
            from benchmark.running.experiment import check_task

            check_task(task, results)
            chosen = graph_format(form)
            circuit = stored_graph(
                results,
                method,
                task,
                store=store,
                variant=variant,
                graph=graph,
                seed=seed,
                examples=chosen.examples,
            )
            files = write_graph(circuit, form, out or Path(f"{circuit.slug}{chosen.suffix}"), force=force)
    click.echo("\n".join(map(str, files)))
