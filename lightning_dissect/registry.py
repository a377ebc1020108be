"""Named extensions: one place where a name becomes an object."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Maps names to factories of one kind of extension.

    A factory is a class or a function. Its optional first parameter receives what follows the first colon of a
    specification: ``"common:20000"`` calls the factory ``common`` with ``"20000"``.

    Args:
        kind: What the registry holds, in the singular, as error messages name it.

    Example:
        >>> colours = Registry[str]("colour")
        >>> @colours.register("red")
        ... def red(shade: str = "plain") -> str:
        ...     return f"{shade} red"
        >>> colours.resolve("red:dark")
        'dark red'

    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._factories: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """Return a decorator that registers a factory under ``name``.

        Args:
            name: The name by which users select the extension. It holds no colon.

        Raises:
            ValueError:
                If ``name`` is taken or holds a colon.

        """
        if ":" in name:
            raise ValueError(f"Expected the name of a {self.kind} to hold no colon but got {name!r}.")
        if name in self._factories:
            raise ValueError(f"Expected a free name for a {self.kind} but got {name!r}, which is registered already.")

        def decorator(factory: F) -> F:
            self._factories[name] = factory
            return factory

        return decorator

    def resolve(self, spec: str | T) -> T:
        """Return the object that ``spec`` stands for: a registered name is called, any other object is returned as is.

        Args:
            spec: ``"name"``, ``"name:argument"`` or an object that is used unchanged.

        Raises:
            ValueError:
                If ``spec`` is a string whose name is not registered.

        """
        if not isinstance(spec, str):
            return spec
        name, colon, argument = spec.partition(":")
        if name not in self._factories:
            article = "an" if self.kind[0] in "aeiou" else "a"
            raise ValueError(f"Expected {article} {self.kind} or one of {sorted(self._factories)} but got {spec!r}.")
        factory = self._factories[name]
        return factory(argument) if colon else factory()

    def name_of(self, extension: T) -> str | None:
        """Return the name under which the class of an object is registered, or ``None``.

        Args:
            extension: Any object.

        """
        return next((name for name, factory in self._factories.items() if factory is type(extension)), None)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._factories))

    def __contains__(self, name: object) -> bool:
        return name in self._factories
