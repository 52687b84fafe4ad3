"""Networks, engines and update rules of one's own: trained as built-in ones are, and told where they cannot be."""

import pytest
from conftest import sweep_into
from plugins import written

from impray.results.tables import scan
from impray.spec.load import load
from impray.spec.plugins import joined

OWN_RULE = """
from impray.plugin import Member, Plugin, Sgd


class Slow(Sgd):
    "Gradient descent at a tenth of its rate."


PLUGIN = Plugin(version="1", training={"slow": Member(Slow, "impray.training.loop:train")})
"""
OWN_NET = """
from dataclasses import dataclass

from impray.nets.mlp import Architecture, architecture
from impray.plugin import Member, Mlp, Plugin


class Mine(Architecture):
    "A network of a class of its own."


def mine(spec, input_shape, outputs):
    plain = architecture(spec, input_shape, outputs)
    return Mine(plain.sizes, plain.activation, plain.batch_norm, plain.bias, plain.readout, plain.input_shape)


class MineSpec(Mlp):
    "Its spec."
    steepness: float


MineSpec.packable = frozenset({"steepness"})
PLUGIN = Plugin(version="1", nets={"net": Member(MineSpec, mine)})
"""


OWN_UPDATE = """
from typing import Any, ClassVar

from impray.plugin import Member, Plugin, Sgd
from impray.training import updates


class Doubled(updates.Sgd):
    "Twice the step."

    def factor(self, mean=1.0):
        return super().factor(2 * mean)


class Own(Sgd):
    "Half the learning rate, by an update rule that doubles it."
    update_rule: ClassVar[Any] = Doubled
    lr: float = 0.05


PLUGIN = Plugin(version="1", training={"own": Member(Own, "impray.training.loop:train")})
"""
HIDDEN = """
from impray.nets import Network
from impray.nets.mlp import architecture
from impray.plugin import Member, Mlp, Plugin


class Hidden(Network):
    "A perceptron that nothing shows to be one."

    def __init__(self, inner):
        self.inner = inner

    layers = property(lambda self: self.inner.layers)

    def initial(self, *args):
        return self.inner.initial(*args)

    def preactivations(self, *args):
        return self.inner.preactivations(*args)

    def addends(self, *args):
        return self.inner.addends(*args)

    def affine(self, params):
        return self.inner.affine(params)

    def joins_samples(self, stats):
        return self.inner.joins_samples(stats)


class HiddenSpec(Mlp):
    "Its spec."


PLUGIN = Plugin(version="1", nets={"net": Member(HiddenSpec, lambda *args: Hidden(architecture(*args)))})
"""
ENGINE = """
    @property
    def engine(self):
        from impray.training.mlp import MlpEngine

        return lambda network, *others: MlpEngine(network.inner, *others)

    def initial("""


def test_a_network_without_an_engine_is_told(tmp_path):
    line = written.failure(tmp_path, HIDDEN, **{"trial.net": {"kind": "mine.net", "hidden": [4]}})
    assert "MemberError: Hidden" in line and "mine.py" in line and "engine" in line


@pytest.mark.parametrize(
    "text, changes",
    [
        (OWN_UPDATE, {"trial.train": {"optimizer": "mine.own", "steps": 6, "batch": 4}}),
        (HIDDEN.replace("\n    def initial(", ENGINE), {"trial.net": {"kind": "mine.net", "hidden": [4]}}),
        (OWN_RULE, {"trial.train": {"optimizer": "mine.slow", "steps": 6, "batch": 4}}),
        (OWN_NET, {"trial.net": {"kind": "mine.net", "hidden": [4], "steepness": 2}}),
    ],
    ids=["update rule", "engine", "training", "net with a packable parameter without default"],
)
def test_what_does_as_a_built_in_member_does_gives_its_numbers(tmp_path, text, changes):
    (tmp_path / "mine.py").write_text(text)
    sweep = load(written.sweep_with(tmp_path, **changes))
    report, said = sweep_into(tmp_path / "runs", sweep)
    assert report.count("done") == 1, said
    joined.leave()
    plain = load(written.sweep_with(tmp_path, plugins=[]))
    sweep_into(tmp_path / "plain", plain)
    columns = ["seed", "round", "accuracy"]
    one, other = (
        scan("rounds", tmp_path / name).select(columns).sort("seed", "round").collect() for name in ("runs", "plain")
    )
    assert one.equals(other)
