"""Writes small networks in the shapes of well-known vision networks, with random weights.

    networks_vision.py --out FOLDER [--seed N]

Every block of the originals is there, at a quarter of their width or less and at low resolution:

    mobilenet_v3_small  inverted residuals, squeeze-and-excite, HardSwish and HardSigmoid as operators (opset 14)
    mobilenet_v3_older  the same, both written with Add, Clip, Mul and Div as exporters before opset 14 do (opset 11)
    efficientnet_b0     inverted residuals, squeeze-and-excite, x * sigmoid(x), TensorFlow's padding (opset 13)
    deeplab_v3          residual network with dilated convolutions, spatial pyramid with image pooling, bilinear resizing to the size of another
                        tensor (opset 16)
    u_net               transposed convolutions, nearest-neighbour resizing, skip connections, LeakyRelu and PRelu, a split (opset 18)

Weights have the size that keeps the variance of activations, and depend on the seed alone. Prints a JSON list of the names.
"""

import argparse
import json
import math
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 10


class Network:
    """A graph under construction; methods return the name of the value they make, `shapes` knows its size."""

    def __init__(self, name, opset, shape, seed):
        self.name, self.opset = name, opset
        self.random = numpy.random.default_rng([seed, sum(name.encode())])
        self.nodes, self.constants, self.shapes = [], [], {"input": list(shape)}

    def constant(self, values, dtype=numpy.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(numpy.asarray(values, dtype=dtype), name))
        return name

    def node(self, op, inputs, shape, **attributes):
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name=name, **attributes))
        self.shapes[f"{name}_out"] = list(shape)
        return f"{name}_out"

    def weights(self, shape, fan_in, gain):
        return self.constant(self.random.normal(0, gain / math.sqrt(fan_in), shape))

    def conv(self, x, outputs, kernel=1, stride=1, groups=1, dilation=1, gain=1.0, same=False):
        batch, channels, height, width = self.shapes[x]
        w = self.weights((outputs, channels // groups, kernel, kernel), channels // groups * kernel * kernel, gain)
        b = self.constant(self.random.normal(0, 0.1, outputs))
        pad = dilation * (kernel - 1) // 2
        padding = {"auto_pad": "SAME_UPPER"} if same else {"pads": [pad] * 4}
        side = lambda size: -(-size // stride) if same else (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        shape = (batch, outputs, side(height), side(width))
        return self.node(
            "Conv", [x, w, b], shape, kernel_shape=[kernel] * 2, strides=[stride] * 2, dilations=[dilation] * 2, group=groups, **padding
        )

    def norm(self, x):
        channels = self.shapes[x][1]
        near = lambda: self.constant(self.random.uniform(0.7, 1.3, channels))
        small = lambda: self.constant(self.random.normal(0, 0.1, channels))
        return self.node("BatchNormalization", [x, near(), small(), small(), near()], self.shapes[x], epsilon=1e-3)

    def unary(self, op, x, **attributes):
        return self.node(op, [x], self.shapes[x], **attributes)

    def binary(self, op, a, b):
        longest = max(self.shapes.get(a, [1]), self.shapes.get(b, [1]), key=lambda shape: math.prod(shape))
        return self.node(op, [a, b], longest)

    def pooled(self, x):
        return self.node("GlobalAveragePool", [x], [*self.shapes[x][:2], 1, 1])

    def gemm(self, x, outputs, gain=1.0):
        inputs = self.shapes[x][1]
        w = self.weights((outputs, inputs), inputs, gain)
        b = self.constant(self.random.normal(0, 0.1, outputs))
        return self.node("Gemm", [x, w, b], (1, outputs), transB=1)

    def flat(self, x):
        return self.node("Flatten", [x], (1, math.prod(self.shapes[x][1:])))

    def model(self, output):
        info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shapes[name])
        graph = helper.make_graph(self.nodes, self.name, [info("input")], [info(output)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def width(channels, factor):
    return max(8, int(channels * factor + 4) // 8 * 8)


def silu(net, x):
    return net.binary("Mul", x, net.unary("Sigmoid", x))


def hard_sigmoid(net, x):
    if net.opset >= 14:
        return net.unary("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    gate = net.binary("Add", x, net.constant(3.0))
    gate = net.node("Clip", [gate, net.constant(0.0), net.constant(6.0)], net.shapes[gate])
    return net.binary("Div", gate, net.constant(6.0))


def hard_swish(net, x):
    return net.unary("HardSwish", x) if net.opset >= 14 else net.binary("Mul", x, hard_sigmoid(net, x))


def relu(net, x):
    return net.unary("Relu", x)


def squeeze_excite(net, x, squeezed, inner, gate):
    channels = net.shapes[x][1]
    scale = inner(net, net.conv(net.pooled(x), squeezed, gain=1.5))
    return net.binary("Mul", x, gate(net, net.conv(scale, channels, gain=2.0)))


def inverted_residual(net, x, kernel, expanded, outputs, stride, activation, excite, same=False, norm=True):
    channels = net.shapes[x][1]
    normal = net.norm if norm else lambda value: value
    y = x
    if expanded != channels:
        y = activation(net, normal(net.conv(y, expanded, gain=1.2)))
    y = activation(net, normal(net.conv(y, expanded, kernel, stride, groups=expanded, gain=1.5, same=same)))
    if excite:
        y = excite(net, y)
    y = normal(net.conv(y, outputs, gain=2.0 if excite else 1.3))
    return net.binary("Add", x, y) if stride == 1 and channels == outputs else y


def mobilenet_v3(name, opset, seed):
    net = Network(name, opset, (1, 3, 64, 64), seed)
    factor = 0.25
    # kernel, expanded, outputs, squeeze-and-excite, hard swish, stride: table 2 of the paper
    blocks = [
        (3, 16, 16, True, False, 2),
        (3, 72, 24, False, False, 2),
        (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2),
        (5, 240, 40, True, True, 1),
        (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1),
        (5, 144, 48, True, True, 1),
        (5, 288, 96, True, True, 2),
        (5, 576, 96, True, True, 1),
        (5, 576, 96, True, True, 1),
    ]
    x = hard_swish(net, net.norm(net.conv("input", width(16, factor), 3, 2, gain=1.5)))
    for kernel, expanded, outputs, excited, swish, stride in blocks:
        excite = lambda net, y: squeeze_excite(net, y, width(net.shapes[y][1] / 4, 1), relu, hard_sigmoid)
        activation = hard_swish if swish else relu
        x = inverted_residual(net, x, kernel, width(expanded, factor), width(outputs, factor), stride, activation, excite if excited else None)
    x = hard_swish(net, net.norm(net.conv(x, width(576, factor), gain=1.5)))
    x = hard_swish(net, net.gemm(net.flat(net.pooled(x)), width(1024, factor), gain=2.0))
    return net.model(net.gemm(x, CLASSES, gain=2.0))


def efficientnet_b0(seed):
    net = Network("efficientnet_b0", 13, (1, 3, 64, 64), seed)
    factor = 0.2
    # expansion, kernel, outputs, repetitions, stride: table 1 of the paper
    stages = [(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1)]
    x = silu(net, net.norm(net.conv("input", width(32, factor), 3, 2, gain=1.5, same=True)))
    for expansion, kernel, outputs, repetitions, stride in stages:
        for repetition in range(repetitions):
            channels = net.shapes[x][1]
            squeezed = max(1, channels // 4)
            excite = lambda net, y: squeeze_excite(net, y, squeezed, silu, lambda net, value: net.unary("Sigmoid", value))
            step = stride if repetition == 0 else 1
            x = inverted_residual(net, x, kernel, expansion * channels, width(outputs, factor), step, silu, excite, same=True)
    x = silu(net, net.norm(net.conv(x, width(1280, factor), gain=1.5)))
    return net.model(net.gemm(net.flat(net.pooled(x)), CLASSES, gain=2.0))


def sizes_of(net, x, like):
    """[1, C, H, W] with C of x and H, W of `like`, computed in the graph as exporters do."""
    sides = net.node("Slice", [net.node("Shape", [like], [4]), *(net.constant([v], numpy.int64) for v in (2, 4, 0))], [2])
    lead = net.node("Slice", [net.node("Shape", [x], [4]), *(net.constant([v], numpy.int64) for v in (0, 2, 0))], [2])
    return net.node("Concat", [lead, sides], [4], axis=0)


def resized(net, x, like, mode):
    shape = [*net.shapes[x][:2], *net.shapes[like][2:]]
    return net.node("Resize", [x, "", "", sizes_of(net, x, like)], shape, mode="linear", coordinate_transformation_mode=mode)


def deeplab_v3(seed):
    net = Network("deeplab_v3", 16, (1, 3, 65, 65), seed)
    base = 8
    x = relu(net, net.norm(net.conv("input", base, 7, 2, gain=1.4)))
    shape = net.shapes[x]
    side = (shape[2] + 2 - 3) // 2 + 1
    x = net.node("MaxPool", [x], (1, base, side, side), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    # outputs, blocks, stride, dilation: output stride 8, the last two stages dilated
    for outputs, blocks, stride, dilation in [(2, 2, 1, 1), (4, 2, 2, 1), (6, 2, 1, 2), (8, 2, 1, 4)]:
        for block in range(blocks):
            step = stride if block == 0 else 1
            y = relu(net, net.norm(net.conv(x, base * outputs // 2, gain=1.4)))
            y = relu(net, net.norm(net.conv(y, base * outputs // 2, 3, step, dilation=dilation, gain=1.4)))
            y = net.norm(net.conv(y, base * outputs, gain=0.7))
            skip = x if block else net.norm(net.conv(x, base * outputs, stride=step))
            x = relu(net, net.binary("Add", y, skip))
    branch = lambda value: relu(net, net.norm(value))
    branches = [branch(net.conv(x, 2 * base, gain=1.4))]
    branches += [branch(net.conv(x, 2 * base, 3, dilation=rate, gain=1.4)) for rate in (2, 4, 6)]
    pooled = branch(net.conv(net.pooled(x), 2 * base, gain=1.4))
    branches.append(resized(net, pooled, x, "half_pixel"))
    shape = net.shapes[x]
    y = net.node("Concat", branches, (1, 10 * base, *shape[2:]), axis=1)
    y = branch(net.conv(y, 2 * base, gain=1.4))
    y = branch(net.conv(y, 2 * base, 3, gain=1.4))
    y = net.conv(y, 5, gain=1.5)
    return net.model(resized(net, y, "input", "pytorch_half_pixel"))


def u_net(seed):
    net = Network("u_net", 18, (1, 3, 32, 48), seed)
    leaky = lambda value: net.unary("LeakyRelu", value, alpha=0.1)
    down = lambda value: net.node(
        "MaxPool", [value], [*net.shapes[value][:2], *(size // 2 for size in net.shapes[value][2:])], kernel_shape=[2, 2], strides=[2, 2]
    )
    skips, x = [], "input"
    for channels in (8, 12, 16):
        x = leaky(net.conv(x, channels, 3, gain=1.3))
        skips.append(x)
        x = down(x)
    x = leaky(net.conv(x, 24, 3, gain=1.3))
    for level, skip in enumerate(reversed(skips)):
        batch, channels, height, columns = net.shapes[x]
        outputs = net.shapes[skip][1]
        larger = (batch, outputs, 2 * height, 2 * columns)
        if level == 1:
            scales = net.constant([1.0, 1.0, 2.0, 2.0])
            x = net.node("Resize", [x, "", scales], (batch, channels, *larger[2:]), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
            x = net.conv(x, outputs, 3, gain=1.2)
        else:
            kernel = 2 + 2 * (level == 2)
            w = net.weights((channels, outputs, kernel, kernel), channels * kernel * kernel // 4, 1.2)
            b = net.constant(net.random.normal(0, 0.1, outputs))
            x = net.node("ConvTranspose", [x, w, b], larger, strides=[2, 2], pads=[kernel // 2 - 1] * 4)
        slopes = net.constant(net.random.uniform(-0.1, 0.4, (outputs, 1, 1)))
        x = net.node("PRelu", [x, slopes], larger)
        x = net.node("Concat", [skip, x], (batch, 2 * outputs, *larger[2:]), axis=1)
        x = leaky(net.conv(x, outputs, 3, gain=1.3))
    # A gated head: half of the channels decides on the other.
    x = net.conv(x, 8, gain=1.5)
    half = [1, 4, *net.shapes[x][2:]]
    net.nodes.append(helper.make_node("Split", [x], ["values", "gates"], name="split", axis=1, num_outputs=2))
    net.shapes["values"] = net.shapes["gates"] = half
    return net.model(net.binary("Mul", net.unary("Tanh", "values"), net.unary("Sigmoid", "gates")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    seed = arguments.seed
    models = [
        mobilenet_v3("mobilenet_v3_small", 14, seed),
        mobilenet_v3("mobilenet_v3_older", 11, seed),
        efficientnet_b0(seed),
        deeplab_v3(seed),
        u_net(seed),
    ]
    for model in models:
        onnx.save(model, arguments.out / f"{model.graph.name}.onnx")
    print(json.dumps([model.graph.name for model in models]))


if __name__ == "__main__":
    main()
