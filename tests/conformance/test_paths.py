"""Both paths of a backend are held by the same checks: the fast one, forced, and the plain one."""

import pytest

from l2core import fastpath
from l2core.backend import backend_of
from l2core.conformance.checks import checks
from l2core.conformance.harness import harness
from l2core.conformance.processes import load
from l2core.conformance.runner import FAILED, Options, examine
from paths import every_size_is_large

# JAX has one path: a criterion of the core is l2jax's own there.
SUBJECTS = {
    "numpy": ("l2core",),
    "torch": ("l2torch", "l2torch.MSELoss", "l2torch.L1Loss", "l2torch.HuberLoss"),
    "tensorflow": ("l2core on tensorflow",),
}


@pytest.fixture
def answered(monkeypatch):
    """Watches a backend: which of its fast paths gave an answer."""
    seen = set()

    def watch(backend):
        kind = type(backend)

        def watched(name, asked):
            def f(*arguments):
                answer = asked(*arguments)
                if answer is not None:
                    seen.add(name)
                return answer

            monkeypatch.setattr(kind, name, f)

        for name in ("quick", "fused", "fused_value_and_grad"):
            watched(name, getattr(kind, name))
        return seen

    return watch


@pytest.mark.parametrize("path", ["fast", "plain"])
@pytest.mark.parametrize("provider", SUBJECTS)
def test_every_check(provider, path, answered):
    subjects = [subject for subject in load(provider) if subject.name in SUBJECTS[provider]]
    assert len(subjects) == len(SUBJECTS[provider])
    driver = harness(subjects[0].harness)
    seen = answered(backend_of(driver.array([1.0], "float32"), "x"))
    forced = every_size_is_large if path == "fast" else fastpath.plain_only
    fallen = []
    for subject in subjects:
        for check in checks().values():
            if not check.slow:
                with forced():
                    outcome = examine(subject, check, Options(cases=1, quick=True))
                if outcome is not None and outcome.verdict == FAILED:
                    fallen.append((subject.name, check.name, outcome.report.message))
    assert fallen == []
    if path == "plain":
        assert not seen
    else:
        assert "fused" in seen
