"""BentoML with ONNX Runtime: a service with a worker for each core."""

import os

import bentoml
import numpy
import onnxruntime

TYPES = {"FP32": numpy.float32, "INT64": numpy.int64}


@bentoml.service(workers=int(os.environ["BENCH_CORES"]), logging={"access": {"enabled": False}})
class Onnx:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = os.environ["BENCH_FILE"]
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.names = [each.name for each in self.session.get_outputs()]

    @bentoml.api(route=f"/v2/models/{os.environ['BENCH_MODEL']}/infer")
    def infer(self, inputs: list[dict]) -> dict:
        feeds = {
            each["name"]: numpy.array(each["data"], dtype=TYPES[each["datatype"]]).reshape(each["shape"])
            for each in inputs
        }
        values = self.session.run(None, feeds)
        return {"outputs": [{"name": name, "data": value.ravel().tolist()} for name, value in zip(self.names, values)]}
