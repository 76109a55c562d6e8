"""How many times faster than real time a film is analysed: 1280 x 720, 25 frames a second, made of real photos.

    python studies/speed/video.py PHOTOS.tar

Each scene of four seconds is a camera's way over a wall of three photos, with one to three faces in a frame. Decoding
every frame alone is the yardstick beside real time. Adds its rows to results/speed/engine.csv, or replaces them.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import PIL.Image
from engine import Row, write

from facegender.faces.types import Image
from facegender.lab.datasets.images import paths_by_name, read_images
from facegender.lab.study import study_parser
from facegender.progress import track
from facegender.video.analyze import VideoAnalyzer

WIDTH, HEIGHT, RATE = 1280, 720, 25
SCENE_SECONDS, WALL = 4, 3
REPEATS = 3


def main() -> None:
    parser = study_parser(__doc__, "speed/engine.csv")
    parser.add_argument("photos", type=Path, help="a tar archive or a folder of photos of people")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.mp4")
        _make(film, arguments.photos, arguments.seconds)
        size = f"film {WIDTH}x{HEIGHT}, {RATE} fps"
        ways: dict[str, Callable[[Path], object]] = {"every frame decoded and nothing else": _decode}
        ways |= {f"--fps {fps:g}": VideoAnalyzer(fps=fps).analyze for fps in (5.0, 2.0)}
        rows: list[Row] = [
            (f"{size}, {way}, times real time", _times(film, work), "real time", 1.0) for way, work in ways.items()
        ]
    write(arguments.output, rows, "python studies/speed/video.py PHOTOS.tar")


def _make(path: Path, source: Path, seconds: int) -> None:
    """Encode the film."""
    names = sorted(paths_by_name(source))
    scenes = -(-seconds // SCENE_SECONDS)
    chosen = np.random.default_rng(0).choice(len(names), scenes * WALL, replace=False)
    wanted = [names[i] for i in sorted(chosen.tolist())]
    photos = [_square(data) for _, data in read_images(source, wanted)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options={"crf": "23", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for scene in track(range(scenes), "scenes of the film"):
            wall = np.concatenate([photos[i] for i in range(scene, len(photos), scenes)], axis=1)
            for step in np.linspace(0, 1, SCENE_SECONDS * RATE, endpoint=False):
                zoom = 1 + 0.3 * step
                x, y = (wall.shape[1] - WIDTH / zoom) * step, (HEIGHT - HEIGHT / zoom) / 2
                view = cv2.warpAffine(wall, np.array([[zoom, 0, -x * zoom], [0, zoom, -y * zoom]]), (WIDTH, HEIGHT))
                output.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        output.mux(stream.encode())


def _square(data: bytes) -> Image:
    image = PIL.Image.open(io.BytesIO(data)).convert("RGB")
    return np.array(image.resize((HEIGHT, HEIGHT), PIL.Image.Resampling.BICUBIC))


def _decode(path: Path) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass


def _times(film: Path, work: Callable[[Path], object]) -> float:
    """Seconds of film a second; the median of some runs."""
    with av.open(str(film)) as container:
        length = container.duration / av.time_base
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work(film)
        taken.append(time.perf_counter() - began)
    return length / statistics.median(taken)


if __name__ == "__main__":
    main()
