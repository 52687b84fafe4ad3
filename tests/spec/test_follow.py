"""Fields that follow an axis: set in every trial, told where they cannot be."""

import pytest
from linear_sweeps import linear_sweep

from impray.spec import axes
from impray.spec.load import read
from impray.spec.sweep import written

FUSED = {
    "data": {"kind": "planted", "units": 3, "nonzero": 4, "inputs_count": 8, "samples": 40},
    "net": {"hidden": [3], "bias": False, "outputs": 1, "readout": "sum"},
    "train": {"loss": "mse"},
}


def sweep(**search):
    return linear_sweep(trial=FUSED, methods=["imp"], measures=["loss"], rows_at="all", search=search)


def test_a_field_has_the_axis_value_in_every_trial():
    made = sweep(space={"net.hidden": [3, 5], "data.nonzero": [2, 4]}, follow={"data.units": "net.hidden"})
    assert axes.check(made) == []
    trials = [trial for _, trial in axes.trials(made)]
    assert [(trial.data.units, trial.net.hidden, trial.data.nonzero) for trial in trials] == [
        (3, (3,), 2),
        (3, (3,), 4),
        (5, (5,), 2),
        (5, (5,), 4),
    ]


def test_a_sweep_that_follows_is_written_and_read_again():
    import yaml

    made = sweep(space={"net.hidden": [3, 5]}, follow={"data.units": "net.hidden"})
    assert read(yaml.safe_dump(written(made)), "here") == made


@pytest.mark.parametrize(
    ("search", "path"),
    [
        ({"space": {"net.hidden": [3, 5]}, "follow": {"data.units": "net.hiden"}}, "search.follow.data.units"),
        ({"space": {"net.hidden": [3, 5]}, "follow": {"data.unit": "net.hidden"}}, "search.follow.data.unit"),
        (
            {"space": {"net.hidden": [3, 5], "data.units": [3]}, "follow": {"data.units": "net.hidden"}},
            "search.follow.data.units",
        ),
        (
            {
                "space": {"train.lr": [0.1, 0.2]},
                "follow": {"train.momentum": "train.lr", "data.samples": "train.lr"},
                "pack": ["train.lr"],
            },
            "search.pack[0]",
        ),
    ],
)
def test_what_cannot_follow_is_told(search, path):
    assert path in [problem.path for problem in axes.check(sweep(**search))]
