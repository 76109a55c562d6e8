"""The service for programs: photos come in over HTTP, their faces and answers go out, and nothing is kept.

A request passes `middleware`, its route in `routes`, the admission in `service` and the reading of its body in
`bodies`; its photos wait in the queue of `batcher` for a process of `worker`. `problems` has the refusals; `run` starts
the service.
"""

from facegender.server.settings import ServerSettings
from facegender.wire import Limits

__all__ = ["Limits", "ServerSettings"]
