"""ONNX Runtime in Triton's Python backend: what the package that bundles Triton can run by itself."""

import json

import onnxruntime
import triton_python_backend_utils as utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = config["parameters"]["file"]["string_value"]
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.inputs = [each.name for each in self.session.get_inputs()]
        self.outputs = [each.name for each in self.session.get_outputs()]

    def execute(self, requests):
        answers = []
        for request in requests:
            feeds = {name: utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            values = self.session.run(None, feeds)
            tensors = [utils.Tensor(name, value) for name, value in zip(self.outputs, values)]
            answers.append(utils.InferenceResponse(output_tensors=tensors))
        return answers
