"""LitServe with ONNX Runtime: a worker for each core, and its own web servers before them."""

import os

import litserve
import numpy
import onnxruntime

TYPES = {"FP32": numpy.float32, "INT64": numpy.int64}


class OnnxApi(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = os.environ["BENCH_FILE"]
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.names = [each.name for each in self.session.get_outputs()]

    def decode_request(self, request):
        return {
            each["name"]: numpy.array(each["data"], dtype=TYPES[each["datatype"]]).reshape(each["shape"])
            for each in request["inputs"]
        }

    def predict(self, feeds):
        return self.session.run(None, feeds)

    def encode_response(self, values):
        outputs = [{"name": name, "data": value.ravel().tolist()} for name, value in zip(self.names, values)]
        return {"outputs": outputs}


if __name__ == "__main__":
    api = OnnxApi(api_path=f"/v2/models/{os.environ['BENCH_MODEL']}/infer")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(os.environ["BENCH_CORES"]))
    server.run(host="127.0.0.1", port=int(os.environ["BENCH_HTTP"]), generate_client_file=False, log_level="warning")
