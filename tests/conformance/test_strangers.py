"""The checks as parameters of a test of somebody else's."""

import pytest

from l2core import Criterion
from l2core.conformance import Claim, Subject, parametrize_checks


def wrong(pred, target):
    return ((pred - target) ** 2).mean() + 1.0


MINE = Subject("mine", "numpy", (Claim(Criterion(), wrong),), differentiable=False)
ALSO = Subject("also", "numpy", (Claim(Criterion(), wrong),), differentiable=False)


def parameters(*arguments, **options):
    return parametrize_checks(*arguments, **options).args[1]


def run(expected_failures, check="theory/zero-at-a-fit"):
    (parameter,) = parameters(MINE, checks=[check], expected_failures=expected_failures)
    parameter.values[0]()


def test_each_check_that_concerns_a_subject_is_a_parameter():
    names = [p.id for p in parameters([MINE, ALSO])]
    assert "mine-theory/zero-at-a-fit" in names
    assert "also-theory/zero-at-a-fit" in names
    assert not any("calculus" in name or "zero-weight" in name for name in names)


def test_a_failure_is_a_sentence_with_code():
    with pytest.raises(AssertionError, match=r"(?s)perfect fit.*observed 1\.0.*print\(loss"):
        run({})


def test_a_failure_in_the_ledger_is_expected():
    with pytest.raises(pytest.xfail.Exception, match="known of old"):
        run({"theory/zero-at-a-fit": "known of old"})
    with pytest.raises(pytest.xfail.Exception, match="known of mine"):
        run({("mine", "theory/zero-at-a-fit"): "known of mine"})


def test_a_stale_entry_is_an_error():
    with pytest.raises(AssertionError, match=r"expected to fail .known of old., but it passes"):
        run({"theory/symmetric": "known of old"}, check="theory/symmetric")
    with pytest.raises(ValueError, match=r"expected_failures: .*no-such"):
        parameters(MINE, expected_failures={"theory/no-such": "gone"})
    with pytest.raises(ValueError, match=r"expected_failures: .*theirs"):
        parameters(MINE, expected_failures={("theirs", "theory/symmetric"): "gone"})
