"""Sweeps over modules: what a factory says is filled in, identified, told where it is wrong, and read again without the factory."""

import pytest
import yaml

from impray.spec.axes import trials
from impray.spec.errors import Problem, SweepError
from impray.spec.load import read
from impray.spec.nets import Module
from impray.spec.sweep import written
from impray.spec.trial import Trial

CONV = [{"shape": [4, 1, 3, 3], "dense": False}, {"shape": [2, 16]}]
TEXT = """
question: does a module run?
trial:
  data: {kind: nlgp, shape: [8, 8]}
  net: {kind: module, factory: "mine:cnn"}
seeds: 1
rounds: 2
measures: [accuracy]
"""


class Factory:
    """Stands for the user's: sizes by arguments, shape and outputs; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, factory, arguments, input_shape, outputs):
        self.asked.append((factory, arguments, input_shape, outputs))
        if factory == "mine:broken":
            raise SweepError("network", [Problem("net.factory", repr(factory), "fails: no such thing")])
        channels = arguments.get("channels", 4)
        return [{"shape": [channels, 1, 3, 3], "dense": False}, {"shape": [outputs, 4 * channels]}]


def loaded(text=TEXT, sets=(), layers=None):
    return read(text, "s.yaml", sets, layers=layers or Factory())


def problems(text=TEXT, sets=()):
    with pytest.raises(SweepError) as error:
        loaded(text, sets)
    return [str(problem) for problem in error.value.problems]


def test_what_a_factory_says_is_filled_in():
    ask = Factory()
    trial = loaded(layers=ask).trial
    assert ask.asked == [("mine:cnn", {}, (8, 8), 2)]
    conv, head = trial.kernels
    assert (conv.units, conv.inputs, conv.input_shape, conv.dense) == (4, 9, (3, 3), False)
    assert (head.units, head.inputs, head.input_shape, head.dense) == (2, 16, (16,), True)
    assert trial.pruned_layers == (1,) and trial.scope_sizes == (36,)


def test_a_dense_first_layer_reads_inputs_as_the_data_has_them():
    net = Module(factory="mine:mlp", sizes=[{"shape": [5, 64]}, {"shape": [2, 5]}])
    assert [kernel.input_shape for kernel in net.kernels((8, 8), 2)] == [(8, 8), (5,)]


def test_the_id_is_of_factory_arguments_version_and_layers():
    id = loaded().trial.id
    assert id == loaded(sets=["net.arguments={}"]).trial.id
    others = [
        ["net.version='2'"],
        ["net.arguments={channels: 5}"],
        ["net.arguments={depth: 1}"],
        ["net.factory='mine:other'"],
    ]
    ids = {loaded(sets=sets).trial.id for sets in others}
    assert len(ids | {id}) == 5
    assert loaded(sets=["net.arguments={channels: 5.0}"]).trial.id in ids


def test_a_sweep_as_written_and_its_trials_are_read_without_the_factory():
    sweep = loaded(
        sets=["search.space={net: [{kind: module, factory: 'mine:a'}, {hidden: 5}, {kind: module, factory: 'mine:b'}]}"]
    )
    again = read(yaml.safe_dump(written(sweep)), "again.yaml")
    assert [trial.id for _, trial in trials(again)] == [trial.id for _, trial in trials(sweep)]
    for _, trial in trials(sweep):
        assert Trial.model_validate(trial.canonical).id == trial.id


def test_without_one_to_ask_the_layers_are_missing():
    with pytest.raises(SweepError, match="sizes"):
        read(TEXT, "s.yaml")


def test_every_combination_is_asked_and_layers_that_differ_are_told():
    axis = "search.space={net.arguments: [{channels: 4}, {channels: 6}]}"
    (told,) = problems(sets=[axis])
    assert "search.space.net.arguments" in told and "make whole net the axis" in told
    assert len(trials(loaded(sets=["search.space={net.arguments: [{p: 0.1}, {p: 0.2}]}"]))) == 2
    ask = Factory()
    loaded(sets=["search.space={data.shape: [[8, 8], [6, 6]], data.gain: [1, 2]}"], layers=ask)
    assert {shape for _, _, shape, _ in ask.asked} == {(8, 8), (6, 6)}


def test_a_factory_that_fails_is_told_beside_what_else_is_wrong():
    told = problems(TEXT.replace("mine:cnn", "mine:broken"), ["rounds=-1"])
    assert any("line 5: trial.net.factory = 'mine:broken'    fails: no such thing" in line for line in told)
    assert any("rounds = -1" in line for line in told) and len(told) == 2


def test_a_layer_that_depends_on_the_factory_is_not_told_where_that_fails():
    assert len(problems(TEXT.replace("mine:cnn", "mine:broken"), ["prune.layers=[3]"])) == 1


@pytest.mark.parametrize("factory", ["cnn", "mine.cnn", "a b:c", "mine:cnn()"])
def test_a_factory_has_a_module_and_a_name(factory):
    assert any(
        "net.factory" in line and "package.module:function" in line
        for line in problems(sets=[f"net.factory='{factory}'"])
    )


@pytest.mark.parametrize(
    "sets, words",
    [
        (["measures=[kurtosis]"], "kurtosis"),
        (["measures=[components]"], "components"),
        (["measures=[{cavity: {layers: [1]}}]"], "cavity.layers"),
        (["methods=[cavity]"], "prune.layers"),
        (["prune.biases=ranked", "net.sizes=[{shape: [5, 64], bias: false}, {shape: [2, 5]}]"], "prune.biases"),
        (["net.init={scale: [1, 2, 3]}"], "net.init.scale"),
        (["net.outputs=1"], "net.outputs"),
    ],
)
def test_what_this_network_cannot_do_is_told(sets, words):
    (told,) = problems(sets=sets)
    assert words in told


def test_a_measure_of_images_reads_kernels_of_images():
    loaded(sets=["measures=[rf_width, clustering, ipr, masks]"])
    assert (
        "rf_width"
        in problems(sets=["measures=[rf_width]", "net.sizes=[{shape: [5, 16], dense: false}, {shape: [2, 5]}]"])[0]
    )


def test_an_init_of_the_sweep_may_differ_within_a_pack_in_its_scale():
    one, two = (loaded(sets=[f"net.init={{scale: {scale}}}"]).trial.net for scale in (1, 2))
    assert one.shared() == two.shared() != loaded().trial.net.shared()
