"""Fetches a JWK set over HTTP, in bounded time and memory."""

import asyncio
import ssl
from http import HTTPStatus

import httpx

MAX_KEY_SET_BYTES = 2**20


class KeyFetchError(OSError):
    """The key set could not be fetched. The message says why."""


class KeyFetcher:
    """Fetches `url`. Follows no redirect: the issuer's URL is the only one that is trusted."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._tls = ssl.create_default_context()

    def fetch(self, *, timeout_seconds: float) -> bytes:
        """Return the body, of at most `MAX_KEY_SET_BYTES`; KeyFetchError otherwise, and after the timeout.

        The timeout is one deadline for everything from the name's resolution to the last byte. Blocks: call
        it in a thread.
        """
        try:
            return asyncio.run(self._fetch(timeout_seconds))
        except TimeoutError:
            raise KeyFetchError(f"it was not complete after {timeout_seconds} seconds") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise KeyFetchError(str(error) or type(error).__name__) from error

    async def _fetch(self, timeout_seconds: float) -> bytes:
        # The size is that of the bytes on the wire: a compressed body could expand a thousand times.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with (
            asyncio.timeout(timeout_seconds),
            httpx.AsyncClient(verify=self._tls, timeout=timeout_seconds) as client,
            client.stream("GET", self._url, headers=headers) as response,
        ):
            if response.status_code != HTTPStatus.OK:
                raise KeyFetchError(f"the answer has the status {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_KEY_SET_BYTES:
                    raise KeyFetchError(f"it is larger than {MAX_KEY_SET_BYTES} bytes")
            return bytes(body)
