"""tritonclient over HTTP, JSON and binary, plain and compressed, through the gateway's path prefix."""

import json
import sys

import tritonclient.http as client
from reference import near, tokens

url, namespace, name, key, ca = sys.argv[1:]
address = f"{url.removeprefix('https://')}/{namespace}/{name}"
import gevent.ssl

triton = client.InferenceServerClient(
    address, ssl=True, ssl_context_factory=lambda: gevent.ssl.create_default_context(cafile=ca), network_timeout=40, connection_timeout=40
)
headers = {"Authorization": f"Bearer {key}"}
seen = {
    "live": triton.is_server_live(headers=headers),
    "ready": triton.is_server_ready(headers=headers),
    "model ready": triton.is_model_ready(name, headers=headers),
}
metadata = triton.get_model_metadata(name, headers=headers)
seen["metadata"] = metadata["name"] == name and metadata["inputs"][0]["datatype"] == "INT32"
input_name, output_name = metadata["inputs"][0]["name"], metadata["outputs"][0]["name"]


def infer(rows, binary, **more):
    tensor = client.InferInput(input_name, [rows, 2048], "INT32")
    tensor.set_data_from_numpy(tokens(rows), binary_data=binary)
    outputs = more.pop("outputs", [client.InferRequestedOutput(output_name, binary_data=binary)])
    # A copy: the client writes the encodings of a compressed call into what it is given.
    return triton.infer(name, [tensor], outputs=outputs, headers=dict(headers), **more)


seen["json"] = near(infer(1, False).as_numpy(output_name))
seen["binary"] = near(infer(3, True).as_numpy(output_name), 3)
seen["no outputs named"] = near(infer(1, True, outputs=None).as_numpy(output_name))
for algorithm in ["gzip", "deflate"]:
    result = infer(1, True, request_compression_algorithm=algorithm, response_compression_algorithm=algorithm)
    seen[algorithm] = near(result.as_numpy(output_name))
seen["id"] = infer(1, True, request_id="seven").get_response()["id"] == "seven"
statistics = triton.get_inference_statistics(name, headers=headers)["model_stats"][0]
seen["statistics"] = statistics["inference_count"] >= 1 and statistics["inference_stats"]["success"]["count"] >= 1
try:
    triton.infer(name, [client.InferInput("nonsense", [1], "INT32")], headers=headers)
    seen["unknown input refused"] = False
except Exception as error:
    seen["unknown input refused"] = "nonsense" in str(error) or "data" in str(error)
print(json.dumps({what: bool(value) for what, value in seen.items()}))
