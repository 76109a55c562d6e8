"""What the service may be told."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, fields

from facegender.errors import InputError
from facegender.weights import DEFAULT


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and all of them together.

    Attributes:
        max_bytes: of the body of one request.
        max_photos: in one request.
        max_pixels: of one photo; larger ones become errors. A PNG file is held in full, at 3 bytes a pixel.
        max_queue: photos that wait, of all requests.
        max_wait: seconds; while the work before a request is expected to take longer, it is refused.
        max_memory: bytes of bodies that are held at one time, of all requests.
        body_timeout: seconds in which the body of a request must have come.
        time_limit: seconds that photos of one batch may take together; then each may take as long by itself.

    Raises:
        InputError: a limit that lets nothing through.
    """

    max_bytes: int = 32 * 2**20
    max_photos: int = 64
    max_pixels: int = 50_000_000
    max_queue: int = 256
    max_wait: float = 10.0
    max_memory: int = 256 * 2**20
    body_timeout: float = 30.0
    time_limit: float = 30.0

    def __post_init__(self) -> None:
        for each in fields(self):
            if not getattr(self, each.name) > 0:
                raise InputError(f"the limit {each.name} must be above 0, not {getattr(self, each.name)}")
        if self.max_queue < self.max_photos:
            raise InputError(
                f"a queue of {self.max_queue} photos cannot hold a request of {self.max_photos}",
                remedy="raise --max-queue or lower --max-photos",
            )
        if self.max_memory < self.max_bytes:
            raise InputError(
                f"{self.max_memory} bytes in all cannot hold a request of {self.max_bytes}",
                remedy="raise --max-memory or lower --max-bytes",
            )


@dataclass(frozen=True)
class ServerSettings:
    """How the service is run.

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
        InputError: what it is told cannot be, or would open it to a network without a token.
    """

    models: tuple[str, ...] = (DEFAULT,)
    detector_model: str | None = None
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    grace: float = 30.0
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    open_to_all: bool = False
    origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"at least 1 worker is needed, not {self.workers}")
        if not self.models:
            raise InputError("at least one model is needed")
        if self.token is not None and not (self.token and self.token.isascii() and self.token.isprintable()):
            raise InputError("the token must be one line of ASCII characters")
        if self.token is not None and " " in self.token:
            raise InputError("the token must not have spaces in it")
        if not self.local and self.token is None and not self.open_to_all:
            raise InputError(
                f"{self.host} can be reached from other machines, and there is no token",
                remedy="give --token-file, set FACEGENDER_TOKEN, or let everyone in with --no-token",
            )
        for origin in self.origins:
            if origin != "*" and not origin.startswith(("http://", "https://")):
                raise InputError(f"{origin!r} is no origin of a web page", remedy="such as https://example.org")

    @property
    def local(self) -> bool:
        """Whether only programs on this machine reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def hosts(self) -> frozenset[str] | None:
        """The names that requests may reach it by, in lower case and without a port; None for any.

        A web page whose name is made to lead to this machine (DNS rebinding) would otherwise be let in as its own.
        """
        if not self.local and not self.allowed_hosts:
            return None
        return frozenset(map(str.lower, ("localhost", "127.0.0.1", "[::1]", self.host, *self.allowed_hosts)))
