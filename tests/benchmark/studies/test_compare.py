"""Two methods side by side: planted differences, corrected tests, and what `bench compare` says of them."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from toy_methods import FITTED, installed, toy_method

from benchmark.cli import main
from benchmark.concepts import concept_families
from benchmark.leaderboard.ranking import Board, EntryKey, Rules
from benchmark.methods import METHODS, Variant
from benchmark.records.table import Measurement, Record, write_table
from benchmark.report.contrast_text import conclusion
from benchmark.statistics.intervals import holm, size_ratio, student_interval
from benchmark.studies.compare import Contrast, contrast_methods, declared_contrasts, families, place_named, values

TASKS = [f"task_{letter}" for letter in "abcdefghijklmn"]
FOUND = {"graph": "unit", "ranking": "mask", "ablation": "mean", "target_loss": 0.15}
RULES = Rules(references=("a", "b"), controls=frozenset({"null"}), unranked=frozenset({("sae", "errors_available")}))


def measured(method, metric, values, seed=0, variant="native") -> list[Record]:
    """Values by task; `None` where the target is not reached."""
    missing = Measurement(metric, status="not_reached", reason="0.4")
    return [
        Record.of(
            missing if value is None else Measurement(metric, float(value)),
            **FOUND,
            preset="quick",
            method=method,
            variant=variant,
            task=task,
            seed=seed,
        )
        for task, value in values.items()
    ]


def labelled(method, scores, seed=0) -> list[Record]:
    """Label replacement scores by concept."""
    where = {"preset": "quick", "method": method, "variant": "native", "seed": seed}
    return [
        Record.of(Measurement("label_replacement_score", value, concept=concept), **where)
        for concept, value in scores.items()
    ]


def trained(method, loss, seed=0) -> Record:
    return Record.of(Measurement("validation_loss", loss), preset="quick", method=method, variant="native", seed=seed)


def board(records) -> Board:
    return Board("quick", list(records), RULES)


def contrasts(records, first="a", second="b") -> dict[str, Contrast]:
    """The contrasts of two methods by metric."""
    where = board(records)
    found = contrast_methods(where, place_named(where, first), place_named(where, second), np.random.default_rng(0))
    return {one.metric: one for one in found.contrasts}


def scattered(factor=1.0, tasks=14, noise=0.3, seed=1) -> dict[str, float]:
    """Sizes about a hundred times a factor."""
    logs = np.random.default_rng(seed).normal(math.log(100 * factor), noise, tasks)
    return dict(zip(TASKS, np.exp(logs).tolist(), strict=False))


# Differences


def test_sizes_are_compared_as_ratios_over_the_tasks_that_both_reach():
    records = measured("a", "edges", {"x": 40, "y": 80, "z": 160, "hard": 9, "nonsense": 1})
    records += measured("b", "edges", {"x": 10, "y": 10, "z": 10, "hard": None, "other": 3, "nonsense": 9})
    one = contrasts(records)["edges"]
    assert one.is_ratio
    assert (one.pairs, one.difference.pairs, one.seeds) == (3, 3, (0,))
    assert math.exp(one.difference.mean) == pytest.approx(8)
    assert one.difference[1:3] == pytest.approx(student_interval(np.log([4, 8, 16]).tolist()))
    assert (one.first_only, one.second_only) == ({"hard": (0,)}, {"other": (0,)})
    assert one.p == pytest.approx(2 / 8)


def test_an_empty_circuit_counts_as_one_edge():
    records = [*measured("a", "edges", {"x": 0}), *measured("b", "edges", {"x": 10})]
    assert contrasts(records)["edges"].difference.mean == pytest.approx(-math.log(10))


def test_exchanging_the_methods_turns_everything_round():
    sizes = {"x": 40, "y": 80, "z": 160, "only": 3}
    records = [*measured("a", "edges", sizes), *measured("b", "edges", {"x": 10, "y": 10, "z": 30, "alone": 5})]
    records = [replace(row, low=row.value / 2, high=row.value * 2, interval="prompts") for row in records]
    one, other = contrasts(records)["edges"], contrasts(records, "b", "a")["edges"]
    assert other.difference.mean == -one.difference.mean
    assert (other.difference.low, other.difference.high) == (-one.difference.high, -one.difference.low)
    assert other.over_prompts.low == pytest.approx(1 / one.over_prompts.high)
    assert (other.p, other.corrected) == (one.p, one.corrected)
    assert other.first_only == one.second_only == {"alone": (0,)}


def test_the_seeds_of_a_task_are_one_pair_not_several():
    records = []
    for seed in range(3):
        records += measured("a", "robust_faithfulness", dict.fromkeys(TASKS[:4], 0.9), seed)
        records += measured("b", "robust_faithfulness", dict.fromkeys(TASKS[:4], 0.5 + 0.1 * seed), seed)
    one = contrasts(records)["robust_faithfulness"]
    assert (one.pairs, one.difference.pairs, one.seeds) == (12, 4, (0, 1, 2))
    assert one.p == pytest.approx(2 / 16)
    assert one.over_seeds == pytest.approx(student_interval([0.4, 0.3, 0.2]))


def test_the_interval_over_seeds_takes_the_same_tasks_for_all_seeds():
    records = []
    for seed, more in enumerate(({}, {"odd": 0.0}, {})):
        records += measured("a", "robust_faithfulness", {"x": 0.9, **more}, seed)
        records += measured("b", "robust_faithfulness", {"x": 0.5 + 0.1 * seed, **more}, seed)
    assert contrasts(records)["robust_faithfulness"].over_seeds == pytest.approx(student_interval([0.4, 0.3, 0.2]))


def test_two_seeds_have_no_interval():
    records = [row for seed in (0, 1) for name in "ab" for row in measured(name, "edges", {"x": 5}, seed)]
    assert math.isnan(contrasts(records)["edges"].over_seeds.low)


def test_labels_are_paired_by_concept_without_those_that_the_token_decides():
    scores = {"in_string": 0.5, "in_call": 0.25, "after_for": 0.9}
    records = [*labelled("a", scores), *labelled("b", {**scores, "in_string": 0.25, "in_def": 1.0})]
    token = Measurement("token_average_precision", 0.99, concept="after_for")
    records.append(Record.of(token, preset="quick", method="a", variant="native", seed=0))
    records += [row for name in "ab" for row in measured(name, "edges", {"x": 5})]
    one = contrasts(records)["label_replacement_score"]
    assert (one.item, one.pairs) == ("concept", 2)
    assert one.difference.mean == pytest.approx(0.125)
    assert one.second_only == {"in_def": (0,)}


def test_verified_edges_are_compared_once_every_method_has_them():
    records = [row for name in "ab" for row in measured(name, "edges", {"x": 50})]
    verified = [replace(row, metric="verified_edges", value=5.0) for row in records]
    assert list(contrasts([*records, verified[0]])) == ["edges", "robust_faithfulness", "label_replacement_score"]
    assert next(iter(contrasts([*records, *verified]))) == "verified_edges"


# The families


def lead(name="a", **fields):
    return toy_method(name, role="reference", **fields)


FOUR = (
    lead(),
    lead("b", matched_to="a", family="shared"),
    *(toy_method(name, family="shared") for name in "cde"),
    toy_method("null", role="control"),
)


def test_our_primary_family_is_four_tests_and_an_ablation_has_one_of_its_own():
    found = families(Board("quick", [], Rules()))
    assert sorted(found, key=len) == [
        [("weight_sparse", "activation_sparse"), ("dense", "activation_sparse")],
        [("weight_sparse", name) for name in METHODS if name in ("dense", "sae", "transcoder", "clt")],
    ]


def test_an_outside_method_has_a_family_of_its_own_and_changes_no_other():
    records = [row for name in "abc" for row in measured(name, "edges", scattered(seed=ord(name)))]
    with installed(*FOUR):
        before = contrasts(records)["edges"]
    records += measured("outside", "edges", scattered())
    with installed(*FOUR, toy_method("outside", explains="b", needs=("b",))):
        assert families(board(records))[1:] == [[("a", "outside"), ("b", "outside")]]
        after, outside = contrasts(records)["edges"], contrasts(records, "outside", "b")["edges"]
    assert after == before
    assert (after.tests, outside.tests) == (4, 2)


def test_a_method_that_runs_only_by_name_has_a_family_once_it_was_run():
    with installed(*FOUR, toy_method("mine", by_name=True)):
        before = families(board([row for name in "ab" for row in measured(name, "edges", {"x": 5})]))
        after = families(board([row for name in ("a", "b", "mine") for row in measured(name, "edges", {"x": 5})]))
    assert after == [*before, [("a", "mine"), ("b", "mine")]]


def test_a_method_that_is_no_longer_installed_still_has_a_family_of_its_own():
    records = [row for name in ("a", "gone", "null") for row in measured(name, "edges", {"x": 5})]
    with installed(*FOUR):
        assert families(board(records))[-1] == [("a", "gone"), ("b", "gone")]


def test_p_is_corrected_over_the_whole_family_also_over_methods_that_were_not_run():
    sizes = {"a": scattered(0.2), "b": scattered(seed=2), "c": scattered(0.2, seed=3)}
    records = [row for name, values in sizes.items() for row in measured(name, "edges", values)]
    with installed(*FOUR):
        shown = [contrasts(records, "a", name)["edges"] for name in "bc"]
    assert [one.corrected for one in shown] == pytest.approx(holm([*(one.p for one in shown), 1.0, 1.0])[:2])
    assert {one.tests for one in shown} == {4}
    assert shown[0].corrected == pytest.approx(4 * shown[0].p)
    assert [one.concluded for one in shown] == [True, False]


def test_all_declared_comparisons_at_once_are_those_of_each_pair():
    sizes = {"a": scattered(0.2), "b": scattered(seed=2), "c": scattered(0.2, seed=3), "null": scattered()}
    records = [row for name, values in sizes.items() for row in measured(name, "edges", values)]
    with installed(*FOUR):
        where = board(records)
        found = declared_contrasts(where, lambda: np.random.default_rng(0))
        alone = [contrast_methods(where, one.first, one.second, np.random.default_rng(0)) for one in found]
    assert [(one.first.method, one.second.method) for one in found] == [("a", "b"), ("a", "c")]
    assert repr(found) == repr(alone)


@pytest.mark.parametrize("pair", [("b", "c"), ("a", "null")])
def test_a_pair_outside_all_families_enlarges_the_shared_one(pair):
    records = [row for name in ("a", "b", "c", "null") for row in measured(name, "edges", scattered())]
    with installed(*FOUR):
        where = board(records)
        found = contrast_methods(where, *(place_named(where, name) for name in pair), np.random.default_rng(0))
    assert not found.declared
    assert found.contrasts[0].tests == 5


def test_concepts_are_permuted_by_family():
    assert concept_families()["in_brackets"] == concept_families()["bracket_depth"] == "brackets"
    assert concept_families()["in_string_and_in_call"] == "calls and strings"
    gains = {
        "in_string": 0.1,
        "in_call": 0.2,
        "in_string_and_in_call": 0.3,
        "word_seen_self": 0.4,
        "bracket_depth": 0.5,
        "in_brackets": 0.7,
    }
    records = [*labelled("a", gains), *labelled("b", dict.fromkeys(gains, 0.0))]
    records += [row for name in "ab" for row in measured(name, "edges", {"x": 5})]
    one = contrasts(records)["label_replacement_score"]
    assert (one.pairs, one.unit, one.difference.pairs) == (6, "concept family", 5)
    assert one.difference.mean == pytest.approx((0.1 + 0.2 + 0.3 + 0.4 + 0.6) / 5)
    assert one.p == pytest.approx(2 / 32)


def test_seven_tasks_are_enough_once_another_test_of_the_family_shows_a_difference():
    few = dict(list(scattered(seed=2).items())[:7])
    records = [row for name, sizes in {"a": scattered(0.1), "b": few}.items() for row in measured(name, "edges", sizes)]
    with installed(*FOUR):
        alone = contrasts(records)["edges"]
        found = contrasts([*records, *measured("c", "edges", scattered(seed=3))])["edges"]
    assert (alone.p, alone.corrected, alone.concluded) == pytest.approx((2 / 2**7, 4 * 2 / 2**7, False))
    assert (found.corrected, found.concluded) == pytest.approx((3 * 2 / 2**7, True))
    assert "7 tasks cannot show any unless other tests do: 4 tests need" in conclusion(alone, ("a", "b"))
    assert conclusion(found, ("a", "b")).startswith("a has the smaller circuits")


def test_what_cannot_reach_the_level_detects_nothing():
    with installed(*FOUR):
        records = [*measured("a", "edges", scattered(tasks=7)), *measured("b", "edges", scattered(tasks=7, seed=2))]
        one = contrasts(records)["edges"]
        more = contrasts([*measured("a", "edges", scattered()), *measured("b", "edges", scattered(seed=2))])["edges"]
    assert one.fewest == 8  # four tests, so 2 / 2^8 is the first below 0.05 / 4
    assert math.isfinite(one.detectable)
    assert math.isnan(one.detectable_corrected)
    assert more.detectable_corrected > more.detectable > 0


def test_a_difference_over_tasks_that_seeds_do_not_share_is_not_concluded():
    records = []
    for seed, factor in enumerate((0.1, 0.2, 2.0)):
        records += measured("a", "edges", scattered(factor, seed=seed), seed)
        records += measured("b", "edges", scattered(seed=seed + 9), seed)
    one = contrasts(records)["edges"]
    assert one.significant
    assert one.over_seeds.low < 0 < one.over_seeds.high
    assert not one.concluded


def ratio_of_sizes(where):
    first, second = (values(where, EntryKey(name, "native", "unit"), "edges")["value"] for name in "ab")
    return size_ratio(first, second)


def test_the_ratio_of_sizes_and_the_contrast_agree():
    records = [*measured("a", "edges", scattered(3)), *measured("b", "edges", scattered(seed=2))]
    records = [replace(row, low=row.value / 2, high=row.value * 2, interval="prompts") for row in records]
    one = contrasts(records)["edges"]
    found = ratio_of_sizes(board(records))
    assert [math.exp(each) for each in one.difference[:3]] == pytest.approx(found[:3])
    factor = 2 ** math.sqrt(2 / found.tasks)
    assert one.over_prompts == pytest.approx((found.value / factor, found.value * factor))


def test_methods_without_a_shared_task_have_no_ratio():
    records = [*measured("a", "edges", {"x": 40}), *measured("b", "edges", {"y": 10})]
    found = ratio_of_sizes(board(records))
    assert (found.tasks, math.isnan(found.value)) == (0, True)


@pytest.mark.slow
def test_a_family_without_differences_has_none_concluded_even_with_seeds_that_belong_together():
    random, count = np.random.default_rng(3), 150
    claimed = []
    for _ in range(count):
        records = []
        for method in "abcde":
            differing = random.normal(0, 1.0, size=10)  # a task suits a method, whatever the seed
            for seed in range(2):
                scores = 0.5 + 0.1 * (differing + random.normal(0, 0.3, size=10))
                records += measured(
                    method, "robust_faithfulness", dict(zip(TASKS, scores.tolist(), strict=False)), seed
                )
        with installed(*FOUR):
            pairs = [contrasts(records, "a", other)["robust_faithfulness"] for other in "bcde"]
        claimed.append(any(one.concluded for one in pairs))
    assert np.mean(claimed) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)


# Names


def test_a_method_stands_for_its_first_ranked_variant_as_the_method_declares_them():
    variants = (Variant("raw", ("unit",), ranked=False), Variant("whole", ("unit",)), Variant("cut", ("unit",)))
    rows = [row for name in ("raw", "whole", "cut") for row in measured("sae", "edges", {"x": 5}, variant=name)]
    where = Board("quick", rows, replace(RULES, unranked=frozenset({("sae", "raw")})))
    with installed(replace(FITTED, name="sae", variants=variants)):
        assert place_named(where, "sae").variant == "whole"
        assert place_named(where, "sae/raw").variant == "raw"
    assert place_named(where, "sae/cut").variant == "cut"


# The command


@pytest.fixture
def call(tmp_path, monkeypatch):
    """The command in a folder of its own, with records there."""
    monkeypatch.chdir(tmp_path)

    def called(records, *arguments):
        if records:
            write_table(tmp_path / "results" / "records.csv", records, Record)
        return CliRunner().invoke(main, ["compare", *arguments])

    return called


def several(count=14, factor=1.0, seeds=1) -> list[Record]:
    """Two methods with sizes, faithfulness and labels, of which the first are smaller by a factor."""
    records = []
    for seed in range(seeds):
        records += [trained("dense", 2.5, seed), trained("weight_sparse", 2.49, seed)]
        for number, (method, scale) in enumerate({"dense": 1.0, "weight_sparse": factor}.items()):
            sizes = scattered(scale, count, seed=10 * seed + number)
            records += measured(method, "edges", sizes, seed)
            records += measured(
                method, "robust_faithfulness", {task: 0.5 + size % 0.4 for task, size in sizes.items()}, seed
            )
    return records


def text(done) -> str:
    """What was printed, with lines that were broken joined."""
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    return " ".join(done.stdout.split())


def test_a_difference_that_can_be_concluded_is_said_in_one_sentence(call):
    said = text(call(several(factor=0.1), "weight_sparse", "dense"))
    assert "weight_sparse against dense: preset quick, unit graph" in said
    assert "validation loss of weight_sparse minus that of dense: -0.010 nats " in said
    assert "edges (verified_edges is not recorded for all) ratio 0.1" in said
    assert "n = 14 pairs: 14 tasks, seed 0" in said
    assert "after correction over 4 tests" in said
    assert "weight_sparse has the smaller circuits: p = 0.00049 after correction." in said
    assert "Nothing can be concluded: neither has a value of label_replacement_score." in said
    assert said.endswith("one training seed: this is about these trained models, not about the methods")
    assert "weight_sparse has the smaller circuits" in text(call([], "dense", "weight_sparse"))


def test_a_higher_score_is_named(call):
    scores = {"weight_sparse": 0.9, "dense": 0.4}
    records = [
        row
        for name, score in scores.items()
        for row in measured(name, "robust_faithfulness", dict.fromkeys(TASKS, score))
    ]
    assert "weight_sparse has the higher robust_faithfulness: p = " in text(call(records, "dense", "weight_sparse"))


def test_where_nothing_can_be_concluded_it_says_what_could_have_been_found(call):
    said = text(call(several(), "weight_sparse", "dense"))
    assert "No difference can be concluded: p = " in said
    assert "after correction; 14 tasks could show a ratio of at least 1." in said
    assert "14 tasks could show a difference of at least 0." in said


def test_too_few_tasks_are_said_to_be_too_few(call):
    said = text(call(several(count=2, factor=0.1), "weight_sparse", "dense"))
    assert "95 % interval over tasks: not known, as there are fewer than three" in said
    assert "minimum detectable ratio (80 % power): none for this test alone, none after correction" in said
    assert "p = 1 after correction; 2 tasks cannot show any: 4 tests need at least 8 tasks." in said


def test_tasks_that_one_method_alone_reaches_are_named(call):
    records = [row for seed in (0, 1) for row in measured("dense", "edges", {"x": 5, "y": 5}, seed)]
    records += [row for seed in (0, 1) for row in measured("weight_sparse", "edges", {"x": 5, "z": None}, seed)]
    records += measured("weight_sparse", "edges", {"z": 5}, 2)
    said = text(call(records, "weight_sparse", "dense"))
    assert "1 task reached by weight_sparse alone: z (seed 2) 1 task reached by dense alone: y (seed 0, seed 1)" in said
    assert "Nothing can be concluded: neither has a value of robust_faithfulness." in said
    assert "2 training seeds, too few for an interval: this is about these trained models" in said


def test_methods_without_a_shared_task_cannot_be_compared(call):
    records = [*measured("dense", "edges", {"x": 5}), *measured("weight_sparse", "edges", {"z": 5})]
    said = text(call(records, "weight_sparse", "dense"))
    assert "Nothing can be concluded: no task has a value for both." in said
    assert "not known, as no seed has both" in said
    assert "training seed" not in said


def test_losses_that_do_not_match_are_warned_of(call):
    records = [*several(), trained("other", 2.9), *measured("other", "edges", scattered())]
    assert "+0.400 nats (above 0.02, so not matched: that alone may" in text(call(records, "other", "dense"))


def test_three_seeds_have_an_interval_and_no_caveat(call):
    said = text(call(several(factor=0.1, seeds=3), "weight_sparse", "dense"))
    assert "n = 42 pairs: 14 tasks, seeds 0, 1, 2" in said
    assert "95 % interval over seeds: 0.0" in said
    assert "trained models" not in said


def test_a_difference_that_another_seed_could_turn_round_is_not_claimed(call):
    records = []
    for seed, factor in enumerate((0.1, 0.2, 2.0)):
        records += measured("weight_sparse", "edges", scattered(factor, seed=seed), seed)
        records += measured("dense", "edges", scattered(seed=seed + 9), seed)
    said = text(call(records, "weight_sparse", "dense"))
    assert "No difference between the methods can be concluded: p = " in said
    assert "but the interval over 3 seeds includes none." in said


def test_a_control_is_compared_outside_the_family(call):
    records = [*several(), *measured("random_weights", "edges", scattered())]
    said = text(call(records, "weight_sparse", "random_weights"))
    assert "not a declared comparison: it was added to the family of those that are" in said
    assert "after correction over 5 tests" in said


def test_programs_get_json_without_what_is_not_a_number(call):
    done = call(several(count=4), "weight_sparse", "dense", "--json")
    found = json.loads(done.stdout)
    assert found["first"] == {"method": "weight_sparse", "variant": "native", "graph": "unit"}
    assert found["validation_loss_gap"] == pytest.approx(-0.01)
    edges, _, labels = found["contrasts"]
    assert (edges["metric"], edges["declared"], edges["kind"]) == ("edges", "verified_edges", "ratio")
    assert (edges["pairs"], edges["tasks"], edges["tests"], edges["concluded"]) == (4, 4, 4, False)
    assert edges["low"] < edges["value"] < edges["high"]
    assert edges["detectable_corrected"] is None
    assert (labels["p"], labels["value"], labels["concept_families"]) == (None, None, 0)
    assert "NaN" not in done.stdout


def test_the_same_command_prints_the_same(call):
    records = several()
    assert call(records, "weight_sparse", "dense").stdout == call(records, "weight_sparse", "dense").stdout


REFUSED = [
    (["bert", "dense"], "unknown method 'bert' in preset 'quick'; choose from dense, weight_sparse"),
    (["dense", "dense/native"], "A and B are the same: both name dense/native"),
    (["dense", "weight_sparse/cut"], "unknown variant 'cut' of method 'weight_sparse'; choose from native"),
    (["dense", "weight_sparse/"], "unknown variant '' of method 'weight_sparse'; choose from native"),
    (
        ["dense", "weight_sparse", "--preset", "huge"],
        "no records of preset 'huge' in folder 'results'; choose --preset from quick",
    ),
    (["dense", "weight_sparse", "--preset", "smoke"], "no records of preset 'smoke' in folder 'results'"),
    (["dense", "weight_sparse", "--out", "nowhere"], "there is no run in folder 'nowhere'"),
    (["dense"], "Missing argument 'B'"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_bad_usage_is_one_line(call, arguments, said):
    done = call(several(), *arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_preset_without_circuits_is_told(call):
    done = call([trained("dense", 2.5)], "dense", "weight_sparse")
    assert done.exit_code == 2
    assert "preset 'quick' has no circuits in the unit graph at loss 0.15" in done.stderr


def test_comparing_does_not_import_torch(call):
    call(several(), "dense", "weight_sparse")
    program = (
        "import sys; from benchmark.cli import main\n"
        "try: main(['compare', 'dense', 'weight_sparse'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformer_lens', 'sae_lens', 'numba'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
