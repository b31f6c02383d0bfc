"""`import benchmark` gives the names that users hold on to, and loads nothing until one is asked for."""

import subprocess
import sys
from pkgutil import iter_modules

import pytest

import benchmark
from benchmark import metrics


@pytest.mark.parametrize("name", benchmark.__all__)
def test_every_public_name_is_there(name):
    assert getattr(benchmark, name).__doc__
    assert name in dir(benchmark)


def test_importing_the_package_does_not_import_torch():
    program = "import sys, benchmark; assert not {'torch', 'numpy', 'transformer_lens'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_metrics_of_arrays_need_no_torch_nor_any_library_of_dictionaries():
    program = (
        "import sys; from benchmark.metrics import *; assert task_loss([[0, 0]], [0], [1]) > 0; "
        "assert not {'torch', 'transformer_lens', 'sae_lens', 'pandas', 'scipy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="No benchmark attribute nothing"):
        _ = benchmark.nothing


def test_no_metric_function_has_the_name_of_a_module_that_would_hide_it():
    assert not {module.name for module in iter_modules(metrics.__path__)} & set(metrics.__all__)
