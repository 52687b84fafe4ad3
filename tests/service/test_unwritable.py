"""A sweep's folder that takes nothing any more, as Tune's side of the service sees it: the sweep ends, and nothing is told as failed."""

import pytest
from conftest import tiny_pack

from impray.results.store import opened
from impray.service.proposals import PackQueue
from impray.service.ray import actor, search
from impray.spec.errors import StorageError

FULL = "runs/x/tables: cannot be written (No space left on device)"


class Heard:
    """A watcher that cannot write down what it hears."""

    def __init__(self):
        self.ends = []

    def ended(self, pack, outcome, error, lineages=None):
        self.ends.append(outcome)
        raise StorageError(FULL)


@pytest.mark.parametrize(
    ("result", "error", "ends"),
    [
        ({"round": 1, "failed": FULL, "unwritable": True}, False, []),  # the actor could not write
        ({"round": 3, "failed": ""}, False, ["done"]),  # the driver could not
    ],
)
def test_no_pack_is_started_after_it_and_tune_hears_no_error(tmp_path, result, error, ends):
    heard = Heard()
    searcher = search.PackSearcher(PackQueue([tiny_pack(), tiny_pack(seeds=1)]), heard, opened(tmp_path))
    assert isinstance(searcher.suggest("a"), dict)
    searcher.on_trial_complete("a", result, error)
    assert heard.ends == ends and str(searcher.unwritable) == FULL
    assert searcher.suggest("b") == search.Searcher.FINISHED


@pytest.mark.parametrize("then", ["a round", "a failure"])
def test_an_actor_tells_it_and_does_not_die(tmp_path, monkeypatch, then):
    def rounds(pack, folder, device):
        yield 0
        raise StorageError(FULL) if then == "a round" else RuntimeError("something else")

    def cannot(*_):
        raise StorageError(FULL)

    monkeypatch.setattr(actor, "run_pack", rounds)
    monkeypatch.setattr(actor.failures, "write", cannot)
    monkeypatch.setenv("IMPRAY_WORKING_FOLDER", "")  # set by the actor; put back after the test
    config = {
        "cpu": 1,
        "gpu": 0,
        "pack": tiny_pack().model_dump_json(),
        "epoch": 0,
        "store": str(tmp_path),
        "working_folder": str(tmp_path),
        "stop_early": None,
        "plugins": [],
    }
    trainable = object.__new__(actor.PackTrainable)  # Tune's own __init__ would make a folder in the home folder
    trainable._iteration = 0
    trainable.setup(config)
    assert not trainable.step()["failed"]
    told = trainable.step()
    assert told["done"] and told["unwritable"] and told["failed"] == FULL


def test_an_actor_stops_when_another_driver_has_the_folder(tmp_path, monkeypatch):
    def rounds(pack, folder, device):
        yield 0
        yield 1

    monkeypatch.setattr(actor, "run_pack", rounds)
    monkeypatch.setattr(actor, "_end_with_the_driver", lambda *_: None)  # it would end this process
    monkeypatch.setenv("IMPRAY_WORKING_FOLDER", "")
    store = opened(tmp_path)
    assert store.create("leases/running-000000004.json", b"{}")
    config = {"cpu": 1, "gpu": 0, "pack": tiny_pack().model_dump_json(), "epoch": 4, "store": str(tmp_path)}
    trainable = object.__new__(actor.PackTrainable)
    trainable._iteration = 0
    trainable.setup({**config, "working_folder": str(tmp_path), "stop_early": None, "plugins": []})
    assert not trainable.step()["failed"]
    assert store.create("leases/running-000000005.json", b"{}")
    told = trainable.step()
    assert told["done"] and told["unwritable"] and "taken this folder over" in told["failed"]


def test_packs_that_tune_gives_up_are_run_once_more_and_then_told_as_failed(tmp_path):
    class Heard:
        ends = []

        def ended(self, pack, outcome, error, lineages=None):
            self.ends.append((pack.id, outcome))

    (tmp_path / "provenance.json").write_text('{"axes": {}}')
    lost, fine = tiny_pack(), tiny_pack(seeds=1)
    heard, proposals = Heard(), PackQueue([lost, fine])
    first = search.PackSearcher(proposals, heard, opened(tmp_path), last=False)
    first.suggest("a"), first.suggest("b")
    first.on_trial_complete("a", {}, error=True)
    assert first.open == {"b"}
    first.on_trial_complete("b", {"round": fine.rounds, "failed": ""})
    assert heard.ends == [(fine.id, "done")] and first.lost == [lost] and not first.open
    second = search.PackSearcher(proposals, heard, opened(tmp_path), first.lost)
    assert second.suggest("c") == {"pack": lost.model_dump_json()}
    assert second.suggest("d") == search.Searcher.FINISHED
    second.on_trial_complete("c", {}, error=True)
    assert heard.ends[1:] == [(lost.id, "failed")]
