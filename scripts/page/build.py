"""Bring what the page uses from the npm registry into the package, as package-lock.json pins it.

python scripts/page/build.py      needs npm; users of the package do not
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
VENDOR = HERE.parents[1] / "src" / "facegender" / "page" / "static" / "vendor"
PACKAGE = "onnxruntime-web"
LICENSE = "onnxruntime-license.txt"

#: Files of the package; those that browsers get compressed lie here compressed.
PLAIN = ("dist/ort.wasm.bundle.min.mjs", "dist/ort.jspi.bundle.min.mjs")
COMPRESSED = ("dist/ort-wasm-simd-threaded.wasm", "dist/ort-wasm-simd-threaded.jspi.wasm")


def main() -> None:
    """Install into a temporary folder, copy the few files, note what they are."""
    with tempfile.TemporaryDirectory() as temporary:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, temporary)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=temporary, check=True)
        shutil.rmtree(VENDOR, ignore_errors=True)
        VENDOR.mkdir(parents=True)
        package = Path(temporary) / "node_modules" / PACKAGE
        version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
        sums = {}
        for path in PLAIN + COMPRESSED:
            content = (package / path).read_bytes()
            if path in PLAIN:  # the maps that debuggers would ask for stay behind
                content = b"\n".join(line for line in content.split(b"\n") if not line.startswith(b"//# sourceMapping"))
            name = Path(path).name
            sums[name] = hashlib.sha256(content).hexdigest()
            if path in COMPRESSED:
                (VENDOR / f"{name}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
            else:
                (VENDOR / name).write_bytes(content)
    shutil.copy(HERE / LICENSE, VENDOR)
    sums[LICENSE] = hashlib.sha256((HERE / LICENSE).read_bytes()).hexdigest()
    record = {"package": PACKAGE, "version": version, "sha256": sums}
    (VENDOR / "versions.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
