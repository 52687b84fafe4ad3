"""lufkin2024: counts and means of version 0.5.0 on stored rows, rows with known answers, and what a folder lacks.

Kept are the definitions of 0.5.0: peaks at exactly the same input, the IPR's bounds at 5 and 2 times white noise's, distances |w - w by
eq. 5|. Counts over stimuli pooled (56 initialisations of two stimuli, 30 lineages of three laws) are now a claim per stimulus, over seeds.
A distance that passes half of its largest at the very record at which the IPR rises held before and does not now; no stored net ties.
"""

import json
import shutil
from itertools import product

import numpy as np
import polars as pl
import pytest
from analysis.stored import expected, folder
from lufkin import fig3, fig4, fig8, those
from lufkin2024 import PAPER
from polars import col

from impray.figures import NotMeasured, command, results
from impray.figures.drawing import draw
from impray.figures.panels import table
from impray.results import tables
from impray.results.paths import Paths
from impray.spec.base import canonical
from impray.spec.errors import DataError
from impray.spec.trial import Trial
from impray.theory.localization import euler
from impray.theory.ring import local_ipr, noise_ipr

STORED = {  # figure, of each old claim what was subtracted from its means to give an effect, None: a count
    "fields": (fig3, [None, None, local_ipr(40), 2 * noise_ipr(40), 0.0]),
    "elliptical": (fig4, [2 * noise_ipr(40), fig4.WAVE, fig4.WAVE, fig4.WAVE]),
    "breakdown": (fig8, [0.0, local_ipr(100), fig8.CLOSE, None, 2 * noise_ipr(100), fig8.CLOSE]),
}
RING = {"shape": [12], "xi": [0.3, 0.7]}
TRAININGS = ({"lr": 0.01, "steps": 10_000, "batch": 1_000}, {"lr": 0.05, "steps": 5_000, "batch": 10_000})
ISING, KUR = {"kind": "ising", "shape": [12], "coupling": [0.3, 0.7]}, {"kind": "kur", "k": 4, **RING}


def nlgp(gain, n=12, **train):
    return trial({"kind": "nlgp", "gain": gain, **RING, "shape": [n]}, **train)


def trial(data, **train):
    net = {"hidden": [1], "activation": "relu", "bias": False, "outputs": 1, "readout": "mean"}
    plan = {"lr": 0.05, "steps": 20, "batch": 10, "loss": "mse"} | train
    return Trial.model_validate({"data": data, "net": net, "train": plan})


BREAKDOWN = [nlgp(gain, 16, steps=400) for gain in (0.01, 100)]


@pytest.fixture
def put(tmp_path):
    """A folder of these trials: `weights(trial, seed)` are those at equal steps from 0 to the end."""

    def write(trials, weights=lambda *_: [], methods=("imp",), **of_round):
        Paths(tmp_path).provenance.path.write_text(json.dumps({"axes": {}}))
        described = [{"trial": each.id, "description": json.dumps(canonical(each))} for each in trials]
        found = {"rounds": [], "steps": [], "trials": [row | {"number": at} for at, row in enumerate(described)]}
        for one, seed, method in product(trials, range(3), methods):
            keys = {"lineage": f"{one.id}-{method}-{seed}", "round": 0, "method": method, "seed": seed}
            row = {"trunk": f"{one.id}-{seed}", "trial": one.id, "status": "done", "density": 1.0}
            found["rounds"].append(keys | row | of_round)
            fields = weights(one, seed)
            for record, w in enumerate(fields):
                step = round(record * one.train.steps / (len(fields) - 1))
                found["steps"].append(keys | {"step": step, "unit": 0, "weights": [float(v) for v in w]})
        for name, rows in found.items():
            tables.write(Paths(tmp_path), name, "rows", rows, {})
        return results(tmp_path)

    return write


def held(figure, of):
    """Of every claim in how many seeds it holds; None: not measured."""
    return [f.held if f.of else None for f in table(figure.FIGURE, of).findings]


def start(one, seed):
    return 0.01 * np.random.default_rng(seed).normal(size=one.data.inputs)


def wave(cycles=1):
    return np.cos(2 * np.pi * cycles * np.arange(12) / 12 + 0.3)


@pytest.fixture
def quick(monkeypatch):
    """Eq. 5 over few steps where no claim is about it (Fig. 4)."""
    monkeypatch.setattr(fig4, "euler", lambda data, w, lr, steps: euler(data, w, lr, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", STORED)
def test_counts_and_means_of_version_0_5_0(tmp_path, quick, name):
    figure, bounds = STORED[name]
    found = table(figure.FIGURE, results(folder(f"lufkin2024_{name}", tmp_path / name)))
    findings = list(found.findings)
    for claim, bound in zip(expected(f"lufkin2024_{name}")["claims"], bounds, strict=True):
        parts = [findings.pop(0) for _ in claim["means"] or [None]]
        assert (sum(p.held for p in parts), sum(p.of for p in parts)) == (claim["held"], claim["of"]), claim["claim"]
        effects = [claim["held"] / claim["of"]] if bound is None else [mean - bound for mean in claim["means"]]
        assert [p.effect for p in parts] == pytest.approx(effects, rel=1e-9)
    assert not findings and not found.lacking


def test_fig3_finds_peaks_where_they_were_put_and_keeps_its_stimuli_in_order(put):
    trials = [nlgp(0.01), trial(KUR), trial(ISING)]
    for turn, agree in ((0, 3), (2, 0)):
        of = put(trials, lambda *net, turn=turn: [start(*net), np.roll(path(*net)[-1] ** 3, turn)])
        ends = fig3.ends(fig3.FIGURE.part(of))
        assert ends.filter(col("field") == fig3.EXACT)["apart"].to_list() == [turn] * 9 and held(fig3, of)[1] == agree
        assert ends["name"].unique(maintain_order=True).to_list() == ["Ising", "NLGP(0.01)", "Kur(4)"]
        assert set(ends.filter(col("name") == "Kur(4)")["field"]) == {fig3.EXACT}  # its kurtosis is infinite
        of_one = ends.filter(col("field") == fig3.EXACT, col("seed") == 2)["weights"][0].to_list()
        assert of_one == pytest.approx(euler(trial(ISING).data, start(trial(ISING), 2), 0.05, 20))


def test_fig3_judges_who_localises_either_way(put):
    trials = [trial(ISING), nlgp(0.01)]
    for kind, count in (("ising", 3), ("nlgp", 0)):
        of = put(trials, lambda one, seed, kind=kind: [wave(), np.eye(12)[seed] if one.data.kind == kind else wave()])
        assert held(fig3, of)[2:4] == [count, count]


def laws(*radii):
    data = {"kind": "elliptical", "scale": "radius", **RING}
    return [trial(data | {"radius": radius}, **how) for radius in radii for how in TRAININGS]


def test_fig4_has_the_papers_training_and_distances_in_closed_form(put, quick):
    rough = np.where(np.arange(12) % 2, 0.02, -0.02)  # a mode of its own
    of = put(laws(*fig4.LAWS), lambda one, seed: [wave(), wave(), wave(1 + seed % 2) + rough], kurtosis_mean=5.0)
    ends = fig4.ends(of).filter(col("weights") == fig4.END)
    assert ends["distance"].to_numpy() == pytest.approx(np.full(18, 0.02 / np.sqrt(0.5 + 0.02**2)), rel=1e-9)
    drawn = ends.filter("shown").unique("law", maintain_order=True)["training"].str.slice(0, 7)
    assert drawn.to_list() == ["lr 0.01", "lr 0.05", "lr 0.05"] and ends["cycles"].unique().sort().to_list() == [1, 2]
    assert held(fig4, of) == [3] * 6
    shutil.rmtree(of.place / "tables")
    local = put(laws("student_t"), lambda one, seed: [wave(), np.eye(12)[seed]])
    assert held(fig4, local) == [0, 0, None, None]  # two laws are missing


def path(one, seed):
    """Eq. 5 itself at steps 0, 40 ... 400."""
    return euler(one.data, start(one, seed), one.train.lr, one.train.steps, record_every=40)


@pytest.mark.slow
def test_fig8_eq_5_against_itself_is_exact_and_against_another_is_not(put):
    of = fig8.FIGURE.part(put(BREAKDOWN, path))
    assert fig8.courses(of)["distance"].max() < 1e-9 and fig8.courses(of)["time"].max() == pytest.approx(20)
    assert [held(fig8, of)[at] for at in (2, 3, 5)] == [3, 3, 3]
    assert fig8.drawn(of)["net"].unique().sort().str.slice(0, 9).to_list() == ["NLGP(0.01", *["NLGP(100)"] * 3]
    away = put(BREAKDOWN, lambda *net: [np.roll(w, 5 * (at > 0)) for at, w in enumerate(path(*net))])
    assert [held(fig8, away)[at] for at in (2, 3, 5)] == [0, 0, 0]


@pytest.mark.parametrize(("rises", "breaks"), [(4, 6), (6, 3)])
def test_fig8_tells_which_comes_first(put, rises, breaks):
    fields = [
        (0.05 * np.eye(16)[2] if at >= rises else np.full(16, 0.01)) * (61 if at >= breaks else 1) for at in range(11)
    ]
    of = fig8.FIGURE.part(put(BREAKDOWN, lambda one, seed: fields if one.data.gain > 1 else path(one, seed)))
    row = fig8.courses(of).filter("binary").row(0, named=True)
    times = [row[name] for name in ("moment", "apart_at", "before", "during", "after")]
    assert times == pytest.approx([2 * rises, 2 * breaks, 0.8 * rises, 2 * rises, 20])
    assert held(fig8, of)[0] == (3 if breaks > rises else 0)


def test_nets_count_once_and_what_is_not_shown_is_said(put):
    of = put([nlgp(1), nlgp(1, lr=0.1), nlgp(2)], methods=("imp", "random"))
    found = those.first_of_each(those.those(of, those.is_neuron, ""), lambda one: -one.data.gain)
    assert len(found.lineages) == 6 and [one.data.gain for one in found.trials.values()] == [2, 1]
    assert "1 further trials" in found.missing[-1]
    course = those.Course(nlgp(1), "", [0], [*range(0, 101, 10)], np.ones((11, 1, 12)))
    assert course.thinned(3).steps == [0, 50, 100] and course.rows("", course.w)["ipr"].to_list() == [1 / 12] * 11


def test_a_folder_says_what_it_lacks(put):
    for figure, trials in ((fig4, laws("shell")), (fig8, BREAKDOWN)):
        with pytest.raises(NotMeasured, match="^needs measure course with weights_every$"):
            table(figure.FIGURE, put(trials))
    marginals = table(fig3.FIGURE, put([trial(ISING)]))
    assert len(marginals.panels) == 2 and "needs measure course" in marginals.lacking[0]
    assert draw(marginals)
    shutil.rmtree(marginals.results.place / "tables")
    with pytest.raises(DataError, match="nothing to draw") as error:
        command.draw_into(PAPER, put(BREAKDOWN[:1]).place)
    assert all(f"sweeps/lufkin2024_{name}.yaml" in str(error.value) for name in STORED)


@pytest.mark.slow
def test_the_page_has_what_the_folder_shows(put, capsys):
    figures = put(BREAKDOWN, path).place / "figures"
    command.draw_into(PAPER, figures.parent)
    assert [file.name for file in figures.glob("*.png")] == ["lufkin2024_fig8.png"]
    page = (figures / "lufkin2024.html").read_text()
    assert page.count("<section") == page.count("data:image/png;base64,") == 1 and "Fig. 8" in capsys.readouterr().out
    assert len(pl.read_csv(figures / "lufkin2024_fig8.csv", infer_schema_length=None))
