"""Requests over HTTP, repeated where that helps."""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from facegender._version import __version__
from facegender.errors import InputError, ServerError, needs
from facegender.wire import OCTETS, PROBLEMS, check_token, is_loopback

with needs("httpx", "client"):
    import httpx

#: Statuses after which the same request may succeed a little later. All requests to the service are safe to repeat.
_TRANSIENT = (PROBLEMS["busy"].status, 502, PROBLEMS["not_ready"].status, 504)
#: Seconds of the first pause where the server names none, and of the longest pause.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 60.0
#: Seconds in which a connection must be established.
_CONNECT_TIMEOUT = 10.0


class Connection:
    """A server and the way to it; may be used by several threads at once.

    Args:
        url, token, timeout, retries: as for `facegender.client.Client`.

    Raises:
        InputError: a URL or a token that cannot be, or a number out of range.
    """

    def __init__(self, url: str, token: str | None, timeout: float, retries: int) -> None:
        if timeout <= 0 or retries < 0:
            raise InputError(f"a timeout above 0 and retries from 0 on are needed, not {timeout} and {retries}")
        check_token(token)
        host = _check_url(url)
        self.url = url.rstrip("/")
        self._retries = retries
        headers = {"User-Agent": f"facegender/{__version__}", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_TIMEOUT), pool=None),
            limits=httpx.Limits(max_connections=None),
            follow_redirects=False,
            trust_env=not is_loopback(host),  # a proxy of the environment leads away from this machine
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path; ServerError as for `post`."""
        return self._object(self._send(self._http.build_request("GET", self.url + path), threading.Event()))

    def post(
        self, path: str, data: bytes, parameters: Mapping[str, str | float], ended: threading.Event | None = None
    ) -> dict[str, Any]:
        """The JSON object that the server answers with.

        Args:
            ended: set when the answer is not awaited any more; then the request is not repeated.

        Raises:
            ServerError: the server refuses, cannot be reached, or is none of facegender's.
        """
        request = self._http.build_request(
            "POST", self.url + path, params=parameters, content=data, headers={"Content-Type": OCTETS}
        )
        return self._object(self._send(request, ended or threading.Event()))

    def unexpected(self, what: str, status: int | None = None) -> ServerError:
        """The error of an answer that the service would not give."""
        return ServerError(
            f"{self.url} is no server of facegender's, or something is in its way: it gave {what}", status=status
        )

    def _send(self, request: httpx.Request, ended: threading.Event) -> httpx.Response:
        """The response, after as many tries as are needed and allowed."""
        for tried in range(self._retries + 1):
            pause = _FIRST_PAUSE * 2**tried * random.random()
            last = tried == self._retries
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                if last or isinstance(error, httpx.UnsupportedProtocol):
                    raise ServerError(
                        f"{self.url} cannot be reached: {error or type(error).__name__}",
                        remedy="facegender serve starts a server",
                    ) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:  # a response that is no HTTP, or cannot be decoded
                raise self.unexpected(f"{type(error).__name__}: {error}") from error
            else:
                asked = _retry_after(response)
                if last or response.status_code not in _TRANSIENT or asked > _LONGEST_PAUSE:
                    return response
                # At random, so that clients that were refused together do not come back together.
                pause = max(pause, asked * random.uniform(1, 1.5))
            if ended.wait(min(pause, 1.5 * _LONGEST_PAUSE)):
                raise ServerError(f"{self.url} was not asked again: the run has ended")
        raise AssertionError("the last try returns or raises")

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        if response.status_code != 200:
            raise self._refusal(response)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self.unexpected(response.headers.get("content-type", "something else"), 200)
        return answer

    def _refusal(self, response: httpx.Response) -> ServerError:
        status = response.status_code
        place = f"{response.request.method} {response.request.url.copy_with(query=None)}"
        if response.has_redirect_location:
            to = response.headers["location"]
            return ServerError(f"{place} leads to {to}, which is not followed", status=status, remedy="give that URL")
        try:
            problem = response.json()
            detail, kind = str(problem["detail"]), str(problem["kind"])
        except (ValueError, KeyError, TypeError):
            return self.unexpected(f"status {status} {response.reason_phrase}, and not why", status)
        remedy = "set FACEGENDER_TOKEN, or give token=" if status == PROBLEMS["unauthorized"].status else None
        return ServerError(f"{place}: {detail}", status=status, kind=kind, remedy=remedy)


def _check_url(url: str) -> str:
    """The host of a server's URL."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InputError(f"{url!r} is no URL: {error}") from None
    if parsed.userinfo:
        raise InputError("the server's URL must not hold a password", remedy="there is the token")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise InputError(f"{url!r} is not where a server is", remedy="such as http://127.0.0.1:8000")
    return parsed.host


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks to wait; 0 where it does not say."""
    text = response.headers.get("retry-after", "0").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0
