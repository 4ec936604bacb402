"""What the fields of a release must be, over and above its hash: a file made by hand has a right hash, too.

One check per type of field, for all three dataclasses that a release is made of, and a few rules between fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from ranking.backbones import BACKBONES
from ranking.head import widths
from ranking.shape import RankerShape

if TYPE_CHECKING:
    from encoders.hein import HeinShape
    from ranking.release import About

_FIRST_ITEM = 2  # vocabulary indices: 0 is padding, 1 is unknown


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(value: Any) -> bool:  # noqa: ANN401 - whatever release.json holds
    return _number(value) and -float("inf") < value < float("inf")


def _count(value: Any) -> bool:  # noqa: ANN401 - as above
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _word(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _numbers(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(_number, value.values()))  # a metric may be undefined: NaN


def _all(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: isinstance(values, tuple) and all(map(check, values))


_TYPES: Mapping[object, tuple[Callable[[Any], bool], str]] = {
    int: (_count, "a whole number, not below 0"),
    float: (_finite, "a finite number"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    str: (_word, "text"),
    tuple[str, ...]: (_all(_word), "a list of texts"),
    tuple[int, ...]: (_all(_count), "a list of whole numbers, not below 0"),
    tuple[float, ...]: (_all(_finite), "a list of finite numbers"),
    Mapping[str, float]: (_numbers, "an object of numbers"),
    Mapping[str, Any]: (lambda value: isinstance(value, Mapping), "an object"),
}

# The sizes of the ranker's weights do not depend on H: what its backbone attends to must be there, no more is known.
_RULES: Mapping[str, tuple[Callable[["About"], bool], str]] = {
    "temperature": (lambda about: about.temperature > 0, "above 0"),
    "history_length": (
        lambda about: max(1, about.ranker.backbone_history) <= about.history_length <= about.ring_size,
        "at least 1 and the ranker's backbone_history, at most ring_size",
    ),
    "factors": (
        lambda about: len(about.factors) == about.hein.factors == about.ranker.factors,
        "as many names as hein.factors and ranker.factors say",
    ),
    "dim": (lambda about: about.dim == about.hein.dim == about.ranker.dim, "hein.dim and ranker.dim"),
    "hein.summary": (lambda about: about.hein.summary == about.ranker.summary, "ranker.summary"),
    "anchors": (lambda about: len(about.anchors) == about.ranker.anchors, "as many ids as ranker.anchors says"),
    "anchor_means": (lambda about: len(about.anchor_means) == len(about.anchors), "one number per anchor"),
    "ranker.backbone": (lambda about: about.ranker.backbone in BACKBONES, f"one of {', '.join(BACKBONES)}"),
    "ranker.groups": (lambda about: set(about.ranker.groups) <= set(widths(1)), f"out of {', '.join(widths(1))}"),
    "ranker.spread": (lambda about: about.ranker.spread > 0, "above 0"),
    "ranker.dropout": (lambda about: 0 <= about.ranker.dropout < 1, "at least 0 and below 1"),
}


def check(about: "About", vocabulary: object) -> None:
    """Raise ValueError, with the field's name, what it must be and what it is, for the first that is wrong."""
    for prefix, part in (("hein.", about.hein), ("ranker.", about.ranker), ("", about)):
        _check_types(prefix, part)
    for name, (holds, wanted) in _RULES.items():
        if not holds(about):
            value: Any = about
            for step in name.split("."):
                value = getattr(value, step)
            raise _wrong(name, wanted, value)
    _check_vocabulary(vocabulary, about.ranker.vocabulary)


def _check_types(prefix: str, part: "About | HeinShape | RankerShape") -> None:
    for one in fields(part):
        if isinstance(one.type, type) and is_dataclass(one.type):
            continue  # checked on its own
        holds, wanted = _TYPES[one.type]
        if not holds(getattr(part, one.name)):
            raise _wrong(prefix + one.name, wanted, getattr(part, one.name))


def _check_vocabulary(vocabulary: object, size: int) -> None:
    if not isinstance(vocabulary, Mapping):
        raise _wrong("vocabulary", "an object of item ids and their indices", vocabulary)
    for item, index in vocabulary.items():
        if not (_word(item) and _count(index) and _FIRST_ITEM <= index < size):
            raise _wrong(f"vocabulary[{item!r}]", f"a whole number from {_FIRST_ITEM} to {size - 1}", index)
    if len(set(vocabulary.values())) < len(vocabulary):
        raise ValueError("vocabulary gives two items the same index")


def _wrong(name: str, wanted: str, value: object) -> ValueError:
    found = repr(value)
    return ValueError(f"{name} must be {wanted}; it is {found if len(found) <= 80 else found[:77] + '...'}")
