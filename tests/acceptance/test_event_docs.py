"""The page about events is complete: every subject with its fields, every header, the stream."""

import re
from dataclasses import MISSING, Field, fields
from typing import Any

import pytest
from support.documents import ROOT

from hoc.cus.account.L5_schemas.events import EVENTS
from hoc.events.asyncapi import asyncapi_document
from hoc.events.billing import INBOUND
from hoc.events.inbound import BACKOFF_SECONDS
from hoc.events.nats import SUBJECTS

SECTIONS = dict(
    section.split("\n", 1)
    for section in (ROOT / "docs" / "reference" / "events.md").read_text().split("\n## ")[1:]
)


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def rows(section: str) -> list[tuple[list[str], list[str]]]:
    """The words in backquotes in the first and the last column of each row."""
    found = re.findall(r"^\| (.+?) \|.* \| (.+) \|$", SECTIONS[section], re.MULTILINE)
    return [(words(first), words(last)) for first, last in found if words(first)]


def shown(field: Field[Any]) -> str:
    default = "null" if field.default is None else field.default
    return field.name if field.default is MISSING else f"{field.name}={default}"


def test_every_event_is_listed_with_its_fields() -> None:
    assert rows("What hoc publishes") == [
        ([event_type], [field.name for field in fields(event)]) for event_type, event in EVENTS.items()
    ]


def test_every_handled_subject_is_listed_with_its_fields() -> None:
    listed = [row for row in rows("What hoc handles") if row[1]]
    assert listed == [([model.subject], [shown(field) for field in fields(model)]) for model in INBOUND]


@pytest.mark.parametrize(
    ("section", "schema"), [("Headers", "EventHeaders"), ("What hoc handles", "InboundHeaders")]
)
def test_every_header_is_listed(section: str, schema: str) -> None:
    named = re.findall(r"`((?:Nats-|ce-|traceparent)[\w-]*)`", SECTIONS[section])
    assert set(named) == set(asyncapi_document()["components"]["schemas"][schema]["properties"])


def test_the_streams_subjects_are_listed() -> None:
    assert f"| subjects | {', '.join(f'`{subject}`' for subject in SUBJECTS)} |" in SECTIONS["The stream"]


def test_the_pauses_before_each_redelivery_are_listed() -> None:
    assert BACKOFF_SECONDS == (1, 5, 30, 2 * 60, 10 * 60)
    assert "after 1 second, 5, 30, two minutes and ten" in SECTIONS["What hoc handles"]
