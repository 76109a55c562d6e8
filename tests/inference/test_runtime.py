import numpy as np
import onnxruntime
import pytest

from facegender.errors import InputError, WeightsError
from facegender.inference.runtime import Session
from facegender.machine import bound_cores


def test_path_and_bytes_give_the_same(tiny_model):
    batch = np.full((3, 64, 64, 3), 160, np.uint8)
    from_path = Session(tiny_model).run(batch)
    assert from_path.dtype == np.float32
    np.testing.assert_allclose(from_path, [1 / (1 + np.exp(-1))] * 3, atol=1e-5)
    np.testing.assert_array_equal(Session(tiny_model.read_bytes(), threads=1).run(batch), from_path)


def test_auto_takes_what_there_is(tiny_model):
    assert Session(tiny_model, device="auto").run(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1,)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_cuda_where_there_is_none(tiny_model):
    with pytest.raises(InputError, match=r"onnxruntime-gpu.*--device cpu"):
        Session(tiny_model, device="cuda")


def test_unknown_device_and_thread_count(tiny_model):
    with pytest.raises(InputError, match="cpu, cuda or auto"):
        Session(tiny_model, device="tpu")
    with pytest.raises(InputError, match="at least 1 thread"):
        Session(tiny_model, threads=0)


@pytest.mark.parametrize(("asked", "given", "threads"), [("3", None, 3), ("3", 2, 2), ("4,2", None, 4), ("0", None, 0)])
def test_threads_of_the_environment(asked, given, threads, tiny_model, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr("facegender.inference.runtime.usable_cores", bound_cores)
    options = Session(tiny_model, threads=given)._opened.get_session_options()
    assert options.intra_op_num_threads == threads


def test_not_a_network(tmp_path, capfd):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"broken\.onnx"):
        Session(path)
    with pytest.raises(WeightsError, match="given as bytes"):
        Session(b"no network")
    assert capfd.readouterr() == ("", "")
