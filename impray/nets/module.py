"""Modules of a factory of the user's, stacked along a leading `net` axis.

    outputs = module(x; parameters, state)        x [sample, *input_shape] in the layout that `Recipe.module_shape` says

Parameters keep the names that the module gives them (`conv.weight`). Constant buffers, and parameters that need no gradient, stand
among them and never move. State are the buffers that training changes, above all the running means of batch norm: each net has its
own, they begin a round as the factory makes them, and evaluation reads them. Batch norm is as the module says: batch statistics
in training; in evaluation its exponential moving average over the round's batches.

In training all nets run as one program under `torch.func.vmap`, or, where that cannot be, one net after the other: dropout and other
noise (under vmap a net's would depend on its neighbours), control flow that depends on values, operations that vmap does not know.
In evaluation nets always run one by one.

On the CPU a net's numbers are the same, bit for bit, whatever nets stand beside it, where nets run one by one, and where all that is
trained are plain Linear layers with functions between them of which this is known (`EXACT`). Convolutions under vmap become one
grouped convolution, whose last bits depend on the number of groups.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from impray.nets import layout, stacked
from impray.nets.base import Layer, Network, Params
from impray.nets.factory import Examined, Recipe, as_json, examined, sizes, told
from impray.nets.initial import drawn
from impray.spec.errors import Problem, SweepError
from impray.spec.nets import Module
from impray.spec.trial import stream_seed
from impray.spec.wording import show

# Operations of a forward pass that give every net the numbers it has alone, and so do their derivatives. Not among them:
# sigmoid, exp, gelu, elu, softplus, whose kernels round the last few elements of a tensor differently.
EXACT = frozenset(
    f"aten.{name}"
    for name in (
        "view _unsafe_view t transpose permute unsqueeze squeeze slice select cat clone detach alias "
        "relu relu_ leaky_relu leaky_relu_ hardtanh hardtanh_ tanh tanh_ erf sin add sub mul neg abs"
    ).split()
)
_PRODUCTS = ("aten.addmm", "aten.mm")  # of a Linear
_Norm = nn.modules.batchnorm._NormBase  # batch norm and instance norm
_TRIAL = 2, 4  # nets and samples of the trial run under vmap


class ModuleNetwork(Network):
    """What the nets of a pack share (a `Network`).

    Attributes: trained: names of the parameters that training moves. packed: whether nets run as one program in training; else
    `why` says what keeps them from it.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._about: Examined = examined(recipe)
        self._module = recipe.module(0)
        self.trained = tuple(name for name, part in self._module.named_parameters() if part.requires_grad)
        tensors = {name: value.detach() for name, value in self._named()}
        self._state = {name: tensors[name] for name in self._about.state}
        self.why = self._why_not_packed()

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        yield from self._module.named_parameters()
        yield from self._module.named_buffers()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """As `Network.layers`."""
        return self._about.layers

    @property
    def packed(self) -> bool:
        return not self.why

    @property
    def exact(self) -> bool:
        """As `Network.exact`; see the module's first words."""
        if not self.packed:
            return True
        calls = Counter(self._about.operations)
        products = sum(calls.pop(name, 0) for name in _PRODUCTS)
        plain = {name for name, part in self._module.named_modules() if type(part) is nn.Linear}
        return (
            not self._about.state
            and products == self._about.linear_calls
            and calls.keys() <= EXACT
            and all(name.rpartition(".")[0] in plain for name in self.trained)
        )

    def initial(
        self, specs: Sequence[Module], seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str
    ) -> Params:
        """As `Network.initial`: `Module.init` says how; each net is made by a call of the factory of its own."""
        nets = [self._initial(spec, seed) for spec, seed in zip(specs, seeds, strict=True)]
        try:
            params = {name: torch.stack([net[name] for net in nets]) for name in nets[0]}
        except (KeyError, RuntimeError):
            right = "gives modules of other shapes for other seeds of torch's generator"
            raise SweepError("network", [Problem("net.factory", repr(self.recipe.factory), right)]) from None
        return {name: _as(value, dtype).to(device) for name, value in params.items()}

    def _initial(self, spec: Module, seed: int) -> Params:
        module = self.recipe.module(stream_seed(seed, "init"))
        named = [*module.named_parameters(), *module.named_buffers()]
        params = {name: value.detach() for name, value in named if name not in self._state}
        if spec.init != "module":
            weights = drawn(spec.init, [layer.shape for layer in self.layers], seed)
            for layer, weight in zip(self.layers, weights, strict=True):
                params[layer.weight] = weight
                if layer.bias is not None:
                    params[layer.bias] = torch.zeros_like(params[layer.bias])
        return params

    # -- training -----------------------------------------------------------------------------------------------------

    def begun(self, like: Tensor, nets: int) -> Params:
        """The state of `nets` nets at a round's start, with the device of `like` and its dtype where it is not whole numbers."""
        return {
            name: _as(value, like.dtype).to(like.device).expand(nets, *value.shape).clone()
            for name, value in self._state.items()
        }

    def outputs(
        self, params: Params, state: Params, inputs: Float[Tensor, "net sample input"]
    ) -> Float[Tensor, "net sample output"]:
        """What all nets give in training, as one program; `state` is moved on in place. For `packed` networks."""
        self._module.train()
        with stacked.products(self._module):
            return vmap(self._called)(params, state, inputs)

    def outputs_of_one(
        self, params: Params, state: Params, inputs: Float[Tensor, "sample input"]
    ) -> Float[Tensor, "sample output"]:
        """What one net gives in training (its tensors without a net axis); `state` is moved on in place."""
        self._module.train()
        return self._called(params, state, inputs)

    def _called(self, params: Params, state: Params, inputs: Float[Tensor, "sample input"]) -> Tensor:
        x = inputs.reshape(len(inputs), *self.recipe.module_shape)
        return functional_call(self._module, {**params, **state}, (x,))

    @property
    def _norms(self) -> list[_Norm]:
        return [part for part in self._module.modules() if isinstance(part, _Norm)]

    def _why_not_packed(self) -> str:
        """What forbids one program for all nets, found by running it; empty where nothing does."""
        nets, samples = _TRIAL
        params = {name: value.detach().float() if value.is_floating_point() else value for name, value in self._named()}
        params = {
            name: value.expand(nets, *value.shape).clone() for name, value in params.items() if name not in self._state
        }
        moved = [params[name].requires_grad_() for name in self.trained]
        inputs = torch.randn(
            nets, samples, *self.recipe.module_shape, generator=torch.Generator().manual_seed(0)
        ).flatten(2)
        try:
            with torch.enable_grad():
                outputs = self.outputs(params, self.begun(inputs, nets), inputs)
                torch.autograd.grad(outputs.sum(), moved, allow_unused=True)
        except Exception as error:  # whatever vmap raises at what it cannot do
            return told(error)
        return ""

    # -- evaluation ---------------------------------------------------------------------------------------------------

    def preactivations(
        self, params: Params, inputs: Float[Tensor, "net sample input"], stats: Params | None = None, last: int = 0
    ) -> list[Float[Tensor, "net sample unit"]]:
        """As `Network.preactivations`; the last layer's are the module's outputs, whatever it does with what that layer gives."""
        layers = self.layers[: last or len(self.layers)]
        of_nets = [self._one(params, inputs, stats, net, layers) for net in range(len(inputs))]
        return [torch.stack(of_layer) for of_layer in zip(*of_nets, strict=True)]

    def _one(
        self, params: Params, inputs: Tensor, stats: Params | None, net: int, layers: Sequence[Layer]
    ) -> list[Float[Tensor, "sample unit"]]:
        seen: Params = {}

        def keep(layer: Layer, module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
            seen[layer.weight] = result

        dense = [layer for layer in layers if layer.dense and layer.number < len(self.layers)]
        hooks = [self._layer_module(layer).register_forward_hook(partial(keep, layer)) for layer in dense]
        try:
            outputs = self._evaluated(params, inputs[net], stats, net)
        finally:
            for hook in hooks:
                hook.remove()
        seen[self.layers[-1].weight] = outputs
        return [seen.get(layer.weight, outputs.new_empty(len(outputs), 0)) for layer in layers]

    def _evaluated(self, params: Params, inputs: Tensor, stats: Params | None, net: int) -> Tensor:
        # Copies: a slice starts anywhere in memory, and products round by where a matrix starts (`impray.nets.layout`).
        own, state = ({name: value[net].clone() for name, value in part.items()} for part in (params, stats or {}))
        begun = {name: value[0] for name, value in self.begun(inputs, 1).items()}
        x = inputs.clone() if inputs.data_ptr() % layout.LINE_BYTES else inputs
        self._module.eval()
        if not stats:  # norms then take the statistics of these inputs
            for part in self._norms:
                part.train()
        return self._called(own, begun | state, x)

    def addends(
        self,
        params: Params,
        inputs: Float[Tensor, "sample input"],
        stats: Params | None,
        below: Float[Tensor, "sample lower"] | None,
        layer: Layer,
    ) -> tuple[Float[Tensor, "unit feature"], Float[Tensor, "sample feature"]]:
        """As `Network.addends`; the inputs are those that the module hands to the layer, normalised where it does that."""
        assert layer.dense, "a moved kernel has no one input per weight"
        seen: list[Tensor] = []
        hook = self._layer_module(layer).register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        try:
            self._evaluated(params, inputs, stats, 0)
        finally:
            hook.remove()
        return params[layer.weight][0], seen[0]

    def _layer_module(self, layer: Layer) -> nn.Module:
        return self._module.get_submodule(layer.weight.rpartition(".")[0])

    def affine(self, params: Params) -> Params | None:
        """As `Network.affine`, for batch and instance norm with running statistics."""
        like = next(value for name, value in params.items() if name in self.trained)
        stats = self.begun(like, len(like))
        normalised = False
        for name, part in self._module.named_modules():
            if isinstance(part, _Norm) and part.running_var is not None:
                prefix = f"{name}." if name else ""
                stats[f"{prefix}running_mean"].zero_()
                stats[f"{prefix}running_var"].fill_(1 - part.eps)  # what the module adds to it makes it 1
                normalised = True
        return stats if normalised else None

    def joins_samples(self, stats: Params | None) -> bool:
        """As `Network.joins_samples`: batch norm does, unless it is told the statistics; what else does, a trial run shows."""
        batch_norms = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in self._norms)
        return self._about.joins or (batch_norms and not stats)


def _as(value: Tensor, dtype: torch.dtype) -> Tensor:
    """In `dtype`, unless it holds whole numbers."""
    return value.to(dtype) if value.is_floating_point() else value


def architecture(net: Module, input_shape: tuple[int, ...], outputs: int) -> ModuleNetwork:
    """The shared form of the modules that `net` describes, on inputs of that shape and with so many outputs.

    Raises:  SweepError: the factory cannot be used, or gives other layers than the sweep was loaded with.
    """
    declared = [size.model_dump(mode="json") for size in net.sizes]
    recipe = Recipe(net.factory, as_json(net.arguments), input_shape, outputs)
    network = ModuleNetwork(recipe)
    now = sizes(net.factory, net.arguments, input_shape, outputs)
    full = [{"bias": True, "dense": True, **size} for size in now]
    if declared != full:
        right = f"the factory {net.factory} gives {show(now)} here; leave sizes out, and say another net.version if it changed"
        raise SweepError("network", [Problem("net.sizes", show(declared), right)])
    if not network.packed:
        warnings.warn(
            f"{net.factory}: nets run one after the other, not as one pack (the same numbers, more slowly): {network.why}",
            RuntimeWarning,
            stacklevel=2,
        )
    return network
