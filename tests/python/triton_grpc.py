"""tritonclient over gRPC, through the gateway by model name."""

import json
import queue
import sys

import tritonclient.grpc as client
from reference import near, tokens

url, namespace, name, key, ca = sys.argv[1:]
triton = client.InferenceServerClient(url.removeprefix("https://"), ssl=True, root_certificates=ca)
headers = {"authorization": f"Bearer {key}"}
model = f"{namespace}.{name}"
seen = {
    "live": triton.is_server_live(headers=headers),
    "ready": triton.is_server_ready(headers=headers),
    "model ready": triton.is_model_ready(model, headers=headers),
}
metadata = triton.get_model_metadata(model, headers=headers, as_json=True)
seen["metadata"] = metadata["inputs"][0]["datatype"] == "INT32"
input_name, output_name = metadata["inputs"][0]["name"], metadata["outputs"][0]["name"]


def inputs(rows):
    tensor = client.InferInput(input_name, [rows, 2048], "INT32")
    tensor.set_data_from_numpy(tokens(rows))
    return [tensor]


seen["by name"] = near(triton.infer(name, inputs(1), headers=headers).as_numpy(output_name))
seen["by qualified name"] = near(triton.infer(model, inputs(3), headers=headers).as_numpy(output_name), 3)
seen["id"] = triton.infer(model, inputs(1), request_id="seven", headers=headers).get_response().id == "seven"
statistics = triton.get_inference_statistics(model, headers=headers, as_json=True)["model_stats"][0]
seen["statistics"] = int(statistics["inference_count"]) >= 1
answers = queue.Queue()
triton.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
triton.async_stream_infer(model, inputs(1))
result, error = answers.get(timeout=40)
triton.stop_stream()
seen["stream"] = error is None and near(result.as_numpy(output_name))
try:
    triton.infer("no-such-model", inputs(1), headers=headers)
    seen["unknown model"] = False
except client.InferenceServerException as error:
    seen["unknown model"] = "NOT_FOUND" in str(error.status())
try:
    triton.infer(model, inputs(1), headers={"authorization": "Bearer wrong"})
    seen["wrong key"] = False
except client.InferenceServerException as error:
    seen["wrong key"] = "UNAUTHENTICATED" in str(error.status())
print(json.dumps({what: bool(value) for what, value in seen.items()}))
