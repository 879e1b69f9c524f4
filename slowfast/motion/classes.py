"""Shapes and motions by name, and the conditions under which sparse frames show no direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slowfast.motion.scene import COLORS, SHAPES
from slowfast.utils.suggest import did_you_mean

MOTIONS = {  # name -> (family, direction); in pairs, the first of each is the forward phase
    "spin-cw": ("spin", 1),
    "spin-ccw": ("spin", -1),
    "orbit-cw": ("orbit", 1),
    "orbit-ccw": ("orbit", -1),
    "slide-right": ("slide", 1),
    "slide-left": ("slide", -1),
    "zoom-in": ("zoom", 1),
    "zoom-out": ("zoom", -1),
}
DEFAULT_SHAPES = ("arrow", "key")
DEFAULT_MOTIONS = ("spin-cw", "spin-ccw", "orbit-cw", "orbit-ccw")


def shape_of(class_name: str) -> str:
    """The shape in a class name: "arrow" of "arrow-spin-cw"."""
    return _parse(class_name)[0]


def motion_of(class_name: str) -> str:
    """The motion in a class name: "spin-cw" of "arrow-spin-cw"."""
    return "-".join(_parse(class_name)[1:3])


def direction_of(class_name: str) -> str:
    """The direction in a class name: "cw" of "arrow-spin-cw"."""
    return _parse(class_name)[2]


def color_of(class_name: str) -> str | None:
    """The color in a class name: "red" of "red-arrow-spin-cw", None of "arrow-spin-cw"."""
    return _parse(class_name)[3]


def opposite_of(motion: str) -> str:
    """The same motion in the other direction: "spin-ccw" of "spin-cw"."""
    family, direction = MOTIONS[motion]
    return next(name for name, value in MOTIONS.items() if value == (family, -direction))


def check_spec(spec, limits: dict[str, int]) -> None:
    """Turns the sequences among a set's arguments into tuples, and checks what all forms of the set share.

    Args:
        spec: a frozen dataclass with height, width, shapes, motions, slow_interval and turns_per_interval.
        limits: name of every whole number among the arguments -> its minimum.

    Raises:
        ValueError: names the argument, its value and what is accepted.
    """
    for name in ("shapes", "motions", "turns_per_interval"):
        object.__setattr__(spec, name, tuple(getattr(spec, name)))
    _check_sizes(spec, limits)
    _check_names("shapes", spec.shapes, SHAPES)
    _check_names("motions", spec.motions, MOTIONS)
    _check_pairs(spec.motions)
    _check_turns(spec)


def check_looks(spec) -> None:
    """Turns ``spec.colors`` and ``spec.distractors`` into tuples, and checks their names.

    Raises:
        ValueError: names what does not fit and what is accepted.
    """
    for name in ("colors", "distractors"):
        object.__setattr__(spec, name, tuple(getattr(spec, name)))
    if spec.colors:
        _check_names("colors", spec.colors, COLORS)
    if not spec.distractors:
        return
    known = [*SHAPES, *(COLORS if spec.colors else ())]
    _check_names("distractors", spec.distractors, known)
    for name in spec.distractors:
        if name in (*spec.shapes, *spec.colors):
            others = ", ".join(look for look in known if look not in (*spec.shapes, *spec.colors)) or "none is left"
            raise ValueError(f"distractors: {name!r} is also the appearance of a class. Name others: {others}.")


def _parse(class_name: str) -> tuple[str, str, str, str | None]:
    """(shape, family, direction, color or None) of a class name."""
    first, _, rest = class_name.partition("-")
    color, look = (first, rest) if first in COLORS else (None, class_name)
    shape, _, motion = look.partition("-")
    if shape not in SHAPES or motion not in MOTIONS:
        raise ValueError(
            f"{class_name!r} is not a Motion class; the form is shape-motion, as in 'arrow-spin-cw', or "
            "color-shape-motion, as in 'red-arrow-spin-cw'."
        )
    family, direction = motion.split("-")
    return shape, family, direction, color


def _check_sizes(spec, limits: dict[str, int]) -> None:
    for name, least in limits.items():
        value = getattr(spec, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r}: give a whole number of at least {least}.")
    for name in ("height", "width"):
        if getattr(spec, name) % 2:
            raise ValueError(f"{name}={getattr(spec, name)} is odd, which yuv420p cannot hold: give an even number.")
    if spec.width < spec.height:
        raise ValueError(f"width={spec.width} is below height={spec.height}: a shape's path needs at least the height.")


def _check_names(argument: str, names: Sequence[str], known: Iterable[str]) -> None:
    if not names:
        raise ValueError(f"{argument} is empty: name at least one of {', '.join(known)}.")
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"{argument}: {name!r} is not known.{hint} Known: {', '.join(known)}.")
    if len(set(names)) < len(names):
        raise ValueError(f"{argument} contains duplicates: {', '.join(names)}.")


def _check_pairs(motions: Sequence[str]) -> None:
    """Both directions of each family must be present: a single one would be recognized by its appearance."""
    for name in motions:
        opposite = opposite_of(name)
        if opposite not in motions:
            raise ValueError(
                f"motions holds {name!r} without {opposite!r}: appearance would reveal it. Add the latter."
            )


def _check_turns(spec) -> None:
    """Slow frames must not show the direction, and Fast frames must."""
    low, high = spec.turns_per_interval
    turns = f"turns_per_interval=({low:g}, {high:g})"
    if not 0 <= low < high or not (_is_whole(high - low) or _is_whole(low + high)):
        raise ValueError(
            f"{turns}: Slow frames would show the direction. It takes 0 <= low < high and a range that is a whole "
            "number of turns wide, as (0.25, 1.25), or centered on a multiple of half a turn, as (0.25, 0.75)."
        )
    if high / spec.slow_interval >= 0.5:
        raise ValueError(
            f"{turns} within slow_interval={spec.slow_interval} frames is up to {high / spec.slow_interval:.2f} turns "
            f"per frame; from half a turn on, Fast frames cannot show the direction either. Raise slow_interval."
        )


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9
