"""What the engine of webhooks needs of storage. ``tenant_id`` is `DEPLOYMENT` for the whole deployment."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from hoc.cus.account.L5_engines.session import Session
from hoc.cus.account.L5_schemas.port_types import Slice, UncountedSlice, Versioned, Window
from hoc.cus.account.L5_schemas.webhooks import (
    SetAsideEventResult,
    WebhookAttemptResult,
    WebhookResult,
    WebhookTerms,
)


class WebhookStore(Protocol):
    async def lock_tenant(self, session: Session, tenant_id: str) -> None: ...

    async def count(self, session: Session, tenant_id: str) -> int: ...

    async def create(
        self,
        session: Session,
        tenant_id: str,
        endpoint_id: str,
        terms: WebhookTerms,
        now: datetime,
        *,
        actor: str,
        secret: str,
    ) -> None:
        """Store an endpoint, which is sent what is numbered from now on."""
        ...

    async def page(self, session: Session, tenant_id: str, window: Window) -> Slice[WebhookResult]: ...

    async def find(
        self, session: Session, tenant_id: str, endpoint_id: str
    ) -> Versioned[WebhookResult] | None: ...

    async def lock(self, session: Session, tenant_id: str, endpoint_id: str) -> None:
        """Let nobody else change the endpoint until the transaction ends."""
        ...

    async def change(
        self,
        session: Session,
        tenant_id: str,
        endpoint_id: str,
        terms: WebhookTerms,
        now: datetime,
        *,
        actor: str,
        is_enabled: bool,
        from_now: bool,
        changed: Collection[str],
    ) -> None:
        """Store what was chosen. What is enabled is due; ``from_now`` skips what it has missed."""
        ...

    async def rotate(
        self,
        session: Session,
        tenant_id: str,
        endpoint_id: str,
        secret: str,
        now: datetime,
        *,
        actor: str,
        overlap_until: datetime,
    ) -> None: ...

    async def delete(
        self, session: Session, tenant_id: str, endpoint_id: str, now: datetime, *, actor: str
    ) -> None: ...


class WebhookHistoryStore(Protocol):
    """What became of sending events to an endpoint."""

    async def attempts(
        self, session: Session, tenant_id: str, endpoint_id: str, window: Window
    ) -> UncountedSlice[WebhookAttemptResult]: ...

    async def set_aside(
        self, session: Session, tenant_id: str, endpoint_id: str, window: Window
    ) -> Slice[SetAsideEventResult]: ...

    async def send_again(
        self, session: Session, tenant_id: str, endpoint_id: str, event_id: str, now: datetime
    ) -> bool:
        """Have an event sent once more. False: there was no attempt to deliver it to this endpoint."""
        ...

    async def send_test(
        self, session: Session, tenant_id: str, endpoint_id: str, event_id: str, now: datetime
    ) -> None: ...
