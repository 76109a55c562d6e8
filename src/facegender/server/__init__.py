"""The service for programs: photos come in over HTTP, their faces and answers go out, and nothing is kept.

A request goes through `app` (routes), `bodies` (its photos, read within limits), `lanes` (the queue that all requests
share) and `work` (a process that analyses whatever waits); `problems` is how it is refused. `run` starts it all.
"""

from facegender.server.settings import Limits, ServerSettings

__all__ = ["Limits", "ServerSettings"]
