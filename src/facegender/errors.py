"""Every error that facegender raises on purpose.

::

    FacegenderError                 base; `kind` is a stable word for programs, `remedy` a hint for people
    ├── PhotoReadError              one photo could not be read; never ends a run
    │   ├── PhotoNotFoundError      kind "not_found"
    │   ├── PhotoPermissionError    kind "permission"
    │   ├── NotAnImageError         kind "not_an_image"
    │   │   └── MissingDecoderError kind "missing_extra"
    │   ├── TruncatedImageError     kind "truncated"
    │   ├── PixelLimitError         kind "pixel_limit"
    │   └── ByteLimitError          kind "byte_limit"
    ├── VideoReadError              one video could not be read; never ends a run
    │   ├── VideoNotFoundError      kind "not_found"
    │   ├── VideoPermissionError    kind "permission"
    │   ├── NotAVideoError          kind "not_a_video"
    │   └── NoVideoError            kind "no_video"
    ├── InputError (a ValueError)   kind "input": arguments that cannot be served (empty folder, bad option)
    ├── OutputError                 kind "output": a file or folder that cannot be written
    ├── WeightsError                kind "weights": unknown model, missing file, checksum that does not match
    │   └── AccuracyLossError       kind "accuracy_loss": a converted network that answers worse than it may
    ├── DatasetError                kind "dataset": a source or a label list that is not what it should be
    │   └── StoreError              kind "store": a prepared store that is absent, cut short or of another version
    ├── RecipeError                 kind "recipe": a training recipe with an unknown or impossible setting
    ├── DivergedError               kind "diverged": a training run whose loss is no finite number any more
    ├── CheckpointError             kind "checkpoint": a checkpoint that is cut short or belongs to another run
    ├── ServerError                 kind "server", or the server's word: it refuses, or cannot be reached
    └── MissingExtraError           kind "missing_extra": an optional dependency is not installed
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FacegenderError(Exception):
    """Base of all errors meant for the user.

    The message names the file or option at fault and, where there is one, the remedy.
    """

    kind = "error"

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        self.remedy = remedy
        super().__init__(f"{message} ({remedy})" if remedy else message)


class PhotoReadError(FacegenderError):
    """One photo could not be read."""

    kind = "unreadable"


class PhotoNotFoundError(PhotoReadError):
    """The path does not exist or is not a regular file."""

    kind = "not_found"


class PhotoPermissionError(PhotoReadError):
    """The file exists but may not be read."""

    kind = "permission"


class NotAnImageError(PhotoReadError):
    """The bytes are not an image of a supported format."""

    kind = "not_an_image"


class MissingDecoderError(NotAnImageError):
    """The image is of a format that an optional dependency decodes, and that is not installed."""

    kind = "missing_extra"


class TruncatedImageError(PhotoReadError):
    """The image starts well but its data ends early or is damaged."""

    kind = "truncated"


class PixelLimitError(PhotoReadError):
    """The image has more pixels than the limit allows."""

    kind = "pixel_limit"


class ByteLimitError(PhotoReadError):
    """The file, in an archive or at a URL, has more bytes than may be held in memory."""

    kind = "byte_limit"


class VideoReadError(FacegenderError):
    """One video could not be read."""

    kind = "unreadable"


class VideoNotFoundError(VideoReadError):
    """The path does not exist or is not a regular file."""

    kind = "not_found"


class VideoPermissionError(VideoReadError):
    """The file exists but may not be read."""

    kind = "permission"


class NotAVideoError(VideoReadError):
    """The bytes are not a video of a known format, or end before it begins."""

    kind = "not_a_video"


class NoVideoError(VideoReadError):
    """The file holds sound or text, but no pictures."""

    kind = "no_video"


class InputError(FacegenderError, ValueError):
    """The arguments cannot be served."""

    kind = "input"


class OutputError(FacegenderError):
    """A file or folder cannot be written."""

    kind = "output"


class WeightsError(FacegenderError):
    """A weight file is unknown, missing or not what its card says."""

    kind = "weights"


class AccuracyLossError(WeightsError):
    """A network answers worse in the form that was asked for than in float32, by more than is allowed."""

    kind = "accuracy_loss"


class DatasetError(FacegenderError):
    """A dataset source or label list is not what it should be."""

    kind = "dataset"


class StoreError(DatasetError):
    """A prepared store is absent, cut short or of another version."""

    kind = "store"


class RecipeError(FacegenderError):
    """A training recipe has an unknown or impossible setting."""

    kind = "recipe"


class DivergedError(FacegenderError):
    """A training run's loss is no finite number any more."""

    kind = "diverged"


class CheckpointError(FacegenderError):
    """A checkpoint is cut short or belongs to another run."""

    kind = "checkpoint"


class ServerError(FacegenderError):
    """A server refused a request, could not be reached, or answered something else than facegender's service would.

    Attributes:
        status: of its answer; None where there was none.
        kind: the server's word for what is wrong, such as ``unauthorized``; ``server`` where it gave none.
    """

    kind = "server"

    def __init__(
        self, message: str, *, status: int | None = None, kind: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.status, self.kind = status, kind or type(self).kind


class MissingExtraError(FacegenderError):
    """An optional dependency is not installed."""

    kind = "missing_extra"

    def __init__(self, package: str, extra: str) -> None:
        self._named = package, extra
        super().__init__(f"this needs the package {package}", remedy=f"pip install 'facegender[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """For the way from one process to another."""
        return type(self), self._named


@contextmanager
def needs(package: str, extra: str) -> Iterator[None]:
    """Around the import of an optional package.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(package, extra) from error
