"""What protects the pages: their headers, the tokens of forms, and messages in signed cookies.

A form's token is signed, and bound to the browser (by a cookie that no script reads) and to the person who is
signed in. The checks of `csrf.py` apply, too.
"""

import json
import secrets
from hashlib import sha256
from typing import Final

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from hoc.cus.account.L5_schemas.errors import ForbiddenError

FIELD: Final = "csrf_token"
MIN_SECRET_LENGTH: Final = 32
_BROWSER: Final = "hoc_browser"
_MESSAGE: Final = "hoc_message"
_FORM_SECONDS: Final = 12 * 3600
_MESSAGE_SECONDS: Final = 60

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' https:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


class Forms:
    """Issues and checks the tokens of forms, and carries a message from a change to the next page.

    Args:
        secret: shared by all processes that serve the pages.
        secure: whether cookies travel by HTTPS only.
        path: the cookies' path.

    Raises:
        ValueError: the secret is too short.
    """

    def __init__(self, secret: str, *, secure: bool) -> None:
        if len(secret) < MIN_SECRET_LENGTH:
            raise ValueError(f"HOC_CONSOLE_SECRET must have at least {MIN_SECRET_LENGTH} characters.")
        self._tokens = TimestampSigner(secret, salt="hoc form")
        self._messages = URLSafeTimedSerializer(secret, salt="hoc message")
        self._secure = secure

    def browser_of(self, request: Request) -> str:
        """What tells this browser from others: its cookie, or a new one."""
        return request.cookies.get(_BROWSER) or secrets.token_urlsafe(18)

    def token(self, browser: str, user_id: str) -> str:
        return self._tokens.sign(_bound_to(browser, user_id)).decode()

    def check(self, request: Request, token: str, user_id: str) -> None:
        """Raise ForbiddenError unless the form was made for this browser and person, in the last 12 hours."""
        try:
            known = self._tokens.unsign(token, max_age=_FORM_SECONDS).decode()
        except BadData:
            known = None
        browser = request.cookies.get(_BROWSER)
        if browser is None or known != _bound_to(browser, user_id):
            raise ForbiddenError(
                "This form is out of date, or was not made for you. Open its page again, and send it anew.",
                code="wrong_form_token",
            )

    def message(self, request: Request) -> str:
        """What the last change said, empty if there is nothing."""
        sealed = request.cookies.get(_MESSAGE)
        if sealed is None:
            return ""
        try:
            return str(self._messages.loads(sealed, max_age=_MESSAGE_SECONDS))
        except BadData:
            return ""

    def finish(self, request: Request, response: Response, browser: str) -> None:
        """Keep the browser's cookie, and forget the message that was shown."""
        if request.cookies.get(_BROWSER) != browser:
            self.set_cookie(request, response, _BROWSER, browser, max_age=None)
        if _MESSAGE in request.cookies:
            response.delete_cookie(_MESSAGE, path=_path(request))

    def leave_message(self, request: Request, response: Response, text: str) -> None:
        """Have the next page show a message."""
        self.set_cookie(request, response, _MESSAGE, self._messages.dumps(text), max_age=_MESSAGE_SECONDS)

    def set_cookie(
        self, request: Request, response: Response, name: str, value: str, *, max_age: int | None
    ) -> None:
        """Set a cookie for the pages alone, which no script reads; ``max_age`` 0 deletes it."""
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path=_path(request),
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )


def _bound_to(browser: str, user_id: str) -> str:
    """A text for this pair alone, which does not tell the browser's cookie."""
    return sha256(json.dumps([browser, user_id]).encode()).hexdigest()


def _path(request: Request) -> str:
    return request.scope.get("root_path", "") or "/"
