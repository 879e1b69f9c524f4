"""PySlowFast's parameter names <-> ours, as one table.

The table is a bijection on the names of a model with pathways ("slow", "fast"), or of one with the single pathway
"pathway". Every load of a state dict goes through it, so PySlowFast's checkpoints load unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import nn

# (PySlowFast, ours). {p}: number or name of the pathway, {n}: number of the stage, {i}: number of the block.
_TABLE = (
    ("s1.pathway{p}_stem.", "{p}.stem."),
    ("s{n}.pathway{p}_res{i}.branch1.", "{p}.res{n}.block{i}.shortcut."),
    ("s{n}.pathway{p}_res{i}.branch1_bn.", "{p}.res{n}.block{i}.shortcut_bn."),
    ("s{n}.pathway{p}_res{i}.branch2.", "{p}.res{n}.block{i}."),
    ("s{n}.pathway{p}_nonlocal{i}.conv_", "{p}.res{n}.nonlocal{i}."),
    ("s{n}.pathway{p}_nonlocal{i}.bn.", "{p}.res{n}.nonlocal{i}.bn."),
    ("s{n}_fuse.conv_f2s.", "laterals.{n-1}.conv."),
    ("s{n}_fuse.", "laterals.{n-1}."),
    ("head.projection.", "head.classifier."),
)
_PATHWAYS = {1: ("pathway",), 2: ("slow", "fast")}
_FIELDS = {"p": r"\w+?", "n": r"\d+", "n-1": r"\d+", "i": r"\d+"}


def _pattern(template: str) -> re.Pattern:
    """A regular expression for the beginning of a name, one group a field."""
    pieces = re.split(r"{(.*?)}", template)
    for i in range(1, len(pieces), 2):
        pieces[i] = f"(?P<{pieces[i][0]}>{_FIELDS[pieces[i]]})"
    for i in range(0, len(pieces), 2):
        pieces[i] = re.escape(pieces[i])
    return re.compile("^" + "".join(pieces))


_FROM_PYSLOWFAST = tuple((_pattern(theirs), ours) for theirs, ours in _TABLE)
# "nonlocal{i}.bn" has to be tried before "nonlocal{i}.", "shortcut" before the rest of a block.
_TO_PYSLOWFAST = tuple(
    sorted(((_pattern(ours), theirs) for theirs, ours in _TABLE), key=lambda row: -len(row[0].pattern))
)


def is_pyslowfast_name(name: str) -> bool:
    """Whether ``name`` is of PySlowFast's making, and not one of ours."""
    return re.match(r"s\d+(\.pathway\d+_|_fuse\.)|head\.projection\.", name) is not None


def from_pyslowfast(name: str, *, num_pathways: int) -> str:
    """Our name for PySlowFast's ``name``; a name that the table does not hold is returned as it is."""
    for pattern, template in _FROM_PYSLOWFAST:
        match = pattern.match(name)
        if match:
            fields = dict(match.groupdict())
            if "p" in fields:
                if int(fields["p"]) >= num_pathways:
                    return name
                fields["p"] = _PATHWAYS[num_pathways][int(fields["p"])]
            if "n" in fields:
                fields["n-1"] = str(int(fields["n"]) - 1)
            return _fill(template, fields) + name[match.end() :]
    return name


def to_pyslowfast(name: str, *, num_pathways: int) -> str:
    """PySlowFast's name for our ``name``; a name that the table does not hold is returned as it is."""
    for pattern, template in _TO_PYSLOWFAST:
        match = pattern.match(name)
        if match:
            fields = dict(match.groupdict())
            if "p" in fields:
                if fields["p"] not in _PATHWAYS[num_pathways]:
                    continue
                fields["p"] = str(_PATHWAYS[num_pathways].index(fields["p"]))
            if pattern.pattern.startswith("^laterals"):
                fields["n"] = str(int(fields["n"]) + 1)
            return _fill(template, fields) + name[match.end() :]
    return name


def _fill(template: str, fields: Mapping[str, str]) -> str:
    return re.sub(r"{(.*?)}", lambda match: fields[match.group(1)], template)


def num_pathways_of(names: Iterable[str]) -> int:
    """2 if any of ``names``, in either naming, is of a second pathway, else 1."""
    return 2 if any(".pathway1_" in name or name.startswith(("fast.", "slow.")) for name in names) else 1


def rename(state: Mapping[str, object], *, to: str) -> dict[str, object]:
    """``state`` with its keys in the naming ``to``: "pyslowfast" or "slowfast"; the values are the same objects."""
    translate = {"pyslowfast": to_pyslowfast, "slowfast": from_pyslowfast}[to]
    num_pathways = num_pathways_of(state)
    return {translate(name, num_pathways=num_pathways): value for name, value in state.items()}


def accept_pyslowfast_names(model: nn.Module) -> None:
    """Let ``model.load_state_dict`` take PySlowFast's names beside ours; strict checks hold for both."""
    model.register_load_state_dict_pre_hook(_rename_on_load)


def _rename_on_load(model: nn.Module, state_dict, prefix: str, *_) -> None:
    for name in [name for name in state_dict if name.startswith(prefix) and is_pyslowfast_name(name[len(prefix) :])]:
        ours = from_pyslowfast(name[len(prefix) :], num_pathways=len(model.pathway_names))
        state_dict[prefix + ours] = state_dict.pop(name)
