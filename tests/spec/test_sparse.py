"""What measures of linear models need is said before a sweep runs, all of it at once."""

import pytest
import yaml

from impray.spec.errors import SweepError
from impray.spec.load import read

DATA = {"kind": "linear", "samples": 40, "features": 20, "nonzero": 5, "law": "signs", "noise_scale": 1.0}
HUB = {"design": {"kind": "hub", "spokes": 4}, "samples": 100}
NLGP = {"kind": "nlgp", "shape": [6, 6]}


def loaded(measures, data=None, space=None, **trial):
    document = {
        "question": "q",
        "trial": {
            "data": {**DATA, **(data or {})} if (data or {}).get("kind") != "nlgp" else data,
            "net": {"kind": "linear"},
            "train": {"optimizer": "gradient_flow"},
            "prune": {"layers": "all", "remove": 1},
            **trial,
        },
        "methods": ["imp"],
        "seeds": 1,
        "rounds": 15,
        "measures": measures,
    }
    if space:
        document["search"] = {"space": space}
    return read(yaml.safe_dump(document), "x.yaml", ())


def problems_of(measures, **changes):
    """(path, value, right) of all problems of the measures."""
    with pytest.raises(SweepError) as raised:
        loaded(measures, **changes)
    assert all(problem.path.startswith("measures[") for problem in raised.value.problems)
    return [(problem.path, problem.value, problem.right) for problem in raised.value.problems]


def test_a_linear_sweep_may_ask_for_all_of_them():
    loaded(["support", "estimation", "order", "design", "theorem5", "removals"])


ELSEWHERE = {
    "other data": {"data": NLGP, "train": {"optimizer": "sgd", "loss": "mse"}},
    "a hidden layer": {"net": {"kind": "mlp", "hidden": [3]}, "train": {"optimizer": "sgd", "loss": "mse"}},
}


@pytest.mark.parametrize("where", ELSEWHERE)
@pytest.mark.parametrize("measure", ["support", "estimation", "order", "design", "theorem5", "removals"])
def test_they_are_refused_where_no_truth_can_be_compared(measure, where):
    found = problems_of([measure], **ELSEWHERE[where])
    assert {path for path, _, _ in found} == {"measures[0]"}
    needed = "data.kind: linear" if where == "other data" else "net.kind: linear"
    assert any(value == f"'{measure}'" and needed in right for _, value, right in found)


@pytest.mark.parametrize("measure", ["order", "removals"])
def test_an_order_takes_paths_that_are_solved(measure):
    ((_, value, right),) = problems_of([measure], train={"optimizer": "sgd", "loss": "mse"})
    assert value == f"'{measure}'" and "gradient_flow" in right
    loaded([measure], train={"optimizer": "gradient_descent"})


UNMET = {
    "law": ({"data": {"law": "gaussian"}}, "law: signs or at_least"),
    "samples": ({"data": {"samples": 19}}, "data.samples >= data.features = 20, not 19"),
    "start": ({"net": {"kind": "linear", "init": {"scale": 0.5}}}, "net.init.scale: 0, not 0.5"),
    "time": ({"train": {"optimizer": "gradient_flow", "time": 10}}, "gradient_flow without a time"),
    "descent": ({"train": {"optimizer": "gradient_descent"}}, "gradient_flow without a time"),
    "hub": ({"data": HUB}, "data.design.weak of size 1 or more, not 0.05"),
}


@pytest.mark.parametrize("condition", UNMET)
def test_theorem_5_is_refused_with_the_condition_that_fails_and_why(condition):
    changes, said = UNMET[condition]
    ((path, value, right),) = problems_of(["theorem5"], **changes)
    assert path == "measures[0]" and value == "'theorem5'"
    assert right.startswith("Theorem 5 needs") and said in right and "because" in right


@pytest.mark.parametrize("condition", UNMET)
def test_as_stated_lifts_the_size_of_the_components_and_nothing_else(condition):
    changes, _ = UNMET[condition]
    measures = [{"theorem5": {"as_stated": True}}]
    if condition in ("law", "hub"):
        loaded(measures, **changes)
    else:
        assert len(problems_of(measures, **changes)) == 1


def test_components_that_are_large_enough_are_not_refused():
    loaded(["theorem5"], data={"law": "at_least"})
    loaded(["theorem5"], data={**HUB, "design": HUB["design"] | {"weak": -1.0}, "law": "gaussian"})


def test_one_trial_of_a_sweep_is_enough_and_all_reasons_are_told_once():
    found = problems_of(
        ["support", "theorem5"],
        data={"samples": 10},
        net={"kind": "linear", "init": {"scale": 1.0}},
        space={"data.law": ["signs", "gaussian"], "data.noise_scale": [0.5, 1.0, 2.0]},
    )
    assert [path for path, _, _ in found] == ["measures[1]"] * 3
    assert len({right for _, _, right in found}) == 3
