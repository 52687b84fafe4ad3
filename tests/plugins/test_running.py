"""Members of plugins run like built-in ones; one that does not keep what it says ends its pack with words, never the sweep."""

import json

import polars as pl
import pytest
import torch
from conftest import sweep_into
from plugins import written

from impray.data import open_pack, sample
from impray.results import outcomes
from impray.results.tables import scan
from impray.service.said import layers_of_factory
from impray.spec import families
from impray.spec.errors import SweepError
from impray.spec.load import load
from impray.spec.plugins import joined
from impray.spec.plugins.loading import from_file
from impray.spec.trial import Trial

FILES = [f"{name}.py" for name in ("my_measures", "my_rules", "my_data", "my_nets", "my_figures")]
OF_ALL = {
    "trial.data": {"kind": "my_data.stripe", "held_out": 30},
    "trial.net": {"kind": "my_nets.funnel", "widest": 8},
    "methods": ["imp", "my_rules.noisy"],
    "measures": ["accuracy", "fan_in", {"my_measures.sparsity": {"power": 1}}, "rf_width"],
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A sweep with the plugins of docs/plugins.md, run in this process."""
    folder = tmp_path_factory.mktemp("docs")
    written.of_docs(folder)
    sweep = load(written.sweep_with(folder, FILES, **OF_ALL))
    report, said = sweep_into(folder / "runs", sweep)
    joined.leave()
    assert report.count("failed") == 0, said
    return folder


def test_the_plugins_of_the_docs_run(ran):
    rounds = scan("rounds", ran / "runs").collect()
    assert rounds.height == 2 * 2 * 3 and (rounds["status"] == "done").all()
    assert set(rounds["method"]) == {"imp", "my_rules.noisy"}
    # Both methods keep the same numbers; they keep other weights.
    densities = rounds.group_by("method", maintain_order=True).agg(pl.col("density").unique().sort())
    assert densities["density"][0].to_list() == densities["density"][1].to_list()


def test_the_module_of_the_docs_runs(tmp_path):
    written.of_docs(tmp_path)
    net = {"kind": "module", "factory": "my_modules:cnn", "arguments": {"channels": 2}}
    changes = {
        "trial.net": net,
        "methods": ["imp", "reinit"],
        "trial.train": {"optimizer": "adam", "steps": 6, "batch": 4},
    }
    sweep = load(written.sweep_with(tmp_path, ["my_modules.py"], **changes), layers=layers_of_factory)
    report, said = sweep_into(tmp_path / "runs", sweep)
    joined.leave()
    assert report.count("failed") == 0, said
    rounds = scan("rounds", tmp_path / "runs").collect()
    assert rounds.height == 2 * 2 * 3 and (rounds["status"] == "done").all() and not rounds["exact"].any()


def test_a_column_of_a_plugin_is_what_the_mask_gives_and_has_its_mean(ran):
    units = scan("units", ran / "runs").filter(pl.col("layer") == 1).collect()
    assert (units["sparsity"] - (1 - units["fan_in"] / 64)).abs().max() < 1e-12
    means = units.group_by("lineage", "round").agg(pl.col("sparsity").mean()).sort("lineage", "round")
    rounds = scan("rounds", ran / "runs").sort("lineage", "round").collect()
    assert (means["sparsity"] - rounds["sparsity_mean"]).abs().max() < 1e-12


def test_its_folder_is_read_without_running_anything(ran, monkeypatch):
    def refuse(*args):
        raise AssertionError("something was run")

    monkeypatch.setattr("impray.spec.plugins.loading.from_text", refuse)
    monkeypatch.setattr("impray.spec.plugins.joined.from_file", refuse)
    assert outcomes.trials(ran / "runs")["name"].to_list() == ["my_data.stripe"]
    assert "sparsity_mean" in scan("rounds", ran / "runs").collect_schema()
    assert families.measures.member("my_measures.sparsity").spec.unit_columns[0].unit == "share"


def test_ids_of_what_is_only_described_are_the_same(ran):
    from impray.results.paths import Paths
    from impray.results.provenance import read_sweep

    lineages = set(scan("rounds", ran / "runs").collect()["lineage"])
    sweep = read_sweep(Paths(ran / "runs"))
    assert sweep.trial.described
    assert {lineage.id for lineage in sweep.trial.lineages(sweep.methods, sweep.seeds)} == lineages


def test_provenance_tells_of_plugins(ran):
    said = json.loads((ran / "runs" / "provenance.json").read_text())["plugins"]
    assert set(said) == {"my_measures", "my_rules", "my_data", "my_nets", "my_figures"}
    assert said["my_data"]["version"] == "1" and len(said["my_data"]["hash"]) == 32
    assert said["my_rules"]["members"]["rules/my_rules.noisy"]["parameters"] == {"noise": {"default": 1}}


# -- what does not keep what it says ---------------------------------------------------------------------------------


READ = "state.mask(1).sum(-1) * asked.factor"
LIES = {
    "a column that is not declared": ('"kept_inputs": s', '"kept_input": s', "did you mean 'kept_inputs'?"),
    "a value too few": (READ, f"({READ})[:, 1:]", "must have the shape [2, 4], a value per net and unit, not [2, 3]"),
    "another type": (READ, f"({READ}) / 7", "must be int, not float32"),
    "a layer that there is not": ("units={1:", "units={9:", "the layers 1 to 2"),
    "no readings": ("return Readings(", "return dict(", "must give impray.measures.Readings, not dict"),
    "a column of masks that is not declared": (
        "Readings(units",
        'Readings(masks={1: [[(0, {"bits_": b"x"})]] * state.nets}, units',
        "a column bits_ of masks that it does not declare",
    ),
    "numbers of weights that nobody reads": (
        "Readings(units",
        'Readings(weights={1: {"sizes": state.weights(1, "start")}}, units',
        "declares no fate_columns sizes_mean",
    ),
    "an error": ("    return Readings", "    1 / 0\n    return Readings", "line 13: ZeroDivisionError"),
}


@pytest.mark.parametrize("old, new, words", LIES.values(), ids=LIES)
def test_a_measure_that_lies_fails_with_words(tmp_path, old, new, words):
    assert old in written.MEASURE
    line = written.failure(tmp_path, written.MEASURE.replace(old, new), measures=["accuracy", "mine.kept"])
    assert "MemberError: mine.kept" in line and str(tmp_path / "mine.py") in line and words in line


RULE = """\
import torch
from impray.plugin import Member, Plugin, RuleSpec

class Mine(RuleSpec):
    "Mine."

def rule(past, scope, keep):
    size = scope.flat(past.everything).numel()
    {}

PLUGIN = Plugin(version="1", rules={{"rule": Member(Mine, rule)}})
"""
BAD_RULES = {
    "too many": ("return torch.ones(size, dtype=torch.bool)", "must keep 101 of 144 weights"),
    "floats": ("return torch.ones(size)", "torch.bool of shape [144], not torch.float32"),
    "nothing": ("pass", "not NoneType"),
    "revives": (
        "mask = torch.arange(size) < keep\n    return mask.flip(0) if keep < 101 else mask",
        "it brings 43 weights back",
    ),
}


@pytest.mark.parametrize("body, words", BAD_RULES.values(), ids=BAD_RULES)
def test_a_rule_that_lies_fails_with_words(tmp_path, body, words):
    assert words in written.failure(tmp_path, RULE.format(body), methods=["mine.rule"])


BAD_DATA = {
    "shape": ("return inputs\n", "return inputs[:, 1:]\n", "must give inputs of shape"),
    "not finite": ("return inputs\n", "return inputs / 0\n", "finite floats"),
}


@pytest.mark.parametrize("old, new, words", BAD_DATA.values(), ids=BAD_DATA)
def test_data_that_lie_fail_with_words(tmp_path, old, new, words):
    text = written.of_docs(tmp_path)["my_data"].read_text().replace(old, new)
    assert words in written.failure(tmp_path, text, **{"trial.data": {"kind": "mine.stripe"}})


def test_a_network_unlike_what_its_spec_says_fails_with_words(tmp_path):
    text = written.of_docs(tmp_path)["my_nets"].read_text()
    text = text.replace(
        "Member(Funnel, architecture)", "Member(Funnel, lambda spec, *sizes: architecture(Mlp(), *sizes))"
    )
    line = written.failure(tmp_path, text, **{"trial.net": {"kind": "mine.funnel"}})
    assert "36 x 16, 16 x 8, 8 x 2" in line and "36 x 100, 100 x 2" in line


TRAINER = """\
from dataclasses import replace
from impray.plugin import Member, Plugin, Sgd
from impray.training import TRAINERS

class Slow(Sgd):
    "As sgd, at a tenth of its learning rate."
    slower: float = 10.0

def slow(task):
    specs = [Sgd(**{"lr": spec.lr / spec.slower, "steps": spec.steps, "batch": spec.batch}) for spec in task.specs]
    made = TRAINERS[Sgd](replace(task, specs=specs))
    return made

PLUGIN = Plugin(version="1", training={"slow": Member(Slow, slow)})
"""


def test_a_trainer_of_a_plugin_trains(tmp_path):
    (tmp_path / "mine.py").write_text(TRAINER)
    slow = {"optimizer": "mine.slow", "lr": 1.0, "steps": 6, "batch": 4}
    plain = {"lr": 0.1, "steps": 6, "batch": 4}
    for out, train in (("slow", slow), ("plain", plain)):
        sweep_into(tmp_path / out, load(written.sweep_with(tmp_path, **{"trial.train": train, "measures": ["loss"]})))
    numbers = [scan("rounds", tmp_path / out).sort("seed", "round").collect()["loss"] for out in ("slow", "plain")]
    assert numbers[0].to_list() == numbers[1].to_list() and numbers[0].null_count() == 0


BAD_TRAINERS = {
    "snapshots": ("return made", "made.snapshots.clear()\n    return made", "must return snapshots at [0], not []"),
    "parameters": ("return made", "made.params.popitem()\n    return made", "must return bias2 of shape"),
    "pruned ones": ("return made", "made.params['weight1'] += 1\n    return made", "must leave pruned weights at 0"),
    "nothing": ("return made", "pass", "must return impray.training.TrainingEnd, not NoneType"),
}


@pytest.mark.parametrize("old, new, words", BAD_TRAINERS.values(), ids=BAD_TRAINERS)
def test_a_trainer_that_lies_fails_with_words(tmp_path, old, new, words):
    train = {"optimizer": "mine.slow", "steps": 6, "batch": 4}
    assert words in written.failure(tmp_path, TRAINER.replace(old, new), **{"trial.train": train})


# -- data that a function draws ------------------------------------------------------------------------------------------


@pytest.fixture
def stripe(tmp_path):
    joined.join(from_file(written.of_docs(tmp_path)["my_data"]))
    return lambda **given: Trial.model_validate({"data": {"kind": "my_data.stripe", **given}}).data


def batches(specs, seeds, steps=5):
    data = open_pack(specs, seeds, batch=6, dtype=torch.float32, device=torch.device("cpu"))
    data.start(1)
    raw = data.draw(steps)
    return [data.batch(raw, step) for step in range(steps)]


def test_a_net_draws_the_same_whatever_stands_beside_it(stripe):
    plain, noisy = stripe(), stripe(noise=2)
    together = batches([noisy, plain, plain], [3, 3, 4])
    for net, (spec, seed) in enumerate([(noisy, 3), (plain, 3), (plain, 4)]):
        for (x, labels), (alone, alone_labels) in zip(together, batches([spec], [seed]), strict=True):
            assert torch.equal(x[net], alone[0]) and torch.equal(labels[net], alone_labels[0])
    assert not torch.equal(together[0][0][1], together[0][0][2])


def test_portions_of_a_stream_do_not_matter(stripe):
    data = open_pack([stripe()], [0], batch=6, dtype=torch.float32, device=torch.device("cpu"))
    data.start(0)
    raws = [data.draw(steps) for steps in (1, 90, 9)]
    data.start(0)
    assert torch.equal(torch.cat([raw["inputs"] for raw in raws], dim=1), data.draw(100)["inputs"])


def test_held_out_samples_are_sorted_and_as_many_as_asked(stripe):
    data = open_pack([stripe(held_out=7)], [0], batch=6, dtype=torch.float64, device=torch.device("cpu"))
    x, labels = data.held_out(0)
    assert x.shape == (14, 64) and x.dtype == torch.float64 and labels.tolist() == [0] * 7 + [1] * 7
    assert sample(stripe(), 3)[0].shape == (6, 8, 8)


LATE = """
from impray.plugin import Column, MeasureSpec, Member, Plugin


class Kept(MeasureSpec):
    "Is written in a module that cannot be imported."
    reads = frozenset({"mask"})
    unit_columns = (Column("kept_inputs", "int", "weights", "inputs that the mask keeps"),)


PLUGIN = Plugin(version="1", measures={"kept": Member(Kept, "late_module:kept")})
"""


def test_a_module_that_fails_when_it_is_first_needed_is_told(tmp_path, monkeypatch):
    (tmp_path / "late_module.py").write_text("boom\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    line = written.failure(tmp_path, LATE, measures=["accuracy", "mine.kept"])
    assert "late_module:kept" in line and "NameError" in line and "mine.py" in line


def test_a_factory_has_the_version_of_its_plugin(tmp_path):
    net = {"kind": "module", "factory": "my_modules:cnn", "arguments": {"channels": 2}}
    written.of_docs(tmp_path)
    file = written.sweep_with(tmp_path, ["my_modules.py"], **{"trial.net": net})
    first = load(file, layers=layers_of_factory)
    text = (tmp_path / "my_modules.py").read_text()
    (tmp_path / "my_modules.py").write_text(text.replace('version="1"', 'version="2"'))
    second = load(file, layers=layers_of_factory)
    assert first.trial.net.version == "1" and second.trial.net.version == "2" and first.trial.id != second.trial.id
    file = written.sweep_with(tmp_path, ["my_modules.py"], **{"trial.net": {**net, "version": "1"}})
    with pytest.raises(SweepError, match="leave it out"):
        load(file, layers=layers_of_factory)
    joined.leave()
