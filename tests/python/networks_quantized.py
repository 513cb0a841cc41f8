"""Writes small networks quantized by onnxruntime.quantization.quantize_static, as users have them.

    networks_quantized.py FOLDER

Prints a JSON list of {"name", "model", "shape", "layers"}: the file's name in FOLDER, the shape of its input in ONNX order, and how many layers have
quantized weights. Weights and calibration data are drawn with fixed seeds.
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


def transposed(net):
    a = net.node("Relu", [net.node("Conv", ["input", net.weights([6, 3, 3, 3], 27), net.weights([6], 9)], pads=[1] * 4)])
    weights = net.weights([6, 2, 4, 4], 12)
    a = net.node("ConvTranspose", [a, weights, net.weights([4], 9)], strides=[2, 2], pads=[1] * 4, group=2)
    return net.node("Conv", [a, net.weights([5, 4, 1, 1], 4)])


def factor_on_queries(net):
    linear = lambda x, i, o: net.node("Add", [net.node("MatMul", [x, net.weights([i, o], i)]), net.weights([o], 16)])
    q, k = (linear("input", 12, 12) for _ in range(2))
    q = net.node("Mul", [q, net.constant(0.3)])
    return net.node("MatMul", [q, net.node("Transpose", [k], perm=[0, 2, 1])])


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
    ("transposed", transposed, [1, 3, 6, 6], 17, QuantType.QUInt8, QuantType.QInt8, False),
    ("factor-on-queries", factor_on_queries, [1, 6, 12], 17, QuantType.QUInt8, QuantType.QInt8, False),
    ("conv-trained", convolutional, [1, 3, 10, 10], 13, QuantType.QUInt8, QuantType.QInt8, True),
    ("block-trained-i4", block, [1, 6, 12], 21, QuantType.QUInt8, QuantType.QInt4, False),
]


def layers(model):
    """Layers whose weights are quantized constants."""
    constants = {initializer.name for initializer in model.graph.initializer}
    weights = set()
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Transpose") and node.input[0] in constants | weights:
            weights.add(node.output[0])
    operators = ("Conv", "ConvTranspose", "Gemm", "MatMul")
    return sum(node.op_type in operators and node.input[1] in weights for node in model.graph.node)


def as_trained(path, seed):
    """Float weights with the pair of operators behind them, as exporters write what was trained quantized; between the codes, at them and beyond."""
    random = numpy.random.default_rng(seed)
    model = onnx.load(path)
    initializers = {initializer.name: initializer for initializer in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        codes = initializers.get(node.input[0])
        if node.op_type != "DequantizeLinear" or codes is None or codes.data_type not in (TensorProto.INT8, TensorProto.INT4):
            nodes.append(node)
            continue
        values = numpy_helper.to_array(codes).astype("float64")
        scale = numpy_helper.to_array(initializers[node.input[1]]).astype("float64")
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        if scale.size > 1:
            scale = scale.reshape([-1 if place == axis % values.ndim else 1 for place in range(values.ndim)])
        highest = 7 if codes.data_type == TensorProto.INT4 else 127
        beyond = numpy.where(numpy.abs(values) >= highest, 9 * numpy.sign(values), 0)
        values = (values + random.uniform(-0.45, 0.45, size=values.shape) + beyond) * scale
        model.graph.initializer.remove(codes)
        name = f"{codes.name}.trained"
        model.graph.initializer.append(numpy_helper.from_array(values.astype("float32"), name))
        quantize = helper.make_node("QuantizeLinear", [name, *node.input[1:]], [codes.name], name=f"{name}.quantize")
        quantize.attribute.extend(attribute for attribute in node.attribute if attribute.name == "axis")
        nodes += [quantize, node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    # Scales and zero points as nodes, as other exporters have them.
    for node in model.graph.node:
        for name in node.input[1:]:
            if node.op_type == "QuantizeLinear" and name in initializers:
                tensor = initializers.pop(name)
                model.graph.initializer.remove(tensor)
                model.graph.node.insert(0, helper.make_node("Constant", [], [name], name=f"{name}.constant", value=tensor))
    onnx.checker.check_model(model)
    onnx.save(model, path)


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
        if "trained" in name:
            as_trained(path, seed)
        listed.append({"name": name, "model": path, "shape": shape, "layers": layers(onnx.load(path))})
    print(json.dumps(listed))


if __name__ == "__main__":
    main()
