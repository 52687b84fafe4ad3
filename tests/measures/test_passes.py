"""Laws of passes that measures share: numbers as without sharing, one pass per network, and nothing that waits for nobody."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from impray.measures import MEASURES, passes
from impray.measures.state import RoundState
from impray.nets.mlp import Architecture
from impray.spec import measure as spec

torch.set_num_threads(1)
ASKED = [
    spec.Accuracy(),
    spec.Kurtosis(at=("start", "end")),
    spec.Loss(),
    spec.Psnr(),
    spec.Gates(),
    spec.TrainingAccuracy(),
    spec.Kurtosis(at=("end",), batch_norm="network"),
    spec.Kurtosis(at=("start", "end"), samples=9),
]


class Counted(Architecture):
    """Counts its passes."""

    runs: Counter = Counter()

    def preactivations(self, params, inputs, stats=None, last=0):
        self.runs[id(inputs.untyped_storage())] += 1
        return super().preactivations(params, inputs, stats, last)


def state_of(measures=(), batch_norm=False, nets=4, dtype=torch.float32) -> RoundState:
    """Two problems, each of two nets."""
    generator = torch.Generator().manual_seed(3)
    sizes = (12, 9, 5, 1)
    params = {
        name: torch.randn(nets, *shape, generator=generator, dtype=dtype)
        for i in (1, 2, 3)
        for name, shape in ((f"weight{i}", (sizes[i], sizes[i - 1])), (f"bias{i}", (sizes[i],)))
    }
    stats = {}
    for i in (1, 2, 3) if batch_norm else ():
        params |= {
            f"{kind}{i}": torch.rand(nets, sizes[i - 1], generator=generator, dtype=dtype) for kind in ("gamma", "beta")
        }
        stats |= {
            f"{kind}{i}": torch.rand(nets, sizes[i - 1], generator=generator, dtype=dtype) for kind in ("mean", "var")
        }
    sets = [
        (torch.randn(60, 12, generator=generator, dtype=dtype), torch.arange(60) % 2) for _ in range(4)
    ]  # held out, and the training set, of each problem
    start = {name: value * 0.5 for name, value in params.items()}
    return RoundState(
        0,
        Counted(sizes, "relu", batch_norm, True, input_shape=(3, 4)),
        {},
        start,
        params,
        stats,
        lambda net: sets[net % 2],
        "mse",
        whole=lambda net: sets[2 + net % 2],
        problems=[net % 2 for net in range(nets)],
        measures=measures,
    )


def readings(state, measures=ASKED):
    return [MEASURES[type(measure)](measure, state) for measure in measures]


def flat(found) -> list[torch.Tensor]:
    lineage = [torch.as_tensor(values, dtype=torch.float64) for reading in found for values in reading.lineage.values()]
    units = [values for reading in found for columns in reading.units.values() for values in columns.values()]
    return [values.nan_to_num(-1) for values in lineage + units]


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("held", [0, 5000, 1 << 26])  # bytes: nothing, some nets and all of them wait
def test_shared_numbers_are_those_of_each_measure_alone_bit_for_bit(monkeypatch, batch_norm, held):
    monkeypatch.setattr(passes, "SHARED_BYTES", held)
    alone = [flat([MEASURES[type(measure)](measure, state_of(batch_norm=batch_norm))]) for measure in ASKED]
    state = state_of(ASKED, batch_norm)
    for shared, own in zip(flat(readings(state)), flat_in_order(alone), strict=True):
        assert torch.equal(shared, own)
    assert len(state.passes) == 0  # the last one who reads it lets go


def flat_in_order(alone):
    """As `flat` has them: columns of lineages first."""
    of_lineage = [len(MEASURES[type(m)](m, state_of()).lineage) for m in ASKED]
    firsts = [values for own, count in zip(alone, of_lineage, strict=True) for values in own[:count]]
    return firsts + [values for own, count in zip(alone, of_lineage, strict=True) for values in own[count:]]


def test_a_net_does_not_depend_on_the_others_bit_for_bit():
    state = state_of(ASKED)
    found = flat(readings(state))
    for net in range(4):
        one = replace(
            state,
            start={name: value[net : net + 1].clone() for name, value in state.start.items()},
            end={name: value[net : net + 1].clone() for name, value in state.trained.items()},
            held_out=lambda _, net=net: state.held_out(net),
            whole=lambda _, net=net: state.whole(net),
            problems=[0],
        )
        for own, whole in zip(flat(readings(one)), found, strict=True):
            assert torch.equal(own[0], whole[net])


@pytest.mark.parametrize(
    ("batch_norm", "expected"),
    # Held out: the end's and the start's pass, and the two of first samples, which no other measure reads; and the training set's.
    # With batch norm gamma x + beta is another pass than the end's own.
    [(False, 4 * (2 + 2 + 1)), (True, 4 * (3 + 2 + 1))],
)
def test_a_network_is_run_once_on_the_same_inputs(batch_norm, expected):
    Counted.runs.clear()
    readings(state_of(ASKED, batch_norm))
    assert Counted.runs.total() == expected


def test_no_more_waits_than_there_is_room_for(monkeypatch):
    one = 60 * 4  # the outputs of a net
    monkeypatch.setattr(passes, "SHARED_BYTES", 2 * one + 1)
    state = state_of([spec.Accuracy(), spec.Loss()])
    readings(state, [spec.Accuracy()])
    assert len(state.passes) == 2
    state.passes.clear()
    assert len(state.passes) == 0


def test_what_one_measure_alone_reads_is_not_kept():
    state = state_of([spec.Accuracy(), spec.Kurtosis(at=("start",))])
    readings(state, state.measures)
    assert len(state.passes) == 0


def test_another_state_has_its_own():
    """As pruned networks have, whose weights are others."""
    state = state_of([spec.Accuracy(), spec.Loss()])
    readings(state, [spec.Accuracy()])
    halved = {name: value / 2 for name, value in state.trained.items()}
    other = replace(state, end=halved)
    fresh = replace(state_of(), end=halved)
    assert torch.equal(flat(readings(other, [spec.Loss()]))[0], flat(readings(fresh, [spec.Loss()]))[0])
