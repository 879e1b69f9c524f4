"""Converts the state of a training to and from PySlowFast's form, so that either framework can resume the other's runs.

An optimizer's state is a list by the position of the parameters, so it depends on their order. PySlowFast puts them in
groups (batch norm, all else, what has no decay) and, inside a group, in the order of its modules: stage by stage, the
pathways of a stage, then what joins them. Here a pathway comes as a whole. In PySlowFast the scales and shifts of
sub-batch norm are no batch norm's: they stand with all else.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from slowfast.models.norm import join_sub_norms
from slowfast.models.weights.load import CheckpointError
from slowfast.models.weights.names import rename

FIELDS = ("epoch", "model_state", "optimizer_state", "cfg", "scaler_state")  # of a checkpoint of PySlowFast
_BUFFER = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")
_GROUP_KEYS = {"layer_decay": 1.0, "apply_LARS": False}  # that PySlowFast's trainer reads from every group
# GradScaler's at the start: PySlowFast loads one whether it trains in 16 bit or not.
_FRESH_SCALER = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000,
                 "_growth_tracker": 0}  # fmt: skip

Groups = list[list[str]]  # names of an optimizer's parameters, group by group


def has_training_state(content: Mapping[str, Any]) -> bool:
    """Whether a checkpoint holds what a training needs to resume."""
    return "epoch" in content and isinstance(content.get("optimizer_state"), Mapping)


def to_pyslowfast(content: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint from which PySlowFast can resume training, made from one in our names; it has only ``FIELDS``.

    Sub-batch norms become plain ones, as PySlowFast saves them. Without the state of a training it holds weights, from
    which PySlowFast starts at epoch 0.

    Raises:
        CheckpointError: an optimizer's state that does not belong to the parameters.
    """
    ours = content["model_state"]
    result: dict[str, Any] = {"model_state": rename(join_sub_norms(ours), to="pyslowfast")}
    if has_training_state(content):
        names, norms = _parameters(ours), _norms(ours)
        source = _groups_of(content["optimizer_state"], ours, names, norms)
        order = sorted(names, key=_pyslowfast_order)
        target = _grouped(order, norms - _sub_norms(ours), ours, vectors_apart=_has_vectors(source, norms, ours))
        result["epoch"] = content["epoch"]
        result["optimizer_state"] = _reordered(content["optimizer_state"], source, target)
        for group in result["optimizer_state"]["param_groups"]:
            group |= _GROUP_KEYS
        result["scaler_state"] = content.get("scaler_state") or dict(_FRESH_SCALER)
    if "cfg" in content:
        result["cfg"] = content["cfg"]
    return {name: result[name] for name in FIELDS if name in result}


def from_pyslowfast(content: Mapping[str, Any]) -> dict[str, Any]:
    """A PySlowFast checkpoint with our names, and our order of the optimizer's state if it has one; other fields stay.

    Raises:
        CheckpointError: an optimizer's state that does not belong to the parameters.
    """
    ours = rename(content["model_state"], to="slowfast")
    result = {**content, "model_state": ours}
    if has_training_state(content):
        optimizer, norms = content["optimizer_state"], _norms(ours)
        order = sorted(_parameters(ours), key=_pyslowfast_order)
        try:
            source = _groups_of(optimizer, ours, order, norms)
        except CheckpointError:  # its file holds plain norms even where the training had sub-batch norms
            source = _groups_of(optimizer, ours, order, set())
        names = sorted(_parameters(ours), key=_our_order)
        target = _grouped(names, norms, ours, vectors_apart=_has_vectors(source, norms, ours))
        result["optimizer_state"] = _reordered(optimizer, source, target)
        for group, key in itertools.product(result["optimizer_state"]["param_groups"], _GROUP_KEYS):
            group.pop(key, None)
    return result


def _parameters(state: Mapping[str, Tensor]) -> list[str]:
    return [name for name in state if not _BUFFER.search(name)]


def _norms(state: Mapping[str, Tensor]) -> set[str]:
    """Parameters of batch norms of any kind."""
    plain = {name for name in _parameters(state) if f"{name.rpartition('.')[0]}.running_mean" in state}
    return plain | _sub_norms(state)


def _sub_norms(state: Mapping[str, Tensor]) -> set[str]:
    return {name for name in _parameters(state) if f"{name.rpartition('.')[0]}.split_bn.running_mean" in state}


def _grouped(names: Sequence[str], norms: Iterable[str], state: Mapping[str, Tensor], *, vectors_apart: bool) -> Groups:
    """Norms, all else, and apart from that vectors (SOLVER.ZERO_WD_1D_PARAM), without empty groups."""
    norms = set(norms)
    groups: Groups = [[], [], []]
    for name in names:
        groups[0 if name in norms else 2 if vectors_apart and state[name].ndim == 1 else 1].append(name)
    return [group for group in groups if group]


def _groups_of(
    optimizer: Mapping[str, Any], state: Mapping[str, Tensor], names: Sequence[str], norms: Iterable[str]
) -> Groups:
    """The groups of ``names`` in ``optimizer``, a state dict, judged by their lengths."""
    lengths = [len(group["params"]) for group in optimizer.get("param_groups", [])]
    for vectors_apart in (False, True):
        groups = _grouped(names, norms, state, vectors_apart=vectors_apart)
        if lengths == [len(group) for group in groups]:
            return groups
    raise CheckpointError(
        f"the optimizer's state has groups of {lengths} parameters, which do not match the {len(names)} parameters in "
        f"the file: its training cannot be resumed elsewhere."
    )


def _has_vectors(groups: Groups, norms: Iterable[str], state: Mapping[str, Tensor]) -> bool:
    """Whether the last group holds vectors that do not belong to a norm."""
    rest = set(groups[-1]) - set(norms)
    return len(groups) > 1 and bool(rest) and all(state[name].ndim == 1 for name in rest)


def _pyslowfast_order(name: str) -> tuple[int, int]:
    """Where PySlowFast registers the module of our ``name``: stage, then pathway; inside them orders are the same."""
    part, _, rest = name.partition(".")
    if part == "laterals":
        return int(rest.partition(".")[0]) + 1, 2
    if part == "head":
        return 9, 0
    stage = re.match(r"res(\d)", rest)
    return int(stage[1]) if stage else 1, int(part == "fast")


def _our_order(name: str) -> int:
    """Where our networks register it."""
    parts = ("laterals", "slow", "pathway", "fast", "head")
    part = name.partition(".")[0]
    return parts.index(part) if part in parts else len(parts)


def _reordered(optimizer: Mapping[str, Any], source: Groups, target: Groups) -> dict[str, Any]:
    """``optimizer`` with its parameters in the groups and order of ``target``; hyperparameters are kept.

    A group takes those of the group that its first parameter comes from.
    """
    position = {name: index for index, name in enumerate(itertools.chain.from_iterable(source))}
    group_of = {name: index for index, group in enumerate(source) for name in group}
    states: dict[int, Any] = {}
    groups: list[dict[str, Any]] = []
    for names in target:
        first = groups[-1]["params"][-1] + 1 if groups else 0
        hyperparameters = dict(optimizer["param_groups"][group_of[names[0]]])
        groups.append({**hyperparameters, "params": list(range(first, first + len(names)))})
        for index, name in enumerate(names, first):
            if position[name] in optimizer["state"]:
                states[index] = optimizer["state"][position[name]]
    return {"state": states, "param_groups": groups}
