"""The feed: every event, to be read again from any sequence number. Mounted at ``/api/v1``."""

from hoc.cus.account.L2_api.bodies import FeedQuery
from hoc.cus.account.L2_api.call import Call
from hoc.cus.account.L2_api.operations import REPLICA, AnyOperation, Operation
from hoc.cus.account.L2_api.scopes import ADMINS
from hoc.cus.account.L5_engines.event_feed import EventFeed
from hoc.cus.account.L5_schemas.results import EventFeedResult


@Operation("GET", "/events", EventFeedResult, opens=REPLICA, scopes=ADMINS, query=FeedQuery)
async def read_events(feed: EventFeed, call: Call[None, FeedQuery]) -> EventFeedResult:
    """Read events in their sequence, after a sequence number."""
    return await feed.read(call.session, **call.query.given())


FEED_OPERATIONS: list[AnyOperation] = [read_events]
