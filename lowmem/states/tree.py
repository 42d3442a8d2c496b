"""Walk a state: into JSON values and named arrays, and back.

A node of the tree is a JSON value. An object with the key ``!`` is of the kind that this
key names, and the rest of it is that kind's own; any other object is a dictionary.

What is met twice is kept once, and is one object again after `Unpacker`: a loop that
changes an array in place sees that by both names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowmem.base.errors_loop import OtherStateError, UnkeptValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

KIND = "!"
_SAME = "same"
# Characters of an array's name in the archive: enough to recognise it.
_NAME_LENGTH = 100
_Node = dict[str, Any]


class Nothing:
    """What is given where nothing is."""


NOTHING = Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueKind:
    """How one kind of value is kept.

    Attributes
    ----------
    name
        In the tree; part of the format.
    is_of
        Tells whether a value is of this kind.
    pack
        Takes (value, packer, path), returns what its node holds.
    unpack
        Takes (node, unpacker, path, given), returns the value.
    is_filled
        Tells whether a value of this kind is put back into the given object, which others
        may hold too.
    is_shared
        Whether it matters that two names are one object.
    """

    name: str
    is_of: Callable[[Any], bool]
    pack: Callable[[Any, Packer, str], _Node]
    unpack: Callable[[Mapping[str, Any], Unpacker, str, Any], object]
    is_filled: Callable[[Any], bool] = lambda _: False
    is_shared: bool = True


class Packer:
    """Takes one state apart.

    Attributes
    ----------
    arrays
        What makes each array, by its name; none is made before it is asked for.
    views
        The arrays of NumPy that were met, with their places.
    """

    def __init__(self, kinds: Sequence[ValueKind]) -> None:
        self.arrays: dict[str, Callable[[], NDArray[Any]]] = {}
        self.views: list[tuple[NDArray[Any], str]] = []
        self._kinds = kinds
        # The values are held, so that no other gets the address of one that is gone.
        self._met: dict[int, tuple[object, str]] = {}
        self._within: set[int] = set()

    def pack(self, value: object, path: str) -> object:
        """Return the node of a value.

        Raises
        ------
        UnkeptValueError
            Naming the first value that cannot be kept.
        """
        if is_plain(value):
            return value
        kind = kind_of(value, self._kinds)
        if kind is None:
            raise UnkeptValueError(path=path, problem=f"is {described(value)}")
        if not kind.is_shared:
            return self._node(kind, value, path)
        if id(value) in self._within:
            raise UnkeptValueError(path=path, problem="holds itself")
        if id(value) in self._met:
            return {KIND: _SAME, "as": self._met[id(value)][1]}
        self._met[id(value)] = value, path
        self._within.add(id(value))
        node = self._node(kind, value, path)
        self._within.remove(id(value))
        return node

    def _node(self, kind: ValueKind, value: object, path: str) -> _Node | object:
        return {KIND: kind.name, **kind.pack(value, self, path)}

    def keep(self, path: str, make: Callable[[], NDArray[Any]]) -> str:
        """Promise an array; return its name.

        Parameters
        ----------
        make
            Returns it once it is written, one at a time.
        """
        words = re.sub(r"\W+", ".", path.removeprefix("state"), flags=re.ASCII)
        told = f".{words.strip('.')}" if words.strip(".") else ""
        name = f"{len(self.arrays):04d}{told[:_NAME_LENGTH]}"
        self.arrays[name] = make
        return name


class Unpacker:
    """Puts one state together.

    Parameters
    ----------
    arrays
        By name; each is read when it is asked for.
    """

    def __init__(
        self, kinds: Sequence[ValueKind], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        self.arrays = arrays
        self._kinds = kinds
        self._named = {kind.name: kind for kind in kinds}
        self._made: dict[str, object] = {}
        # Held, like what a packer has met.
        self._filled: dict[int, tuple[object, str]] = {}

    def unpack(self, node: object, path: str, given: object = NOTHING) -> Any:  # noqa: ANN401
        """Return the value of a node.

        Parameters
        ----------
        given
            What stands there in the state that it is put into.

        Raises
        ------
        OtherStateError
            If the two do not fit.
        """
        name = node.get(KIND, "") if isinstance(node, dict) else ""
        self._refuse_other(name, path, given)
        if not isinstance(node, dict):
            return node
        if name == _SAME:
            return self._same(node["as"], path, given)
        if name not in self._named:
            raise misfit(path, f"is of kind {name!r} in the commit", "a known kind")
        self._refuse_second(path, given)
        value = self._named[name].unpack(node, self, path, given)
        self._made[path] = value
        return value

    def missing(self, path: str, given: object) -> None:
        """Refuse objects that the commit does not hold."""
        for place, _ in self._filled_in(given, path):
            raise misfit(place, "is not in the commit", "the entries that it holds")

    def _filled_in(self, given: object, path: str) -> Iterator[tuple[str, object]]:
        kind = kind_of(given, self._kinds)
        if kind is not None and kind.is_filled(given):
            yield path, given
        elif isinstance(given, dict):
            for key, value in given.items():
                yield from self._filled_in(value, f"{path}[{key!r}]")
        elif isinstance(given, list | tuple):
            for index, value in enumerate(given):
                yield from self._filled_in(value, f"{path}[{index}]")

    def _refuse_other(self, name: str, path: str, given: object) -> None:
        """Refuse an object that is to be filled by something of another kind."""
        kind = kind_of(given, self._kinds)
        if kind is None or name in {kind.name, _SAME} or not kind.is_filled(given):
            return
        raise misfit(
            path,
            f"is a value of kind {name or 'plain'!r} in the commit",
            f"the state of {described(given)}",
        )

    def _refuse_second(self, path: str, given: object) -> None:
        """Refuse an object that would be filled by two states: the later one would win."""
        kind = kind_of(given, self._kinds)
        if kind is None or not kind.is_filled(given):
            return
        _, before = self._filled.setdefault(id(given), (given, path))
        if before != path:
            raise misfit(
                path, f"is the object {before} too", "two objects, as were committed"
            )

    def _same(self, path: str, here: str, given: object) -> object:
        value = self._made[path]
        kind = kind_of(given, self._kinds)
        if kind is not None and kind.is_filled(given) and given is not value:
            raise misfit(here, f"is the object {path} in the commit", "one object")
        return value


def is_plain(value: object) -> bool:
    """Return whether a value is its own node."""
    if isinstance(value, str) and type(value) is str:
        return value.isascii() or value.encode(errors="replace").decode() == value
    if type(value) is int:
        return -(2**63) <= value < 2**63
    if type(value) is float:
        return value - value == 0
    return value is None or type(value) is bool


def kind_of(value: object, kinds: Sequence[ValueKind]) -> ValueKind | None:
    """Return the first kind that a value is of."""
    return next((kind for kind in kinds if kind.is_of(value)), None)


def described(value: object) -> str:
    """Return what a value is, in words."""
    cls = type(value)
    name = f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins.")
    if getattr(value, "__name__", "") == "<lambda>":
        return "a lambda"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def class_name(value: object) -> str:
    """Return the full name of the class of a value."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def misfit(path: str, problem: str, expected: str) -> OtherStateError:
    """Return the error of a commit that does not fit."""
    return OtherStateError(
        path=path,
        problem=problem,
        expected=expected,
        todo="Give what the loop was begun with, or delete the folder to begin anew.",
    )


def given_object(node: Mapping[str, Any], path: str, given: object) -> Any:  # noqa: ANN401
    """Return the object that is to be filled, which has to be of the class committed."""
    if given is NOTHING:
        raise misfit(
            path,
            f"is the state of a {node['class']} in the commit",
            f"such an object at {path} in the argument of restore()",
        )
    if class_name(given) != node["class"]:
        raise misfit(
            path, f"is a {class_name(given)}", f"a {node['class']}, as was committed"
        )
    return given
