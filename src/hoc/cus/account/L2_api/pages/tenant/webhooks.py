"""Webhook endpoints: the list, one with its attempts, its secret, which is shown once, and its end."""

from dataclasses import fields
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hoc.cus.account.L2_api.bodies import Body, CursorQuery, Digits, PageQuery, RotateSecret
from hoc.cus.account.L2_api.operations import TRANSACTION
from hoc.cus.account.L2_api.pages.formatting import event_words
from hoc.cus.account.L2_api.pages.page import AnyPage, Nav, Page, managers
from hoc.cus.account.L2_api.pages.view import Answer, AnyView, View
from hoc.cus.account.L5_engines.paging import MAX_LIMIT
from hoc.cus.account.L5_schemas.events import EVENTS
from hoc.cus.account.L5_schemas.port_types import Versioned
from hoc.cus.account.L5_schemas.values import WebhookDisabled, WebhookError
from hoc.cus.account.L5_schemas.webhooks import TEST_EVENT, WebhookResult

TENANT_EVENTS: Final = frozenset(
    name for name, event in EVENTS.items() if "tenant_id" in {each.name for each in fields(event)}
)
"""The types that a tenant's endpoint can be sent."""
DISABLED: Final = {
    WebhookDisabled.REQUESTED: "Somebody here disabled it.",
    WebhookDisabled.GONE: "It answered 410, which says that it wants nothing more.",
    WebhookDisabled.FAILING: "It took nothing for three days.",
}
NO_ANSWER: Final = {
    WebhookError.UNRESOLVED: "No address in DNS",
    WebhookError.FORBIDDEN_ADDRESS: "Address not allowed",
    WebhookError.UNREACHABLE: "No connection",
    WebhookError.TLS: "TLS failed",
    WebhookError.TIMEOUT: "No answer in time",
    WebhookError.PROTOCOL: "Answer is no HTTP",
}
OVERLAPS: Final = [(24, "24 hours"), (168, "7 days"), (0, "Not at all")]


class WebhookForm(Body):
    """No chosen type means all."""

    url: str
    description: str | None = None
    event_types: list[str] = Field(default_factory=list)

    def terms(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "description": self.description,
            "event_types": self.event_types or None,
        }


class ChangeWebhookForm(WebhookForm):
    """``version`` is that of the endpoint that the form showed."""

    version: Annotated[int, Digits]


class EnableForm(Body):
    start: Literal["missed", "now"]


@Page("GET", "/webhooks", query=PageQuery, nav=Nav("Webhooks", "leave", managers))
async def webhooks(view: View[None, PageQuery]) -> Answer:
    page = await view.accounts.webhooks.list(
        view.session, view.tenant_id, view.caller_id, **view.query.given()
    )
    return view.show(
        "webhooks.html", "Webhooks", page=page.value, next_cursor=page.next_cursor, query=view.query
    )


@Page("GET", "/webhooks/new")
async def new_webhook(view: AnyView) -> Answer:
    return _form(view, None, title="New endpoint")


@Page("POST", "/webhooks", opens=TRANSACTION, body=WebhookForm, again=new_webhook)
async def create_webhook(view: View[WebhookForm]) -> Answer:
    made = await view.accounts.webhooks.create(
        view.session, view.tenant_id, view.caller_id, **view.body.terms()
    )
    return view.show("webhook_secret.html", "The endpoint is created", made=made)


@Page("GET", "/webhooks/{endpoint_id}", query=CursorQuery)
async def webhook(view: View[None, CursorQuery]) -> Answer:
    engine, whose = view.accounts.webhooks, _of(view)
    found = await engine.get(view.session, *whose)
    attempts = await engine.list_attempts(view.session, *whose, **view.query.given())
    set_aside = await engine.list_set_aside(view.session, *whose, limit=MAX_LIMIT)
    return view.show(
        "webhook.html",
        found.value.url,
        webhook=found.value,
        attempts=attempts.value.attempts,
        next_cursor=attempts.next_cursor,
        is_first=not view.query.cursor,
        set_aside=set_aside.value,
        disabled=DISABLED,
        no_answer=NO_ANSWER,
        test_event=TEST_EVENT,
    )


@Page("GET", "/webhooks/{endpoint_id}/change")
async def webhook_form(view: AnyView) -> Answer:
    found = await view.accounts.webhooks.get(view.session, *_of(view))
    return _form(view, found, title="Change endpoint")


@Page("POST", "/webhooks/{endpoint_id}/change", opens=TRANSACTION, body=ChangeWebhookForm, again=webhook_form)
async def change_webhook(view: View[ChangeWebhookForm]) -> Answer:
    form = view.body
    await view.accounts.webhooks.update(
        view.session, *_of(view), **form.terms(), expected_version=form.version
    )
    return _back(view, "The change is saved.")


@Page("POST", "/webhooks/{endpoint_id}/enable", opens=TRANSACTION, body=EnableForm, again=webhook)
async def enable_webhook(view: View[EnableForm]) -> Answer:
    await view.accounts.webhooks.update(
        view.session, *_of(view), enabled=True, from_now=view.body.start == "now"
    )
    return _back(view, "The endpoint is enabled.")


@Page("POST", "/webhooks/{endpoint_id}/disable", opens=TRANSACTION, again=webhook)
async def disable_webhook(view: View) -> Answer:
    await view.accounts.webhooks.update(view.session, *_of(view), enabled=False)
    return _back(view, "The endpoint is disabled. It is sent nothing until somebody enables it.")


@Page("GET", "/webhooks/{endpoint_id}/secret")
async def ask_to_rotate_webhook_secret(view: AnyView) -> Answer:
    found = await view.accounts.webhooks.get(view.session, *_of(view))
    return view.show("webhook_rotate.html", "Rotate the secret", webhook=found.value, overlaps=OVERLAPS)


@Page(
    "POST",
    "/webhooks/{endpoint_id}/secret",
    opens=TRANSACTION,
    body=RotateSecret,
    again=ask_to_rotate_webhook_secret,
)
async def rotate_webhook_secret(view: View[RotateSecret]) -> Answer:
    made = await view.accounts.webhooks.rotate_secret(
        view.session, *_of(view), overlap_hours=view.body.overlap_hours
    )
    return view.show("webhook_secret.html", "The secret is rotated", made=made)


@Page("POST", "/webhooks/{endpoint_id}/test", opens=TRANSACTION, again=webhook, queues_work=True)
async def send_webhook_test(view: View) -> Answer:
    await view.accounts.webhooks.send_test(view.session, *_of(view))
    return _back(view, "A test will be sent. Reload this page soon to see what became of it.")


@Page(
    "POST",
    "/webhooks/{endpoint_id}/events/{event_id}/send",
    opens=TRANSACTION,
    again=webhook,
    queues_work=True,
)
async def send_event_again(view: View) -> Answer:
    await view.accounts.webhooks.send_again(view.session, *_of(view), view.path["event_id"])
    return _back(view, "The event will be sent once more. Reload this page soon to see what became of it.")


@Page("GET", "/webhooks/{endpoint_id}/delete")
async def ask_to_delete_webhook(view: View) -> Answer:
    found = await view.accounts.webhooks.get(view.session, *_of(view))
    endpoint_id = found.value.endpoint_id
    return view.confirm(
        "Delete this endpoint?",
        f"{found.value.url} is sent nothing more. Its attempts and its secret are deleted.",
        action=view.path_of("webhooks", endpoint_id, "delete"),
        label="Delete endpoint",
        back=view.path_of("webhooks", endpoint_id),
    )


@Page("POST", "/webhooks/{endpoint_id}/delete", opens=TRANSACTION, again=webhooks)
async def delete_webhook(view: View) -> Answer:
    await view.accounts.webhooks.delete(view.session, *_of(view))
    return view.go(view.path_of("webhooks"), "The endpoint is deleted.")


def _of(view: AnyView) -> tuple[str, str, str]:
    """Whose endpoint it is, who calls, and which one it is."""
    return view.tenant_id, view.caller_id, view.path["endpoint_id"]


def _back(view: AnyView, message: str) -> Answer:
    return view.go(view.path_of("webhooks", view.path["endpoint_id"]), message)


def _form(view: AnyView, found: Versioned[WebhookResult] | None, *, title: str) -> Answer:
    """The form of an endpoint, a new one without ``found``. Refused, it has the types as they were sent."""
    stored = None if found is None else found.value
    chosen = (stored and stored.event_types) or []
    if view.refusal is not None:
        chosen = [value for name, value in view.fields if name == "event_types"]
    return view.show(
        "webhook_form.html",
        title,
        webhook=stored,
        version=None if found is None else found.version,
        chosen=chosen,
        types=[(name, event_words(name)) for name in sorted(TENANT_EVENTS.union(chosen))],
    )


WEBHOOKS: list[AnyPage] = [
    webhooks,
    new_webhook,
    create_webhook,
    webhook,
    webhook_form,
    change_webhook,
    enable_webhook,
    disable_webhook,
    ask_to_rotate_webhook_secret,
    rotate_webhook_secret,
    send_webhook_test,
    send_event_again,
    ask_to_delete_webhook,
    delete_webhook,
]
"""There with `Settings.webhooks`, as the operations are."""
