"""KServe's Python inference clients, REST (v1 and v2) and gRPC."""

import asyncio
import json
import sys

from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from reference import near, tokens

url, namespace, name, key, ca = sys.argv[1:]
headers = {"Authorization": f"Bearer {key}"}


def request(binary, model):
    tensor = InferInput(name="bytes", shape=[1, 2048], datatype="INT32")
    tensor.set_data_from_numpy(tokens(), binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=[tensor])


async def main():
    seen = {}
    base = f"{url}/{namespace}/{name}"
    v2 = InferenceRESTClient(RESTConfig(protocol="v2", verify=ca, timeout=40))
    seen["live"] = await v2.is_server_live(base, headers=headers)
    seen["ready"] = await v2.is_server_ready(base, headers=headers)
    seen["model ready"] = await v2.is_model_ready(base, name, headers=headers)
    for binary in [False, True]:
        found = await v2.infer(base, request(binary, name), headers={**headers, "Content-Type": "application/json"}, model_name=name)
        seen[f"v2, binary {binary}"] = near(found.outputs[0].as_numpy())
    v1 = InferenceRESTClient(RESTConfig(protocol="v1", verify=ca, timeout=40))
    found = await v1.infer(base, {"instances": tokens().tolist()}, headers=headers, model_name=name)
    predictions = found["predictions"]
    seen["v1"] = len(predictions) == 1 and len(predictions[0]) > 100
    import grpc

    credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
    client = InferenceGRPCClient(url.removeprefix("https://"), use_ssl=True, creds=credentials)
    found = await client.infer(request(True, f"{namespace}.{name}"), headers=[("authorization", f"Bearer {key}")])
    seen["grpc"] = near(found.outputs[0].as_numpy())
    return seen


print(json.dumps({what: bool(value) for what, value in asyncio.run(main()).items()}))
