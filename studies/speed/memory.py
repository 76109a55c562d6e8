"""Peak memory of whole commands, as the operating system counts it.

python studies/speed/memory.py LFW.tar
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import PIL.Image
import skimage.data

from facegender.lab.study import study_parser
from facegender.machine import machine
from facegender.tables import write_csv


def main() -> None:
    parser = study_parser(__doc__, "speed/memory.csv")
    parser.add_argument("source", type=Path)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of their own: a command's peak counts from the memory of the process that started it.
        writer_process = multiprocessing.get_context("spawn").Process(target=_write_photos, args=(folder,))
        writer_process.start()
        writer_process.join()
        cases = {
            "predict PORTRAIT (512x512)": ["predict", folder / "portrait.png"],
            "predict PHOTO (12 megapixels)": ["predict", folder / "12mp.jpg"],
            "predict PHOTO (100 megapixels)": ["predict", folder / "100mp.jpg"],
            "prepare lfw LFW.tar": ["prepare", "lfw", arguments.source, "--output", folder / "lfw"],
        }
        peaks = {case: _peak([str(word) for word in words]) for case, words in cases.items()}
    extra = {"measured_by": "python studies/speed/memory.py LFW.tar", "machine": machine("numpy")}
    for case, peak in peaks.items():
        print(f"{case:32s} {peak:.0f} MB")
    records = [{"command": f"facegender {case}", "peak_mb": round(peak)} | extra for case, peak in peaks.items()]
    write_csv(arguments.output, records)


def _write_photos(folder: Path) -> None:
    portrait = PIL.Image.fromarray(skimage.data.astronaut())
    portrait.save(folder / "portrait.png")
    portrait.resize((4000, 3000)).save(folder / "12mp.jpg")
    portrait.resize((10_000, 10_000)).save(folder / "100mp.jpg")


def _peak(words: list[str]) -> float:
    """Largest resident set of one command, in MB (10^6 bytes)."""
    process = subprocess.Popen([sys.executable, "-m", "facegender", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"facegender {' '.join(words)} ended with {process.returncode}")
    return usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
