"""The service from a program: photos go to a server, and the same results come back as from `FaceAnalyzer`.

    with Client("http://127.0.0.1:8000") as client:
        for result in client.analyze_many(paths):
            ...

Only the bytes of a photo are sent, never its name.
"""

from facegender.client.answers import ServedFace
from facegender.client.client import Client
from facegender.client.engine import ServerEngine
from facegender.wire import DetectorRecord, ModelRecord, Models, UsedModel

__all__ = ["Client", "DetectorRecord", "ModelRecord", "Models", "ServedFace", "ServerEngine", "UsedModel"]
