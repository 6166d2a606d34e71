"""Hooks: what the host does about an event, in the transaction that writes the event.

An operation declares by `records` which events it may write. Only the operations that may write an event with
a hook read their events and call hooks; all the others stay as they are.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from dataclasses import fields
from datetime import datetime
from difflib import get_close_matches
from enum import Enum
from functools import wraps
from typing import Any, Protocol, TypeAlias, TypeVar, get_args, get_type_hints

from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.events import EVENTS, EventData

T = TypeVar("T")
MethodT = TypeVar("MethodT", bound=Callable[..., Awaitable[Any]])

Hook: TypeAlias = Callable[[Any, Any], Awaitable[object]]
"""Is awaited with the operation's session and the event, such as a `MemberJoinedEventData`.

The session is an AsyncSession on the operation's connection. The hook does not commit it.
"""

OF_NO_OPERATION = frozenset(
    {"invitation.mail_sent", "invitation.mail_delayed", "invitation.delivery_failed", "webhook.disabled"}
)

Scope: TypeAlias = Callable[[Any], AbstractAsyncContextManager[None]]
"""Surrounds an operation's work on its session."""


class HookFailedError(Exception):
    """A hook could not reach something outside the database. It is no outage of the database."""


class WrittenEvents(Protocol):
    """Reads the events that a transaction has written and not committed."""

    def savepoint(self, session: Session) -> AbstractAsyncContextManager[object]:
        """Undo what the block wrote if it raises."""
        ...

    async def last(self, session: Session) -> int:
        """A position that is before that of every event still to be written."""
        ...

    async def since(self, session: Session, position: int, types: Collection[str]) -> list[tuple[str, Any]]:
        """The type and payload of each event of the transaction after ``position``, in their order."""
        ...

    def opened(self, session: Session) -> AbstractAsyncContextManager[Session]:
        """The session to give to hooks. At the end of the block, its writes have reached the database."""
        ...


class Hooks:
    """The hooks by the type of their event.

    Raises:
        ValueError: no event has this type, or no operation writes such events.
        TypeError: a hook cannot be called.
    """

    def __init__(self, hooks: Mapping[str, Hook], written: WrittenEvents) -> None:
        for name, hook in hooks.items():
            if name in OF_NO_OPERATION:
                raise ValueError(
                    f"{name!r} takes no hook: no operation writes it, but what sends mails or webhooks."
                )
            if name not in EVENTS:
                nearest = get_close_matches(name, EVENTS, n=1)
                hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
                raise ValueError(f"There is no event {name!r} to hook into.{hint}")
            if not callable(hook):
                raise TypeError(f"The hook of {name!r} is {hook!r}, which cannot be called.")
        self._hooks = dict(hooks)
        self._written = written

    def around(self, operations: T) -> T:
        """The operations, of which those that may write an event with a hook call it.

        Operations that call each other do so without hooks, so no event is read twice.
        """
        hooked = copy(operations)
        for name, types in self.wanted(type(operations)):
            setattr(hooked, name, self._hooked(getattr(operations, name), types))
        return hooked

    def wanted(self, declared: type) -> Iterator[tuple[str, frozenset[str]]]:
        """The methods that may write an event with a hook, and the types of those events."""
        for name, method in vars(declared).items():
            if types := getattr(method, "records", frozenset[str]()) & self._hooks.keys():
                yield name, types

    def _hooked(
        self, method: Callable[..., Awaitable[T]], types: frozenset[str]
    ) -> Callable[..., Awaitable[T]]:
        @wraps(method)
        async def operation(session: Session, *args: object, **named: object) -> T:
            async with self.within(session, types):
                return await method(session, *args, **named)

        return operation

    @asynccontextmanager
    async def within(self, session: Session, types: Collection[str]) -> AsyncGenerator[None]:
        """Call the hooks of the block's events at its end. If it or a hook raises, nothing of it stays."""
        async with self._written.savepoint(session):
            before = await self._written.last(session)
            yield
            events = await self._written.since(session, before, types)
            if events:
                async with self._written.opened(session) as opened:
                    for name, payload in events:
                        await self._call(name, opened, event_data(name, payload))

    async def _call(self, name: str, session: Session, event: EventData) -> None:
        try:
            await self._hooks[name](session, event)
        except OSError as problem:  # TimeoutError, too
            raise HookFailedError(f"The hook of {name} failed with {type(problem).__name__}.") from problem


_registered: dict[str, Hook] = {}
_is_sealed = False


def register_hooks(hooks: Mapping[str, Hook]) -> None:
    """Give `get_accounts_facade` hooks, before its first call. Raises RuntimeError after it."""
    if _is_sealed:
        raise RuntimeError("get_accounts_facade has made its facade already. Register hooks before that.")
    _registered.update(hooks)


def registered_hooks() -> Mapping[str, Hook]:
    """The registered hooks. No others can be registered from now on."""
    global _is_sealed  # noqa: PLW0603 - of the one facade of the process
    _is_sealed = True
    return _registered


def records(*types: str) -> Callable[[MethodT], MethodT]:
    """Declare which events an operation may write."""

    def declare(method: MethodT) -> MethodT:
        method.records = frozenset(types)  # type: ignore[attr-defined]  # functions have attributes
        return method

    return declare


def event_data(name: str, payload: Mapping[str, Any]) -> EventData:
    """The event's model, of its type and its decoded JSON."""
    model = EVENTS[name]
    kinds = get_type_hints(model)
    return model(**{field.name: _typed(kinds[field.name], payload[field.name]) for field in fields(model)})


def _typed(kind: Any, value: Any) -> Any:  # noqa: ANN401 - of any type
    kind = next((each for each in get_args(kind) if isinstance(each, type) and each is not type(None)), kind)
    if value is None or not isinstance(kind, type):
        return value
    if issubclass(kind, datetime):
        return datetime.fromisoformat(value)
    return kind(value) if issubclass(kind, Enum) else value
