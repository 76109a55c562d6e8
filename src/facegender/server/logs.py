"""Logs for machines: one JSON object a line on standard error, with no image content and no file names."""

from __future__ import annotations

import json
import logging
import logging.config
import time

#: What a record may carry beside its message, in the order in which it is written.
FIELDS = ("request", "method", "path", "status", "ms", "photos", "bytes")


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {"time": f"{when}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        line["message"] = record.getMessage()
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure() -> None:
    """Send the logs of the service and of its HTTP server to standard error."""
    own = {"handlers": ["stderr"], "level": "INFO", "propagate": False}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "loggers": {
                "facegender.server": own,
                # What it tells below a warning is in our own lines, or of no use.
                "uvicorn": {**own, "level": "WARNING"},
                "asyncio": {**own, "level": "WARNING"},
                # It quotes what clients send.
                "python_multipart": {**own, "level": "CRITICAL"},
            },
        }
    )
