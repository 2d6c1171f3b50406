"""What silero-vad's own code asks of PyTorch, on numpy's arrays: so it runs here as it is, without a gigabyte of PyTorch."""

import types

import numpy as np


class Tensor(np.ndarray):
    """An array of 32-bit floats with the few methods that numpy's lack."""

    def __new__(cls, data):
        return np.asarray(data, dtype=np.float32).view(cls)

    def dim(self):
        return self.ndim

    def unsqueeze(self, axis):
        return np.expand_dims(self, axis)

    def numpy(self):
        return np.asarray(self)

    def float(self):
        return self


def zeros(*shape):
    return Tensor(np.zeros(shape[0] if isinstance(shape[0], tuple) else shape))


def pad(tensor, around):
    return Tensor(np.pad(tensor, around))


def cat(tensors, dim):
    return Tensor(np.concatenate(tensors, axis=dim))


def module():
    """The module that `import torch` is to find."""
    torch = types.ModuleType("torch")
    torch.Tensor, torch.from_numpy, torch.zeros, torch.cat = Tensor, Tensor, zeros, cat
    torch.is_tensor = lambda value: isinstance(value, Tensor)
    torch.nn = types.SimpleNamespace(functional=types.SimpleNamespace(pad=pad))
    torch.no_grad = lambda: lambda function: function
    torch.device = torch.set_num_threads = lambda _: None
    return torch
