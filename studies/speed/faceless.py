"""What a photo without a face costs, with and without the search in the three other ways up, and beside a photo of one.

    python studies/speed/faceless.py [--repeats 9] [--output results/speed/faceless.csv]

Of each size a JPEG of a cup of coffee and one of a portrait (both from scikit-image) are analysed from their bytes on
one thread; the cases take turns, and the median counts. Takes about half a minute.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from pathlib import Path

import PIL.Image
import skimage.data

from facegender import FaceAnalyzer
from facegender.lab.study import study_command
from facegender.machine import machine
from facegender.progress import track
from facegender.tables import write_csv

SIZES = ((250, 250), (640, 480), (1600, 1200), (4000, 3000))
PHOTOS = {"no face": skimage.data.coffee, "a face": skimage.data.astronaut}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("results/speed/faceless.csv"))
    arguments = parser.parse_args()

    analyzers = {way: FaceAnalyzer(orientations=way, threads=1) for way in ("upright", "auto")}
    extra = {"command": study_command(), "machine": machine("onnxruntime")}
    rows = []
    for photo, make in PHOTOS.items():
        for size in track(SIZES, photo):
            content = jpeg(PIL.Image.fromarray(make()), size)
            ms = {way: [] for way in analyzers}
            for _ in range(arguments.repeats):
                for way, analyzer in analyzers.items():
                    began = time.perf_counter()
                    found = analyzer.analyze(content).faces
                    ms[way].append(1000 * (time.perf_counter() - began))
                    assert bool(found) == (photo == "a face")
            upright, auto = (statistics.median(times) for times in ms.values())
            figures = {"upright_ms": round(upright, 1), "auto_ms": round(auto, 1), "ratio": round(auto / upright, 2)}
            rows.append({"photo": photo, "size": "{} x {}".format(*size)} | figures | extra)
            print(*list(rows[-1].values())[:5])
    write_csv(arguments.output, rows)


def jpeg(image: PIL.Image.Image, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    image.resize(size, PIL.Image.Resampling.LANCZOS).save(file, format="JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    main()
