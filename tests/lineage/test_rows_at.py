"""Networks that train round by round, with rows of some rounds: the same numbers, and no more work than these need."""

import polars as pl
import pytest
from conftest import rows_of, run, tiny_pack

from impray.lineage.records import Records

METHODS = ["imp", "oneshot", "random", "shuffled", "reinit"]
TABLES = ("rounds", "units", "masks")


@pytest.mark.some(3)
@pytest.mark.parametrize("methods", [METHODS, ["reinit"]])
@pytest.mark.parametrize(("rows_at", "rounds"), [((0, 3), (0, 3)), ((2,), (2,)), ((1, "last"), (1, 3))])
def test_rows_are_those_of_a_sweep_that_has_them_all(tmp_path, methods, rows_at, rounds):
    changes = {"methods": methods, "measures": ["accuracy", "loss", "fan_in", "masks"]}
    run(tiny_pack(**changes), tmp_path / "all")
    run(tiny_pack(**changes).model_copy(update={"rows_at": rows_at}), tmp_path / "some")
    for table in TABLES:
        every = rows_of(tmp_path / "all", table).filter(pl.col("round").is_in(rounds))
        assert rows_of(tmp_path / "some", table).equals(every, null_equal=True)


def test_what_no_row_needs_is_not_trained(tmp_path, monkeypatch):
    """imp needs every round; oneshot and random only those that have rows; and lineages of a round train together."""
    trained = []
    usual = Records._trained

    def counted(self, lineages, masks, round, *, observe):
        trained.append((round, sorted({lineage.method for lineage in lineages}), len(lineages)))
        return usual(self, lineages, masks, round, observe=observe)

    monkeypatch.setattr(Records, "_trained", counted)
    pack = tiny_pack(methods=["imp", "oneshot", "random"], measures=["loss"]).model_copy(update={"rows_at": (3,)})
    run(pack, tmp_path)
    seeds = len(pack.lineages) // 3
    assert [entry for entry in trained if entry[2]] == [
        (1, ["imp"], seeds),
        (2, ["imp"], seeds),
        (3, ["imp", "oneshot", "random"], 3 * seeds),
    ]


def test_one_that_diverges_in_a_round_without_rows_is_told_there(tmp_path):
    pack = tiny_pack(methods=["imp"], measures=["loss"], **{"trial.train": {"steps": 20, "batch": 8, "lr": 1e12}})
    run(pack.model_copy(update={"rows_at": (3,)}), tmp_path)
    rounds = rows_of(tmp_path, "rounds")
    assert set(rounds["status"]) == {"diverged"} and set(rounds["round"]) == {0}
