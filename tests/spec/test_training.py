"""`trial.train` as it is written: optimizers, schedules, what is left out, axes over them, ids."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from impray.spec import axes, families
from impray.spec.errors import SweepError
from impray.spec.load import read
from impray.spec.pack import stackable
from impray.spec.schema import schema
from impray.spec.training import Adam, AdamW, Constant, Cosine, Milestones, Sgd, Step
from impray.spec.trial import Lineage, Trial

TEXT = """question: q
trial:
  data: {{kind: nlgp, shape: [12, 12]}}
  train: {train}
seeds: 1
rounds: 1
measures: [accuracy]
{search}"""


def loaded(train="{}", space=None, sets=(), search=""):
    return read(TEXT.format(train=train, search=f"search: {{{search}space: {space}}}" if space else ""), "x.yaml", sets)


def problems_of(*args, **keys):
    with pytest.raises(SweepError) as raised:
        loaded(*args, **keys)
    return [f"{problem.path} = {problem.value}    {problem.right}" for problem in raised.value.problems]


def trial(**train):
    return Trial.model_validate({"data": {"kind": "nlgp"}, "train": train})


MEANT = [
    ("{}", Sgd()),
    ("{lr: 0.5}", Sgd(lr=0.5)),
    ("{optimizer: adam}", Adam(lr=0.001)),
    ("{optimizer: adamw, beta1: 0.5}", AdamW(lr=0.001, beta1=0.5, weight_decay=0.01)),
    ("{momentum: 0.9, nesterov: true}", Sgd(momentum=0.9, nesterov=True)),
    ("{schedule: {warm_up: 3}}", Sgd(schedule=Constant(warm_up=3))),
    ("{schedule: {kind: cosine, final: 0.1}}", Sgd(schedule=Cosine(final=0.1))),
    ("{optimizer: adam, schedule: {kind: step, every: 7}}", Adam(schedule=Step(every=7, factor=0.1))),
    ("{schedule: {kind: milestones, at: [5, 9]}}", Sgd(schedule=Milestones(at=(5, 9)))),
]


@pytest.mark.parametrize(("written", "meant"), MEANT, ids=[written for written, _ in MEANT])
def test_what_is_written_is_what_is_meant_and_fits_the_schema(written, meant):
    sweep = loaded(written)
    assert sweep.trial.train == meant and type(sweep.trial.train) is type(meant)
    document = {"question": "q", "seeds": 1, "rounds": 1, "trial": {"data": {"kind": "nlgp"}}, "measures": ["accuracy"]}
    document["trial"]["train"] = yaml.safe_load(written)
    jsonschema.Draft202012Validator(schema()).validate(document)


OPTIMIZERS = ", ".join(families.training.tags)
WRONG = [
    ("{optimizer: adm}", f"optimizer = 'adm'    not one of {OPTIMIZERS}; did you mean 'adam'?"),
    ("adam", f" = 'adam'    must be a mapping such as {{optimizer: sgd}}; the optimizers are {OPTIMIZERS}"),
    ("{optimizer: adam, momentum: 0.9}", "momentum = 0.9    a parameter of sgd, not of adam"),
    ("{beta1: 0.9}", "beta1 = 0.9    a parameter of adam and adamw, not of sgd"),
    ("{momentm: 0.9}", "momentm = 0.9    not a key of trial.train (sgd); did you mean 'momentum'?"),
    ("{optimizer: adam, beta2: 1}", "beta2 = 1    must be in [0, 1)"),
    ("{nesterov: true}", "nesterov = true    takes momentum above 0"),
    (
        "{schedule: {kind: cosin}}",
        "schedule.kind = 'cosin'    not one of constant, cosine, step, milestones; did you mean",
    ),
    ("{schedule: {kind: cosine, every: 3}}", "schedule.every = 3    a parameter of step, not of cosine"),
    ("{schedule: {kind: step}}", "schedule.every = None    is missing"),
    ("{schedule: {kind: milestones, at: [5, 3]}}", "schedule.at = [5, 3]    must rise"),
    ("{steps: 9, schedule: {kind: milestones, at: [3, 9]}}", "schedule.at = [3, 9]    must be below train.steps = 9"),
    ("{steps: 9, schedule: {warm_up: 10}}", "schedule.warm_up = 10    must be at most train.steps = 9"),
]


@pytest.mark.parametrize(("written", "told"), WRONG, ids=[written for written, _ in WRONG])
def test_a_wrong_value_is_one_problem_with_its_place_and_what_would_be_right(written, told):
    (problem,) = problems_of(written)
    assert problem.startswith(f"trial.train{'' if told.startswith(' ') else '.'}{told}")


def test_set_reaches_every_optimizer_and_schedule():
    assert loaded("{lr: 0.1}", sets=["train.lr=0.5"]).trial.train == Sgd(lr=0.5)
    assert loaded("{lr: 0.1}", sets=["train.optimizer=adam", "train.beta1=0.5"]).trial.train == Adam(lr=0.1, beta1=0.5)
    assert loaded(sets=["train.schedule.kind=cosine"]).trial.train == Sgd(schedule=Cosine())
    assert loaded(sets=["train.schedule.warm_up=7"]).trial.train == Sgd(schedule=Constant(warm_up=7))


# --- axes ---


def test_an_axis_may_run_over_optimizers_and_schedules():
    found = axes.trials(loaded("{lr: 0.1}", "{train.optimizer: [sgd, adam]}"))
    assert [trial.train for _, trial in found] == [Sgd(lr=0.1), Adam(lr=0.1)]
    whole = loaded("{lr: 0.1}", "{train: [{lr: 0.2, momentum: 0.9}, {optimizer: adam}]}")
    assert [trial.train for _, trial in axes.trials(whole)] == [Sgd(lr=0.2, momentum=0.9), Adam()]
    kinds = loaded("{lr: 0.1}", "{train.schedule.kind: [constant, cosine], train.schedule.warm_up: [0, 5]}")
    assert len({trial.id for _, trial in axes.trials(kinds)}) == 4


def test_an_axis_of_another_member_is_fine_where_every_trial_has_it():
    asked = loaded("{lr: 0.1}", "{train.optimizer: [adamw, adam], train.beta1: [0.9, 0.5]}")
    assert [(type(trial.train), trial.train.beta1) for _, trial in axes.trials(asked)] == [
        (AdamW, 0.9),
        (AdamW, 0.5),
        (Adam, 0.9),
        (Adam, 0.5),
    ]
    assert axes.axis_type(asked, "train.beta1") == "float" and axes.axis_type(asked, "train.optimizer") == "str"
    space = "{train.schedule.kind: [step], train.schedule.every: {low: 1, high: 9}}"
    drawn = axes.trials(loaded("{}", space, search="algorithm: random, trials: 4, "))
    assert len(drawn) == 4 and all(type(trial.train.schedule.every) is int for _, trial in drawn)


def test_what_an_optimizer_on_an_axis_does_not_have_is_told():
    (told,) = problems_of("{momentum: 0.9}", "{train.optimizer: [sgd, adam]}")
    assert told == "search.space.train.optimizer[1] = 'adam'    then train.momentum: a parameter of sgd, not of adam"
    (told,) = problems_of("{}", "{train.beta1: [0.9, 0.5]}")
    assert "is a parameter of adam and adamw; this trial's train is sgd" in told
    told = problems_of("{}", "{train.optimizer: [sgd, adam], train.beta1: [0.9, 0.5]}")
    assert len(told) == 2 and all("a parameter of adam and adamw, not of sgd" in line for line in told)
    (told,) = problems_of("{}", "{train.optimizer: [sgd, adm]}")
    assert told.endswith("did you mean 'adam'?")


# --- ids and packs ---


def test_what_is_left_out_and_what_is_said_at_its_default_have_one_id():
    plain = trial().id
    assert trial(optimizer="sgd", nesterov=False, schedule={"kind": "constant", "warm_up": 0}).id == plain
    others = [
        {"optimizer": "adam"},
        {"optimizer": "adamw"},
        {"optimizer": "adamw", "weight_decay": 0},
        {"schedule": {"kind": "cosine"}},
        {"schedule": {"warm_up": 5}},
        {"schedule": {"kind": "step", "every": 5}},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9},
    ]
    assert len({plain, *(trial(**other).id for other in others)}) == len(others) + 1


def test_a_pack_holds_other_numbers_of_one_optimizer_and_one_schedule():
    def packed(**train):
        return stackable(Lineage(trial=trial(**train), method="imp", seed=0))

    assert packed() == packed(lr=0.5, momentum=0.9, nesterov=True, weight_decay=0.1)
    betas = {"optimizer": "adam", "lr": 0.5, "beta1": 0.5, "beta2": 0.5, "eps": 1e-3, "weight_decay": 0.1}
    assert packed(optimizer="adam") == packed(**betas)
    forms = [
        {},
        {"optimizer": "adam"},
        {"optimizer": "adamw"},
        {"schedule": {"kind": "cosine"}},
        {"schedule": {"warm_up": 2}},
    ]
    assert len({packed(**form) for form in forms}) == len(forms)


@pytest.mark.parametrize("kind", [Sgd, Adam, AdamW])
def test_packable_fields_exist(kind):
    assert kind.packable <= set(kind.model_fields)
