"""Exported files run where browsers run them: ONNX Runtime's WebAssembly build, the page's own."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import torch

from facegender.inference.runtime import Session
from facegender.lab.export import to_onnx
from facegender.lab.export.convert import convert
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.networks.registry import network
from facegender.lab.training.calibration import Calibration
from facegender.weights import PRECISIONS

#: Largest difference of a probability from that in float32.
FROM_FP32 = {"fp32": 1e-4, "fp16": 0.02, "int8": 0.3}

LOAD = """async (url) => {
  const ort = await import(url + "vendor/ort.wasm.bundle.min.mjs");
  ort.env.wasm.wasmPaths = { wasm: url + "vendor/ort-wasm-simd-threaded.wasm" };
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  window.ort = ort;
}"""
RUN = """async ([pixels, model]) => {
  const [crops, bytes] = [pixels, model].map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
  const session = await ort.InferenceSession.create(bytes);
  const input = new ort.Tensor("uint8", crops, [crops.length / (64 * 64 * 3), 64, 64, 3]);
  const { p_male } = await session.run({ crops: input });
  return { type: p_male.type, dims: p_male.dims, values: Array.from(p_male.data) };
}"""


@pytest.fixture(scope="module")
def page(browser, page_url):
    """A page with ONNX Runtime."""
    page = browser.new_page()
    page.goto(page_url + "models.json")
    page.evaluate(LOAD, page_url)
    yield page
    page.close()


@pytest.fixture(scope="module")
def exported(store):
    """The same small network in every precision, and crops."""
    torch.manual_seed(0)
    classifier = CropClassifier(network("residual-nano"), (127.5,) * 3, (64.0,) * 3).eval()
    model = to_onnx(classifier, 64, Calibration(80))
    crops = np.asarray(store.crops[::6])
    return crops, {precision: convert(model, "onnx", precision, crops)[".onnx"] for precision in PRECISIONS}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_same_probabilities_in_webassembly(page, exported, precision):
    crops, files = exported
    pixels, model = (base64.b64encode(content).decode() for content in (crops.tobytes(), files[precision]))
    answer = page.evaluate(RUN, [pixels, model])
    assert (answer["type"], answer["dims"]) == ("float32", [len(crops)])
    ours = Session(files[precision], threads=1).run(crops)
    np.testing.assert_allclose(answer["values"], ours, atol=0.02 if precision == "int8" else 1e-4)
    expected = Session(files["fp32"], threads=1).run(crops)
    np.testing.assert_allclose(answer["values"], expected, atol=FROM_FP32[precision])
