"""Settings of the service."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from facegender.errors import InputError
from facegender.weights import DEFAULT
from facegender.wire import HOST, PORT, Limits, check_token, is_loopback


@dataclass(frozen=True)
class ServerSettings:
    """How the service runs.

    Attributes:
        models: names of shipped networks or paths of ``.onnx`` files; the first answers unless a request names another.
        detector_model: file of the face detector; None takes the package's.
        workers: processes that analyse photos, each with one thread.
        limits: of requests.
        grace: seconds in which accepted requests are finished once the service is to end.
        host, port: that it listens on; port 0 takes a free one.
        token: that requests must bear; None lets all in.
        open_to_all: let all in although it listens beyond this machine.
        origins: web pages that may read its answers (CORS).
        allowed_hosts: names it is reached by, beside its own; behind a proxy, that of the proxy.

    Raises:
        InputError: a setting is impossible, or would open the service to a network without a token.
    """

    models: tuple[str, ...] = (DEFAULT,)
    detector_model: str | None = None
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    grace: float = 30.0
    host: str = HOST
    port: int = PORT
    token: str | None = field(default=None, repr=False)
    open_to_all: bool = False
    origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"at least 1 worker is needed, not {self.workers}")
        if not 0 <= self.grace < math.inf:
            raise InputError(f"the grace must be 0 or more seconds, not {self.grace}")
        if not self.models:
            raise InputError("at least one model is needed")
        check_token(self.token)
        if not self.local and self.token is None and not self.open_to_all:
            raise InputError(
                f"{self.host} can be reached from other machines, and there is no token",
                remedy="give --token-file, set FACEGENDER_TOKEN, or let everyone in with --no-token",
            )
        for origin in self.origins:
            # Browsers send no path with it, not even a slash.
            if origin != "*" and (not origin.startswith(("http://", "https://")) or origin.count("/") != 2):
                raise InputError(f"{origin!r} is no origin of a web page", remedy="such as https://example.org")

    @property
    def local(self) -> bool:
        """Whether only programs on this machine reach it."""
        return is_loopback(self.host)

    @property
    def hosts(self) -> frozenset[str] | None:
        """The names that requests may reach it by, in lower case and without a port; None for any.

        A web page whose name is made to lead to this machine (DNS rebinding) would otherwise be let in as its own.
        """
        if not self.local and not self.allowed_hosts:
            return None
        return frozenset(map(str.lower, ("localhost", "127.0.0.1", "[::1]", self.host, *self.allowed_hosts)))
