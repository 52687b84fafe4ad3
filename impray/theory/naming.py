"""What data are called, which family they belong to, and their exact excess kurtosis: the one owner of stimuli's names.

    nlgp NLGP(gain)   kur Kur(k)   ising Ising   elliptical t(degrees of freedom), shell, extreme, quantiles
    images and arrays by their kind      "..., blend b", and "..., clone" where b is 1
    linear models with their design: "linear, uniform(0.1)"

The short name leaves out what a sweep usually holds fixed: shape, length scales, covariance, samples. So it depends on which data
stand beside one another: of two different data with one short name, the later one also says where it differs from the
earlier one, as in "NLGP(0.01), xi 1/3". Names of a list depend on its order only: an added entry renames none before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from impray.spec.base import Spec, canonical
from impray.spec.data import (
    DataSpec,
    Digits,
    Elliptical,
    ImageCoordinates,
    Ising,
    Kur,
    Linear,
    Nlgp,
    Planted,
    Stimulus,
)
from impray.spec.data.designs import DesignSpec, Hub, Incoherent, ReluFeatures, Toeplitz, Uniform
from impray.spec.trial import Trial
from impray.theory.stimuli import is_known, theory_moments


@dataclass(frozen=True)
class StimulusName:
    """Data as a reader knows them; the fields are columns of the table `trials`.

    excess_kurtosis: of an input within a class, exact, blend included; 0 is Gaussian, inf where there is none. None where
    no theory knows it (images, arrays and the features of linear models): measured per class by the measure `inputs`.
    """

    name: str
    kind: str
    family: str
    excess_kurtosis: float | None


class Names:
    """Names given one after another; two different data never have the same, and one data set keeps its own."""

    def __init__(self) -> None:
        self._owners: dict[str, DataSpec] = {}
        self._names: dict[str, str] = {}

    def keep(self, name: str, data: DataSpec) -> None:
        """Take note of a name that was given before, unless other data have it."""
        if name not in self._owners and _form(data) not in self._names:
            self._give(name, data)

    def of(self, data: DataSpec) -> str:
        """The name of these data: the short one, if it is still free."""
        if _form(data) not in self._names:
            name = short(data)
            if name in self._owners:
                name = ", ".join([name, *_differences(data, self._owners[name])])
            while name in self._owners:  # kept from an earlier list, in which it stood beside other data
                name = f"{name}'"
            self._give(name, data)
        return self._names[_form(data)]

    def _give(self, name: str, data: DataSpec) -> None:
        self._owners[name] = data
        self._names[_form(data)] = name


def named(trials: Iterable[Trial]) -> list[StimulusName]:
    """What every trial's data are called, in the order given; see `Names`.

    Trials of a folder are given in the order of their numbers, so that the names are those in its table `trials`, which a
    folder of version 0.5.0 or earlier lacks: `Trial.model_validate_json(row["description"])`.
    """
    names = Names()
    return [described(trial.data, names) for trial in trials]


def described(data: DataSpec, names: Names | None = None) -> StimulusName:
    """One data set in words; by its short name where nothing stands beside it."""
    name = short(data) if names is None else names.of(data)
    return StimulusName(
        name, str(getattr(data, "kind", type(data).__name__.lower())), family(data), excess_kurtosis(data)
    )


def short(data: DataSpec) -> str:
    """NLGP(0.01), Kur(5), t(6), shell, photographs, "photographs, clone"; numbers to six digits."""
    blend = getattr(data, "gaussian_blend", 0)
    return _head(data) + (", clone" if blend == 1 else f", blend {blend:g}" if blend else "")


def _head(data: DataSpec) -> str:
    if isinstance(data, Nlgp):
        return f"NLGP({data.gain:g})"
    if isinstance(data, Kur):
        return f"Kur({data.k:g})"
    if isinstance(data, Ising):
        return "Ising"
    if isinstance(data, Elliptical):
        return f"t({data.degrees_of_freedom:g})" if data.radius == "student_t" else data.radius
    if isinstance(data, Linear):
        return f"linear, {_design(data.design)}"
    if isinstance(data, Planted):
        return f"planted({data.units}, {data.nonzero})"
    if isinstance(data, Digits):
        return "digits" if data.task == "all" else f"digits {data.task}"
    if isinstance(data, ImageCoordinates):
        return f"image {PurePath(data.image).stem}"
    return str(getattr(data, "kind", type(data).__name__.lower()))


_PARAMETERS = {Uniform: "alpha", Toeplitz: "rho", Incoherent: "coherence", Hub: "spokes", ReluFeatures: "inputs"}


def _design(design: DesignSpec) -> str:
    kind = str(getattr(design, "kind", type(design).__name__.lower()))
    parameter = _PARAMETERS.get(type(design))
    return kind if parameter is None else f"{kind}({getattr(design, parameter):g})"


def family(data: DataSpec) -> str:
    """pointwise: a function of each value of a Gaussian field. elliptical. linear: linear models. planted: targets of a planted network.
    coordinates: of an image's pixels. images, of any source. arrays: inputs in no order. Those of a plugin: its name."""
    if data.origin is not None:
        return data.origin.plugin
    if isinstance(data, (Nlgp, Kur, Ising)):
        return "pointwise"
    if isinstance(data, Elliptical):
        return "elliptical"
    if isinstance(data, Linear):
        return "linear"
    if isinstance(data, Planted):
        return "planted"
    if isinstance(data, ImageCoordinates):
        return "coordinates"
    return "images" if data.is_image else "arrays"


def excess_kurtosis(data: DataSpec) -> float | None:
    """Exact excess kurtosis of one input within a class, the same for all classes; inf where it is, None where not known."""
    if isinstance(data, Stimulus) and is_known(data):
        return theory_moments(data, 0).excess_kurtosis
    return None


# --- the longer names ---


def _form(data: DataSpec) -> str:
    """Equal for data that ids do not tell apart."""
    return repr(canonical(data))


def _differences(data: DataSpec, other: DataSpec) -> list[str]:
    """'xi 1/3': the fields in which data differ from others of the same short name, hence of one kind."""
    fields = sorted(set(type(data).model_fields) - set(data.unidentifying))
    told = [(name, getattr(data, name)) for name in fields if getattr(data, name) != getattr(other, name, None)]
    return [f"{name.replace('_', ' ')} {_said(value)}" for name, value in told]


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(_said(part) for part in value)
    if isinstance(value, Spec):
        return " ".join(f"{name.replace('_', ' ')} {_said(part)}" for name, part in canonical(value).items())
    # Whole floats as integers, others to their last digit: two that differ must not read alike.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
