"""A sweep: one question, a base trial, axes, methods, seeds, rounds, measures."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from impray.shipped import OVERVIEW, SEARCHED
from impray.spec.base import Spec, canonical, whole_number
from impray.spec.data import FileData
from impray.spec.families import Measure, Method
from impray.spec.family import embeds
from impray.spec.measure import Accuracy, Loss, measure_name
from impray.spec.pack import Ending
from impray.spec.search import Search
from impray.spec.trial import Device, ImpossibleTrial, Trial

MOST_PROCESSORS = 100_000  # of one pack
MOST_ROUNDS = 100_000
MOST_SEEDS = 100_000

Seed = Annotated[int, Field(ge=0)]


class Resources(Spec):
    """What one pack of lineages is given; fractions of a device are shared between packs."""

    cpu: Annotated[float, Field(ge=0.001, le=MOST_PROCESSORS, description="cores of a pack")] = 1.0
    gpu: Annotated[
        float, Field(ge=0, le=MOST_PROCESSORS, description="GPUs of a pack: 0.25 lets four packs share one")
    ] = 0.0

    @field_validator("gpu")
    @classmethod
    def _none_or_a_share(cls, gpu: float) -> float:
        if 0 < gpu < 0.001:
            raise ValueError("must be 0, or at least 0.001")
        return gpu


@embeds
class Sweep(Spec):
    """The whole of a sweep YAML."""

    question: Annotated[str, Field(min_length=1, description="what this sweep asks, in one sentence")]
    caveat: Annotated[
        str,
        Field(
            description="what a reader of its findings must know, such as how the recipe was chosen; every figure's text has it"
        ),
    ] = ""
    trial: Annotated[Trial, Field(description="the base trial: what every trial has but for the axes")]
    methods: Annotated[
        tuple[Method, ...],
        Field(min_length=1, description="how masks come about; each is run with every trial and seed"),
    ] = ("imp", "oneshot", "random")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, description="how many (3 means 0, 1, 2), or a list")]
    rounds: Annotated[int, Field(ge=0, le=MOST_ROUNDS, description="prunings: rounds 0 (dense) to this are trained")]
    rows_at: Annotated[
        Literal["all"] | Ending | Annotated[tuple[Annotated[int, Field(ge=0)] | Ending, ...], Field(min_length=1)],
        Field(
            description="rounds that are measured and have rows: all, the last one, the first that keeps no more weights than the truth "
            "has (truth), or a list of these and of numbers, such as [0, 15, truth]"
        ),
    ] = "all"
    measures: Annotated[
        tuple[Measure, ...], Field(description="what is measured in each round: names, or {name: {parameter: value}}")
    ] = (Accuracy(), Loss())
    search: Annotated[Search, Field(description="the axes, and how they are searched; left out: a single trial")] = (
        Search()
    )
    figures: Annotated[
        tuple[str, ...],
        Field(
            description="to draw at the end: scripts of analysis/ or beside this file, or figures of plugins; left out: "
            "an overview, and of a random or Optuna search `goals` and `importance`"
        ),
    ] = ()
    plugins: Annotated[
        tuple[str, ...],
        Field(
            description="Python files with data, nets, training, methods, measures or figures of your own, each a path beside this file "
            "or an absolute one. They are code that you chose: they are run, here and on the actors"
        ),
    ] = ()
    resources: Annotated[Resources, Field(description="what each pack of lineages is given")] = Resources()

    @model_validator(mode="before")
    @classmethod
    def _trial_on_its_device(cls, values: Any) -> Any:
        """With the device that the resources say as a part of the trial, which its ids then name."""
        if not isinstance(values, dict):
            return values
        gpu, trial = _gpu_of(values.get("resources")), values.get("trial")
        if gpu is None:
            return values  # of which its own field tells
        device: Device = "cuda" if gpu > 0 else "cpu"
        if isinstance(trial, Trial):
            return {**values, "trial": trial if trial.device == device else trial.on(device)}
        if not isinstance(trial, dict):
            return values
        if trial.get("device", device) != device:
            raise ImpossibleTrial([("trial.device", f"is {device} here: it follows from resources.gpu; leave it out")])
        return {**values, "trial": {**trial, "device": device} if device != "cpu" else trial}

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_or_list(cls, seeds: object) -> object:
        if isinstance(seeds, bool):
            return seeds
        seeds = whole_number(seeds)
        if isinstance(seeds, int):
            if seeds < 1:
                raise ValueError("must be at least 1, or a list of seeds such as [0, 1, 2]")
            if seeds > MOST_SEEDS:
                raise ValueError(f"must be at most {MOST_SEEDS}, or a list of seeds such as [0, 1, 2]")
            return list(range(seeds))
        return seeds

    @field_validator("measures", mode="before")
    @classmethod
    def _name_or_parameters(cls, measures: object) -> object:
        """`rf_width` and `{rf_width: {offset: true}}` both become `{"name": "rf_width", ...}`."""
        return [_named(item) for item in measures] if isinstance(measures, (list, tuple)) else measures

    @field_validator("methods", "seeds", "figures", "plugins", mode="after")
    @classmethod
    def _each_once(cls, values: tuple) -> tuple:
        if len(set(values)) != len(values):
            raise ValueError("names something twice; each counts once")
        return values

    @field_validator("rows_at")
    @classmethod
    def _rising(cls, rows_at: object) -> object:
        if not isinstance(rows_at, tuple):
            return rows_at
        numbers = [entry for entry in rows_at if isinstance(entry, int)]
        if any(not a < b for a, b in pairwise(numbers)):
            raise ValueError("must rise, such as [0, 15]")
        names = [entry for entry in rows_at if isinstance(entry, str)]
        if len(set(names)) != len(names):
            raise ValueError("names a round twice; each counts once")
        return rows_at

    @property
    def drawn(self) -> tuple[str, ...]:
        """The figures that it names; where it names none the overview, and of a search what it found and which axes matter."""
        is_search = bool(self.search.goals) and self.search.algorithm != "grid"
        return self.figures or (*(SEARCHED if is_search else ()), OVERVIEW)

    @model_validator(mode="after")
    def _measures_once(self) -> Sweep:
        names = [measure_name(measure) for measure in self.measures]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"measures: asked for twice: {', '.join(twice)}; columns would collide")
        return self


def _gpu_of(resources: Any) -> float | None:
    """How many GPUs are asked for; None where that is no number."""
    gpu = resources.get("gpu", 0) if isinstance(resources, dict) else getattr(resources, "gpu", 0)
    try:
        return float(gpu)
    except (TypeError, ValueError):
        return None


def _named(item: object) -> object:
    if isinstance(item, str):
        return {"name": item}
    if isinstance(item, dict) and len(item) == 1 and "name" not in item:
        (name, parameters), *_ = item.items()
        if parameters is None:
            return {"name": name}
        if isinstance(parameters, dict):
            return {"name": name, **parameters}
    return item


Where = Literal["here", "ray"]


def written(sweep: Sweep) -> dict:
    """The sweep as its YAML could be written: defaults left out, measures by name. Loading it gives the same sweep."""
    document = canonical(sweep, whole=True)
    if isinstance(sweep.trial.data, FileData) and "data.kind" not in sweep.search.space:
        # So that it can be loaded where the files are not; another kind on an axis might not know these fields.
        from_files = {name: getattr(sweep.trial.data, name) for name in sorted(sweep.trial.data.said_by_files)}
        document["trial"]["data"] |= canonical(from_files, whole=True)
    document["trial"].pop("device", None)
    document["measures"] = [_by_name(measure) for measure in document.get("measures", canonical(sweep.measures))]
    return {name: document[name] for name in Sweep.model_fields if name in document}


def _by_name(measure: dict) -> str | dict:
    parameters = {name: value for name, value in measure.items() if name != "name"}
    return {measure["name"]: parameters} if parameters else measure["name"]
