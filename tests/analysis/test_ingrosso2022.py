"""Fields over training: claims that follow planted courses in every branch, and what is drawn."""

import json
import math

import ingrosso2022
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from impray.results import tables
from impray.results.paths import Paths
from impray.spec.data import Kur, Nlgp
from impray.spec.errors import DataError

RANDOM = 3 / 18  # the IPR of 16 random weights
LOCAL = {(gain, blend): RANDOM for gain in (0.1, 3.0, 100.0) for blend in (0.0, 1.0)} | {
    (3.0, 0.0): 0.6,
    (100.0, 0.0): 0.8,
}
SEEDS, STEPS, UNITS = (0, 1, 2), (0, 50, 100), (0, 1)


def spec(gain: float, blend: float) -> Nlgp:
    return Nlgp(shape=(4, 4), gain=gain, gaussian_blend=blend)


def trial(gain: float, blend: float) -> str:
    return f"{gain:g}-{blend:g}"


@pytest.fixture
def planted(lazy):
    """Rows of `rounds` and of `steps`, and data; the IPR goes from that of random weights to `end`, in every unit."""

    def build(end=LOCAL, distance=(0.9, 0.5), worse=(), weights=True):
        rounds, steps = [], []
        for (gain, blend), ipr in end.items():
            for seed in SEEDS:
                id = f"{trial(gain, blend)}-{seed}"
                known = {"lineage": id, "trial": trial(gain, blend), "seed": seed, "round": 0, "status": "done"}
                rounds.append(known | {"accuracy": 0.9 - 0.1 * blend, "sinusoid_distance_mean": distance[int(blend)]})
                last = RANDOM * 0.9 if (gain, blend, seed) in worse else ipr
                for n, step in enumerate(STEPS):
                    for unit in UNITS:
                        row = {"lineage": id, "round": 0, "step": step, "unit": unit, "loss": 1.0 - 0.1 * n}
                        row |= {"ipr": RANDOM + (last - RANDOM) * n / 2 + 0.01 * (2 * unit - 1)}
                        kept = weights and step != 50
                        steps.append(row | {"weights": list(np.arange(16.0) + step) if kept else None})
        data = {trial(*key): spec(*key) for key in end}
        types = {"weights": pl.List(pl.Float64)}
        return lazy(rounds), pl.DataFrame(steps, schema_overrides=types).lazy(), data

    return build


def verdicts(found: pl.DataFrame) -> list[str]:
    return [claim.verdict for claim in ingrosso2022.claims(found)]


def test_courses_are_means_over_units(planted):
    found = ingrosso2022.table(*planted())
    of = found.filter(pl.col("gain") == 3, pl.col("blend") == 0, pl.col("seed") == 1)
    assert of["step"].to_list() == [0, 50, 100]
    assert of["ipr"].to_list() == pytest.approx([RANDOM, (RANDOM + 0.6) / 2, 0.6])
    assert of["accuracy"].to_list() == [None, None, 0.9] and of["sinusoid_distance"].to_list()[-1] == 0.9
    assert of["inputs"][0] == 16 and of["excess"][0] < -1.8


def test_as_the_paper_has_it(planted):
    found = ingrosso2022.table(*planted())
    assert verdicts(found) == ["agrees"] * 5
    told = ingrosso2022.text(found, None)
    assert "Ingrosso & Goldt (2022): agrees (of 5 claims 5 agree; main claim: in 6 of 6 pairs)" in told
    assert "The IPR ends above the clone's: agrees, in 6 of 6 pairs (mean 0.7 against 0.167)." in told
    assert (
        "The best single wave has 75 % of the power of a clone's fields (of the process's 19 %): so they are waves."
        in told
    )


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (dict.fromkeys(LOCAL, RANDOM), ["disagrees", "disagrees", "agrees", "agrees", "agrees"]),
        (dict.fromkeys(LOCAL, 0.6), ["disagrees", "agrees", "disagrees", "disagrees", "agrees"]),
        (LOCAL | {(0.1, 0.0): 0.6}, ["agrees", "agrees", "agrees", "disagrees", "agrees"]),
        (LOCAL | {(3.0, 1.0): 0.5}, ["agrees", "agrees", "in part", "agrees", "agrees"]),
        (LOCAL | {(3.0, 1.0): 0.7}, ["disagrees", "agrees", "in part", "agrees", "agrees"]),
    ],
)
def test_claims_follow_the_numbers(planted, end, expected):
    assert verdicts(ingrosso2022.table(*planted(end))) == expected


def test_one_seed_below_its_clone_is_told(planted):
    found = ingrosso2022.table(*planted(worse=[(3.0, 0.0, 2)]))
    assert verdicts(found)[:2] == ["in part", "in part"]
    told = ingrosso2022.text(found, None)
    assert "in 5 of 6 pairs" in told and "gain 3, excess kurtosis -1.83; IPR above its clone's in 2 of 3 seeds:" in told


@pytest.mark.parametrize(
    ("distance", "verdict", "said"),
    [
        ((0.5, 0.9), "disagrees", "not single waves"),
        ((0.95, 0.8), "agrees", "not single waves"),
        ((0.9, 0.1), "agrees", "so they are waves"),
    ],
)
def test_waves(planted, distance, verdict, said):
    found = ingrosso2022.table(*planted(distance=distance))
    assert verdicts(found)[4] == verdict and said in ingrosso2022.text(found, None)


def test_without_a_clone_nothing_is_compared(planted):
    found = ingrosso2022.table(*planted({key: ipr for key, ipr in LOCAL.items() if key[1] == 0}))
    assert verdicts(found) == ["cannot be told", "agrees", "cannot be told", "agrees", "cannot be told"]
    assert "cannot be told" in ingrosso2022.verdict(found) and "not measured" in ingrosso2022.text(found, None)
    assert isinstance(ingrosso2022.draw(found, None), Figure)


def test_waves_that_were_not_measured(planted):
    rounds, steps, data = planted()
    found = ingrosso2022.table(rounds.drop("sinusoid_distance_mean"), steps, data)
    assert verdicts(found)[4] == "cannot be told"
    assert "waves was not measured" in ingrosso2022.text(found, None)


def test_diverged_lineages_are_counted_and_not_compared(planted):
    rounds, steps, data = planted()
    bad = pl.col("lineage") == "3-0-1"
    rounds = rounds.with_columns(pl.when(bad).then(pl.lit("diverged")).otherwise("status").alias("status"))
    found = ingrosso2022.table(
        rounds, steps.with_columns(pl.when(bad).then(math.nan).otherwise("ipr").alias("ipr")), data
    )
    told = ingrosso2022.text(found, None)
    assert "1 of 18 lineages diverged" in told and "main claim: in 5 of 5 pairs" in told


def test_fields_of_the_middle_gain(planted):
    rounds, steps, data = planted()
    found = ingrosso2022.table(rounds, steps, data)
    fields = ingrosso2022.fields(found, steps, {16: (4, 4)})
    assert fields is not None and (fields.gain, fields.seed) == (3.0, 0)
    assert {blend: list(of) for blend, of in fields.weights.items()} == {0.0: [0, 100], 1.0: [0, 100]}
    assert fields.weights[0.0][100].shape == (2, 4, 4) and fields.weights[0.0][100][1, 0, 1] == 101
    figure = ingrosso2022.draw(found, fields)
    assert sum(len(axes.images) for axes in figure.axes) == 2 * 2 * 2


def test_without_weights_the_courses_are_drawn(planted):
    rounds, steps, data = planted(weights=False)
    found = ingrosso2022.table(rounds, steps, data)
    assert ingrosso2022.fields(found, steps, {16: (4, 4)}) is None
    assert isinstance(ingrosso2022.draw(found, None), Figure)
    assert "No weights were recorded." in ingrosso2022.text(found, None)


def test_other_stimuli_have_nothing_to_draw(planted):
    rounds, steps, data = planted()
    with pytest.raises(DataError, match="no time course"):
        ingrosso2022.table(rounds, steps, {id: Kur(shape=(4, 4)) for id in data})
    with pytest.raises(DataError, match="every lineage with a time course diverged"):
        ingrosso2022.table(rounds.with_columns(pl.lit("diverged").alias("status")), steps, data)


def test_it_has_no_later_rounds(tmp_path):
    with pytest.raises(DataError, match="--round 2: time courses are those of round 0"):
        ingrosso2022.main(tmp_path, 2)


def test_files_of_a_folder(planted, folder):
    rounds, steps, data = planted()
    axes = {"data.gain": "float", "data.gaussian_blend": "float"}
    places = {id: {"data.gain": one.gain, "data.gaussian_blend": one.gaussian_blend} for id, one in data.items()}
    rows = [row | places[row["trial"]] | {"method": "imp"} for row in rounds.collect().to_dicts()]
    out = folder(rows, axes=axes)
    tables.write(Paths(out), "steps", "rows", steps.collect().to_dicts(), axes)
    said = [{"trial": id, "description": json.dumps({"data": one.model_dump(mode="json")})} for id, one in data.items()]
    tables.write(Paths(out), "trials", "rows", said, axes)
    ingrosso2022.main(out)
    assert (out / "figures" / "ingrosso2022.png").read_bytes().startswith(b"\x89PNG")
    assert "main claim: in 6 of 6 pairs" in (out / "figures" / "ingrosso2022.txt").read_text()
    assert "ipr" in pl.read_csv(out / "figures" / "ingrosso2022.csv").columns
