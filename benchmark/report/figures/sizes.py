"""Figures of the sizes of circuits: against loss, against faithfulness, as a performance profile, and by task."""

import math
from collections.abc import Mapping, Sequence

from benchmark.leaderboard.ranking import Board, EntryKey
from benchmark.methods import METHODS
from benchmark.report.figures.data import Axis, Figure, Number, Point, Series, series_of
from benchmark.report.figures.estimates import (
    Estimate,
    Item,
    Values,
    estimate,
    interval_sentence,
    label,
    metric_values,
    only,
    ordered,
    ranked,
    shared_items,
)
from benchmark.report.figures.tables import Tables

MEANT = {"verified_edges": "edges that the circuit needs", "edges": "edges of the circuit"}
"""What the size metrics count."""


def size_loss(tables: Tables) -> Figure:
    """Circuit size against the validation loss of the model that contains the circuits."""
    board = tables.board
    sizes, left_out = _shared_sizes(board, ranked(board))
    points, overs = [], []
    for place, values in sizes.items():
        size, loss = estimate(values, board.size_metric), _loss(board, place)
        if size is None or loss is None:
            continue
        overs.append(size.over)
        text = f"{size.value:.3g} edges, validation loss {loss.value:.3f} nats"
        at = Point(loss.value, size.value, text, loss.limits, size.limits)
        points.append(series_of(label(place), [at], method=place.method, variant=place.variant))
    return Figure(
        name="size_loss",
        title="Circuit size against the loss of the model",
        caption=(
            f"Down and to the left is better. Sizes are geometric means over the {_circuits(sizes)}. "
            f"{interval_sentence(overs)}{left_out}"
        ),
        x=Axis("validation loss", "nats per token"),
        y=Axis(MEANT[board.size_metric], "", log=True),
        series=tuple(points),
        missing=_none(tables, points, "no ranked method has a circuit"),
    )


def size_faithfulness(tables: Tables) -> Figure:
    """Circuit size against the lowest faithfulness under several ablations."""
    board, metric = tables.board, "robust_faithfulness"
    places = ranked(board)
    faithful = {place: metric_values(board, place, metric) for place in places}
    sizes, left_out = _shared_sizes(board, places, faithful)
    points, overs = [], []
    for place, values in sizes.items():
        size, score = estimate(values, board.size_metric), estimate(only(faithful[place], values), metric)
        if size is None or score is None:
            continue
        overs += [size.over, score.over]
        at = Point(size.value, score.value, f"{size.value:.3g} edges, {score.value:.2f}", size.limits, score.limits)
        points.append(series_of(label(place), [at], method=place.method, variant=place.variant))
    return Figure(
        name="size_faithfulness",
        title="Circuit size against faithfulness",
        caption=(
            "Up and to the left is better. Faithfulness is the least under four ablations; 1 is the whole model. Sizes "
            f"are geometric means, and both are over the {_circuits(sizes)}. {interval_sentence(overs)}{left_out}"
        ),
        x=Axis(MEANT[board.size_metric], "", log=True),
        y=Axis("robust faithfulness"),
        series=tuple(points),
        missing=_none(tables, points, "no ranked method has a circuit with a robust faithfulness"),
    )


def profile(tables: Tables) -> Figure:
    """The performance profile that ranks: the share of reference tasks reached with at most so many edges."""
    board = tables.board
    shown = {place: board.sizes(place) for place in _in_profile(board)} if board.references else {}
    largest = max((size for sizes in shown.values() for size in sizes.values()), default=1.0)
    end = 10.0 ** math.ceil(math.log10(max(largest, 10.0)))
    series = [
        series_of(
            label(place),
            _steps(_credits(board, place, sizes), end),
            method=place.method,
            variant=place.variant,
            line=True,
            emphasis="secondary" if board.why_unranked(place) else "normal",
        )
        for place, sizes in shown.items()
    ]
    return Figure(
        name="profile",
        title="Share of the reference tasks solved by circuits of at most a size",
        caption=(
            "Up and to the left is better; the area under the lines decides the rank. Mean over training seeds; a task "
            f"that is not reached counts as larger than any. Lines stay level to {board.rules.largest_size:,} edges, "
            "where the area ends. Dashed lines are not ranked."
        ),
        x=Axis(MEANT[board.size_metric], "", log=True),
        y=Axis("share of reference tasks"),
        series=tuple(series),
        missing=_none(tables, series, "there is no reference task, or no circuit in the unit graph"),
    )


def task_sizes(tables: Tables) -> Figure:
    """The size of each method's circuit for each task."""
    board = tables.board
    places = ranked(board)
    sizes = {place: board.sizes(place) for place in places}
    tasks = _tasks(board)
    series, overs, unreached = [], [], []
    for place in places:
        points = []
        for number, task in enumerate(tasks):
            own = {item: size for item, size in sizes[place].items() if item[0] == task}
            size = _over_trainings(board, place, own)
            if size is not None:
                overs.append(size.over)
                points.append(
                    Point(number, max(size.value, 1.0), f"{task}: {size.value:.3g} edges", y_limits=size.limits)
                )
        without = [task for task in tasks if task not in {task for task, _ in sizes[place]}]
        if without:
            unreached.append(f"{label(place)}: {', '.join(without)}")
        series.append(series_of(label(place), points, method=place.method, variant=place.variant))
    told = f" No circuit reaches the target: {'; '.join(unreached)}." if unreached else ""
    drawn = [each for each in series if len(each)]
    return Figure(
        name="task_sizes",
        title="Circuit size by task",
        caption=(
            f"Lower is better. Geometric means over training seeds, of the circuits that reach the target; a circuit "
            f"without edges is drawn at one. {interval_sentence(overs)}{told}"
        ),
        x=Axis("task", categories=tasks),
        y=Axis(MEANT[board.size_metric], "", log=True),
        series=tuple(drawn),
        missing=_none(tables, drawn, "no ranked method has a circuit"),
    )


def _shared_sizes(
    board: Board, places: Sequence[EntryKey], also: Mapping[EntryKey, Values] | None = None
) -> tuple[dict[EntryKey, dict[Item, float]], str]:
    """Sizes over the tasks and seeds that all of these rows reach, and who is left out for reaching none.

    Where they share none, each row has its own.
    """
    sizes = {place: board.sizes(place) for place in places}
    if also is not None:
        sizes = {place: only(values, also[place]) for place, values in sizes.items()}
    reached = {place: values for place, values in sizes.items() if values}
    nobody = [label(place) for place in places if place not in reached]
    told = f" No circuit reaches the target: {', '.join(nobody)}." if nobody else ""
    shared = shared_items(reached.values())
    if not shared:
        told += " The methods share no task, so each is shown over its own tasks and sizes cannot be compared."
        return reached, told
    return {place: only(values, shared) for place, values in reached.items()}, told


def _circuits(sizes: Mapping[EntryKey, Values]) -> str:
    """How many tasks and seeds some sizes are over."""
    items = {item for values in sizes.values() for item in values}
    tasks, seeds = len({task for task, _ in items}), len({seed for _, seed in items})
    counted = f"{tasks} task{'s' * (tasks != 1)} and {seeds} training seed{'s' * (seeds != 1)}"
    return f"{len(items)} circuits that all methods reach ({counted})"


def _loss(board: Board, place: EntryKey) -> Estimate | None:
    """The validation loss of a row over seeds."""
    rows = [row for row in board.rows_of(place) if row.metric == "validation_loss" and row.value is not None]
    return estimate({("", row.seed): row.value for row in rows if row.value is not None}, "validation_loss")


def _in_profile(board: Board) -> list[EntryKey]:
    """The rows with a profile: those that are ranked, and controls."""
    return ordered(
        board,
        lambda place: place.graph == "unit" and (not board.why_unranked(place) or place.method in board.rules.controls),
    )


def _credits(board: Board, place: EntryKey, sizes: Values) -> list[tuple[float, float]]:
    """Each reference task that is reached: its size, and its weight in the mean over seeds of the shares."""
    seeds = {row.seed for row in board.rows_of(place)} & board.references.keys()
    return sorted(
        (max(sizes[task, seed], 1.0), 1 / (len(board.references[seed]) * len(seeds)))
        for seed in seeds
        for task in board.references[seed]
        if (task, seed) in sizes
    )


def _steps(credits: Sequence[tuple[float, float]], end: float) -> list[Point]:
    """A staircase from one edge to the end of the axis."""
    share, points = 0.0, [Point(1.0, 0.0, "1 edge: 0 %")]
    for size, weight in credits:
        points.append(Point(size, share, _step(size, share)))
        share = min(1.0, share + weight)
        points.append(Point(size, share, _step(size, share)))
    return [*points, Point(end, share, _step(end, share))]


def _step(size: float, share: float) -> str:
    return f"at most {size:g} edges: {share:.0%}"


def _tasks(board: Board) -> tuple[str, ...]:
    """The tasks with a circuit in the unit graph, reached or not, in the order in which they are installed."""
    from benchmark.tasks import TASKS

    names = list(TASKS)
    found = {row.task for row in board.counted if row.graph == "unit" and row.task} - board.rules.control_tasks
    return tuple(sorted(found, key=lambda name: (names.index(name) if name in names else len(names), name)))


def _over_trainings(board: Board, place: EntryKey, sizes: Values) -> Estimate | None:
    """The size of one task's circuits over seeds; over prompts, as recorded, if there is a single one."""
    size = estimate(sizes, board.size_metric)
    if size is None or len(sizes) > 1:
        return size
    [at] = sizes
    row = board.reached(place, board.size_metric).get(at)
    if row is None or row.interval != "prompts":
        return size
    low, high = _at_least_one(row.low), _at_least_one(row.high)
    return Estimate(size.summary._replace(low=low, high=high), "prompts")


def _at_least_one(limit: Number) -> Number:
    return None if limit is None else max(limit, 1.0)


def _none(tables: Tables, series: Sequence[Series], why: str) -> tuple[str, ...]:
    """What is missing if nothing can be drawn."""
    if series:
        return ()
    names = ",".join(name for name, known in METHODS.items() if known.role == "reference") or "all"
    run = tables.command(f"run --preset {tables.board.preset} --method {names}")
    return (f"Nothing can be drawn: {why}; {run} searches for circuits of the methods that decide which tasks count.",)
