"""What a photo without a face costs, with and without the search in the three other ways up, and beside a photo of one.

    python studies/speed/faceless.py [--repeats 9] [--output results/speed/faceless.csv]

Of each size a JPEG of a cup of coffee and one of a portrait (both from scikit-image) are analysed from their bytes on
one thread; the cases take turns, and the median counts. Takes about half a minute.
"""

from __future__ import annotations

import statistics
import time

import PIL.Image
import skimage.data
from engine import jpeg

from facegender import FaceAnalyzer
from facegender.lab.study import study_parser, write_results
from facegender.progress import track

SIZES = ((250, 250), (640, 480), (1600, 1200), (4000, 3000))
PHOTOS = {"no face": skimage.data.coffee, "a face": skimage.data.astronaut}


def main() -> None:
    parser = study_parser(__doc__, "speed/faceless.csv")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()

    analyzers = {way: FaceAnalyzer(orientations=way, threads=1) for way in ("upright", "auto")}
    rows = []
    for photo, make in PHOTOS.items():
        for size in track(SIZES, photo):
            content = jpeg(PIL.Image.fromarray(make()).resize(size, PIL.Image.Resampling.LANCZOS))
            ms = {way: [] for way in analyzers}
            for _ in range(arguments.repeats):
                for way, analyzer in analyzers.items():
                    began = time.perf_counter()
                    found = analyzer.analyze(content).faces
                    ms[way].append(1000 * (time.perf_counter() - began))
                    assert bool(found) == (photo == "a face")
            upright, auto = (statistics.median(times) for times in ms.values())
            figures = {"upright_ms": round(upright, 1), "auto_ms": round(auto, 1), "ratio": round(auto / upright, 2)}
            rows.append({"photo": photo, "size": "{} x {}".format(*size)} | figures)
            print(*rows[-1].values())
    write_results(arguments.output, rows, "onnxruntime")


if __name__ == "__main__":
    main()
