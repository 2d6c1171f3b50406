"""KServe's clients unchanged, REST (v1 and v2) and gRPC: tensors of every type that they know.

    kserve_types.py ADDRESS MODEL TYPE ...    prints {what: true or false}
"""

import asyncio
import json
import sys

from elements import ROWS, repeated, same
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

address, model, *names = sys.argv[1:]
ARRAYS = repeated({name: ROWS[name] for name in names}, 2)


def request(binary):
    inputs = []
    for name, array in ARRAYS.items():
        tensor = InferInput(name=f"x_{name}", shape=list(array.shape), datatype=name)
        # FP16 is sent as binary alone: so the client has it.
        tensor.set_data_from_numpy(array, binary_data=binary or name == "FP16")
        inputs.append(tensor)
    return InferRequest(model_name=model, infer_inputs=inputs, request_id="seven")


def equal(answer, way):
    found = {output.name: output for output in answer.outputs}
    same_ = lambda name: same(found[f"y_{name}"].as_numpy(), ARRAYS[name])
    return {**{f"{way}: {name}": same_(name) for name in names}, f"{way}: id": answer.id == "seven"}


async def main():
    base = f"http://{address}"
    v2 = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    seen = {"live": await v2.is_server_live(base), "ready": await v2.is_server_ready(base)}
    seen["model ready"] = await v2.is_model_ready(base, model)
    for binary in [True, False]:
        answer = await v2.infer(base, request(binary), model_name=model)
        seen.update(equal(answer, "binary" if binary else "JSON"))
    v1 = InferenceRESTClient(RESTConfig(protocol="v1", timeout=60))
    seen["model ready by v1"] = await v1.is_model_ready(base, model)
    grpc = InferenceGRPCClient(address)
    seen["live by gRPC"] = await grpc.is_server_live()
    seen["model ready by gRPC"] = await grpc.is_model_ready(model)
    seen.update(equal(await grpc.infer(request(True)), "gRPC"))
    return seen


print(json.dumps({what: bool(value) for what, value in asyncio.run(main()).items()}))
