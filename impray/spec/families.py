"""The families, with the members that are built in: the one place that knows them all.

To add a member: a class in `impray/spec/FAMILY/`, a file with what it does, and a line here. Use it as `families.measures`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import create_model

from impray.spec import data as of_data
from impray.spec import measure as of_measures
from impray.spec import nets as of_nets
from impray.spec import rules as of_rules
from impray.spec import training as of_training
from impray.spec.base import Spec
from impray.spec.family import Family, Member, until_changed
from impray.spec.figures import FigureSpec

_DATA = "impray.data"
_STIMULI, _IMAGES = f"{_DATA}:sample_stimulus", f"{_DATA}.images:draw_samples"

data = Family(
    "data",
    of_data.DataSpec,
    "kind",
    (
        Member(of_data.Nlgp, f"{_DATA}.nlgp:NlgpPack", _STIMULI),
        Member(of_data.Kur, f"{_DATA}.kur:KurPack", _STIMULI),
        Member(of_data.Ising, f"{_DATA}.ising:IsingPack", _STIMULI),
        Member(of_data.Elliptical, f"{_DATA}.elliptical:EllipticalPack", _STIMULI),
        Member(of_data.Photographs, f"{_DATA}.photographs:PhotographsPack", f"{_DATA}.photographs:draw_samples"),
        Member(of_data.Imagenet32, f"{_DATA}.images:ImagesPack", _IMAGES),
        Member(of_data.Cifar10, f"{_DATA}.images:ImagesPack", _IMAGES),
        Member(of_data.Cifar100, f"{_DATA}.images:ImagesPack", _IMAGES),
        Member(of_data.Idx, f"{_DATA}.images:ImagesPack", _IMAGES),
        Member(of_data.Arrays, f"{_DATA}.images:ImagesPack", _IMAGES),
        Member(of_data.Linear, f"{_DATA}.linear:LinearPack", f"{_DATA}.linear:draw_samples"),
        Member(of_data.Planted, f"{_DATA}.planted:PlantedPack", f"{_DATA}.planted:draw_samples"),
        Member(of_data.Digits, f"{_DATA}.digits:DigitsPack", f"{_DATA}.digits:draw_samples"),
        Member(of_data.ImageCoordinates, f"{_DATA}.coordinates:CoordinatesPack", f"{_DATA}.coordinates:draw_samples"),
    ),
)
"""What it does: a class (specs, seeds, *, batch, dtype, device) that is the data of a pack (`impray.data.PackData`)."""

nets = Family(
    "nets",
    of_nets.NetSpec,
    "kind",
    (
        Member(of_nets.Mlp, "impray.nets.mlp:architecture"),
        Member(of_nets.Module, "impray.nets.module:architecture"),
        Member(of_nets.LinearNet, "impray.nets.linear:architecture"),
    ),
    default="mlp",
)
"""What it does: a function (spec, shape of one input, number of outputs) that gives an `impray.nets.Network`."""

training = Family(
    "training",
    of_training.TrainingSpec,
    "optimizer",
    (
        Member(of_training.Sgd, "impray.training.loop:train"),
        Member(of_training.Adam, "impray.training.loop:train"),
        Member(of_training.AdamW, "impray.training.loop:train"),
        Member(of_training.GradientFlow, "impray.training.linear.closed_form:train"),
        Member(of_training.GradientDescent, "impray.training.linear.closed_form:train"),
    ),
    default="sgd",
)
"""What it does: an `impray.training.Trainer`."""

_MASKS, _LINEAR, _RELU = "impray.masks", "impray.training.linear", "impray.training.relu.solvers"
rules = Family(
    "rules",
    of_rules.RuleSpec,
    "name",
    (
        Member(of_rules.Imp, f"{_MASKS}.magnitude:imp", solves=f"{_LINEAR}.paths:imp"),
        Member(of_rules.Oneshot, f"{_MASKS}.magnitude:oneshot", solves=f"{_LINEAR}.paths:oneshot"),
        Member(of_rules.Random, f"{_MASKS}.random:permuted", solves=f"{_LINEAR}.paths:random"),
        Member(of_rules.HighestCavity, f"{_MASKS}.cavity:highest_first"),
        Member(of_rules.LowestCavity, f"{_MASKS}.cavity:lowest_first"),
        Member(of_rules.Reinit, f"{_MASKS}.follow:leaders"),
        Member(of_rules.Shuffled, f"{_MASKS}.follow:shuffled"),
        *(
            Member(rule, f"{_LINEAR}.{place}", solves=f"{_LINEAR}.{place}")
            for rule, place in (
                (of_rules.Backward, "paths:backward"),
                (of_rules.Alignment, "paths:alignment"),
                (of_rules.HardThreshold, "paths:hard_threshold"),
                (of_rules.Omp, "omp:omp"),
                (of_rules.Lasso, "lasso:lasso"),
            )
        ),
        Member(of_rules.Iht, f"{_RELU}:iht", solves=f"{_RELU}:iht"),
        Member(of_rules.Pursuit, f"{_RELU}:pursuit", solves=f"{_RELU}:pursuit"),
    ),
)
"""What it does: a function (past, scope, keep) that gives the next mask of a scope (`impray.masks`).

What solves: a function (`impray.training.solver.Block`) that gives `Solved`; a `SolverRule` has nothing else."""

_MEASURES = "impray.measures"
measures = Family(
    "measures",
    of_measures.MeasureSpec,
    "name",
    (
        Member(of_measures.Accuracy, f"{_MEASURES}.accuracy:accuracy"),
        Member(of_measures.Loss, f"{_MEASURES}.accuracy:loss"),
        Member(of_measures.Density, f"{_MEASURES}.density:density"),
        Member(of_measures.FanIn, f"{_MEASURES}.density:fan_in"),
        Member(of_measures.RfWidth, f"{_MEASURES}.on_image:measure_rf_width"),
        Member(of_measures.Clustering, f"{_MEASURES}.on_image:measure_clustering"),
        Member(of_measures.Spread, f"{_MEASURES}.on_image:measure_spread"),
        Member(of_measures.Pieces, f"{_MEASURES}.on_image:measure_pieces"),
        Member(of_measures.Correlation, f"{_MEASURES}.correlation:measure"),
        Member(of_measures.Kurtosis, f"{_MEASURES}.kurtosis:measure"),
        Member(of_measures.Cavity, f"{_MEASURES}.on_weights:measure_cavity"),
        Member(of_measures.Components, f"{_MEASURES}.components:measure"),
        Member(of_measures.Inputs, f"{_MEASURES}.inputs:measure"),
        Member(of_measures.Ipr, f"{_MEASURES}.ipr:measure"),
        Member(of_measures.Sinusoid, f"{_MEASURES}.sinusoid:measure"),
        Member(of_measures.Flow, f"{_MEASURES}.flow:measure"),
        Member(of_measures.Course, f"{_MEASURES}.course:measure"),
        Member(of_measures.Masks, f"{_MEASURES}.on_image:measure_masks"),
        Member(of_measures.Support, f"{_MEASURES}.sparse:support"),
        Member(of_measures.Estimation, f"{_MEASURES}.sparse:estimation"),
        Member(of_measures.Order, f"{_MEASURES}.order:order"),
        Member(of_measures.Design, f"{_MEASURES}.design:design"),
        Member(of_measures.Theorem5, f"{_MEASURES}.design:theorem5"),
        Member(of_measures.Removals, f"{_MEASURES}.order:removals"),
        Member(of_measures.Psnr, f"{_MEASURES}.recovery:psnr"),
        Member(of_measures.Reconstruction, f"{_MEASURES}.recovery:reconstruction"),
        Member(of_measures.TrainingAccuracy, f"{_MEASURES}.recovery:training_accuracy"),
        Member(of_measures.Gates, f"{_MEASURES}.recovery:gates"),
        Member(of_measures.UnitsAlive, f"{_MEASURES}.recovery:units_alive"),
        Member(of_measures.Solver, f"{_MEASURES}.recovery:solver"),
        Member(of_measures.OptimalityGap, f"{_MEASURES}.optimality_gap:measure"),
        Member(of_measures.LinearOmp, f"{_MEASURES}.linear_omp:measure"),
        Member(of_measures.Pruned, f"{_MEASURES}.pruned:pruned"),
    ),
)
"""What it does: a function (spec, round state) that gives `impray.measures.Readings`."""

figures = Family("figures", FigureSpec, "name")
"""What it does: an `impray.figures.Figure` or `Paper`, or a function that gives one. Scripts of `analysis/` are no members."""

ALL: dict[str, Family] = {family.name: family for family in (data, nets, training, rules, measures, figures)}

# In annotations of classes with fields of a family.
Data = Annotated[of_data.DataSpec, data]
Net = Annotated[of_nets.NetSpec, nets]
Training = Annotated[of_training.TrainingSpec, training]
Measure = Annotated[of_measures.MeasureSpec, measures]
Method = Annotated[str, rules.name_of_member]


def family_of(spec: type[Spec]) -> Family | None:
    """The family that a class, or the base of a family, belongs to."""
    return next((family for family in ALL.values() if issubclass(spec, family.base)), None)


def classes_in(annotation: type[Spec]) -> tuple[type[Spec], ...]:
    """The classes that a field of this type may hold: all members where it is the base of a family."""
    if annotation is of_rules.RuleParameters:
        return (rule_parameters(),)
    family = next((family for family in ALL.values() if family.base is annotation), None)
    return (annotation,) if family is None else family.specs


# -- parameters of methods ------------------------------------------------------------------------------------------------


class _OfRules:
    """In an annotation: the class that `rule_parameters` gives when a class is built."""

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:
        return handler.generate_schema(rule_parameters())


Parameters = Annotated[of_rules.RuleParameters, _OfRules()]


@until_changed
def rule_parameters() -> type[of_rules.RuleParameters]:
    """`RuleParameters` with a field per plugin, each with a field per method that has parameters.

    Nested, not `plugin.method`, so that a parameter has a path with dots as all others have.
    """
    fields: dict[str, dict[str, type[Spec]]] = {}
    for tag, member in rules.members.items():
        plugin, dot, name = tag.partition(".")
        if dot and len(member.spec.model_fields) > 1:
            fields.setdefault(plugin, {})[name] = member.spec
    of_plugins = {plugin: _holding(f"Rules_{plugin}", of_plugin) for plugin, of_plugin in fields.items()}
    return _holding("RuleParameters", of_plugins) if of_plugins else of_rules.RuleParameters


def _holding(name: str, fields: dict[str, Any]) -> type[of_rules.RuleParameters]:
    """A class with a field of each class, at its default."""
    defaults: Any = {field: (spec, spec()) for field, spec in fields.items()}
    return create_model(name, __base__=of_rules.RuleParameters, **defaults)


def rule_of(method: str, parameters: of_rules.RuleParameters) -> of_rules.RuleSpec:
    """The rule of a method, with its parameters."""
    spec = rules.member(method).spec
    plugin, dot, name = method.partition(".")
    given = getattr(getattr(parameters, plugin, None), name, None) if dot else None
    return given if isinstance(given, spec) else _by_default(spec)  # type: ignore[return-value]


@until_changed
def _by_default(spec: type[Spec]) -> Spec:
    """A rule without parameters, or with all at their defaults; made once, for all lineages of its method."""
    return spec()
