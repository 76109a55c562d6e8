"""What the service and its clients say to each other: paths, parameters, answers, problems and limits of both sides.

The server makes its OpenAPI document from these types, and the client reads answers by them. Their docstrings and
`JsonSchema` are what that document says; the checks on values that come in are the readers' own.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NotRequired, TypeAlias, get_type_hints

from typing_extensions import TypedDict

from facegender.errors import InputError
from facegender.faces.types import CROP_SIZE, Label

#: Default address of a server.
HOST, PORT = "127.0.0.1", 8000

ANALYZE, CLASSIFY, MODELS = "/v1/analyze", "/v1/classify", "/v1/models"
#: The fields of forms: image files of photos, and of crops.
PHOTO_FIELD, CROP_FIELD = "photo", "crop"
#: The media type of a body that is the bytes of one photo, or the pixels of crops.
OCTETS = "application/octet-stream"
#: Bytes of the pixels of a crop.
CROP_BYTES = CROP_SIZE * CROP_SIZE * 3
#: Crops that a client sends in one request, and a server gives a worker as one task: 3.1 MB.
CROPS_AT_ONCE = 256


class ProblemKind(NamedTuple):
    """The status of a problem, and a sentence for programmers."""

    status: int
    description: str


PROBLEMS = {
    "bad_request": ProblemKind(400, "The request is not what HTTP or its content type says it is."),
    "host": ProblemKind(400, "The service is not known by the name in the header Host."),
    "unauthorized": ProblemKind(401, "The bearer token is missing or wrong."),
    "origin": ProblemKind(403, "A web page that the service does not know sent this."),
    "not_found": ProblemKind(404, "There is nothing at this path."),
    "method_not_allowed": ProblemKind(405, "The path does not take this method."),
    "body_timeout": ProblemKind(408, "The body took too long to come."),
    "too_large": ProblemKind(413, "The body has more bytes, or more photos, than one request may have."),
    "unsupported_media_type": ProblemKind(415, "The content type is not taken here, or the body is compressed."),
    "invalid": ProblemKind(422, "A parameter or the body is not what it must be; `detail` names it."),
    "busy": ProblemKind(429, "Too much waits already; `Retry-After` says when it should be done."),
    "headers_too_large": ProblemKind(431, "Too many headers."),
    "failed": ProblemKind(500, "The service failed, and its log says why."),
    "not_ready": ProblemKind(503, "The service is starting, or about to end."),
}


@dataclass(frozen=True)
class JsonSchema:
    """Keywords of JSON Schema for a type; pydantic reads them."""

    keywords: dict[str, Any]

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(core_schema), **self.keywords}


def _described(text: str, **keywords: Any) -> JsonSchema:
    return JsonSchema({"description": text, **keywords})


def _array(length: int, **keywords: Any) -> JsonSchema:
    return JsonSchema({"minItems": length, "maxItems": length, **keywords})


class Parameters(TypedDict, total=False):
    """The query of a request for answers."""

    model: str
    max_error: float
    min_confidence: float


_Probability = Annotated[
    float, _described("Calibrated probability of being perceived as male.", minimum=0.0, maximum=1.0)
]
_Landmark = Annotated[list[float], _array(2)]


class UsedModel(TypedDict):
    """The classifier that answered."""

    name: str
    sha256: str
    min_confidence: Annotated[
        float, _described("Answers less probable than this are `uncertain`.", minimum=0.5, maximum=1.0)
    ]


class FaceRecord(TypedDict):
    """A face; places are in pixels of the full photo, with its EXIF orientation applied."""

    box: Annotated[list[float], _array(4, description="x, y, width, height.")]
    score: Annotated[float, _described("How sure the detector is that this is a face.")]
    quality: Annotated[
        float, _described("How much there is to judge: below 0.5 it is small or turned away.", minimum=0.0, maximum=1.0)
    ]
    landmarks: Annotated[
        list[_Landmark], _array(5, description="Right eye, left eye, nose tip, right and left mouth corner.")
    ]
    p_male: _Probability
    label: Label


class ErrorRecord(TypedDict):
    """Why a photo has no answer."""

    kind: Annotated[str, _described("A stable word, such as not_an_image, truncated, pixel_limit, crashed, timeout.")]
    message: str


class NoteRecord(TypedDict):
    """Something about a photo that is no error but should be known."""

    kind: Annotated[str, _described("A stable word, such as pages.")]
    message: str


class PhotoRecord(TypedDict):
    """What was found in a photo: faces, largest first, or an error."""

    path: Annotated[str, _described("The file name that came with the photo; empty for raw bytes.")]
    width: int | None
    height: int | None
    weight: float
    faces: list[FaceRecord]
    error: ErrorRecord | None
    notes: NotRequired[Annotated[list[NoteRecord], _described("Absent where there are none.", default=[])]]


class Analysis(TypedDict):
    """The answer to photos, in their order."""

    model: UsedModel
    photos: list[PhotoRecord]


class PredictionRecord(TypedDict):
    """The answer to a crop."""

    p_male: _Probability
    label: Label


class Classification(TypedDict):
    """The answer to crops, in their order."""

    model: UsedModel
    predictions: list[PredictionRecord]


class ModelRecord(TypedDict):
    """The card of a classifier."""

    name: str
    network: str
    parameters: int
    precision: Literal["fp32", "fp16", "int8"]
    input_size: int
    training_data: str
    licence: str
    sha256: str
    template: Annotated[dict[str, Any], _described("Where the landmarks of a face lie in its crop.")]
    confidence_for_error: Annotated[dict[str, float], _described("Accepted error rate to least confidence.")]
    accuracy: Annotated[dict[str, Any], _described("Test set to what was measured on it.")]


class DetectorRecord(TypedDict):
    """The face detector."""

    name: str
    sha256: str
    min_score: float
    smallest_face: float


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
        time_limit: seconds that photos of one batch may take together; then they are tried one by one, within as long
            again.

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
            if not 0 < (value := getattr(self, each.name)) < math.inf:
                raise InputError(f"the limit {each.name} must be a number above 0, not {value}")
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


if TYPE_CHECKING:
    LimitsRecord: TypeAlias = dict[str, float]
else:
    LimitsRecord = TypedDict("LimitsRecord", get_type_hints(Limits))
    LimitsRecord.__doc__ = "What one request may ask for, and all of them together."


class Models(TypedDict):
    """What the service can do."""

    version: str
    models: list[ModelRecord]
    default: str
    detector: DetectorRecord
    limits: LimitsRecord


class Health(TypedDict):
    """That the service is there."""

    status: Literal["ok", "ready"]


class ProblemDetails(TypedDict):
    """Why a request was refused (RFC 9457)."""

    type: Annotated[str, _described("`urn:facegender:problem:` and the kind.")]
    title: Annotated[str, _described("What the status means.")]
    status: Annotated[int, JsonSchema({"minimum": 400, "maximum": 599})]
    detail: Annotated[str, _described("What is wrong with this request, for people.")]
    kind: Annotated[str, _described("A stable word for programs.", enum=list(PROBLEMS))]


def check_token(token: str | None) -> None:
    """Raise an InputError for a token that cannot be sent in a header."""
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise InputError("the token must be one word of ASCII characters")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by a name or address that no other machine can use."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
