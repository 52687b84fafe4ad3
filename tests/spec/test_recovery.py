"""Sweeps of ReLU networks: what loads, and which measures are refused where they mean nothing."""

import pytest
import yaml
from data import dataset_files

from impray.spec.errors import SweepError
from impray.spec.load import read

PLANTED = {"kind": "planted", "samples": 60, "inputs_count": 8, "units": 4, "nonzero": 6}
FUSED = {"kind": "mlp", "hidden": [4], "bias": False, "outputs": 1, "readout": "signed"}
DIGITS = {"kind": "digits", "task": "even_odd"}
NLGP = {"kind": "nlgp", "shape": [6, 6]}


def loaded(measures, data=PLANTED, net=FUSED, prune=None, loss="mse", **more):
    document = {
        "question": "q",
        "trial": {"data": data, "net": net, "train": {"optimizer": "adam", "loss": loss}, "prune": prune or {}},
        "methods": ["imp"],
        "seeds": 1,
        "rounds": 2,
        "measures": measures,
        **more,
    }
    return read(yaml.safe_dump(document), "x.yaml", ())


def problems_of(measures, **changes):
    with pytest.raises(SweepError) as raised:
        loaded(measures, **changes)
    return [(problem.path, problem.value, problem.right) for problem in raised.value.problems]


@pytest.mark.parametrize("readout", ["sum", "signed"])
@pytest.mark.parametrize("hidden", [[4], [4, 4], [4, 4, 4]])
def test_a_fused_network_takes_real_targets(readout, hidden):
    prune = {"layers": list(range(1, len(hidden) + 1))}
    sweep = loaded(
        ["psnr", "gates", "units_alive", "loss"], net={**FUSED, "hidden": hidden, "readout": readout}, prune=prune
    )
    assert sweep.trial.outputs == 1 and sweep.trial.layers == len(hidden) + 1


def test_a_fused_network_takes_two_classes_of_digits_and_of_files(tmp_path):
    dataset_files.idx(tmp_path, counts=(60, 20), classes=10)
    idx = {"kind": "idx", "path": str(tmp_path), "keep_classes": 2}
    for data in (DIGITS, idx):
        sweep = loaded(
            ["accuracy", "training_accuracy", "psnr", "gates", "units_alive", "optimality_gap", "linear_omp"], data
        )
        assert sweep.trial.data.classes == 2


def test_the_readout_itself_is_not_pruned():
    ((path, _, right),) = problems_of(["psnr"], prune={"layers": "all"})
    assert path.endswith("prune.layers") and "signed" in right


REFUSED = {
    "psnr of ten classes": (["psnr"], {"data": {"kind": "digits"}, "net": {"kind": "mlp"}}, "real targets"),
    "psnr of two outputs": (["psnr"], {"data": DIGITS, "net": {"kind": "mlp"}}, "net.outputs: 1"),
    "psnr of a stimulus": (["psnr"], {"data": NLGP}, "training set"),
    "reconstruction of no image": (["reconstruction"], {}, "image_coordinates"),
    "reconstruction of a stimulus": (["reconstruction"], {"data": NLGP}, "image_coordinates"),
    "accuracy of real targets": (["training_accuracy"], {}, "real targets"),
    "accuracy of a stimulus": (["training_accuracy"], {"data": NLGP}, "training set"),
    "gates of a stimulus": (["gates"], {"data": NLGP}, "training set"),
    "gates of a sigmoid": (["gates"], {"net": {**FUSED, "activation": "sigmoid"}}, "relu"),
    "gates of one layer": (["gates"], {"net": {"kind": "mlp", "hidden": []}, "prune": {"layers": "all"}}, "hidden"),
    "gap of ten classes": (["optimality_gap"], {"data": {"kind": "digits"}, "net": {"kind": "mlp"}}, "outputs: 1"),
    "gap of a sigmoid": (["optimality_gap"], {"net": {**FUSED, "activation": "sigmoid"}}, "relu"),
    "gap of two layers": (["optimality_gap"], {"net": {**FUSED, "hidden": [4, 4]}}, "one hidden layer"),
    "gap of biases": (["optimality_gap"], {"net": {**FUSED, "bias": True}}, "bias: false"),
    "gap of a stimulus": (["optimality_gap"], {"data": NLGP}, "training set"),
    "line of ten classes": (["linear_omp"], {"data": {"kind": "digits"}, "net": {"kind": "mlp"}}, "one output"),
    "line of two outputs": (["linear_omp"], {"data": DIGITS, "net": {"kind": "mlp"}}, "one output"),
    "line of a stimulus": (["linear_omp"], {"data": NLGP}, "training set"),
    "units of one layer": (
        ["units_alive"],
        {"net": {"kind": "mlp", "hidden": []}, "prune": {"layers": "all"}},
        "hidden",
    ),
}


def test_an_image_of_coordinates_is_reconstructed():
    data = {"kind": "image_coordinates", "side": 8, "features": 6}
    assert loaded(["reconstruction", "psnr"], data).trial.data.classes == 1


@pytest.mark.parametrize("case", REFUSED)
def test_a_measure_without_meaning_is_refused(case):
    measures, changes, words = REFUSED[case]
    found = problems_of(measures, **changes)
    assert [(path, value) for path, value, _ in found] == [("measures[0]", repr(measures[0]))]
    assert words in found[0][2]


IMPOSSIBLE = {
    "more weights than places": ({"nonzero": 33}, "data.nonzero"),
    "more weights than places, deep": ({"nonzero": 65, "layers": 3}, "data.nonzero"),
    "their stream with noise": ({"stream": "authors", "noise_scale": 0.1}, "data.stream"),
    "their stream with signs": ({"stream": "authors", "readout": "signed"}, "data.stream"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_planted_is_said(case):
    changes, path = IMPOSSIBLE[case]
    assert [found for found, _, _ in problems_of(["psnr"], data={**PLANTED, **changes})] == [f"trial.{path}"]


NEVER_PRUNED = {
    "methods that solve": {"methods": ["iht", "pursuit"], "prune": {"iht": {"epochs": 2}}},
    "no pruning": {"rounds": 0},
    "rows of the dense round": {"rows_at": [0]},
    "no pruning before the truth": {"rows_at": "truth", "prune": {"least": 32}, "data": {**PLANTED, "nonzero": 32}},
}


@pytest.mark.parametrize("case", NEVER_PRUNED)
def test_a_network_just_after_pruning_is_refused_where_there_is_none(case):
    changes = {
        **NEVER_PRUNED[case],
        **({"net": {**FUSED, "readout": "sum"}} if "methods" in NEVER_PRUNED[case] else {}),
    }
    ((path, value, _),) = problems_of(["pruned"], **changes)
    assert (path, value) == ("measures[0]", "'pruned'")


def test_one_method_that_prunes_is_enough():
    assert loaded(["pruned"], methods=["iht", "imp"], net={**FUSED, "readout": "sum"}).methods == ("iht", "imp")
    assert loaded(["pruned"], data=NLGP, net={"kind": "mlp"}).methods == ("imp",)


@pytest.mark.parametrize(
    ("data", "net", "filled"),
    [
        (PLANTED, FUSED, {"loss", "psnr", "psnr_train"}),
        (DIGITS, FUSED, {"loss", "accuracy", "psnr", "psnr_train"}),
        ({"kind": "digits"}, {"kind": "mlp"}, {"loss", "accuracy"}),
        (NLGP, {"kind": "mlp"}, {"loss", "accuracy"}),
    ],
    ids=["planted", "two classes", "ten classes", "stimulus"],
)
def test_goals_read_what_has_a_meaning_for_the_data(data, net, filled):
    for name in ("loss", "accuracy", "psnr", "psnr_train"):
        goal = {"measure": f"{name}_pruned", "method": "imp", "direction": "max"}
        search = {
            "algorithm": "optuna",
            "trials": 2,
            "goals": [goal],
            "space": {"train.lr": {"low": 0.01, "high": 0.1}},
        }
        if name in filled:
            assert loaded(["pruned"], data=data, net=net, search=search).search.goals
        else:
            ((path, _, right),) = problems_of(["pruned"], data=data, net=net, search=search)
            assert path == "search.goals[0].measure" and "no meaning" in right and "loss_pruned" in right
