"""Every event, to be read again from any point. Mounted at ``/api/v1`` beside the identity service."""

from starlette.responses import Response

from hoc.cus.account.L2_api.bodies import FeedQuery
from hoc.cus.account.L2_api.calls import Call, answer
from hoc.cus.account.L2_api.identity import ADMIN
from hoc.cus.account.L2_api.operations import Operation
from hoc.cus.account.L5_engines.event_feed import EventFeed
from hoc.cus.account.L5_schemas.results import EventFeedResult


class FeedRoutes:
    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    def operations(self) -> list[Operation]:
        return [
            Operation(
                "GET",
                "/events",
                self.read_events,
                "Read events in line, after a sequence number",
                EventFeedResult,
                query=FeedQuery,
            ),
        ]

    async def read_events(self, call: Call) -> Response:
        call.authorize(ADMIN)
        query = call.query(FeedQuery)
        return answer(await call.read(lambda session: self._feed.read(session, **query)))
