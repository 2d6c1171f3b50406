"""Makes an 8-bit model of an ONNX model by ONNX Runtime's own tooling.

    quantize.py MODEL OUTPUT                          dynamic: ranges of activations are measured at run time
    quantize.py MODEL OUTPUT CALIBRATION PROVIDER     static: on the tensors in a folder, for CPU or TensorRT

CALIBRATION holds inputs.json (names of the model's inputs) and a folder for each run, with N.npy for the Nth input.
Prints an object: the versions that were used, and how many operators of each kind the model has that weren't there.
Exit code 3: a module is missing.
"""

import collections
import json
import logging
import pathlib
import sys
import tempfile

try:
    import numpy
    import onnx
    import onnxruntime
    from onnxruntime import quantization
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

# Its advice to prepare the model is followed below; it doesn't see that where preparing changed nothing.
logging.getLogger().setLevel(logging.ERROR)

# What takes the time. Norms and sums between them would lose most of their accuracy in 8 bits, and gain little.
PRODUCTS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
# Without ranges that are known beforehand a convolution is slower in 8 bits than in 32.
DYNAMIC = ["Attention", "LSTM", "MatMul"]


class Calibration(quantization.CalibrationDataReader):
    """The tensors that the server's pipeline made, run by run."""

    def __init__(self, folder):
        names = json.loads((folder / "inputs.json").read_text())
        runs = sorted(path for path in folder.iterdir() if path.is_dir())
        self.feeds = ({name: numpy.load(run / f"{at}.npy") for at, name in enumerate(names)} for run in runs)

    def get_next(self):
        return next(self.feeds, None)


def operators(path):
    return collections.Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


def quantize(model, output, calibration=None, provider="CPU"):
    before = operators(model)
    if any("Quantize" in kind for kind in before):
        sys.exit("the model is quantised already")
    with tempfile.TemporaryDirectory() as scratch:
        prepared = pathlib.Path(scratch) / "prepared.onnx"
        # Constants are folded and shapes inferred. Symbolic shapes would need one more package, and little depends on them.
        quantization.quant_pre_process(model, prepared, skip_symbolic_shape=True)
        if calibration is None:
            # Unsigned weights: sums of products saturate on no processor, and the quality that is measured on one holds on another.
            quantization.quantize_dynamic(
                prepared, output, op_types_to_quantize=DYNAMIC, weight_type=quantization.QuantType.QUInt8
            )
        else:
            # TensorRT takes symmetric ranges only, and signed. On the CPU weights have 7 bits, so that nothing saturates here.
            symmetric = {"extra_options": {"ActivationSymmetric": True}}
            unsigned = {"activation_type": quantization.QuantType.QUInt8, "reduce_range": True}
            kind = symmetric if provider == "TensorRT" else unsigned
            feeds = Calibration(pathlib.Path(calibration))
            quantization.quantize_static(prepared, output, feeds, op_types_to_quantize=PRODUCTS, **kind)
    new = operators(output) - before
    if not any("Quantize" in kind for kind in new):
        sys.exit(
            "the model has nothing that can be quantised: no products with constant weights"
            + ("; convolutions need ranges: give data" if calibration is None else "")
        )
    return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, "new": dict(sorted(new.items()))}


if __name__ == "__main__":
    print(json.dumps(quantize(*sys.argv[1:])))
