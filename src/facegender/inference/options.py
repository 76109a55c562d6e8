"""How photos and videos are analysed, stated once: what the command line, the library, workers and servers share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from facegender._version import __version__
from facegender.errors import InputError
from facegender.faces.decode import DEFAULT_MAX_PIXELS
from facegender.weights import load_card, load_detector_card
from facegender.weights.cards import DEFAULT_MAX_ERROR, Card

if TYPE_CHECKING:
    from facegender.inference.detector import FaceDetector, Orientations

#: Options that the package's detector takes.
_OF_DETECTOR = ("min_face", "min_score", "orientations")


class OptionValues(TypedDict, total=False):
    """The fields of `Options` that are given by keyword, with the same meaning."""

    device: str
    threads: int | None
    min_face: int | None
    min_score: float | None
    orientations: Orientations
    max_pixels: int
    max_error: float | None
    min_confidence: float | None


@dataclass(frozen=True, kw_only=True)
class Options:
    """How photos and videos are analysed. It can be pickled, and sent to any process.

    Attributes:
        model: a name from `facegender.list_models()`, or the path of an ``.onnx`` or ``.xml`` file with its card.
            None takes the default network, on a server the server's.
        detector: the path of a detector's ``.onnx`` file with its card, or an object that finds faces. None takes the
            detector in the package.
        device: where the networks run: ``cpu``, ``cuda``, or ``auto`` for CUDA where it works.
        threads: CPU threads of each network. None takes ``OMP_NUM_THREADS``, or all cores; in one of several
            workers, one.
        min_face: side in pixels of the smallest face to look for; smaller takes longer. None: of photos, about 11
            pixels up to 850 pixels on the longest side, and in larger ones in proportion, 50 at 4000; of videos, a 45th
            of the longest side as displayed, but no less than 8.
        min_score: faces that the detector is less sure of are left out, in (0, 1]. None takes the detector's own value.
        orientations: which ways up the faces of photos are looked for: ``upright``; ``auto``, the other three too where
            no face is found for sure; or ``all``. Videos are searched upright. A detector that finds faces any way up
            needs no search.
        max_pixels: larger photos and videos become errors instead of filling the memory.
        max_error: answer ``uncertain`` so often that the error rate among the other answers stays at or below this
            on faces like those that the network was validated on; `facegender.weights.Card.confidence` has the rates.
        min_confidence: in [0.5, 1]; answer ``uncertain`` where the likelier answer is less probable. With neither,
            `max_error` is 0.01.

    Raises:
        InputError: a number out of range, or options that contradict each other: `max_error` and `min_confidence`; or
            `min_face`, `min_score` or `orientations` and a detector object, which has its own. `device`, `threads` and
            those three are checked where the networks are opened.
    """

    model: str | Path | None = None
    detector: FaceDetector | str | Path | None = None
    device: str = "cpu"
    threads: int | None = None
    min_face: int | None = None
    min_score: float | None = None
    orientations: Orientations = "auto"
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_error: float | None = None
    min_confidence: float | None = None

    def __post_init__(self) -> None:
        if self.max_error is not None and self.min_confidence is not None:
            raise InputError("max_error and min_confidence cannot both be given", remedy="give one, not both")
        if self.min_confidence is not None and not 0.5 <= self.min_confidence <= 1:
            raise InputError(f"min_confidence must lie in [0.5, 1], not {self.min_confidence}")
        if self.max_pixels < 1:
            raise InputError(f"max_pixels must be at least 1, not {self.max_pixels}")
        given = [name for name in _OF_DETECTOR if getattr(self, name) != getattr(type(self), name)]
        if given and not isinstance(self.detector, str | Path | None):
            raise InputError(
                f"a detector object has its own {' and '.join(given)}", remedy="give it where the detector is made"
            )

    @classmethod
    def of(
        cls,
        options: Options | None,
        model: str | Path | None,
        detector: FaceDetector | str | Path | None,
        **values: Unpack[OptionValues],
    ) -> Options:
        """The options that a caller gives as one object or one by one; InputError where it gives both."""
        if options is None:
            return cls(model=model, detector=detector, **values)
        if model is not None or detector is not None or values:
            raise InputError(
                "give options, or its fields one by one, not both", remedy="dataclasses.replace changes one field"
            )
        return options

    def open_detector(self) -> FaceDetector:
        """The face detector; errors as for `OnnxDetector`."""
        if isinstance(self.detector, str | Path | None):
            from facegender.inference.detector import OnnxDetector  # with its runtime: not all who have options need it

            return OnnxDetector(
                self.detector,
                min_face=self.min_face,
                min_score=self.min_score,
                orientations=self.orientations,
                device=self.device,
                threads=self.threads,
            )
        return self.detector

    def confidence(self, card: Card) -> float:
        """The confidence from which the classifier of a card answers, in [0.5, 1].

        Raises:
            InputError: the card does not list the error rate.
        """
        if self.min_confidence is not None:
            return self.min_confidence
        return card.confidence(DEFAULT_MAX_ERROR if self.max_error is None else self.max_error)

    def provenance(self) -> dict[str, Any]:
        """What results depend on, to be written beside them, read from the cards of the networks.

        Raises:
            WeightsError: unknown model, or a file that is not what its card says.
            InputError: the card does not list the error rate.
        """
        card = load_card(self.model)
        model = {"name": card.name, "sha256": card.sha256, "min_confidence": self.confidence(card)}
        options: dict[str, Any] = {name: getattr(self, name) for name in _OF_DETECTOR}
        detector: dict[str, Any]
        if isinstance(self.detector, str | Path | None):
            found = load_detector_card(self.detector)
            detector = {"name": found.name, "sha256": found.sha256}
        else:
            detector = getattr(self.detector, "identity", {"name": type(self.detector).__qualname__, "sha256": None})
            options = {name: getattr(self.detector, name, None) for name in options}
        return {
            "version": __version__,
            "model": model,
            "detector": detector,
            "options": {**options, "max_pixels": self.max_pixels},
        }
