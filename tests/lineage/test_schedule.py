"""What masks of a lineage keep: the asked numbers, for every method, also where a count stays or is 0."""

import json

import polars as pl
import pytest
from conftest import assert_same_tables, rows_of, tiny_pack, tiny_sweep

from impray.journey import run_pack
from impray.lineage.checkpoint import record_from_bytes
from impray.results.paths import Paths
from impray.spec.axes import trials
from impray.spec.pack import Pack

METHODS = ["imp", "oneshot", "random", "cavity", "cavity_lowest"]


def run(pack, folder):
    folder.mkdir(exist_ok=True)
    (folder / "provenance.json").write_text(json.dumps({"axes": pack.axes}))
    list(run_pack(pack, folder))
    return folder


def masks_of(folder, lineage, round):
    content = Paths(folder).lineage(lineage.id, round).read()
    return record_from_bytes(content, "here").masks


@pytest.mark.parametrize(
    "net, prune, kept",
    [
        ([5], {"densities": [0.5, 0.2, 0.1]}, [90, 36, 18]),
        ([5], {"densities": [1, 0.3, 0.125], "biases": "ranked"}, [185, 56, 23]),  # 55.5 and 23.125 of 185
        ([5, 3], {"densities": [0.5, 0.3, 0.1], "scope": "global"}, [98, 58, 20]),  # 97.5, 58.5 and 19.5 of 195
        ([5, 3], {"densities": [0.5, 0.3, 0.1]}, [90 + 8, 54 + 4, 18 + 2]),  # 7.5, 4.5 and 1.5 of 15
        ([5], {"fraction": 0.7, "rewind_step": 0}, [54, 16, 5]),
    ],
)
def test_every_method_keeps_the_asked_numbers(tmp_path, net, prune, kept):
    prune = {"cavity": {"samples": 200}, **prune}
    pack = tiny_pack(
        methods=METHODS, seeds=1, measures=["fan_in"], **{"trial.net": {"hidden": net}, "trial.prune": prune}
    )
    run(pack, tmp_path)
    for lineage in pack.lineages:
        found = [masks_of(tmp_path, lineage, round) for round in (1, 2, 3)]
        assert [sum(int(mask.sum()) for mask in masks.values()) for masks in found] == kept, lineage.method
        for before, after in zip(found, found[1:], strict=False):
            assert not any((after[name] & ~before[name]).any() for name in after)
    density = rows_of(tmp_path, "rounds").sort("round")["density"].unique(maintain_order=True)
    assert density.to_list() == [
        1.0,
        *(count / sum(pack.lineages[0].trial.scope_sizes) for count in kept if count != 185),
    ]


@pytest.mark.parametrize("prune", [{"densities": [0.1, 0.098, 0.002]}, {"fraction": 0.999}])
def test_counts_that_stay_or_are_0_go_through(tmp_path, prune):
    """18, 18 and 0 of 180, or 0 at once: every lineage is done, and what has no value without weights is NaN."""
    pack = tiny_pack(
        methods=METHODS, seeds=1, **{"trial.prune": {"rewind_step": 3, "cavity": {"samples": 200}, **prune}}
    )
    run(pack, tmp_path)
    rounds = rows_of(tmp_path, "rounds").filter(pl.col("round") == 3)
    assert rounds.height == len(METHODS) and (rounds["status"] == "done").all() and (rounds["density"] == 0).all()
    assert rounds["accuracy"].is_finite().all() and rounds["rf_width_x_px_median"].is_nan().all()
    for lineage in pack.lineages:
        first, second = (masks_of(tmp_path, lineage, round)["weight1"] for round in (1, 2))
        assert (first == second).all()
    fates = rows_of(tmp_path, "fates").filter(pl.col("round") == 0, pl.col("layer") == 1)
    assert (fates.group_by("lineage").agg(pl.col("weights").sum())["weights"] == 180).all()


@pytest.mark.slow
def test_schedules_of_a_pack_do_not_know_each_other(tmp_path):
    space = {"prune.densities": [[0.5, 0.2, 0.1], [0.6, 0.5, 0.04]]}
    search = {"space": space, "pack": ["prune.densities"]}
    sweep = tiny_sweep(**{"search": search, "trial.prune": {"rewind_step": 3}}, seeds=1)
    axes = {"prune.densities": "json"}
    alone = [
        Pack(lineages=tuple(t.lineages(sweep.methods, (0,))), rounds=3, measures=sweep.measures, axes=axes)
        for _, t in trials(sweep)
    ]
    together = alone[0].model_copy(update={"lineages": tuple(lineage for pack in alone for lineage in pack.lineages)})
    run(together, tmp_path / "together")
    for pack in alone:
        run(pack, tmp_path / "alone")
    assert_same_tables(tmp_path / "together", tmp_path / "alone")
    told = rows_of(tmp_path / "together", "rounds")["prune.densities"].unique().sort().to_list()
    assert told == ["[0.5, 0.2, 0.1]", "[0.6, 0.5, 0.04]"]


def test_more_densities_are_another_lineage_more_rounds_the_same():
    short, long = ({"densities": densities} for densities in ([0.5, 0.2], [0.5, 0.2, 0.1]))
    ids = [tiny_pack(rounds=2, **{"trial.prune": prune}).lineages[0].id for prune in (short, long)]
    assert ids[0] != ids[1]
    assert tiny_pack(rounds=1, **{"trial.prune": short}).lineages[0].id == ids[0]
