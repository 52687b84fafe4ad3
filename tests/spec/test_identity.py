"""Ids name what decides a lineage's numbers only. Pinned ids are released: changing one orphans results (as engines 2
and 3 did, of 0.10.0 and 0.11.0)."""

from pathlib import Path

import pytest
import yaml

from impray.spec import families
from impray.spec.base import canonical
from impray.spec.load import load
from impray.spec.pack import measure_hash
from impray.spec.sweep import written
from impray.spec.trial import Lineage, Trial
from impray.spec.wording import tag_of

DEFAULT = {"data": {"kind": "nlgp"}}
IMAGE = {
    "data": {"kind": "nlgp", "shape": [28, 28], "gain": 3},
    "prune": {"fraction": 0.5, "rewind_step": 100},
}
PHOTOGRAPHS = {
    "data": {"kind": "photographs", "colour": True},
    "net": {"hidden": [1024]},
    "train": {"lr": 0.05},
}


def lineage(described=DEFAULT, method="imp", seed=0):
    return Lineage(trial=Trial.model_validate(described), method=method, seed=seed)


def with_field(described, part, **fields):
    return {**described, part: {**described.get(part, {}), **fields}}


# Rows say what they were measured with by these hashes: another one has every finished round measured again. Since 0.3.0 those of
# measures with new columns have changed: rf_width's in 0.4.0 (it was 23c25a3d), clustering's (28669602), kurtosis's (1824e635) and
# inputs' (0032d359) after 0.5.0, support's (5f28ec9e), which merges parallel units, in 0.9.0.
HASHES = {
    "accuracy": "f1621cb3",
    "loss": "010292b0",
    "density": "e72e30b8",
    "fan_in": "11104d9c",
    "rf_width": "12e86f8a",
    "clustering": "18ad7f05",
    "spread": "4b69b0b1",
    "pieces": "16b3e322",
    "correlation": "6b5b09c0",
    "kurtosis": "d3b58cb8",
    "cavity": "6658f285",
    "components": "944d1605",
    "inputs": "1e601962",
    "ipr": "a31b5964",
    "sinusoid": "a4a3413e",
    "flow": "ac82aa6f",
    "course": "5c0cd6c0",
    "masks": "77c16051",
    "support": "ba280596",
    "estimation": "4ec17902",
    "order": "436823c0",
    "design": "c50de432",
    "theorem5": "b3443021",
    "removals": "8efdc3bc",
    "psnr": "4da1dadc",
    "reconstruction": "a2f7427a",
    "training_accuracy": "80698dcb",
    "gates": "b20359cc",
    "units_alive": "aff115eb",
    "solver": "d57d60a2",
    "optimality_gap": "ccfdd829",
    "linear_omp": "4ce64899",
    "pruned": "33b5329b",
}


@pytest.mark.parametrize("kind", families.measures.specs, ids=tag_of)
def test_known_measures_keep_their_hashes(kind):
    assert measure_hash(kind()) == HASHES[tag_of(kind)]


PINNED = [
    (lineage(), "4f4d5743ed409c46"),
    (lineage(IMAGE, "oneshot", 3), "1111cdc20de9edd7"),
    (lineage(PHOTOGRAPHS, "random", 7), "103d533a37fc899a"),
]


@pytest.mark.parametrize("made, known", PINNED, ids=[known for _, known in PINNED])
def test_known_lineages_keep_their_ids(made, known):
    assert made.id == known


FROM_FILES = [
    ({"kind": "imagenet32", "path": "/data/imagenet32"}, "ff93379d34f28ccf"),
    (
        {"kind": "imagenet32", "path": "s3://bucket/elsewhere", "center": "class", "keep_classes": 10, "draw": 1},
        "82ed77f59bbed607",
    ),
    ({"kind": "cifar10", "path": "/data", "held_out": 100}, "681e7c7fb5e1d05a"),
    ({"kind": "cifar100", "path": "/data", "labels": "coarse", "clone_images": None}, "9dbc935712474288"),
    ({"kind": "idx", "path": "/data/mnist"}, "4c4f2f486cdebe55"),
    (
        {"kind": "arrays", "path": "/data/mine.npz", "shape": [40], "class_count": 2, "scale": "deviation"},
        "289ed0b46071ad51",
    ),
]


@pytest.mark.parametrize("data, known", FROM_FILES, ids=[known for _, known in FROM_FILES])
def test_known_lineages_of_data_from_files_keep_their_ids(data, known):
    assert lineage({"data": data}).id == known


@pytest.mark.parametrize("kind", ["imagenet32", "cifar10", "cifar100"])
def test_where_known_data_lie_does_not_matter(kind):
    one, other = ({"data": {"kind": kind, "path": path}} for path in ("/data", "s3://bucket/data"))
    assert lineage(one).id == lineage(other).id and lineage(one).trunk == lineage(other).trunk
    assert lineage(one).trial.id == lineage(other).trial.id and lineage(one).trial != lineage(other).trial
    assert lineage(with_field(one, "data", keep_classes=5)).id != lineage(one).id


@pytest.mark.parametrize("data", [{"kind": "idx"}, {"kind": "arrays", "shape": [4], "class_count": 2}])
def test_the_path_of_other_data_says_what_they_are(data):
    ids = {lineage({"data": {**data, "path": path}}).id for path in ("/mnist.npz", "/fashion_mnist.npz")}
    assert len(ids) == 2


def test_what_is_written_to_be_read_again_keeps_what_ids_leave_out():
    trial = lineage({"data": {"kind": "cifar10", "path": "/data", "center": "none", "scale": "pixel"}}).trial
    assert canonical(trial) == {"data": {"kind": "cifar10", "center": "none"}}
    assert canonical(trial, whole=True) == {"data": {"kind": "cifar10", "path": "/data", "center": "none"}}
    assert Trial.model_validate(canonical(trial, whole=True)) == trial


def test_a_written_sweep_of_files_loads_as_itself(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("{question: q, trial: {data: {kind: imagenet32, path: /data}}, seeds: 1, rounds: 1}")
    sweep = load(path)
    path.write_text(yaml.safe_dump(written(sweep)))
    assert load(path) == sweep and sweep.trial.data.path == "/data"


def test_a_known_trunk_and_a_known_trial_keep_their_ids():
    assert lineage(IMAGE, "oneshot", 3).trunk == "052b42f4df6f8d98"
    assert lineage(IMAGE).trial.id == "c9128d54429c8bfc"


def test_ids_of_earlier_engines_are_known():
    """So that a folder of theirs is told from one of this engine; what no engine made otherwise has one id for ever."""
    assert lineage(IMAGE).trial.earlier_ids == {"9ab6ca4f08e44608": "engine", "e3d3052c89162380": "engine"}
    linear = {
        "data": {"kind": "linear", "samples": 40, "features": 20, "nonzero": 3},
        "net": {"kind": "linear"},
        "train": {"optimizer": "gradient_flow"},
        "prune": {"remove": 1, "layers": "all"},
    }
    assert lineage(linear).trial.earlier_ids == {}


def test_whole_floats_and_integers_ask_for_the_same():
    assert lineage(with_field(IMAGE, "data", gain=3.0)).id == lineage(IMAGE).id
    assert lineage(with_field(IMAGE, "data", xi=[1, 3])).id == lineage(with_field(IMAGE, "data", xi=[1.0, 3.0])).id


def test_defaults_are_left_out():
    written = with_field(with_field(IMAGE, "train", lr=0.1, steps=2000), "net", hidden=[100], init={"scale": 1})
    assert lineage(written).id == lineage(IMAGE).id
    assert canonical(lineage().trial) == {"data": {"kind": "nlgp"}}


def test_the_order_of_keys_does_not_matter():
    turned = {part: dict(reversed(fields.items())) for part, fields in reversed(IMAGE.items())}
    assert lineage(turned).id == lineage(IMAGE).id


CHANGES = [
    ("data", {"gain": 2.0}),
    ("data", {"gaussian_blend": 0.5}),
    ("net", {"hidden": [101]}),
    ("net", {"init": {"scale": 2}}),
    ("train", {"dtype": "float64"}),
    ("train", {"steps": 2001}),
]


@pytest.mark.parametrize("part, fields", CHANGES)
def test_data_net_and_training_change_lineage_and_trunk(part, fields):
    changed = lineage(with_field(IMAGE, part, **fields))
    assert changed.id != lineage(IMAGE).id
    assert changed.trunk != lineage(IMAGE).trunk


@pytest.mark.parametrize("fields", [{"fraction": 0.3}, {"rewind_step": 5}, {"scope": "global"}])
def test_pruning_changes_the_lineage_but_not_the_trunk(fields):
    changed = lineage(with_field(IMAGE, "prune", **fields))
    assert changed.id != lineage(IMAGE).id
    assert changed.trunk == lineage(IMAGE).trunk


def test_method_changes_the_lineage_only_and_seed_changes_both():
    assert lineage(method="random").id != lineage().id
    assert lineage(method="random").trunk == lineage().trunk
    assert lineage(seed=1).id != lineage().id
    assert lineage(seed=1).trunk != lineage().trunk


def test_an_override_with_the_default_keeps_the_id(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("{question: q, trial: {data: {kind: nlgp}}, seeds: 1, rounds: 1}")
    plain = load(path).trial.id
    assert load(path, ["prune.fraction=0.2", "train.lr=1e-1", "data.gain=1", "net.hidden=100"]).trial.id == plain
    assert load(path, ["rounds=5", "seeds=[4]"]).trial.id == plain
    assert load(path, ["prune.fraction=0.3"]).trial.id != plain


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_written_sweep_loads_as_itself(path, tmp_path):
    sweep = load(path)
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(written(sweep)))
    assert load(tmp_path / "sweep.yaml") == sweep
