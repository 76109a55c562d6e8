"""The service from a program: photos go to a server, and the same results come back as from `FaceAnalyzer`.

    with Client("http://127.0.0.1:8000") as client:
        for result in client.analyze_many(paths):
            ...

Only the bytes of a photo are sent, never its name.
"""

from facegender.client.answers import DetectorInfo, ModelInfo, Models, ServedFace, UsedModel
from facegender.client.client import Client
from facegender.client.engine import ServerEngine

__all__ = ["Client", "DetectorInfo", "ModelInfo", "Models", "ServedFace", "ServerEngine", "UsedModel"]
