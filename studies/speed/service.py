"""The service under load, under attack and at its end, measured on loopback.

    python studies/speed/service.py PHOTOS soak --minutes 10
    python studies/speed/service.py PHOTOS batching overload sigterm hostile schema

PHOTOS is a folder of photos of about 250 x 250 pixels; larger ones are made from them. Each part starts a server of its
own (``facegender serve``, with the options that its rows name) and shares the machine with it. Adds its rows to
results/speed/service.csv, or replaces them.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine import Row, write
from service_hostile import hostile
from service_load import BOX_PIXELS, CLIENTS, PROBABILITY, ClosedError, Connection, Load, Server, closed_loop, open_loop
from service_photos import MIXTURE, Photos

from facegender.lab.study import study_parser

#: So little may wait that what is accepted is answered nearly as fast as without load.
OVERLOAD_OPTIONS = ("--max-wait", "0.03")
OVERLOAD = 5
SIGTERM_CLIENTS = 32
SCHEMA_CASES = 2000
#: A document cannot say that two parameters exclude each other, nor what makes a file a photo, and in a form every text
#: is a file: what it allows may be refused, and the other way round.
NOT_CHECKED = ("positive_data_acceptance", "negative_data_rejection")

_MIXED = "250 px, 640 x 480, 12 MP and broken in shares of " + ":".join(str(share) for share in MIXTURE.values())


def main() -> None:
    parser = study_parser(__doc__, "speed/service.csv")
    parser.add_argument("photos", type=Path)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--minutes", type=float, default=10.0, help="of `soak`")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement of `batching` and `overload`")
    parser.add_argument("--rounds", type=int, default=5, help="of `batching` and `sigterm`")
    parser.add_argument("--examples", type=int, default=1000, help="of `schema`, for each operation")
    arguments = parser.parse_args()
    for part in arguments.parts:
        rows = PARTS[part](arguments)
        used = {name: getattr(arguments, name) for name in OPTIONS[part]}
        command = " ".join(["python studies/speed/service.py PHOTOS", part, *(f"--{k} {v:g}" for k, v in used.items())])
        write(arguments.output, rows, command)


def soak(arguments: argparse.Namespace) -> list[Row]:
    """Many clients for long: every answer is looked at, and the memory of all processes."""
    photos = Photos(arguments.photos)
    with Server() as server, server.watched(1.0) as memory:
        load = closed_loop(server.port, photos.endless, CLIENTS, 60 * arguments.minutes)
    begun, ended = memory[0][0], memory[-1][0]
    window = min(60.0, (ended - begun) / 3)
    early = _mean(memory, begun + window, begun + 2 * window)
    late = _mean(memory, ended - window, ended)
    what = f"soak, {CLIENTS} clients, {arguments.minutes:g} minutes"
    return [
        (f"{what}, requests ({_MIXED})", load.statuses.total(), "", ""),
        (f"{what}, answers 5xx", _failures(load), "bar", 0),
        (f"{what}, answers not 200", load.statuses.total() - load.statuses[200], "", ""),
        (f"{what}, wrong answers (boxes off by {BOX_PIXELS} px, p_male by {PROBABILITY})", load.wrong, "bar", 0),
        (f"{what}, largest difference of p_male", load.probability, "of a box, pixels", load.pixels),
        (f"{what}, photos/s", load.rate, "", ""),
        *((f"{what}, p{percent} of the time to the answer, ms", load.ms(percent), "", "") for percent in (50, 95, 99)),
        (f"{what}, memory of all processes in the last minute, MB", late, "in the second minute, MB", early),
        (f"{what}, growth of the memory from the second minute to the last, %", 100 * (late / early - 1), "bar", 5),
    ]


def _mean(memory: list[tuple[float, float]], begin: float, end: float) -> float:
    return statistics.mean(size for moment, size in memory if begin <= moment <= end)


def _failures(load: Load) -> int:
    return sum(count for status, count in load.statuses.items() if status >= 500)


def batching(arguments: argparse.Namespace) -> list[Row]:
    """Small photos from one client, which waits for each answer, and from many at once, in turn."""
    photos = Photos(arguments.photos, mixed=False)
    rows: list[Row] = []
    for options, name in (((), "one worker a core"), (("--workers", "1"), "--workers 1")):
        alone, together = [], []
        with Server(options) as server:
            closed_loop(server.port, photos.endless, CLIENTS, 2)
            for _ in range(arguments.rounds):
                alone.append(closed_loop(server.port, photos.endless, 1, arguments.seconds).rate)
                together.append(closed_loop(server.port, photos.endless, CLIENTS, arguments.seconds).rate)
        ratio = statistics.median(b / a for a, b in zip(alone, together, strict=True))
        what = f"batching, photos of 250 px, {name}"
        rows += [
            (f"{what}, {CLIENTS} clients, photos/s", statistics.median(together), "1 client", statistics.median(alone)),
            (f"{what}, median of the ratios of {arguments.rounds} rounds", ratio, "bar", 2 if not options else ""),
        ]
    return rows


def overload(arguments: argparse.Namespace) -> list[Row]:
    """Requests that come at several times the rate at which they can be answered."""
    photos = Photos(arguments.photos)
    with Server() as server:
        closed_loop(server.port, photos.endless, CLIENTS, 2)
        full = closed_loop(server.port, photos.endless, CLIENTS, arguments.seconds)
    with Server(OVERLOAD_OPTIONS) as server:
        closed_loop(server.port, photos.endless, 4, 2)
        alone = closed_loop(server.port, photos.endless, 1, arguments.seconds)
        load, unsent = open_loop(server.port, photos.endless(0), OVERLOAD * full.rate, arguments.seconds, seed=0)
    what = f"overload ({' '.join(OVERLOAD_OPTIONS)})"
    others = load.statuses.total() - load.statuses[200] - load.statuses[429]
    return [
        (f"{what}, requests/s", load.statuses.total() / arguments.seconds, "capacity, photos/s", full.rate),
        (f"{what}, requests that were not sent", unsent, "", ""),
        (f"{what}, share of 200", load.share(200), "share of 429", load.share(429)),
        (f"{what}, other answers", others, "bar", 0),
        (f"{what}, wrong answers", load.wrong, "bar", 0),
        (f"{what}, photos/s answered", load.rate, "capacity, photos/s", full.rate),
        (f"{what}, p50 of the accepted, ms", load.ms(50), "1 client, p50, ms", alone.ms(50)),
        (f"{what}, p99 of the accepted, ms", load.ms(99), "1 client, p99, ms; bar: ratio below 2", alone.ms(99)),
    ]


def sigterm(arguments: argparse.Namespace) -> list[Row]:
    """The end in the midst of work."""
    photos = Photos(arguments.photos)
    exits, seconds, counts = [], [], {"200": 0, "503": 0, "lost": 0, "late": 0}
    for number in range(arguments.rounds):
        with Server() as server:
            ended = asyncio.run(_interrupted(server, photos, counts, seed=100 * number))
            exits.append(server.process.wait(60))
            seconds.append(time.monotonic() - ended)
    what = f"SIGTERM, {SIGTERM_CLIENTS} clients at work, {arguments.rounds} times"
    return [
        (f"{what}, exit status (the worst)", max(exits, key=abs), "bar", 0),
        (f"{what}, requests under way that were answered", counts["200"], "with 503", counts["503"]),
        (f"{what}, requests under way without an answer", counts["lost"], "bar", 0),
        (f"{what}, requests that came after it and found it closed", counts["late"], "", ""),
        (f"{what}, seconds to the end (the longest)", max(seconds), "", ""),
    ]


async def _interrupted(server: Server, photos: Photos, counts: dict[str, int], seed: int) -> float:
    """Clients at work for two seconds, then the signal; when it was sent."""
    signalled: float | None = None

    async def client(number: int) -> None:
        connection = Connection(server.port)
        for sample in photos.endless(seed + number):
            late = signalled is not None
            try:
                status, body = await connection.post(sample.data)
            except ClosedError:
                counts["late" if late else "lost"] += 1
                return
            if signalled is not None:
                if status == 200 and sample.differences(body) is None:
                    raise RuntimeError("a wrong answer")
                counts[str(status)] += 1

    clients = [asyncio.create_task(client(number)) for number in range(SIGTERM_CLIENTS)]
    await asyncio.sleep(2)
    signalled = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*clients)
    return signalled


def schema(arguments: argparse.Namespace) -> list[Row]:
    """Requests made from the OpenAPI document, good and bad, and whether the answers are as it says."""
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "events.ndjson")
        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("st")), "run", f"http://127.0.0.1:{server.port}/openapi.json"),
                *("--phases", "examples,coverage,fuzzing", "--max-examples", str(arguments.examples)),
                *("--checks", "all", "--exclude-checks", ",".join(NOT_CHECKED)),
                *("--continue-on-failure", "--seed", "1", "--request-timeout", "60", "--warnings", "off"),
                *("--report", "ndjson", "--report-ndjson-path", str(report)),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        logged = server.logged
    print(done.stdout)
    found = re.search(r"(\d[\d,]*) generated", done.stdout)
    cases = int(found[1].replace(",", "")) if found else 0
    unique = re.search(r"(\d[\d,]*) unique failures?", done.stdout)
    violations = int(unique[1].replace(",", "")) if unique else int(done.returncode != 0)
    failures = sum(count for status, count in logged.items() if status >= 500)
    return [
        ("schemathesis, cases", cases, "bar", SCHEMA_CASES),
        (f"schemathesis, all checks but {' and '.join(NOT_CHECKED)}, violations", violations, "bar", 0),
        ("schemathesis, answers 5xx", failures, "bar", 0),
        ("schemathesis, requests answered", logged.total(), "of them 2xx", sum(logged[s] for s in range(200, 300))),
    ]


PARTS = {
    "soak": soak,
    "batching": batching,
    "overload": overload,
    "hostile": lambda _: hostile(),
    "sigterm": sigterm,
    "schema": schema,
}
#: What their commands name.
OPTIONS = {
    "soak": ("minutes",),
    "batching": ("seconds", "rounds"),
    "overload": ("seconds",),
    "hostile": (),
    "sigterm": ("rounds",),
    "schema": ("examples",),
}

if __name__ == "__main__":
    main()
