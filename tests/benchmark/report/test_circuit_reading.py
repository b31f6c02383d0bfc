"""What the page says of a circuit's nodes and answers, against the same computed by hand."""

import planted_string_closing
import pytest
import torch
from test_found_under import setting_of

from benchmark.interventions.ablation import keep_only
from benchmark.interventions.replacement import Node
from benchmark.model.circuit import Circuit
from benchmark.model.interface import unedited
from benchmark.report.page.circuit_reading import PAIRS, _answers, _effects
from benchmark.scoring.case import CircuitUnderTest
from benchmark.tasks.answers import answer_logits, prompt_losses


@pytest.fixture(scope="module")
def case():
    planted = planted_string_closing.planted()
    setting = setting_of(planted, "mean")
    return CircuitUnderTest(
        model=planted.model,
        sites=planted.sites,
        circuit=planted.nodes,
        means=setting.means,
        batch=setting.prompts.test.rows(slice(2 * PAIRS)),
        reference_logits=torch.zeros(0, 0),
        generator=torch.Generator().manual_seed(0),
    )


def loss(case, circuit):
    logits = answer_logits(case.model, case.batch, keep_only(circuit, case.means))
    return float(prompt_losses(logits, case.batch).mean())


def test_effect_of_a_node_is_the_rise_of_the_loss_without_it(case):
    names = [f"{site}[{index}]" for site, kept in case.circuit.kept().items() for index in kept]
    effects = _effects(case, names)
    assert list(effects) == names
    for site, kept in case.circuit.kept().items():
        for index in kept:
            masks = {name: mask.clone() for name, mask in case.circuit.masks.items()}
            masks[site][index] = False
            rise = loss(case, Circuit(masks)) - loss(case, case.circuit)
            assert effects[str(Node(site, index))] == pytest.approx(rise, abs=1e-5)
    assert max(effects.values()) > 0.1


def test_answers_are_the_logits_of_the_whole_model_and_of_the_circuit(case):
    whole = answer_logits(case.model, case.batch, unedited)
    circuit = answer_logits(case.model, case.batch, keep_only(case.circuit, case.means))
    for row, found in enumerate(_answers(case)):
        answer, other = int(case.batch.answer[row]), int(case.batch.other[row])
        assert found.whole == pytest.approx((float(whole[row, answer]), float(whole[row, other])))
        assert found.circuit == pytest.approx((float(circuit[row, answer]), float(circuit[row, other])))
