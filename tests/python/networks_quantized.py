"""Writes small networks quantized by onnxruntime.quantization.quantize_static, as users have them.

    networks_quantized.py FOLDER

Prints a JSON list of {"name", "model", "shape"}: the file's name in FOLDER, and the shape of its input in ONNX order. Weights and calibration data are
drawn with fixed seeds.
"""

import json
import os
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

SAMPLES = 16


class Samples(CalibrationDataReader):
    def __init__(self, shape, seed):
        random = numpy.random.default_rng(seed)
        self.samples = iter([{"input": random.normal(size=shape).astype("float32")} for _ in range(SAMPLES)])

    def get_next(self):
        return next(self.samples, None)


class Net:
    """A float network under construction; random weights keep the size of what passes through."""

    def __init__(self, seed):
        self.random = numpy.random.default_rng(seed)
        self.nodes, self.constants = [], []

    def weights(self, shape, fan_in):
        return self.constant(self.random.normal(size=shape) / numpy.sqrt(fan_in))

    def constant(self, values, dtype="float32"):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(numpy.asarray(values, dtype=dtype), name))
        return name

    def node(self, operator, inputs, **attributes):
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def save(self, path, shape, output, opset):
        inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "net", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset < 21 else 10)
        onnx.save(onnx.shape_inference.infer_shapes(model), path)


def convolutional(net):
    conv = lambda x, i, o, **more: net.node("Conv", [x, net.weights([o, i, 3, 3], 9 * i), net.weights([o], 9)], pads=[1] * 4, **more)
    a = net.node("Relu", [conv("input", 3, 8)])
    b = net.node("Relu", [conv(a, 1, 8, group=8)])
    a = net.node("Add", [a, conv(b, 8, 8)])
    a = net.node("MaxPool", [a], kernel_shape=[2, 2], strides=[2, 2])
    a = net.node("GlobalAveragePool", [a])
    a = net.node("Flatten", [a])
    return net.node("Gemm", [a, net.weights([5, 8], 8), net.weights([5], 8)], transB=1)


def block(net):
    linear = lambda x, i, o: net.node("Add", [net.node("MatMul", [x, net.weights([i, o], i)]), net.weights([o], 16)])
    q, k, v = (linear("input", 12, 12) for _ in range(3))
    a = net.node("MatMul", [q, net.node("Transpose", [k], perm=[0, 2, 1])])
    a = net.node("Softmax", [net.node("Mul", [a, net.constant(0.3)])], axis=-1)
    a = net.node("Add", ["input", linear(net.node("MatMul", [a, v]), 12, 12)])
    a = net.node("LayerNormalization", [a, net.weights([12], 1), net.weights([12], 4)])
    return linear(a, 12, 7)


NETWORKS = [
    # name, builder, shape, opset, activations, weights, per channel
    ("conv-u8", convolutional, [1, 3, 10, 10], 13, QuantType.QUInt8, QuantType.QInt8, False),
    ("conv-u8-channels", convolutional, [1, 3, 10, 10], 13, QuantType.QUInt8, QuantType.QInt8, True),
    ("conv-i8", convolutional, [1, 3, 10, 10], 13, QuantType.QInt8, QuantType.QInt8, True),
    ("conv-opset-10", convolutional, [1, 3, 10, 10], 11, QuantType.QUInt8, QuantType.QInt8, False),
    ("conv-opset-21", convolutional, [1, 3, 10, 10], 21, QuantType.QInt16, QuantType.QInt8, True),
    ("block-u8", block, [1, 6, 12], 17, QuantType.QUInt8, QuantType.QInt8, True),
    ("block-opset-21-i4", block, [1, 6, 12], 21, QuantType.QUInt8, QuantType.QInt4, False),
]


def main():
    folder = sys.argv[1]
    listed = []
    for seed, (name, build, shape, opset, activations, weights, per_channel) in enumerate(NETWORKS):
        net = Net(seed)
        plain, path = (os.path.join(folder, f"{name}{ending}.onnx") for ending in (".float", ""))
        net.save(plain, shape, build(net), opset)
        symmetric = activations == QuantType.QInt16
        quantize_static(
            plain,
            path,
            Samples(shape, seed),
            quant_format=QuantFormat.QDQ,
            activation_type=activations,
            weight_type=weights,
            per_channel=per_channel,
            extra_options={"WeightSymmetric": True, "ActivationSymmetric": symmetric},
        )
        listed.append({"name": name, "model": path, "shape": shape})
    print(json.dumps(listed))


if __name__ == "__main__":
    main()
