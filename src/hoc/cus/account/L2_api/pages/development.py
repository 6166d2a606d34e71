"""Signing in on a development server: by a link that `hoc serve` and `hoc demo` print, once, on loopback.

The link's fragment has a code, which the browser sends to no server by itself. The page's script posts it,
and gets a cookie with a development token.
"""

import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.requests import HTTPConnection

from hoc.cus.account.L2_api.authentication import Caller, DevelopmentKeys
from hoc.cus.account.L2_api.authentication.tokens import authenticate_token
from hoc.cus.account.L2_api.bodies import Body
from hoc.cus.account.L2_api.operations import NO_SESSION, NOTHING
from hoc.cus.account.L2_api.pages.page import AnyPage, Page
from hoc.cus.account.L2_api.pages.view import Answer, Cookie, View
from hoc.cus.account.L5_schemas.errors import InvalidInputError

SIGN_IN_PATH: Final = "/sign-in"
_COOKIE: Final = "hoc_session"
_AUDIENCE: Final = "hoc-sign-in"
_SECONDS: Final = 12 * 3600


class SignInForm(Body):
    code: str


def sign_in_link(
    keys: DevelopmentKeys, base_url: str, user_id: str, tenant_id: str | None, scopes: list[str]
) -> str:
    """A link that signs in as ``user_id``, once within twelve hours."""
    code = keys.issue(user_id, tenant_id, scopes=scopes, audience=_AUDIENCE)
    return f"{base_url}{SIGN_IN_PATH}#{code}"


class DevelopmentSignIn(AuthenticationBackend):
    """Knows callers by the cookie that the link leads to, on loopback only.

    Args:
        keys: sign the codes of links, and the tokens in cookies.
        used: a directory that all processes of the server share; it has a file for each used code.
    """

    def __init__(self, keys: DevelopmentKeys, used: Path) -> None:
        self._keys = keys
        self._sessions = keys.backend()
        self._codes = keys.backend(audience=_AUDIENCE)
        self._used = used
        self.secret = keys.secret("hoc console")

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        token = conn.cookies.get(_COOKIE)
        return None if token is None else await authenticate_token(self._sessions, conn, token)

    def pages(self) -> list[AnyPage]:
        @Page("GET", SIGN_IN_PATH, requires=NOTHING, opens=NO_SESSION)
        async def sign_in_form(view: View) -> Answer:
            return view.show("sign_in.html", "Sign in")

        @Page("POST", SIGN_IN_PATH, requires=NOTHING, opens=NO_SESSION, body=SignInForm, again=sign_in_form)
        async def sign_in(view: View[SignInForm]) -> Answer:
            session = await self._session(view.request, view.body.code)
            return view.go("/", cookie=Cookie(_COOKIE, session, _SECONDS))

        @Page("POST", "/sign-out", requires=NOTHING, opens=NO_SESSION)
        async def sign_out(view: View) -> Answer:
            return view.go(SIGN_IN_PATH, "You have signed out.", cookie=Cookie(_COOKIE, "", 0))

        return [sign_in_form, sign_in, sign_out]

    async def _session(self, conn: HTTPConnection, code: str) -> str:
        """A token for whom the code is of. Raises InvalidInputError for a code that is not good any more."""
        known = await authenticate_token(self._codes, conn, code)
        if known is None or not isinstance(known[1], Caller) or not self._use(code):
            raise InvalidInputError.of(
                "code", "is wrong, has expired, or was used before. `hoc demo` prints a new link"
            )
        caller = known[1]
        return self._keys.issue(caller.user_id, caller.tenant_id, caller.email, known[0].scopes)

    def _use(self, code: str) -> bool:
        """Whether nobody has used the code before."""
        self._used.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in self._used.iterdir():
            with suppress(FileNotFoundError):  # another process deletes it, too
                if each.stat().st_mtime < time.time() - 2 * _SECONDS:
                    each.unlink()
        try:
            (self._used / sha256(code.encode()).hexdigest()).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
