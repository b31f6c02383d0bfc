"""Figures of the sizes of circuits: against loss, against faithfulness, as a performance profile, and by task."""

import math
from collections.abc import Iterator, Mapping, Sequence

from benchmark.leaderboard.ranking import Board, EntryKey
from benchmark.report.figures.data import Axis, Figure, Number, Point, Series, series_of
from benchmark.report.figures.estimates import (
    Estimate,
    Item,
    Values,
    emphasis,
    estimate,
    intervals_over,
    label,
    listed_sentence,
    metric_values,
    only,
    ordered,
    sentences,
    shared_items,
    shown,
)
from benchmark.report.figures.tables import Tables
from benchmark.report.words import counted

MEANT = {"verified_edges": "edges that the circuit needs", "edges": "edges of the circuit"}
"""What the size metrics count."""


def size_loss(tables: Tables) -> Figure:
    """Circuit size against the validation loss of the model that contains the circuits."""
    board = tables.board
    sizes = _shared_sizes(board, shown(board))
    series, overs = [], []
    for place, values in sizes.items():
        size, loss = estimate(values, board.size_metric), _loss(board, place)
        if size is not None and loss is not None:
            overs.append(size.over)
            text = f"{size.value:.3g} edges, validation loss {loss.value:.3f} nats"
            series.append(_dot(board, place, Point(loss.value, size.value, text, loss.limits, size.limits)))
    return Figure(
        name="size_loss",
        title="Circuit size against the loss of the model",
        caption=sentences("Down and to the left is better.", *_about_sizes(board, sizes, overs)),
        x=Axis("validation loss", "nats per token"),
        y=Axis(MEANT[board.size_metric], "", log=True),
        series=tuple(series),
        missing=_missing(tables, series, "no circuit reaches the target"),
    )


def size_faithfulness(tables: Tables) -> Figure:
    """Circuit size against the lowest faithfulness under several ablations."""
    board, metric = tables.board, "robust_faithfulness"
    faithful = {place: metric_values(board, place, metric) for place in shown(board)}
    sizes = _shared_sizes(board, shown(board), faithful)
    series, overs = [], []
    for place, values in sizes.items():
        size, score = estimate(values, board.size_metric), estimate(only(faithful[place], values), metric)
        if size is not None and score is not None:
            overs += [size.over, score.over]
            text = f"{size.value:.3g} edges, robust faithfulness {score.value:.2f}"
            series.append(_dot(board, place, Point(size.value, score.value, text, size.limits, score.limits)))
    return Figure(
        name="size_faithfulness",
        title="Circuit size against faithfulness",
        caption=sentences(
            "Up and to the left is better: faithfulness is the least under four ablations, and 1 is the whole model.",
            *_about_sizes(board, sizes, overs),
        ),
        x=Axis(MEANT[board.size_metric], "", log=True),
        y=Axis("robust faithfulness"),
        series=tuple(series),
        missing=_missing(tables, series, "no circuit that reaches the target has a robust faithfulness"),
    )


def profile(tables: Tables) -> Figure:
    """The performance profile that ranks: the share of reference tasks reached with at most so many edges."""
    board = tables.board
    sizes = {place: board.sizes(place) for place in _in_profile(board)} if board.references else {}
    largest = max((size for values in sizes.values() for size in values.values()), default=1.0)
    end = 10.0 ** math.ceil(math.log10(max(largest, 10.0)))
    series = [
        series_of(
            label(place),
            _steps(_credits(board, place, values), end),
            method=place.method,
            variant=place.variant,
            line=True,
            emphasis=emphasis(board, place),
        )
        for place, values in sizes.items()
    ]
    return Figure(
        name="profile",
        title="Share of the reference tasks solved by circuits of at most a size",
        caption=(
            "Up and to the left is better: the area under the lines decides the rank. Means over training seeds; a "
            "task that is not reached counts as larger than any. Lines stay level to "
            f"{board.rules.largest_size:,} edges, where the area ends. Dashed lines are not ranked."
        ),
        x=Axis(MEANT[board.size_metric], "", log=True),
        y=Axis("share of reference tasks", view=(0.0, 1.0)),
        series=tuple(series),
        missing=_missing(tables, series, "there is no task that the reference methods solve"),
    )


def task_sizes(tables: Tables) -> Figure:
    """The size of each method's circuit for each task."""
    board, tasks = tables.board, _tasks(tables.board)
    series, overs, unreached = [], [], []
    for place in shown(board):
        sizes = board.sizes(place)
        by_task = {task: {item: size for item, size in sizes.items() if item[0] == task} for task in tasks}
        found = {task: _over_trainings(board, place, own) for task, own in by_task.items()}
        reached = {task: size for task, size in found.items() if size is not None}
        overs += [size.over for size in reached.values()]
        if without := [task for task in tasks if task not in reached]:
            unreached.append(f"{label(place)}: {', '.join(without)}")
        points = [
            Point(
                float(tasks.index(task)), max(size.value, 1.0), f"{task}: {size.value:.3g} edges", y_limits=size.limits
            )
            for task, size in reached.items()
        ]
        if points:
            series.append(_drawn(board, place, points))
    return Figure(
        name="task_sizes",
        title="Circuit size by task",
        caption=sentences(
            "Lower is better. Geometric means over training seeds, of the circuits that reach the target; a circuit "
            "without edges is drawn at one.",
            intervals_over(overs),
            f"No circuit reaches the target: {'; '.join(unreached)}." if unreached else "",
            listed_sentence(board),
        ),
        x=Axis("task", categories=tasks),
        y=Axis(MEANT[board.size_metric], "", log=True),
        series=tuple(series),
        missing=_missing(tables, series, "no circuit reaches the target"),
    )


def _drawn(board: Board, place: EntryKey, points: Sequence[Point]) -> Series:
    """The series of a row."""
    drawn = emphasis(board, place)
    return series_of(label(place), points, method=place.method, variant=place.variant, emphasis=drawn)


def _dot(board: Board, place: EntryKey, point: Point) -> Series:
    return _drawn(board, place, [point])


def _shared_sizes(
    board: Board, places: Sequence[EntryKey], also: Mapping[EntryKey, Values] | None = None
) -> dict[EntryKey, dict[Item, float]]:
    """Sizes of the rows that reach any task, over the tasks and seeds that all of them reach.

    Where they share none, each row has its own.

    Args:
        board: The records.
        places: The rows.
        also: Another value that every task and seed must have, by row.
    """
    sizes = {place: board.sizes(place) for place in places}
    if also is not None:
        sizes = {place: only(values, also[place]) for place, values in sizes.items()}
    reached = {place: values for place, values in sizes.items() if values}
    shared = shared_items(reached.values())
    return {place: only(values, shared) for place, values in reached.items()} if shared else reached


def _about_sizes(board: Board, sizes: Mapping[EntryKey, Values], overs: Sequence[str]) -> Iterator[str]:
    """What the sizes of a figure are over, in sentences; none for a figure without points."""
    if not sizes:
        return
    each = [set(values) for values in sizes.values()]
    if all(items == each[0] for items in each):
        tasks, seeds = ({item[part] for item in each[0]} for part in (0, 1))
        where = f"{counted(len(tasks), 'task')}, {counted(len(seeds), 'training seed')}"
        yield f"Geometric means over {counted(len(each[0]), 'circuit')} per method ({where}): those that all reach."
    else:
        yield "Geometric means over the circuits of each method; no task is reached by all, so do not compare them."
    yield intervals_over(overs)
    nobody = [label(place) for place in shown(board) if place not in sizes]
    if nobody:
        yield f"No circuit reaches the target: {', '.join(nobody)}."
    yield listed_sentence(board)


def _loss(board: Board, place: EntryKey) -> Estimate | None:
    """The validation loss of a row over seeds."""
    rows = [row for row in board.rows_of(place) if row.metric == "validation_loss" and row.value is not None]
    return estimate({("", row.seed): row.value for row in rows if row.value is not None}, "validation_loss")


def _in_profile(board: Board) -> list[EntryKey]:
    """The rows with a profile: those that figures compare, and the first variant of each control."""
    first = {place.method: place for place in reversed(board.places) if place.graph == "unit"}
    controls = {place for place in first.values() if place.method in board.rules.controls}
    return ordered(board, lambda place: place in controls or place in shown(board))


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


def _missing(tables: Tables, series: Sequence[Series], why: str) -> tuple[str, ...]:
    """Why nothing can be drawn."""
    if series:
        return ()
    board = tables.board
    if any(row.graph == "unit" and row.metric == "edges" for row in board.counted):
        return (f"Nothing can be drawn: {why}; the target is a task loss of {board.rules.target_loss:g} nats.",)
    run = tables.command(f"run --preset {board.preset} --method all")
    return (f"Nothing can be drawn: no circuit was searched for in the unit graph; {run} does that.",)
