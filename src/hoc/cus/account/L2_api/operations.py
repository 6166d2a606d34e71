"""One HTTP operation: its route, who may call it, what it takes and answers, and the handler between the two.

`endpoints.py` does what an `Operation` says, and `openapi.py` describes it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, field, fields, is_dataclass
from enum import Enum, auto
from inspect import getdoc
from typing import Any, Generic, Self, TypeAlias, get_args, get_origin

from typing_extensions import TypeVar

from hoc.cus.account.L2_api.bodies import Query
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L5_schemas.port_types import Page, Versioned

T = TypeVar("T")
RulesT = TypeVar("RulesT")
ResultT = TypeVar("ResultT")
BodyT = TypeVar("BodyT", default=None)
QueryT = TypeVar("QueryT", bound=Query | None, default=None)


class Requires(Enum):
    """What an operation asks of its caller."""

    NOTHING = auto()
    CALLER = auto()
    """Valid credentials."""
    TENANT = auto()
    """Valid credentials that select a tenant. The handler's engine checks the membership."""
    MEMBER = auto()
    """An active membership in the selected tenant, as of now, and a tenant that is not closed."""


class Opens(Enum):
    """The session that an operation runs its handler in."""

    NOTHING = auto()
    """None: the identity service opens sessions of its own."""
    READ = auto()
    """A connection on which each statement is a transaction by itself."""
    REPLICA = auto()
    """The same, on a replica if there is one that is fresh enough. Rights are read on the primary."""
    STATEMENT = auto()
    """The same, for a handler of whose statements one writes."""
    TRANSACTION = auto()
    """One transaction, which is run again when it loses a deadlock."""


NOTHING, CALLER, TENANT, MEMBER = Requires
NO_SESSION, READ, REPLICA, STATEMENT, TRANSACTION = Opens


@dataclass(frozen=True, slots=True)
class Ensured(Generic[T]):
    """A result that this request created or found; found, it is answered with 200."""

    value: T
    was_created: bool


@dataclass(slots=True)
class Operation(Generic[ResultT, BodyT, QueryT]):
    """One HTTP operation; as a decorator, it takes its handler, whose docstring is its summary.

    The handler's first argument is what it calls: the console's facade, say, or the identity service.

    Args:
        result: what the handler returns. A `Versioned` result is answered with its ``ETag``, a `Page` with
            its ``next_cursor`` and a ``Link``.
        status: of the answer.
        body: the JSON body's type. With ``body_optional`` an absent body means all defaults.
        scopes: the caller needs one of these, unless the path parameter ``own`` is the caller's id.
        errors: the statuses of refusals of its own, beside those that every operation has.
        conditional: the operation takes ``If-Match``.
        idempotent: the operation takes ``Idempotency-Key``, and its answer is stored for that. One whose
            `answers_secret` cannot.
        queues_work: its transaction may queue a mail, or a domain to be checked.
        ends_with_any_text: the last path parameter may contain slashes, sent as ``%2F``.
    """

    method: str
    path: str
    result: type[ResultT]
    _: KW_ONLY
    requires: Requires = Requires.CALLER
    opens: Opens = Opens.NOTHING
    status: int = 200
    body: type[BodyT] | None = None
    body_optional: bool = False
    query: type[QueryT] | None = None
    scopes: tuple[str, ...] = ()
    own: str | None = None
    errors: tuple[int, ...] = ()
    conditional: bool = False
    idempotent: bool = False
    queues_work: bool = False
    ends_with_any_text: bool = False
    handler: Callable[[Any, Call[BodyT, QueryT]], Awaitable[ResultT]] = field(init=False)

    def __post_init__(self) -> None:
        if self.idempotent and self.answers_secret:
            raise TypeError(f"{self.method} {self.path} answers a secret, which must not be stored.")

    def __call__(self, handler: Callable[[RulesT, Call[BodyT, QueryT]], Awaitable[ResultT]]) -> Self:
        self.handler = handler
        return self

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def summary(self) -> str:
        return (getdoc(self.handler) or "").removesuffix(".")

    @property
    def json_type(self) -> Any:  # noqa: ANN401 - a class, or a list of one
        """The type of the JSON that is answered."""
        return get_args(self.result)[0] if self._wrapper in _WRAPPERS else self.result

    @property
    def answers_secret(self) -> bool:
        """Whether the answer has a field that the result's repr does not show, such as a token."""
        result = self.json_type
        return is_dataclass(result) and not all(each.repr for each in fields(result))

    @property
    def is_versioned(self) -> bool:
        return self._wrapper is Versioned

    @property
    def is_page(self) -> bool:
        return self._wrapper is Page

    @property
    def successes(self) -> tuple[int, ...]:
        """The statuses of answers that are not refusals."""
        return (200, self.status) if self._wrapper is Ensured else (self.status,)

    @property
    def _wrapper(self) -> object:
        return get_origin(self.result)


_WRAPPERS: set[object] = {Versioned, Page, Ensured}

AnyOperation: TypeAlias = Operation[Any, Any, Any]
