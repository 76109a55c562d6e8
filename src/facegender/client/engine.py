"""A server as the engine of a run."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import fields
from typing import Any

from facegender.client.answers import ServedNetwork, served_network
from facegender.client.client import Client
from facegender.errors import InputError, ServerError
from facegender.faces.types import PhotoResult
from facegender.inference.options import Options
from facegender.inference.tasks import Job, Task
from facegender.wire import Parameters, UsedModel

#: Requests under way, and retries enough to outlast the server's restart.
CONCURRENCY, RETRIES = 16, 20


class ServerEngine:
    """An engine for `facegender.analyze`: the photos are sent to a server (``facegender serve``).

    The server has a detector and limits of its own. Of the options it takes `model`, one of the server's, `max_error`
    and `min_confidence`.
    """

    def __init__(
        self, url: str, *, token: str | None = None, concurrency: int = CONCURRENCY, retries: int = RETRIES
    ) -> None:
        self._url, self._token, self._concurrency, self._retries = url, token, concurrency, retries
        #: As for `Client`; None until the server has been reached.
        self._limits: dict[str, float] | None = None
        #: Options, and the model that `provenance` has named for them.
        self._noted: tuple[Options, UsedModel] | None = None

    def network(self, options: Options) -> ServedNetwork | None:
        """The network that answers with these options; None where the server does not tell. ServerError as there."""
        with self._client(options, None) as client:
            about = client.models()
            self._limits = client.limits
        return served_network(about, None if options.model is None else str(options.model))

    def provenance(self, options: Options) -> dict[str, Any]:
        """As for `facegender.inference.engines.Engine`; ServerError as for `Client`."""
        with self._client(options, None) as client:
            found = client.provenance()
            self._limits, self._noted = client.limits, (options, found["model"])
            return found

    def run(self, tasks: Iterable[Task], job: Job, /) -> Generator[list[PhotoResult], None, None]:
        """As for `facegender.inference.engines.Engine`.

        Raises:
            ServerError: as for `Client`, or the server has changed to another model during the run, or since
                `provenance` was asked with the same options.
            InputError: it is asked for what a server does not do.
        """
        if job.annotate is not None or job.crops is not None:
            raise InputError("a server makes no pictures", remedy="leave out annotate and crops")
        if self._limits is None:  # a wrong URL or token shows at once; only a run has the patience to outlast a restart
            with self._client(job.options, None) as client:
                client.models()
                self._limits = client.limits
        # What it was restarted with since is another model than the one that is noted beside the results.
        first = [self._noted[1]] if self._noted is not None and self._noted[0] == job.options else []
        with self._client(job.options, self._retries) as client:
            client.limits = self._limits
            for used, result in client.analyze_tasks(tasks, concurrency=self._concurrency):
                if used is not None:
                    first = first or [used]
                    if used != first[0]:
                        raise ServerError(f"{self._url} answered with {first[0]} at first, and now with {used}")
                yield [result]

    def _client(self, options: Options, retries: int | None) -> Client:
        usual = Options()
        of_server = [each.name for each in fields(Options) if each.name not in Parameters.__annotations__]
        refused = [name for name in of_server if getattr(options, name) != getattr(usual, name)]
        if refused:
            raise InputError(f"a server has its own {', '.join(refused)}")
        return Client(
            self._url,
            token=self._token,
            model=None if options.model is None else str(options.model),
            max_error=options.max_error,
            min_confidence=options.min_confidence,
            **({} if retries is None else {"retries": retries}),
        )
