"""An ONNX model in 8 bits; the one in float32 is that of `test_export`."""

import pytest

import kdjax
from kdjax import cli
from kdjax.errors import ParityError
from kdjax.runs import export, onnx_model


@pytest.mark.slow
def test_int8_is_a_quarter_as_large_and_scores_nearly_alike(tmp_path):
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    command = ["export", "mitbih-w8", "--format", "onnx", "--out"]
    assert cli.main([*command, str(whole)]) == 0
    assert cli.main([*command, str(small), "--int8"]) == 0
    assert small.stat().st_size < 0.3 * whole.stat().st_size
    detector = kdjax.load_run("mitbih-w8")
    call = onnx_model.read_onnx(small.read_bytes())
    assert export.check_int8(call, detector) < 0.3
    with pytest.raises(ParityError, match="int8 scores differ"):
        export.check_int8(lambda w: (f := call(w)) | {"score": f["score"] + 1}, detector)
