"""The checks themselves: an honest implementation passes, each one broken on purpose fails."""

import inspect
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from agreement import disagreements
from broken import MISTAKES, Written
from peer import Peer
from semantics import GROUPS


@pytest.mark.parametrize("group", GROUPS)
def test_the_honest_one_passes(group):
    assert disagreements(Written(), GROUPS[group], "float32") == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_noticed(mistake):
    harness = Written(mistake=mistake)
    for group in MISTAKES[mistake]:
        assert disagreements(harness, GROUPS[group], "float32"), group


def test_each_group_notices_some_mistake():
    assert set().union(*MISTAKES.values()) == set(GROUPS)


def harness_tests(name):
    """The tests of a file that take a harness, each with the arguments of its first case."""
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for test_name, test in list(vars(module).items()):
        parameters = inspect.signature(test).parameters if test_name.startswith("test_") else ()
        if "harness" in parameters:
            marks = [m.args for m in getattr(test, "pytestmark", []) if m.name == "parametrize"]
            arguments = {names: next(iter(values)) for names, values in marks}
            yield test_name, test, arguments | ({"mode": "eager"} if "mode" in parameters else {})


# A peer in NumPy cannot fall for these: they are about our parameters, terms and variances.
SPARED = {
    "test_dtypes": {},
    "test_errors": {"test_variances"},
    "test_traps": {
        "test_07_parts_add_up",
        "test_12_float64_stays_float64",
        "test_13_parameters_survive_saving",
        "test_15_huber_refuses_nonsense",
        "test_18_r_squared_far_from_zero",
        "test_21_bad_arguments_get_a_sentence",
        "test_22_a_variance_of_integers",
    },
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy warns the peer of its overflows
@pytest.mark.parametrize("name", SPARED)
def test_what_is_commonly_written_fails(name):
    tests = list(harness_tests(name))
    assert len(tests) >= 10
    for test_name, test, arguments in tests:
        if test_name in SPARED[name]:
            continue
        failed = False
        try:
            test(Peer(), **arguments)
        except (AssertionError, TypeError, ValueError, pytest.fail.Exception):
            failed = True
        assert failed, test_name
