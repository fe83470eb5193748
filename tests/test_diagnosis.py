"""`l2core.diagnose`: the figures by other means, the suggestions on data of known kinds, the page."""

import json
import math
from html.parser import HTMLParser

import numpy as np
import pytest
import scipy.stats

import l2core
from l2core import diagnose
from l2core.diagnosis import advice
from l2core.diagnosis.command import main
from l2core.diagnosis.models import models
from l2core.diagnosis.quantiles import gaussian, laplace, student
from l2core.hosted import quantile

N = 1000


def kinds(rng, n=N):
    """Prediction and target of known kinds, by the suggestion that is right for them."""
    p, noise = 10 + 3 * rng.standard_normal(n), rng.standard_normal(n)
    yield "keep", p, p + noise
    yield "laplace", p, p + rng.laplace(size=n)
    yield "outliers", p, p + np.where(rng.random(n) < 0.05, 10 * noise, noise)
    wide = rng.uniform(1, 10, n)
    yield "spread", wide, wide + 0.2 * wide * noise
    yield "skewed", p, p + rng.exponential(size=n) - 1


@pytest.mark.parametrize("kind", ["keep", "laplace", "outliers", "spread", "skewed"])
def test_the_right_suggestion_comes(kind):
    """In 20 draws; benchmarks/calibration.py has 200, and the docs its table."""
    right = 0
    for seed in range(20):
        (p, t), *_ = [(p, t) for name, p, t in kinds(np.random.default_rng(seed)) if name == kind]
        right += diagnose(p, t).suggestions[0].name == kind
    assert right >= 19


def test_models_by_scipy():
    """The most likely parameters, and the likelihood at them; weights are counts."""
    rng = np.random.default_rng(1)
    r = 2 + 1.5 * rng.standard_t(3, 800)
    found = {m.name: m for m in models(r, np.ones(800))}
    df, at, scale = scipy.stats.t.fit(r)
    t = found["Student's t"]
    np.testing.assert_allclose((t.df, t.location, t.scale), (df, at, scale), rtol=5e-3)
    best = scipy.stats.t.logpdf(r, df, at, scale).sum()
    assert abs(t.log_likelihood - best) < 1e-3
    g, e = found["Gaussian"], found["Laplace"]
    np.testing.assert_allclose(
        g.log_likelihood, scipy.stats.norm.logpdf(r, *scipy.stats.norm.fit(r)).sum()
    )
    np.testing.assert_allclose(
        e.log_likelihood,
        scipy.stats.laplace.logpdf(r, *scipy.stats.laplace.fit(r)).sum(),
        rtol=1e-9,
    )
    np.testing.assert_allclose(g.bic, -2 * g.log_likelihood + 2 * math.log(800))
    counts = rng.integers(1, 4, 800)
    for a, b in zip(
        models(r, counts.astype(float)),
        models(np.repeat(r, counts), np.ones(counts.sum())),
        strict=True,
    ):
        np.testing.assert_allclose(
            (a.location, a.scale, a.log_likelihood),
            (b.location, b.scale, b.log_likelihood),
            rtol=1e-2,
        )


def test_quantiles_by_scipy():
    q = np.linspace(0.001, 0.999, 41)
    np.testing.assert_allclose(gaussian(q), scipy.stats.norm.ppf(q), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(laplace(q), scipy.stats.laplace.ppf(q), rtol=1e-12, atol=1e-12)
    for df in (1.5, 4.0, 150.0):
        np.testing.assert_allclose(student(q, df), scipy.stats.t.ppf(q, df), rtol=1e-4, atol=1e-4)
    x = np.array([3.0, 1.0, 2.0, 4.0])
    assert quantile(x, np.ones(4), 0.5) == 2.5


def sample(n=600):
    rng = np.random.default_rng(7)
    p = 5 + rng.standard_normal((n // 3, 3))
    return p, p + rng.standard_t(3, p.shape)


def test_figures_by_hand():
    p, t = sample()
    w = np.arange(len(p)) % 3 + 0.0
    t[5, 1], p[8, 2] = np.nan, np.inf
    by = np.where(np.arange(len(p)) % 2, "odd", "even")
    found = diagnose(p, t, weight=w, by=by)
    kept = np.isfinite(p - t) & (w != 0)[:, None]
    r, each = (p - t)[kept], np.repeat(w[:, None], 3, 1)[kept]
    scale = found.measures.scale
    np.testing.assert_allclose(scale.rmse, np.sqrt(np.average(r**2, weights=each)))
    np.testing.assert_allclose(scale.mae, np.average(np.abs(r), weights=each))
    np.testing.assert_allclose(scale.bias, np.average(r, weights=each))
    c = found.cleaned
    assert (len(c.r), c.missing, c.broken) == (len(r), 1, 1)
    assert c.absent == 3 * np.sum(w == 0)
    np.testing.assert_allclose(
        found.measures.deciles,
        l2core.decile_shares(p, t, weight=w, mask=np.isfinite(p - t)),
        rtol=1e-9,
    )
    largest = found.measures.largest[0]
    at = np.unravel_index(np.argmax(np.where(kept, np.abs(np.where(kept, p - t, 0)), 0)), p.shape)
    assert largest.index == tuple(map(int, at))
    assert largest.residual == p[at] - t[at]
    odd = next(g for g in found.measures.groups if g.name == "odd")
    chosen = kept & (by == "odd")[:, None]
    expected = np.average((p - t)[chosen] ** 2, weights=np.repeat(w[:, None], 3, 1)[chosen])
    np.testing.assert_allclose(odd.rmse, np.sqrt(expected))
    p, t = sample()
    rank = scipy.stats.spearmanr(p.ravel(), np.abs(p - t).ravel())
    spread = diagnose(p, t).measures.spread
    np.testing.assert_allclose(spread.correlation, rank.statistic, rtol=1e-9)
    tenths = np.array_split(np.abs(p - t).ravel()[np.argsort(p.ravel(), kind="stable")], 10)
    np.testing.assert_allclose(spread.p, scipy.stats.kruskal(*tenths).pvalue, rtol=0.02)


def test_what_a_suggestion_would_change_is_measured():
    """The variance of the best constant, by fitting it to resampled residuals."""
    p, t = sample(1500)
    found = diagnose(p, t)
    c, m = found.cleaned, found.measures
    loss = l2core.Huber(float(f"{m.scale.delta:.4g}"))
    ratio = advice._variance(c, m, loss) / advice._variance(c, m, l2core.SquaredError())
    rng = np.random.default_rng(0)
    fitted = [
        [l2core.best_constant(x, drawn) for x in (loss, l2core.SquaredError())]
        for drawn in rng.choice(c.r, (150, len(c.r)))
    ]
    by_resampling = np.var(fitted, axis=0)
    assert abs(np.log(by_resampling[0] / by_resampling[1] / ratio)) < 0.5
    text = f"{100 * (1 - ratio):.0f} % less variance"
    assert text in found.suggestions[0].effect
    assert f"Huber({loss.delta:.4g})" in found.suggestions[0].code["l2core"]


def test_delta():
    """95 % efficiency to 1e-6, on a scale by the median."""
    p, t = sample()
    r = (p - t).ravel()
    mad = np.median(np.abs(r - np.median(r))) / scipy.stats.norm.ppf(0.75)
    np.testing.assert_allclose(diagnose(p, t).measures.scale.delta, 1.344997508512 * mad, rtol=1e-2)
    k = l2core.robust.huber_tuning()
    inside = 2 * scipy.stats.norm.cdf(k) - 1
    under = inside - 2 * k * scipy.stats.norm.pdf(k) + 2 * k * k * scipy.stats.norm.sf(k)
    assert abs(inside**2 / under - 0.95) < 1e-6


def every_suggestion():
    """One of each, by name."""
    found = {}
    rng = np.random.default_rng(0)
    data = [(p, t) for _, p, t in kinds(rng)]
    p, t = data[0]
    missing = t.copy()
    missing[3] = np.nan
    data += [(p + 0.5, t), (1e6 * p, 1e6 * t), (p, missing), (p, np.full(N, 2.0))]
    data += [(p[:5], t[:5]), (p, p + np.round(t - p)), (np.where(p == p[0], np.inf, p), t)]
    for p, t in data:
        found |= {s.name: s for s in diagnose(p, t).suggestions}
    return found


def test_code_runs_in_every_framework():
    import jax.numpy as jnp
    import keras
    import torch

    import l2jax
    import l2keras
    import l2torch

    found = every_suggestion()
    names = {"keep", "laplace", "outliers", "spread", "skewed", "bias", "standardise", "missing"}
    names |= {"few", "discrete", "broken"}
    assert set(found) == names | {"constant"}
    p, t = np.ones((4, 1), np.float32), np.zeros((4, 1), np.float32)
    makes = {"l2core": np.asarray, "torch": torch.tensor, "jax": jnp.asarray}
    makes["keras"] = keras.ops.convert_to_tensor
    for s in found.values():
        assert s.title
        assert any(x.isdigit() for x in s.reason + s.effect)  # a number behind it
        for framework, code in s.code.items():
            make = makes[framework]
            named = {"pred": make(p), "mean": make(p), "target": make(t), "log_variance": make(t)}
            value = eval(
                code,
                {**vars(l2core), "l2torch": l2torch, "l2keras": l2keras, "l2jax": l2jax, **named},
            )
            if callable(value):
                both = make(np.concatenate([p, p], axis=1)) if "packed" in code else make(p)
                value = value(make(t), both) if framework == "keras" else value(make(p), make(t))
            assert np.all(np.isfinite(np.asarray(value)))


class Page(HTMLParser):
    """Whether tags close, and what the page loads."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.svgs = [], [], 0

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br", "path", "use", "rect", "line"):
            self.open.append(tag)
        self.svgs += tag == "svg"
        self.loads += [v for k, v in attrs if k in ("src", "href") and not v.startswith("#")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if self.open and tag == self.open[-1]:
            self.open.pop()


def test_page(tmp_path):
    p, t = sample()
    found = diagnose(p, t, by=np.where(np.arange(len(p)) % 2, "<odd>", "even"))
    text = found.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text
    seen = Page()
    seen.feed(text)
    assert seen.open == []
    assert seen.svgs == 4
    assert [x for x in seen.loads if not x.startswith("data:")] == []
    assert "&lt;odd&gt;" in text
    assert "<odd>" not in text
    assert found.to_html() == text  # the same data, the same page
    assert json.loads(found.to_json())["suggestions"][0]["name"] == "outliers"
    assert "Huber" in str(found)


def test_command(tmp_path, capsys):
    p, t = sample()
    np.savez(
        tmp_path / "a.npz",
        p=p,
        t=t,
        good=p + 0.1 * np.random.default_rng(0).standard_normal(p.shape),
    )
    pred = ["--pred", f"{tmp_path}/a.npz:p"]
    page = str(tmp_path / "out.html")
    assert main([*pred, "--target", f"{tmp_path}/a.npz:t", "--html", page]) == 1
    assert "Use Huber's loss with delta = " in capsys.readouterr().out
    assert "<svg" in (tmp_path / "out.html").read_text(encoding="utf-8")
    assert main([*pred, "--target", f"{tmp_path}/a.npz:good", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["suggestions"][0]["name"] == "keep"
    assert main([*pred, "--target", str(tmp_path / "none.npy")]) == 2
    assert capsys.readouterr().err.startswith("l2core diagnose: --target: expected a file, got ")


def test_a_spread_that_rises_and_falls():
    """In no direction of the prediction, hence without a rank correlation."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal(N)
    found = diagnose(x, x + np.abs(x) * rng.standard_normal(N))
    assert found.suggestions[0].name == "spread"
    assert abs(found.measures.spread.correlation) < 0.1
    few = rng.uniform(1, 10, 25)
    assert (
        diagnose(few, few + few * np.sign(rng.standard_normal(25))).suggestions[0].name == "spread"
    )


def test_weights_are_counts_in_the_spread():
    """Those of hardly any weight do not tell how errors go with the prediction."""
    rng = np.random.default_rng(3)
    x = rng.uniform(1, 10, 2000)
    w = np.where(rng.random(2000) < 0.5, 1.0, 1e-6)
    r = np.where(w == 1, 1.0, x) * rng.standard_normal(2000)
    assert diagnose(x, x + r, weight=w).keep
    counts = rng.integers(1, 4, 300)
    p, t = x[:300], x[:300] + 0.3 * x[:300] * rng.standard_normal(300)
    weighted = diagnose(p, t, weight=counts).measures
    repeated = diagnose(np.repeat(p, counts), np.repeat(t, counts)).measures
    np.testing.assert_allclose(weighted.spread.correlation, repeated.spread.correlation, rtol=1e-9)
    np.testing.assert_allclose(weighted.spread.deviations, repeated.spread.deviations, rtol=0.05)


def test_a_constant_target_that_is_no_binary_number():
    found = diagnose(np.random.default_rng(0).standard_normal(1000), np.full(1000, 0.1))
    assert [s.name for s in found.suggestions] == ["constant"]
    assert found.measures.scale.deviation == 0
    json.loads(found.to_json(), parse_constant=pytest.fail)


def test_labels_of_any_kind(tmp_path):
    p, t = sample()
    by = np.array([None, "$a$", r"$\frac$", 1.5] * 50, object)
    found = diagnose(p, t, by=by)
    assert {g.name for g in found.measures.groups} == {"None", "$a$", r"$\frac$", "1.5"}
    assert "frac" in found.to_html()


def test_edges_and_what_is_wrong():
    p, t = sample()
    assert diagnose(p, p).suggestions[0].name == "keep"
    few = diagnose(p[:1], t[:1])
    assert few.suggestions[0].name == "few"
    assert not few.keep
    assert diagnose(
        np.ones(50), np.zeros(50)
    ).suggestions  # residuals and targets that are constant
    assert diagnose(p.tolist(), t.tolist()).measures.scale == diagnose(p, t).measures.scale
    with pytest.raises(ValueError, match=r"^pred: expected two finite elements or more, got 0"):
        diagnose(p, np.full(p.shape, np.nan))
    with pytest.raises(
        ValueError, match=r"^weight: expected finite numbers >= 0, some of them > 0"
    ):
        diagnose(p, t, weight=-np.ones(len(p)))
    with pytest.raises(
        ValueError, match=r"^pred - target: expected numbers of which the square is f"
    ):
        diagnose(p * 1e200, t * 1e200)
    with pytest.raises(ValueError, match=r"^by: expected shape \(200,\), got \(3,\)"):
        diagnose(p, t, by=[1, 2, 3])
    with pytest.raises(ValueError, match=r"^pred and target: expected shapes that are equal"):
        diagnose(p, t[:3])
