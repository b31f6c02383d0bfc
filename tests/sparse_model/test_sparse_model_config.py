import pytest
from pydantic import ValidationError

from baselines.dense import DenseConfig
from sparse_model.config import CorpusModelConfig, DenseWeightsConfig, TrainingConfig, TransformerConfig


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (
            TransformerConfig,
            {"d_model": 40},
            "d_model 40 is not a multiple of d_head 16; choose 32 or 48",
        ),
        (
            TransformerConfig,
            {"activation_sites": ("attn",)},
            "unknown activation site 'attn'; choose from attn_in, q, k, v, attn_out, mlp_in, neuron, mlp_out",
        ),
        (
            TrainingConfig,
            {"anneal_from": 0.6, "anneal_until": 0.5},
            "anneal_until 0.5 is before anneal_from 0.6; choose at least 0.6",
        ),
        (
            CorpusModelConfig,
            {"density": 0.01},
            "density 0.01 leaves a neuron 1.28 of 128 weights, fewer than minimum_per_neuron 4; "
            "choose a density of at least 0.03125",
        ),
        (
            CorpusModelConfig,
            {"activation_density": 0.001},
            "activation_density 0.001 keeps none of 128 entries; choose at least 0.0078125",
        ),
    ],
)
def test_settings_that_do_not_fit_are_one_line_that_says_what_to_choose(config, settings, message):
    with pytest.raises(ValidationError) as raised:
        config(**settings)
    (error,) = raised.value.errors()
    assert error["msg"] == f"Value error, {message}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("density", 0), ("density", 1.1), ("tokens", 0), ("layers", 0), ("positional", "rotary"), ("widht", 3)],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ValidationError):
        CorpusModelConfig(**{name: value})


def test_dense_and_activation_sparse_take_no_other_density():
    with pytest.raises(ValidationError):
        DenseConfig(density=0.5)
    with pytest.raises(ValidationError):
        DenseWeightsConfig(embedding_density=0.5)


def test_the_architecture_survives_being_written_as_json():
    config = CorpusModelConfig(positional="concatenated", sink=True).transformer(vocabulary=500, context=32)
    assert TransformerConfig.model_validate_json(config.model_dump_json()) == config
    assert (config.heads, config.neurons, config.d_read) == (8, 512, 160)


def test_steps_are_whole_batches_and_at_least_one():
    assert TrainingConfig(tokens=10_000, batch=4).steps(context=256) == 9
    assert TrainingConfig(tokens=1, batch=4).steps(context=256) == 1
