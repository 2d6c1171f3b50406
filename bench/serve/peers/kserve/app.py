"""KServe's Python server with ONNX Runtime, as its guide to custom models shows."""

import os

import kserve
import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, ModelServer


class OnnxModel(kserve.Model):
    def __init__(self, name, file):
        super().__init__(name)
        self.file = file
        self.load()

    def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
        self.ready = True
        return True

    # Its workers are processes that get the model pickled, which a session can't be.
    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key != "session"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.load()

    async def predict(self, payload: InferRequest, headers=None, response_headers=None):
        values = self.session.run(None, {each.name: each.as_numpy() for each in payload.inputs})
        outputs = []
        for each, value in zip(self.session.get_outputs(), values):
            datatype = {"float32": "FP32", "int64": "INT64"}[value.dtype.name]
            output = InferOutput(name=each.name, shape=list(value.shape), datatype=datatype)
            # Raw contents come back to who sent raw contents.
            output.set_data_from_numpy(value, binary_data=payload.from_grpc)
            outputs.append(output)
        return InferResponse(response_id=payload.id or "0", model_name=self.name, infer_outputs=outputs)


if __name__ == "__main__":
    model = OnnxModel(os.environ["BENCH_MODEL"], os.environ["BENCH_FILE"])
    ModelServer(
        http_port=int(os.environ["BENCH_HTTP"]),
        grpc_port=int(os.environ["BENCH_GRPC"]),
        workers=int(os.environ["BENCH_CORES"]),
        access_log_format=None,
        enable_latency_logging=False,
    ).start([model])
