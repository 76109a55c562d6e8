"""The page that finds and classifies faces in the browser: static files, for any web server.

Its own files lie in ``static/``, and ``static/vendor/`` holds ONNX Runtime for browsers, pinned and fetched by
``scripts/page/build.py``. The networks are those of the package. ``models.json`` tells the page what the cards and the
pipeline say: it has no settings of its own.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facegender import weights
from facegender._version import __version__
from facegender.errors import OutputError
from facegender.faces import anchors, merging, pose, prints, pyramid, types
from facegender.faces.decode import DEFAULT_MAX_PIXELS
from facegender.files import atomic_folder
from facegender.inference.detector import (
    CONFIDENT,
    FILLED_UP_TO,
    FIRST_FACE,
    FIRST_LOOK,
    LONG,
    LONGEST_SIDE,
    LONGEST_STRIP,
    USUAL_SCALE,
)
from facegender.weights.cards import DEFAULT_MAX_ERROR
from facegender.wording import DISPLAY_NAMES

_STATIC = Path(__file__).parent / "static"

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}

#: To be sent with each file. The page also says the first one itself, for servers that send none; the two on other
#: origins let the runtime use several threads.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page.

    Attributes:
        content: where it lies, or its bytes.
        media_type: for the header ``Content-Type``.
        gzipped: the content is compressed, and is to be sent with ``Content-Encoding: gzip`` or unpacked.
    """

    content: Path | bytes
    media_type: str
    gzipped: bool = False

    def read(self, *, unpacked: bool = False) -> bytes:
        """The content, as it is or without compression."""
        content = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        return gzip.decompress(content) if unpacked and self.gzipped else content


def assets() -> dict[str, Asset]:
    """All files of the page by their paths, such as ``index.html`` and ``models/research.onnx``.

    Raises:
        WeightsError: a network of the package is not what its card says.
    """
    found = {}
    for path in sorted(_STATIC.rglob("*")):
        if path.is_file():
            name = path.relative_to(_STATIC).as_posix().removesuffix(".gz")
            found[name] = Asset(path, _MEDIA_TYPES[Path(name).suffix], gzipped=path.suffix == ".gz")
    for path in [weights.detector_path(), *map(weights.weight_path, weights.list_models())]:
        found[f"models/{path.name}"] = Asset(path, _MEDIA_TYPES[path.suffix])
    found["models.json"] = Asset(json.dumps(_models()).encode(), _MEDIA_TYPES[".json"])
    return found


def write_page(folder: Path) -> int:
    """Write the page as files that any web server can serve; returns their number.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
        WeightsError: as for `assets`.
    """
    files = assets()
    if folder.exists():
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
        others = there - {name.partition("/")[0] for name in files}
        if others or (there and "models.json" not in there):
            named = ", ".join(sorted(others or there)[:3])
            raise OutputError(f"{folder} holds more than a page: {named}", remedy="give a new or an empty folder")
    with atomic_folder(folder) as temporary:
        for name, asset in files.items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(asset.read(unpacked=True))
    return len(files)


def _models() -> dict[str, Any]:
    """What the page needs to know of the networks and of the pipeline around them."""
    card = weights.load_detector_card()
    detector = asdict(card) | {
        "file": f"models/{weights.detector_path().name}",
        "usual_scale": USUAL_SCALE,
        "longest_side": LONGEST_SIDE,
        "long": LONG,
        "longest_strip": LONGEST_STRIP,
        "filled_up_to": FILLED_UP_TO,
        "same_face": merging.SAME_FACE,
        "blended": merging.BLENDED,
        "parts_of_pixel": merging.PARTS_OF_PIXEL,
        "strides": anchors.STRIDES,
        "multiple": anchors.MULTIPLE,
        "step": pyramid.STEP,
        "last_level": pyramid.LAST_LEVEL,
        "tile": pyramid.TILE,
        "tile_margin": pyramid.MARGIN,
        "tile_shared": pyramid.SHARED,
        "full_quality_side": types.FULL_QUALITY_SIDE,
        "nose_depth": pose.NOSE_DEPTH,
        "mean_shape": pose.MEAN_SHAPE,
        "full_roll": types.FULL_ROLL,
        "full_misfit": types.FULL_MISFIT,
        "confident": CONFIDENT,
        "first_look": FIRST_LOOK,
        "first_face": FIRST_FACE,
        "turned": merging.TURNED,
    }
    return {
        "version": __version__,
        "max_pixels": DEFAULT_MAX_PIXELS,
        "max_error": DEFAULT_MAX_ERROR,
        "default": weights.DEFAULT,
        "names": DISPLAY_NAMES,
        "detector": detector,
        "prints": asdict(prints.RULES),
        "classifiers": [_classifier(name) for name in weights.list_models()],
    }


def _classifier(name: str) -> dict[str, Any]:
    path = weights.weight_path(name)
    about = weights.load_card(name).to_dict() | {"file": f"models/{path.name}", "rates": None, "groups": []}
    # How often answers of each probability are wrong, and how well it does on each group of people.
    for key, ending in (("rates", "errors"), ("groups", "groups")):
        beside = path.with_suffix(f".{ending}.json")
        if beside.is_file():
            about[key] = json.loads(beside.read_text(encoding="utf-8"))
    return about
