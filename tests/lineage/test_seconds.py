"""wall_s and lineage_s on a clock that only training and solving move: exact shares, and what resuming leaves of them."""

import pytest
from conftest import run
from lineage.test_mixed_pack import pack_of

from impray.lineage import records, rounds, solved, trunks
from impray.results.tables import scan
from impray.spec.training import Adam
from impray.training import TRAINERS
from impray.training.relu import solvers
from impray.training.solver import SOLVERS

TRAINING, SOLVING = 8.0, {"iht": 1.0, "pursuit": 16.0}


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """It stands still but where a pack trains (8 s, however many nets) and where a problem is solved for one count (1 or 16 s)."""
    clock = Clock()
    for module in (records, rounds, solved, trunks, solvers):
        monkeypatch.setattr(module, "time", clock)

    def trains(task, real=TRAINERS[Adam]):
        clock.now += TRAINING
        return real(task)

    def slow(name, find):
        def takes(problem, count, rule):
            clock.now += SOLVING[name]
            return find(problem, count, rule)

        return takes

    monkeypatch.setitem(TRAINERS, Adam, trains)
    monkeypatch.setattr(solvers, "thresholded", slow("iht", solvers.thresholded))
    monkeypatch.setattr(solvers, "pursued", slow("pursuit", solvers.pursued))
    return clock


def seconds(folder):
    """(method, seed, round) -> wall_s, lineage_s."""
    rows = scan("rounds", folder).collect().iter_rows(named=True)
    return {(row["method"], row["seed"], row["round"]): (row["wall_s"], row["lineage_s"]) for row in rows}


def test_a_solved_row_has_its_own_methods_seconds(tmp_path, clock):
    run(pack_of(methods=["iht", "pursuit"], seeds=2, measures=["psnr"]), tmp_path)
    for (method, _, _), told in seconds(tmp_path).items():
        assert told == pytest.approx((SOLVING[method],) * 2)
    assert sum(wall for wall, _ in seconds(tmp_path).values()) == pytest.approx(clock.now)


def test_nested_paths_take_their_whole_call_spread_over_their_rows(tmp_path, clock, monkeypatch):
    flow = {"data": {"kind": "linear", "samples": 20, "features": 6, "nonzero": 2}, "net": {"kind": "linear"}}
    flow |= {"train": {"optimizer": "gradient_flow"}, "prune": {"layers": "all", "remove": 1}}
    for method, cost in (("imp", 6.0), ("oneshot", 60.0)):

        def takes(block, real=SOLVERS[method], cost=cost):
            clock.now += cost
            return real(block)

        monkeypatch.setitem(SOLVERS, method, takes)
    run(pack_of(trial=flow, methods=["imp", "oneshot"], seeds=3, measures=["loss"], rows_at=[2, 4]), tmp_path)
    for (method, _, _), told in seconds(tmp_path).items():
        assert told == pytest.approx((1.0, 2.0) if method == "imp" else (10.0, 20.0))


def test_a_trained_row_has_its_part_of_the_pack_and_a_lineage_what_it_needed(tmp_path, clock):
    """Four lineages of two trunks: a dense round is 4 s a trunk, a later one 2 s a lineage. oneshot needs no round but the dense one."""
    run(pack_of(methods=["imp", "oneshot"], measures=["psnr"]), tmp_path)
    for (method, _, round), (wall, whole) in seconds(tmp_path).items():
        assert wall == pytest.approx(TRAINING / 4)
        assert whole == pytest.approx(TRAINING / 2 + TRAINING / 4 * (round if method == "imp" else min(round, 1)))


@pytest.mark.parametrize("lost", ["rows", "nothing"])
def test_what_a_lineage_took_is_kept_with_its_checkpoints(tmp_path, clock, lost):
    """A row that is measured again took no training; its lineage did."""
    pack = pack_of(methods=["imp"], measures=["psnr"])
    run(pack.model_copy(update={"rounds": 2}), tmp_path)
    before = {key: whole for key, (_, whole) in seconds(tmp_path).items()}
    if lost == "rows":
        for path in (tmp_path / "tables" / "rounds").iterdir():
            path.unlink()
    clock.now = 0.0
    run(pack.model_copy(update={"known": True}), tmp_path)
    after = seconds(tmp_path)
    assert {key: after[key][1] for key in before} == before and len(after) == 2 * 5
    assert after["imp", 0, 4][1] == pytest.approx(TRAINING / 2 * 5)


def test_rounds_without_rows_count(tmp_path, clock):
    run(pack_of(methods=["imp"], measures=["psnr"], rows_at=[4]), tmp_path)
    assert {key: whole for key, (_, whole) in seconds(tmp_path).items()} == {
        ("imp", seed, 4): pytest.approx(TRAINING / 2 * 5) for seed in (0, 1)
    }


def test_a_checkpoint_that_does_not_say_leaves_null(tmp_path, clock, monkeypatch):
    """As those of versions before 0.9.0."""
    monkeypatch.setattr("impray.lineage.checkpoint._cost", lambda seconds: {})
    pack = pack_of(methods=["imp"], measures=["psnr"])
    run(pack.model_copy(update={"rounds": 2}), tmp_path)
    run(pack.model_copy(update={"known": True}), tmp_path)
    told = {key: whole for key, (_, whole) in seconds(tmp_path).items()}
    assert told["imp", 0, 2] is not None and told["imp", 0, 3] is None and told["imp", 0, 4] is None
