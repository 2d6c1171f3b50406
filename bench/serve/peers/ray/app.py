"""Ray Serve with ONNX Runtime: a replica for each core behind its proxy."""

import os
import time

import numpy
import onnxruntime
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

TYPES = {"FP32": numpy.float32, "INT64": numpy.int64}
CORES = int(os.environ["BENCH_CORES"])


@serve.deployment(num_replicas=CORES, ray_actor_options={"num_cpus": 0.5}, max_ongoing_requests=64)
class Onnx:
    def __init__(self, file):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.names = [each.name for each in self.session.get_outputs()]

    async def __call__(self, request: Request):
        asked = await request.json()
        feeds = {
            each["name"]: numpy.array(each["data"], dtype=TYPES[each["datatype"]]).reshape(each["shape"])
            for each in asked["inputs"]
        }
        values = self.session.run(None, feeds)
        outputs = [{"name": name, "data": value.ravel().tolist()} for name, value in zip(self.names, values)]
        return JSONResponse({"outputs": outputs})


if __name__ == "__main__":
    ray.init(num_cpus=CORES, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_HTTP"])})
    path = f"/v2/models/{os.environ['BENCH_MODEL']}/infer"
    serve.run(Onnx.bind(os.environ["BENCH_FILE"]), route_prefix=path)
    while True:
        time.sleep(3600)
