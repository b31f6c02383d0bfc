"""What holds for every test: one thread, as the models are so small that threads only wait for each other."""

import gc

import shape_checks  # isort: split

import hypothesis
import pytest
import torch
from inline import inline_cells

from sparse_model import linear

hypothesis.settings.register_profile("no deadline", deadline=None)  # the machine may be busy
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def kernels_are_the_same_on_every_machine():
    with linear.using(linear.LIBRARY):
        yield


@pytest.fixture(autouse=True)
def first_calls_are_checked():
    shape_checks.start_test()


@pytest.fixture
def cells_computed_here():
    """Commands compute cells in the process of the test."""
    with inline_cells():
        yield


@pytest.fixture(autouse=True, scope="session")
def imported_modules_are_not_garbage():
    """Leave what is imported by now out of garbage collections, which statsmodels starts at every correction."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Start the long files first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
