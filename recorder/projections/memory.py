"""What was made of what: a fold that is asked again makes anew only what is another than before.

A result is made of parts of which few change between two askings. Whoever makes a part says all
that it is made of; as long as that is equal, the part is the same object as before, so that what
is built on it can tell by `is` that nothing changed. It changes no result, only what it costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

T = TypeVar("T")


class Memory:
    """Parts by name, each with what it was made of. What it is made of must not be mutable."""

    __slots__ = ("_made", "_objects")

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[Any, Any]] = {}
        self._objects: dict[str, Any] = {}

    def of(self, name: Hashable, given: object, make: Callable[[], T]) -> T:
        """What `make` gives; what it gave before, if that was made of the same."""
        known = self._made.get(name)
        if known is not None and known[0] == given:
            found: T = known[1]
            return found
        made = make()
        if known is not None and known[1] == made:
            made = known[1]
        self._made[name] = given, made
        return made

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """An object that stays from one asking to the next."""
        if name not in self._objects:
            self._objects[name] = make()
        found: T = self._objects[name]
        return found

    def same(self, name: str, found: Sequence[T]) -> tuple[T, ...]:
        """The same rows; each that is equal to the one that stood there before is that one."""
        before: Sequence[T] = self._objects.get(name, ())
        rows = [
            old if old is new or old == new else new
            for old, new in zip(before, found, strict=False)
        ]
        self._objects[name] = made = (*rows, *found[len(rows) :])
        return made
