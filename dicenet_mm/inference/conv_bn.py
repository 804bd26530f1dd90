"""Batch normalisation folded into convolutions, where data flow and exact types say that it may.

The order in which a module holds its layers says little: pre-activation networks hold a normalisation behind the
convolution that it comes before, and a residual one may use twice what a convolution gave. So ``forward`` is traced,
down to modules without modules of their own. A normalisation folds where it alone uses what a convolution gives, and
takes nothing else. A module that cannot be traced is a leaf to the others, and its parts are traced one by one; what it
holds directly stays as it is, unless it is mmcv's ``ConvModule``, which says its order itself.
"""
import warnings
from collections import defaultdict
from copy import deepcopy
from inspect import signature
from itertools import pairwise

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.nn.utils.fusion import fuse_conv_bn_eval

NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)  # subclasses may do more

Place = tuple[nn.Module, str]  # an owner and the name of one of its modules


class DataFlow:
    """Which modules of a model are called after which, and read by others, as far as that can be traced.

    Args:
        model: Stays as it is.
    """

    def __init__(self, model: nn.Module):
        self._before: dict[Place, set[Place | None]] = defaultdict(set)  # what gives the input, None if not one alone
        self._after: dict[Place, set[Place | None]] = defaultdict(set)  # what takes the output, likewise
        self._read: set[int] = set()  # ids of tensors
        queue, seen = [model], set()
        while queue:
            module = queue.pop()
            if module in seen or not module._modules:
                continue
            seen.add(module)
            traces = _trace(module)
            for trace in traces:
                self._read |= trace.read
                queue += self._add(module, trace.graph)
            if not traces:
                queue += module.children()
                if _says_its_order(module) and ('conv', 'norm') in pairwise(module.order):
                    self._join((module, 'conv'), (module, module.norm_name))

    def pairs(self) -> list[tuple[Place, Place]]:
        """Modules, and those that alone take what they give, and nothing else."""
        pairs = ((first, *after) for first, after in self._after.items() if len(after) == 1)
        return [(first, second) for first, second in pairs if second and self._before[second] == {first}
                and not self.is_read(_at(first)) and not self.is_read(_at(second))]

    def is_read(self, module: nn.Module) -> bool:
        """Whether another module uses parameters or buffers of this one rather than calling it."""
        return any(id(tensor) in self._read for tensor in module.state_dict(keep_vars=True).values())

    def _join(self, first: Place, second: Place) -> None:
        self._after[first].add(second)
        self._before[second].add(first)

    def _add(self, module: nn.Module, graph: fx.Graph) -> list[nn.Module]:
        """Take in what one module does; returns the leaves."""
        names = defaultdict(set)
        for owner in module.modules():
            for name, child in owner._modules.items():
                names[child].add((owner, name))
        leaves = []
        for node in graph.nodes:
            if node.op != 'call_module':
                continue
            place = _place(module, node.target)
            leaves.append(_at(place))
            after = [user for user in node.users if user.op == 'call_module' and _takes(user) is node]
            before = _takes(node)
            if before is None or before.op != 'call_module':
                self._before[place].add(None)
            if len(after) == len(node.users) == 1:
                self._join(place, _place(module, after[0].target))
            else:
                self._after[place].add(None)
            if len(names[leaves[-1]]) > 1:  # a trace does not tell under which of its names a module was called
                for place in names[leaves[-1]]:
                    self._before[place].add(None)
                    self._after[place].add(None)
        return leaves


class _Tracer(fx.Tracer):
    """Notes which tensors are read, and takes as a leaf what it cannot trace."""

    def __init__(self):
        super().__init__()
        self.read: set[int] = set()

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return not module._modules

    def getattr(self, attr, value, parameter_proxy_cache):
        if isinstance(value, Tensor):
            self.read.add(id(value))
        return super().getattr(attr, value, parameter_proxy_cache)

    def call_module(self, module, forward, args, kwargs):
        last, stack = next(reversed(self.graph.nodes)), list(self.module_stack.items())
        try:
            return super().call_module(module, forward, args, kwargs)
        except Exception:  # whatever a stranger's code says to a proxy
            for node in list(reversed(self.graph.nodes)):
                if node is last:
                    break
                self.graph.erase_node(node)
            self.module_stack.clear()
            self.module_stack.update(stack)
            return self.create_proxy('call_module', self.path_of_module(module), args, kwargs)


def _trace(module: nn.Module) -> list[_Tracer]:
    """The traces of a module's ``forward``: with all arguments, and with those alone that have no default.

    Returns none where one of them does not succeed, or a module keeps what it computes for others. The module does not
    notice: what holds others is copied, apart from tensors.
    """
    if 'forward' in vars(module):  # which fx would not see
        return []
    optional = {name: parameter.default for name, parameter in signature(type(module).forward).parameters.items()
                if parameter.default is not parameter.empty}
    leaves = (part for part in module.modules() if not part._modules)
    shared = {id(part): part for part in (*leaves, *module.parameters())}
    traces = []
    for defaults in (None, optional) if optional else (None,):
        trace = _Tracer()
        try:
            copy = deepcopy(module, dict(shared))
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                trace.trace(copy, defaults)
        except Exception:  # as above
            return []
        if any(map(_keeps_a_proxy, copy.modules())):
            return []
        traces.append(trace)
    return traces


def _keeps_a_proxy(module: nn.Module) -> bool:
    proxies = []
    map_aggregate(vars(module), lambda value: proxies.append(value) if isinstance(value, fx.Proxy) else None)
    return bool(proxies)


def fold_norms(flow: DataFlow) -> None:
    """Fold batch normalisation into convolutions, in place. Other users of a shared convolution keep the original."""
    for conv, norm in flow.pairs():
        folded = _folded(_at(conv), _at(norm))
        if folded is not None:
            conv[0]._modules[conv[1]] = folded
            norm[0]._modules[norm[1]] = nn.Identity()


def _folded(conv: nn.Module, norm: nn.Module) -> nn.Conv2d | None:
    """Both in one convolution, or None where their types or values do not allow it."""
    if not (type(conv) is nn.Conv2d and type(norm) in NORMS and is_plain(conv) and is_plain(norm)
            and norm.running_mean is not None and norm.running_var is not None):
        return None
    dtype = conv.weight.dtype
    if dtype in (torch.float16, torch.bfloat16):  # scales may leave the range of half even where the weights do not
        conv, norm = deepcopy(conv).float(), deepcopy(norm).float()
    folded = fuse_conv_bn_eval(conv, norm).to(dtype)
    return folded if all(value.isfinite().all() for value in folded.parameters()) else None


def is_plain(module: nn.Module) -> bool:
    """Whether a module and those within run as their classes say, without hooks or a ``forward`` of their own."""
    return not any(part._forward_hooks or part._forward_pre_hooks or 'forward' in vars(part)
                   for part in module.modules())


def _says_its_order(module: nn.Module) -> bool:
    return type(module) is ConvModule and module.with_norm and is_plain(module)


def _takes(call: fx.Node) -> fx.Node | None:
    """The one thing that a call takes, or None if there are several."""
    taken = call.args[0] if len(call.args) == 1 and not call.kwargs else None
    return taken if isinstance(taken, fx.Node) else None


def _place(module: nn.Module, target: str) -> Place:
    owner, _, name = target.rpartition('.')
    return module.get_submodule(owner), name


def _at(place: Place) -> nn.Module:
    return place[0]._modules[place[1]]
