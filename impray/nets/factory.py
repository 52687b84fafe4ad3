"""A user's factory of networks: imported, called and tried out, so that what cannot be trained or pruned is told before any work."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from impray.nets.base import Layer
from impray.spec.errors import Problem, SweepError
from impray.spec.family import until_changed
from impray.spec.nets import LayerSize
from impray.spec.wording import near, show

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_PLUGINS = "impray_plugins"  # where a sweep's plugins stand among the modules, each by the stem of its file
_SAMPLES = 4  # of a trial run: batch norm needs two
_MOST_TOLD = 200  # characters of someone else's error message


@dataclass(frozen=True)
class Recipe:
    """A factory and what it is called with.

    Args:    arguments: as JSON with sorted keys, so that recipes can be compared. input_shape: of the data.
    """

    factory: str
    arguments: str
    input_shape: tuple[int, ...]
    outputs: int

    @property
    def module_shape(self) -> tuple[int, ...]:
        """The shape of one input as the factory is told it: grey images have one channel, where convolutions look for it."""
        return (1, *self.input_shape) if len(self.input_shape) == 2 else self.input_shape

    def module(self, seed: int) -> nn.Module:
        """A new module on the CPU, initialised by itself from `seed`; torch's global generator stays as it is.

        Raises:  SweepError: the factory cannot be imported or called, or gives something else.
        """
        function, arguments = self._function(), json.loads(self.arguments)
        try:
            inspect.signature(function).bind(self.module_shape, self.outputs, **arguments)
        except TypeError as error:
            self._refuse(
                "arguments", show(arguments), f"do not fit: {self.factory}(input_shape, outputs, ...): {error}"
            )
        except ValueError:
            pass  # some functions have no signature; the call will tell
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach the generators of GPUs as well
            try:
                module = function(self.module_shape, self.outputs, **arguments)
            except Exception as error:  # it is the user's code: whatever it raises is told as theirs
                self._refuse("factory", repr(self.factory), f"fails when called with {self._call}: {told(error)}")
        if not isinstance(module, nn.Module):
            self._refuse("factory", repr(self.factory), f"must give a torch.nn.Module, not {type(module).__name__}")
        return module

    @property
    def _call(self) -> str:
        return f"input_shape {self.module_shape}, outputs {self.outputs}"

    def _function(self) -> Callable[..., Any]:
        place, _, name = self.factory.partition(":")
        mend = "install its package or put its folder on PYTHONPATH, on every machine that trains; or name its file in plugins"
        try:
            target: Any = sys.modules.get(f"{_PLUGINS}.{place}") or importlib.import_module(place)
        except ModuleNotFoundError as error:
            self._refuse("factory", repr(self.factory), f"cannot be imported: {error}; {mend}")
        except Exception as error:
            self._refuse("factory", repr(self.factory), f"cannot be imported: {told(error)}")
        for part in name.split("."):
            if not hasattr(target, part):
                functions = [name for name, value in getattr(target, "__dict__", {}).items() if callable(value)]
                self._refuse("factory", repr(self.factory), f"{place} has no {part}{near(part, functions)}")
            target = getattr(target, part)
        if not callable(target):
            self._refuse("factory", repr(self.factory), f"must be a function, not {type(target).__name__}")
        return target

    def _refuse(self, field: str, value: str, right: str) -> NoReturn:
        raise SweepError(f"network {self.factory}", [Problem(f"net.{field}", value, right)])


@dataclass(frozen=True)
class Examined:
    """What a trial run has shown of a factory's modules.

    Args:    state: names of the buffers that training changes, such as running means. operations: torch's, by name, each once
             for every time that it ran in a forward pass. linear_calls: how often a plain `torch.nn.Linear` ran in it.
             joins: whether a sample's outputs depend on the others in evaluation.
    """

    layers: tuple[Layer, ...]
    state: tuple[str, ...]
    operations: tuple[str, ...]
    linear_calls: int
    joins: bool


def told(error: Exception) -> str:
    """Someone else's error in one line."""
    text = " ".join(str(error).split())
    text = text if len(text) <= _MOST_TOLD else f"{text[: _MOST_TOLD - 3]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@until_changed  # a plugin of the same name may have joined with another factory
def examined(recipe: Recipe) -> Examined:
    """The layers of a recipe's modules, and what else a trial run shows.

    Raises:  SweepError: with all that keeps the module from being trained and pruned layer by layer.
    """
    module = recipe.module(0)
    wrong = list(_unfit(module))
    if not wrong and _differ(module, recipe.module(0)):
        wrong = ["gives other weights for the same seed of torch: draw from torch's generator only"]
    if not wrong:
        run = _Run(recipe, module.float())
        wrong = run.wrong
        if not wrong:
            return run.examined()
    value = repr(recipe.factory)
    raise SweepError(f"network {recipe.factory}", [Problem("net.factory", value, right) for right in wrong])


def layer_modules(module: nn.Module) -> dict[str, nn.Module]:
    """The layers by the names of their modules, in the order of `named_modules()`."""
    return {name: part for name, part in module.named_modules() if isinstance(part, KINDS)}


def parameter_name(module: str, parameter: str) -> str:
    return f"{module}.{parameter}" if module else parameter


def _unfit(module: nn.Module) -> Iterator[str]:
    """What is wrong with a module before it runs."""
    lazy = [name for name, part in module.named_parameters() if is_lazy(part)]
    if lazy:
        yield f"has lazy parameters ({', '.join(lazy[:3])}): give sizes, or run the module once in the factory"
        return
    layers = layer_modules(module)
    if not layers:
        yield "gives a module without a layer: Linear, Conv1d, Conv2d or Conv3d"
    if not any(part.requires_grad for part in module.parameters()):
        yield "gives a module without parameters to train"
    computed = [name for name, layer in layers.items() if "weight" not in layer._parameters]
    if computed:
        yield f"computes the weight of {', '.join(computed)} (a parametrization): pruning needs weights that are parameters"
    places: dict[int, str] = {}
    weights = {parameter_name(name, "weight") for name in layers}
    for name, part in module.named_parameters(remove_duplicate=False):
        other = places.setdefault(id(part), name)
        if other != name and {name, other} & weights:
            yield f"ties {other} and {name}: a weight that stands in two places belongs to no single layer"


def _differ(module: nn.Module, other: nn.Module) -> bool:
    first, second = module.state_dict(), other.state_dict()
    if first.keys() != second.keys():
        return True
    return not all(torch.equal(value, second[name]) for name, value in first.items())


class _Names(TorchDispatchMode):
    """The names of torch's operations that run while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        self.seen.append(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


class _Run:
    """A forward and backward pass in training, and a forward pass in evaluation, on a few inputs of noise."""

    def __init__(self, recipe: Recipe, module: nn.Module) -> None:
        self._recipe, self._module, self._layers = recipe, module, layer_modules(module)
        self._calls: list[str] = []  # layers in the order in which they ran
        self._whole: dict[str, bool] = {}  # whether the inputs of a Linear were [sample, input]
        self._names = _Names()
        self._joins = False
        self._before = {name: value.clone() for name, value in module.named_buffers()}
        self.wrong: list[str] = []
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.default_generator.manual_seed(0)
            inputs = torch.randn(_SAMPLES, *recipe.module_shape)
            try:
                self._train(inputs)
                if not self.wrong:
                    self._evaluate(inputs)
            except Exception as error:  # it is the user's code
                self.wrong.append(f"fails on inputs of shape {tuple(inputs.shape)}: {told(error)}")

    def _train(self, inputs: Tensor) -> None:
        places = {name: id(value) for name, value in self._module.named_buffers()}
        hooks = [layer.register_forward_hook(self._seen(name)) for name, layer in self._layers.items()]
        with self._names:
            outputs = self._module.train()(inputs)
        for hook in hooks:
            hook.remove()
        self._check_shape(outputs, "training")
        assigned = [name for name, value in self._module.named_buffers() if places.get(name) != id(value)]
        if assigned:  # nets that share one module keep their buffers beside it: what is put in its place is lost
            self.wrong.append(
                f"assigns to the buffer {', '.join(assigned)} in training: change it in place (copy_, mul_, lerp_)"
            )
        if not self.wrong:
            self._check_gradients(outputs)
            self._check_order()

    def _evaluate(self, inputs: Tensor) -> None:
        self._module.eval()
        with torch.no_grad():
            outputs = self._module(inputs)
            self._check_shape(outputs, "evaluation")
            if not self.wrong and not torch.equal(outputs, self._module(inputs)):
                self.wrong.append("gives other outputs for the same inputs in evaluation: let it draw in training only")
            elif not self.wrong:
                halves = torch.cat([self._module(half) for half in inputs.chunk(2)])
                self._joins = not torch.allclose(outputs, halves, rtol=1e-3, atol=1e-4)  # rounding is far below

    def _seen(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
            self._calls.append(name)
            self._whole[name] = isinstance(layer, nn.Linear) and inputs[0].dim() == 2

        return hook

    def _check_shape(self, outputs: object, when: str) -> None:
        wanted = (_SAMPLES, self._recipe.outputs)
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        if shape != wanted:
            given = (_SAMPLES, *self._recipe.module_shape)
            self.wrong.append(f"must give outputs {wanted} for inputs {given} in {when}, not {shape}")

    def _check_gradients(self, outputs: Tensor) -> None:
        trained = {name: part for name, part in self._module.named_parameters() if part.requires_grad}
        slopes = torch.autograd.grad(outputs.sum(), list(trained.values()), allow_unused=True)
        weights = {parameter_name(name, "weight") for name in self._layers}
        unused = [name for name, slope in zip(trained, slopes, strict=True) if slope is None and name in weights]
        if unused:
            self.wrong.append(f"does not use {', '.join(unused)}: leave out what the outputs do not depend on")

    def _check_order(self) -> None:
        names, called = list(self._layers), self._calls
        if called and (called[0] != names[0] or called[-1] != names[-1]):
            self.wrong.append(
                f"registers its layers from {names[0]} to {names[-1]} and runs them from {called[0]} to {called[-1]}: assign the "
                "one that reads the inputs first, and the output layer last"
            )

    def examined(self) -> Examined:
        after = dict(self._module.named_buffers())
        norms = {name for name in self._before if name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
        changed = {name for name, value in self._before.items() if not torch.equal(value, after[name])}
        return Examined(
            tuple(self._layer(number, name) for number, name in enumerate(self._layers, start=1)),
            tuple(name for name in self._before if name in norms | changed),
            tuple(self._names.seen),
            sum(type(self._layers[name]) is nn.Linear for name in self._calls),
            self._joins,
        )

    def _layer(self, number: int, name: str) -> Layer:
        module = self._layers[name]
        weight, bias = module._parameters["weight"], module._parameters["bias"]
        assert weight is not None
        shape = tuple(weight.shape)
        dense = self._whole.get(name, False) and self._calls.count(name) == 1
        inputs = LayerSize(shape=shape, dense=dense).input_shape(number, self._recipe.input_shape)
        names = parameter_name(name, "weight"), None if bias is None else parameter_name(name, "bias")
        return Layer(number, *names, shape, inputs, dense)


def sizes(
    factory: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int
) -> list[dict[str, Any]]:
    """`net.sizes`: what a factory gives for data of that shape.

    Raises:  SweepError: as `examined`.
    """
    return [_size(layer) for layer in examined(Recipe(factory, as_json(arguments), input_shape, outputs)).layers]


def _size(layer: Layer) -> dict[str, Any]:
    size: dict[str, Any] = {"shape": list(layer.shape)}
    return {**size, **({} if layer.bias else {"bias": False}), **({} if layer.dense else {"dense": False})}


def as_json(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True)
