"""Site-wise standardisation and ComBat: by hand, in the limit, and on sites that other units keep apart."""

from __future__ import annotations

import numpy as np
import pytest

import acclimate as ac
from acclimate.errors import DataError, SettingsError
from acclimate.methods import MCC, MLLS, AdaBN, ComBat, SiteStandardize, combat
from acclimate.methods.harmonize.combat import _posterior


def test_each_site_has_its_own_mean_and_deviation():
    values = np.array([[1.0, 5.0], [3.0, 5.0], [10.0, 1.0], [30.0, 3.0]])
    shift, scale = SiteStandardize().sites(values, np.array([0, 0, 1, 1]))
    assert shift.tolist() == [[2, 5], [20, 2]]
    assert scale.tolist() == [[1, 1], [10, 1]], "what is constant at a site is only centred"
    shift, scale = SiteStandardize(deviation=False).sites(values, np.array([0, 0, 1, 1]))
    assert scale.tolist() == [[1, 1], [1, 1]]


def test_the_posterior_is_the_fixed_point_of_johnsons_equations():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9, 6)) * rng.uniform(0.5, 2, 6) + rng.normal(size=6)
    gamma, delta = _posterior(rows, True)
    means, squares = rows.mean(0), rows.var(0, ddof=1)
    middle, wide = squares.mean(), squares.var(ddof=1)
    shape, rate = (2 * wide + middle**2) / wide, (middle * wide + middle**3) / wide
    width, centre = means.var(ddof=1), means.mean()
    assert gamma == pytest.approx((9 * width * means + delta**2 * centre) / (9 * width + delta**2), abs=1e-5)
    assert delta**2 == pytest.approx((rate + ((rows - gamma) ** 2).sum(0) / 2) / (9 / 2 + shape - 1), abs=1e-5)
    assert np.all(np.abs(gamma - centre) < np.abs(means - centre)), "each is shrunk towards the others"
    assert np.ptp(delta) < np.ptp(np.sqrt(squares))


def sites(n=2000, seed=0):
    """Two sites of six features, each moved and stretched in its own way at the second."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2 * n, 6))
    site = np.repeat([0, 1], n)
    values[n:] = np.arange(6) + (1 + np.arange(6) / 2) * values[n:]
    return values, site


def test_with_many_rows_sites_agree_in_mean_and_deviation_and_the_grand_mean_stays():
    values, site = sites()
    found = combat(values, site)
    assert found[site == 0].mean(0) == pytest.approx(found[site == 1].mean(0), abs=0.02)
    assert found[site == 0].std(0) == pytest.approx(found[site == 1].std(0), rel=0.02)
    assert found.mean(0) == pytest.approx(values.mean(0), abs=0.02)
    shift, scale = ComBat().sites(values, site)
    assert (values - shift[site]) / scale[site] == pytest.approx(found, abs=1e-9), "the method is the function"


def test_what_a_covariate_explains_stays():
    values, site = sites(600)
    age = np.random.default_rng(1).normal(size=len(site)) + site  # older at the second site
    values = values + np.outer(age, np.ones(6)) * 5
    kept = combat(values, site, age[:, None])
    slopes = [np.polyfit(age, found[:, 0], 1)[0] for found in (kept, combat(values, site))]
    assert slopes[0] == pytest.approx(5, abs=0.2)
    assert slopes[1] < 4.8
    with pytest.raises(DataError, match="covariates tell the site"):
        combat(values, site, site[:, None])
    with pytest.raises(DataError, match="site 1 has 1 rows"):
        combat(values[:601], site[:601])


def test_a_feature_that_is_constant_at_a_site_moves_and_nothing_else():
    values, site = sites(50)
    values[site == 1, 2] = 7.0
    found = combat(values, site)
    assert np.isfinite(found).all()
    assert found[site == 1, 2] == pytest.approx(values[:, 2].mean(), abs=1e-6)


def hospital(n=160, unit=1.0, offset=0.0, seed=0, shares=0.5):
    """Five measurements, of which two tell who is ill; another laboratory has other units."""
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < shares
    rows = rng.normal(size=(n, 5)) + ill[:, None] * np.array([2.5, 2.5, 0, 0, 0])
    return (offset + unit * rows).astype(np.float32), np.where(ill, "ill", "well")


def adapt(tmp_path, method, name="run", target=None, source=None, **options):
    settings = {"backbone": "columns", "tune": {"kind": "frozen"}, "plain_baseline": False, **options}
    source = ac.read(hospital(), label="y") if source is None else source
    rows = hospital(unit=3.0, offset=6.0, seed=1)[0] if target is None else target
    return ac.adapt(source, ac.read(rows), method=method, out=tmp_path / name, **settings)


def accuracy(run, arm, data):
    return float((run.arm(arm).predict(data[0])["prediction"].to_numpy() == data[1]).mean())


@pytest.mark.parametrize("method", [SiteStandardize(), ComBat(), SiteStandardize() + MLLS()])
def test_another_laboratory_is_read(tmp_path, method):
    there = hospital(unit=3.0, offset=6.0, seed=1)
    run = adapt(tmp_path, method)
    assert accuracy(run, "source_only", there) < 0.7
    assert accuracy(run, method.name, there) > 0.85
    found = next(arm for arm in run.result["arms"] if arm["name"] == method.name)
    plain = next(arm for arm in run.result["arms"] if arm["name"] == "source_only")
    own = [arm["source_validation"]["metrics"]["accuracy"] for arm in (found, plain)]
    assert own[0] == pytest.approx(own[1], abs=0.05), "the source's rows are still read as the source's"


def test_a_unit_that_is_18_times_another_needs_columns_as_they_are(tmp_path):
    """Else `columns` cuts them off at 20 deviations of the source."""
    there = hospital(unit=18.0, offset=90.0, seed=1)
    found = [adapt(tmp_path, "site_standardize", name=f"{whole}", target=there[0],
                   backbone={"name": "columns", "standardize": whole}) for whole in (True, False)]  # fmt: skip
    assert accuracy(found[0], "site_standardize", there) < 0.8
    assert accuracy(found[1], "site_standardize", there) > 0.85


def test_several_sources_are_sites_of_their_own(tmp_path):
    there = hospital(unit=3.0, offset=6.0, seed=1)
    pair = [ac.read(hospital(seed=2), label="y"), ac.read(hospital(seed=3, unit=0.3, offset=-4.0), label="y")]
    run = ac.adapt(pair, ac.read(there[0]), method="site_standardize", backbone="columns", tune="frozen",
                   plain_baseline=False, out=tmp_path / "several")  # fmt: skip
    assert accuracy(run, "site_standardize", there) > 0.85
    found = {arm["name"]: arm["source_validation"]["metrics"]["accuracy"] for arm in run.result["arms"]}
    assert found["site_standardize"] > 0.85


def test_a_network_on_harmonised_features_learns_too(tmp_path):
    there = hospital(unit=3.0, offset=6.0, seed=1)
    method = SiteStandardize() + MCC()
    run = adapt(tmp_path, method, training={"steps": 150, "learning_rate": 0.01})
    assert accuracy(run, method.name, there) > 0.85


def test_poisoned_labels_of_the_target_change_nothing_and_a_saved_model_says_the_same(tmp_path):
    there = hospital(unit=3.0, offset=6.0, seed=1)
    np.savez(tmp_path / "source.npz", x=hospital()[0], y=hospital()[1])
    bits = []
    for name, labels in (("right", there[1]), ("wrong", there[1][::-1])):
        np.savez(tmp_path / f"{name}.npz", x=there[0], y=labels)
        run = ac.adapt(f"{tmp_path}/source.npz", f"{tmp_path}/{name}.npz", label="y", method="combat",
                       backbone="columns", tune="frozen", out=tmp_path / name)  # fmt: skip
        bits.append((run.folder / "arms/combat/model/weights.safetensors").read_bytes())
        said = [run.arm("combat").predict_proba(there[0]) for _ in range(2)]
        assert (said[0] == said[1]).all()
    assert bits[0] == bits[1]


def test_what_cannot_be_harmonised(tmp_path):
    with pytest.raises(SettingsError, match="shifts and scales frozen, dense features"):
        adapt(tmp_path, "combat", backbone="mlp", tune={"kind": "full"})
    with pytest.raises(SettingsError, match="'site_standardize' and 'combat' both harmonise"):
        SiteStandardize() + ComBat()
    assert (AdaBN() + ComBat()).before == ComBat()
