"""Real sessions, tiny times: what the numbers mean, not how large they are."""

import csv
import io
import json
from importlib.util import find_spec

import numpy as np
import onnx
import PIL.Image
import pytest
import torch
from onnx import TensorProto, helper
from typer.testing import CliRunner

from facegender.cli import app
from facegender.errors import InputError, RecipeError, WeightsError
from facegender.lab.benchmark import benchmark, exported, registered, trained
from facegender.lab.networks.classifier import CropClassifier
from facegender.lab.networks.registry import network
from facegender.lab.paper.figure3 import save_figure3
from facegender.machine import hardware, usable_cores
from facegender.weights import DEFAULT

pytestmark = pytest.mark.slow

HAS_OPENVINO = find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="openvino is not installed")


@pytest.fixture(scope="module")
def custom():
    return registered("custom-cnn-table1")


@pytest.fixture(scope="module")
def result(custom, store):
    subjects = [custom, exported(DEFAULT)]
    return benchmark(
        subjects, store, crops=40, batches=(1, 4), threads=2, streams=(1, 2), seconds=0.06, rounds=3, command="made"
    )


def test_every_runtime_and_precision_that_is_there(result):
    found = {(t.runtime, t.device, t.precision) for t in result.timings}
    assert {("onnxruntime", "cpu", "fp32"), ("onnxruntime", "cpu", "int8"), ("torch", "cpu", "fp32")} <= found
    if HAS_OPENVINO:
        assert {("openvino", "cpu", "fp32"), ("openvino", "cpu", "int8")} <= found
    cells = {(t.network, t.streams) for t in result.find(runtime="onnxruntime", precision="int8", batch=1)}
    assert cells == {(n, s) for n in ("custom-cnn-table1", DEFAULT) for s in (1, 2)}
    assert {t.streams for t in result.find(runtime="torch")} == {1}
    assert result.complete
    assert result.crops == "40 crops of made"


def test_what_was_not_timed_says_why(result):
    reasons = {(s.network, s.runtime, s.precision): s.reason for s in result.skipped if s.batch is None}
    assert "float32 or int8 only" in reasons["custom-cnn-table1", "onnxruntime", "bf16"]
    assert "floating point only" in reasons["custom-cnn-table1", "torch", "int8"]
    assert "does not run in PyTorch" in reasons[DEFAULT, "torch", "fp32"]
    assert "quantised already" in reasons[DEFAULT, "onnxruntime", "fp32"]
    ways = {(t.network, t.runtime, t.precision) for t in result.timings}
    assert not ways & set(reasons)


def test_the_numbers_fit_each_other(result):
    for timing in result.timings:
        assert timing.input_size == 64
        if timing.network == "custom-cnn-table1":
            assert (timing.parameters, timing.macs) == (1_785_796, 11_888_588)
            assert timing.architecture == "custom-cnn-table1"
        assert 0 < timing.p10_ms <= timing.median_ms <= timing.p90_ms
        assert timing.image_ms * timing.images_per_second == pytest.approx(1000)
        assert timing.images >= timing.rounds * timing.batch * timing.streams
        assert timing.rounds == 3
        assert timing.ceiling_share > 0
        if timing.network == "custom-cnn-table1":
            assert (timing.ratio_p10, timing.ratio, timing.ratio_p90) == (1, 1, 1)
        elif timing.ratio is not None:
            assert 0 < timing.ratio_p10 <= timing.ratio <= timing.ratio_p90
    fastest = result.fastest()
    assert len(fastest) == len({(t.network, t.runtime, t.device, t.precision) for t in result.timings})
    for best in fastest:
        same = result.find(network=best.network, runtime=best.runtime, precision=best.precision)
        assert best.images_per_second == max(t.images_per_second for t in same)


def test_json_and_csv_say_the_same(result, tmp_path):
    result.write(tmp_path)
    record = json.loads((tmp_path / "benchmark.json").read_text())
    rows = list(csv.DictReader((tmp_path / "benchmark.csv").read_text().splitlines()))
    assert len(record["timings"]) == len(rows) == len(result.timings)
    for row, timing in zip(rows, record["timings"], strict=True):
        assert {name: "" if value is None else str(value) for name, value in timing.items()} == {
            name: row[name] for name in timing
        }
        assert (row["command"], row["machine"], row["crops"]) == ("made", hardware(), "40 crops of made")
        assert "onnxruntime" in row["versions"]
    assert record["versions"]["torch"] == torch.__version__
    assert record["threads"] == 2
    assert record["ceiling"]["p10"] <= record["ceiling"]["median"] <= record["ceiling"]["p90"]
    assert all(skip["reason"] for skip in record["skipped"])


def test_the_figure_has_published_and_measured_bars(result, tmp_path):
    png, svg = save_figure3(result, tmp_path)
    with PIL.Image.open(png) as image:
        assert min(image.size) > 500
    again = save_figure3(result, tmp_path / "again")[1]
    assert svg.read_bytes() == again.read_bytes()


def test_the_smallest_batch_is_timed_however_long_it_takes(custom):
    once = {"runtimes": ["torch"], "precisions": ["fp32"], "threads": 1}
    result = benchmark([custom], crops=4, **once, batches=(1, 64), seconds=1e-4, rounds=2)
    assert [(t.batch, t.images) for t in result.timings] == [(1, 2)]
    assert [skip.reason for skip in result.skipped if skip.batch == 64] == ["3 calls do not fit 0.0001 s"]
    assert result.crops == "4 crops of seeded noise"


def test_a_batch_larger_than_the_crops(custom):
    result = benchmark([custom], crops=3, runtimes=["torch"], batches=(8,), threads=1, seconds=0.01, rounds=1)
    assert result.timings[0].batch == 8


@needs_openvino
def test_openvino_says_which_device_it_chose(custom):
    options = {"runtimes": ["openvino"], "precisions": ["fp32"], "batches": (2,), "threads": 1}
    result = benchmark([custom], crops=4, devices=["auto"], seconds=0.01, rounds=1, **options)
    assert result.timings[0].device.startswith("auto (")


class TestOtherFiles:
    def write(self, path, shape, kind=TensorProto.FLOAT):
        """Mean brightness, whatever the layout."""
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["picture"], ["values"], to=TensorProto.FLOAT),
                helper.make_node("ReduceMean", ["values"], ["mean"], axes=[1, 2, 3], keepdims=0),
            ],
            "mean",
            [helper.make_tensor_value_info("picture", kind, shape)],
            [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [shape[0]])],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return str(path)

    def test_float_channels_first_and_a_fixed_batch(self, tmp_path):
        subject = exported(self.write(tmp_path / "other.onnx", [2, 3, 32, 32]))
        assert (subject.size, subject.network, subject.macs, subject.parameters) == (32, None, None, 0)
        inputs = subject.inputs(np.full((3, 64, 64, 3), 7, np.uint8))
        assert (inputs.dtype, inputs.shape, inputs.max()) == (np.float32, (3, 3, 32, 32), 7)
        result = benchmark(
            [subject], crops=4, runtimes=["onnxruntime"], batches=(1, 2), threads=1, seconds=0.02, rounds=1
        )
        assert {t.batch for t in result.timings} == {2}
        assert {t.ceiling_share for t in result.timings} == {None}
        assert "batches of 2 only" in " ".join(skip.reason for skip in result.skipped)

    @pytest.mark.parametrize("shape", [["N", 3], ["N", "H", "W", 3], ["N", 64, 64, 1], ["N", 64, 32, 3]])
    def test_no_pictures(self, tmp_path, shape):
        graph = helper.make_graph(
            [helper.make_node("Identity", ["picture"], ["same"])],
            "same",
            [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("same", TensorProto.FLOAT, shape)],
        )
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "no.onnx"
        )
        with pytest.raises(WeightsError, match="no batch of square colour images"):
            exported(str(tmp_path / "no.onnx"))


def test_unknown_words_are_refused(custom):
    for options, message in (
        ({"runtimes": ["tensorflow"]}, "unknown runtime 'tensorflow'.*one of onnxruntime, openvino, torch"),
        ({"precisions": ["int4"]}, "unknown precision 'int4'.*fp32, bf16, fp16, int8"),
        ({"devices": ["tpu"]}, "no device 'tpu' here"),
        ({"batches": (0,)}, "batches must be 1 or more"),
        ({"threads": 1, "streams": (2,)}, "streams must lie between 1 and the 1 threads"),
        ({"seconds": 0.0}, "some seconds"),
        ({"runtimes": ["onnxruntime"], "precisions": ["bf16"], "devices": ["cpu"]}, "nothing can be timed: ONNX"),
    ):
        with pytest.raises(InputError, match=message):
            benchmark([custom], crops=2, **options)
    with pytest.raises(InputError, match="named twice"):
        benchmark([custom, custom])
    with pytest.raises(InputError, match="no network was named"):
        benchmark([])
    with pytest.raises(RecipeError, match="unknown network"):
        registered("resnet")


def test_threads_are_given_back(custom):
    before = torch.get_num_threads()
    benchmark([custom], crops=2, runtimes=["torch"], batches=(1,), threads=before + 1, seconds=0.01, rounds=1)
    assert torch.get_num_threads() == before


class TestCommand:
    def run(self, *options):
        fixed = ["--threads", "1", "--batches", "1", "--seconds", "0.02", "--rounds", "2", "--crops", "4"]
        return CliRunner().invoke(app, ["benchmark", *fixed, *options])

    def test_table_and_files(self, store_folder, tmp_path):
        options = ["--onnx", DEFAULT, "--runtime", "onnxruntime", "--output", str(tmp_path)]
        result = self.run(str(store_folder), *options)
        assert result.exit_code == 0, result.output
        for words in (
            "onnxruntime cpu int8",
            DEFAULT,
            "4 crops of made",
            hardware(),
            "not timed: onnxruntime",
        ):
            assert words in result.output
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"benchmark.json", "benchmark.csv", "figure3.png", "figure3.svg"}

    def test_data_alone_on_standard_output(self):
        options = ["-n", "custom-cnn-table3", "-n", "custom-cnn-table1", "--runtime", "torch", "--precision", "fp32"]
        rows = list(csv.DictReader(io.StringIO(self.run(*options, "--format", "csv").stdout)))
        assert [row["network"] for row in rows] == ["custom-cnn-table3", "custom-cnn-table1"]
        assert rows[0]["parameters"] == "2041796"
        record = json.loads(self.run(*options, "--format", "json").stdout)
        assert record["complete"] is True
        assert record["crops"] == "4 crops of seeded noise"

    def test_batches_that_are_no_numbers(self):
        assert self.run("--batches", "1,many").exit_code == 2

    def test_ctrl_c_writes_what_there_is(self, tmp_path):
        calls = 0

        def hurry(module, inputs):
            nonlocal calls
            if isinstance(module, CropClassifier):
                calls += 1
                if calls == 300:  # after the warm-up's tenth of a second and some rounds of another
                    raise KeyboardInterrupt

        hook = torch.nn.modules.module.register_module_forward_pre_hook(hurry)
        try:
            long = ["--seconds", "1000", "--rounds", "10000", "--output", str(tmp_path)]
            result = self.run("-n", "custom-cnn-table1", "--runtime", "torch", "--precision", "fp32", *long)
        finally:
            hook.remove()
        assert result.exit_code == 130
        assert "interrupted" in result.stderr
        assert json.loads((tmp_path / "benchmark.json").read_text())["complete"] is False
        assert len((tmp_path / "benchmark.csv").read_text().splitlines()) == 2


def test_a_trained_run(store, tmp_path):
    from facegender.lab.training.loop import Examples, train
    from facegender.lab.training.recipe import Recipe

    recipe = Recipe(name="quick", colour="gray", epochs=1, batch_size=40, precision="32-true")
    train(recipe, Examples(store, np.arange(40), None), tmp_path)
    subject = trained(tmp_path / "model.safetensors")
    assert (subject.network, subject.size) == ("custom-cnn-table1", 64)
    assert subject.parameters == 1_785_796 - 144
    assert subject.macs == 11_335_052
    assert subject.classifier is not None
    assert not subject.classifier.training


def test_the_machine_is_described():
    assert f"{usable_cores()} cores" in hardware()


def test_a_shipped_network_counts_both_images_of_a_face():
    subject, alone = exported("research"), registered("residual-large")
    assert (subject.network, subject.parameters) == ("residual-large", alone.parameters)
    assert subject.macs == 2 * alone.macs


def test_registered_networks_have_their_own_size():
    subject = registered("googlenet")
    assert subject.inputs(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, 224, 224, 3)
    assert subject.size == network("googlenet").input_size
