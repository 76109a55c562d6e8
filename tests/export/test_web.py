"""Exported files run where browsers run them: ONNX Runtime's WebAssembly build, here in Node.

It needs ``node`` and the npm package ``onnxruntime-web``: in ``node_modules`` at the repository's root (``npm install
onnxruntime-web``), or in the folder that ONNXRUNTIME_WEB names.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from facegender.export import to_onnx
from facegender.export.convert import convert
from facegender.inference.runtime import Session
from facegender.networks.build import build
from facegender.networks.classifier import CropClassifier
from facegender.networks.registry import network
from facegender.training.calibration import Calibration
from facegender.weights import DEFAULT, PRECISIONS, weight_path

PACKAGE = Path(
    os.environ.get("ONNXRUNTIME_WEB", Path(__file__).parents[2] / "node_modules" / "onnxruntime-web")
).resolve()

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not (PACKAGE / "package.json").exists(), reason=f"{PACKAGE} is absent: npm install it"),
]

#: Largest difference of a probability from that in float32.
FROM_FP32 = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.3}

SCRIPT = """
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const [place, crops, ...models] = process.argv.slice(2);
const ort = createRequire(place + "/")(place);
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";
const pixels = new Uint8Array(readFileSync(crops));
const answers = [];
for (const model of models) {
  const session = await ort.InferenceSession.create(readFileSync(model), { executionProviders: ["wasm"] });
  const input = new ort.Tensor("uint8", pixels, [pixels.length / (64 * 64 * 3), 64, 64, 3]);
  const { p_male } = await session.run({ crops: input });
  answers.push({ type: p_male.type, dims: p_male.dims, values: Array.from(p_male.data) });
}
console.log(JSON.stringify(answers));
"""


def test_the_same_probabilities_in_webassembly(store, tmp_path):
    crops = np.asarray(store.crops[::6])
    torch.manual_seed(0)
    classifier = CropClassifier(build(network("residual-nano")), (127.5,) * 3, (64.0,) * 3).eval()
    model = to_onnx(classifier, 64, Calibration(80))
    files = {precision: convert(model, "onnx", precision, crops)[".onnx"] for precision in PRECISIONS}
    for precision, content in files.items():
        (tmp_path / f"{precision}.onnx").write_bytes(content)
    files["shipped"] = weight_path(DEFAULT).read_bytes()
    (tmp_path / "shipped.onnx").write_bytes(files["shipped"])
    (tmp_path / "crops.bin").write_bytes(crops.tobytes())
    (tmp_path / "script.mjs").write_text(SCRIPT)
    paths = [str(tmp_path / f"{precision}.onnx") for precision in files]
    done = subprocess.run(
        ["node", str(tmp_path / "script.mjs"), str(PACKAGE), str(tmp_path / "crops.bin"), *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = Session(model, threads=1).run(crops)
    for precision, answer in zip(files, json.loads(done.stdout.splitlines()[-1]), strict=True):
        assert (answer["type"], answer["dims"]) == ("float32", [len(crops)])
        ours = Session(files[precision], threads=1).run(crops)
        np.testing.assert_allclose(answer["values"], ours, atol=0.02 if precision in ("int8", "shipped") else 1e-4)
        if precision != "shipped":
            np.testing.assert_allclose(answer["values"], expected, atol=FROM_FP32[precision])
