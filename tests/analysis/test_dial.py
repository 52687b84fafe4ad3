"""The dial: rounds chosen by density, settings with known answers, verdicts that follow the numbers."""

import math

import dial
import polars as pl
import pytest
from common import ACCURACY, CLUSTERING, KURTOSIS, WIDTH
from dial import Course
from matplotlib.figure import Figure

from impray.spec.errors import DataError
from impray.spec.trial import Trial

BLEND, REWIND, FRACTION = "data.gaussian_blend", "prune.rewind_step", "prune.fraction"
AXES = [REWIND, FRACTION, BLEND]
BLENDS = (0.0, 0.4, 1.0)


def setting(row: dict, rewind: int, fraction: float) -> dict:
    """The row as one of this setting: its trial and lineage are its own."""
    place = f"{row['trial']}-{rewind}-{fraction}"
    return row | {REWIND: rewind, FRACTION: fraction, "trial": place, "lineage": f"{place}-{row['lineage']}"}


@pytest.fixture
def dialled(lineage_row, lazy):
    """Rows of 2 x 2 settings and 2 seeds in which imp's width goes along `widths`; `others` replace those of a setting."""

    def rows(widths=(2.0, 3.0, 4.0), others=None, blends=BLENDS, **columns):
        found = []
        for rewind in (0, 200):
            for fraction in (0.3, 0.51):
                line = (others or {}).get((rewind, fraction), widths)
                for blend, width in zip(blends, line, strict=True):
                    for seed in (0, 1):
                        at = {"round": 8 if fraction == 0.3 else 4, "density": 0.0576, **columns}
                        more = {"kurtosis_per_class_mean": 9.0 - width, "accuracy": 0.5, "clustering_mean": 9.0 - width}
                        imp = lineage_row(blend, "imp", seed, width + 0.1 * seed, units_counted=60 + seed, **more, **at)
                        random = lineage_row(
                            blend,
                            "random",
                            seed,
                            9.0 if blend == 0.4 else 7.5,
                            units_counted=70,
                            clustering_mean=1.0,
                            **at,
                        )
                        found += [setting(imp, rewind, fraction), setting(random, rewind, fraction)]
        return lazy(found)

    return rows


def test_each_lineage_is_read_at_its_first_round_at_or_below_the_density(lineage_row, lazy):
    rows = [
        setting(lineage_row(0.0, "imp", 0, float(n), round=n, density=(1 - fraction) ** n), 0, fraction)
        for fraction in (0.3, 0.51)
        for n in range(11)
    ]
    found = dial.at_density(lazy(rows), 0.06).collect().sort(FRACTION)
    assert found.select(FRACTION, "round").rows() == [(0.3, 8), (0.51, 4)]
    assert dial.table(lazy(rows), AXES)["value"].to_list() == [8.0, 4.0]


def test_who_diverged_or_is_not_there_yet_is_counted_and_holds_nobody_up(lineage_row, lazy):
    rows = [lineage_row(0.0, "imp", 0, 2.0, round=n, density=0.24**n) for n in (0, 1, 2)]
    rows += [lineage_row(0.0, "imp", 1, 9.0, round=n, density=0.24**n) for n in (0, 1)]
    rows += [lineage_row(0.0, "imp", 2, math.nan, round=1, density=0.24, status="diverged")]
    rows += [lineage_row(0.0, "imp", 3, 4.0, round=n, density=0.24**n) for n in (0, 1, 2)]
    rows += [lineage_row(0.0, "imp", 3, math.nan, round=3, density=0.01, status="diverged")]  # after it got there
    found = dial.table(lazy(rows), [BLEND])
    assert found.select("seed", "round", "status", "value", "mean").rows() == [
        (0, 2, "done", 2.0, 3.0),
        (1, 2, "behind", None, 3.0),
        (2, 2, "diverged", None, 3.0),
        (3, 2, "done", 4.0, 3.0),
    ]
    told = dial.text(found)
    assert "1 of 4 lineages diverged" in told and "1 lineage short of this round" in told


def test_a_density_that_nobody_reached_is_told(lineage_row, lazy):
    with pytest.raises(DataError, match=r"no lineage has a density of 0.06 or less \(least: 0.343\)"):
        dial.table(lazy([lineage_row(0.0, "imp", 0, 2.0)]), [BLEND])


def test_only_units_are_nothing_to_draw(lineage_row, lazy):
    row = lineage_row(0.0, "imp", 0, None, density=0.05, units_counted=60)
    with pytest.raises(DataError, match="neither width"):
        dial.table(lazy([row]), [BLEND])


def test_the_base_trials_setting_is_marked(dialled):
    trial = Trial.model_validate({"data": {"kind": "photographs"}, "prune": {"fraction": 0.51, "rewind_step": 200}})
    base = dial.base(trial, dict.fromkeys(AXES, "float"))
    assert base.inputs == "photographs, 16 x 16 inputs, 10 classes"
    found = dial.table(dialled(), AXES, base=base)
    assert found.filter("base").select("column", "row").unique().rows() == [
        ("prune.rewind_step = 200", "prune.fraction = 0.51")
    ]
    first = dial.table(dialled(), AXES).filter("base").select("column", "row").unique()
    assert first.rows() == [("prune.rewind_step = 0", "prune.fraction = 0.3")]


def test_differences_between_the_ends_of_the_dial(dialled):
    found = dial.answers(dial.table(dialled(others={(200, 0.51): (4.0, 3.0, 2.0)}), AXES), WIDTH)
    assert found["gap"].to_list() == pytest.approx([-2.0, -2.0, -2.0, 2.0])
    assert found.select("wins", "seeds").rows() == [(2, 2), (2, 2), (2, 2), (0, 2)]


def test_steps_that_all_go_one_way(dialled):
    steady = dial.settings(dial.table(dialled(), AXES))
    assert [dial.course(each.rows, WIDTH) for each in steady] == [Course(2, 0, 2)] * 4
    assert dial.course(steady[0].rows, KURTOSIS) == Course(0, 2, 2)
    assert dial.course(steady[0].rows, ACCURACY) == Course(0, 0, 2)  # flat is no step
    back = dial.settings(dial.table(dialled((2.0, 4.5, 4.0)), AXES))
    assert dial.course(back[0].rows, WIDTH) == Course(0, 0, 2)
    ends = dial.settings(dial.table(dialled((2.0, 4.0), blends=(0.0, 1.0)), AXES))
    assert dial.course(ends[0].rows, WIDTH) is None


def test_the_gaussian_end_of_a_gain_is_its_smallest(dialled):
    rows = dialled((4.0, 3.0, 2.0), blends=(0.1, 1.0, 10.0)).rename({BLEND: "data.gain"})
    found = dial.table(rows, [REWIND, FRACTION, "data.gain"])
    assert dial.course(dial.settings(found)[0].rows, WIDTH) == Course(2, 0, 2)
    assert "half of the change is done by 1" in dial.headline(found)


def test_a_dial_that_no_setting_changes(dialled):
    told = dial.headline(dial.table(dialled(), AXES))
    assert told.startswith("A dial (at prune.rewind_step = 0, prune.fraction = 0.3): at every one of 2 steps")
    assert "rf_width_px rises in 2 of 2 seeds (half of the change is done by 0.4)" in told
    assert "Between its ends, in part" in told and "narrower in 2 of 2 seeds (mean difference -2 px" in told
    assert "By rf_width_px, of 4 settings: in part at 4 (narrower in 8 of 8 pairs" in told
    assert told.count("no setting changes the answer") == 2


def test_a_setting_that_reverses_the_answer_is_named(dialled):
    told = dial.headline(dial.table(dialled(others={(200, 0.51): (4.0, 3.0, 2.0)}), AXES))
    assert "in part at 3, no at 1 (narrower in 6 of 8 pairs" in told
    assert "the setting changes the answer: no at prune.rewind_step = 200, prune.fraction = 0.51" in told


def test_a_reversed_dial_is_not_called_one(dialled):
    told = dial.headline(dial.table(dialled((4.0, 3.0, 2.0)), AXES))
    assert told.startswith("Not a smooth dial") and "Between its ends, no" in told


def test_what_a_further_axis_does_is_paired_across_rounds(dialled):
    found = dial.text(dial.table(dialled(others={(0, 0.51): (3.0, 3.5, 4.0), (200, 0.51): (3.0, 3.5, 4.0)}), AXES))
    assert (
        "prune.fraction 0.51 instead of 0.3: imp is narrower in 0 of 4 pairs of one seed and prune.rewind_step "
        "(mean difference +1 px, +1 to +1)." in found
    )
    assert "prune.rewind_step 200 instead of 0: imp is narrower in 0 of 4 pairs of one seed and prune.fraction" in found


def test_densities_that_differ_are_told(dialled):
    same = dial.text(dial.table(dialled(), AXES))
    assert "Drawn at rounds 4, 8, with 5.76 % of the weights left." in same and "over the 60 to 70 units" in same
    rows = dialled().with_columns(density=pl.when(pl.col(FRACTION) == 0.3).then(0.0576).otherwise(0.03))
    assert "3 to 5.76 % of the weights left: not one density" in dial.text(dial.table(rows, AXES))


@pytest.mark.parametrize("axes", [[], [BLEND], [FRACTION], [FRACTION, BLEND], AXES])
def test_draws_any_axes(dialled, axes):
    found = dial.table(dialled(), axes)
    assert isinstance(dial.draw(found), Figure) and dial.text(found)


def test_a_sweep_without_locality_is_unanswered(lineage_row, lazy):
    rows = [lineage_row(blend, "imp", 0, None, density=0.05, accuracy=0.5) for blend in (0.0, 1.0)]
    assert dial.headline(dial.table(lazy(rows), [BLEND])).startswith("Unanswered")


def test_one_seed_is_called_an_anecdote(dialled):
    assert "One seed only" in dial.headline(dial.table(dialled().filter(pl.col("seed") == 0), AXES))


def test_files_of_a_folder(dialled, folder, capsys):
    out = folder(dialled().collect().to_dicts(), axes={REWIND: "int", FRACTION: "float", BLEND: "float"})
    dial.main(out)
    assert (out / "figures" / "dial.png").read_bytes().startswith(b"\x89PNG")
    assert "inputs not known" in (out / "figures" / "dial.txt").read_text()
    assert set(pl.read_csv(out / "figures" / "dial.csv")["measure"]) >= {WIDTH.name, CLUSTERING.name, "units_counted"}
