"""Writes transformers with random, well-scaled weights, as exporters write them.

    networks_transformer.py FOLDER

Prints a JSON list of {"name", "model", "shape"}: the file's path, and the shape of its input in ONNX order. Weights are drawn with fixed seeds.
"""

import json
import os
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A network under construction; weights keep the size of what passes through."""

    def __init__(self, seed, opset):
        self.random, self.opset = numpy.random.default_rng(seed), opset
        self.nodes, self.constants = [], []

    def constant(self, values, dtype="float32"):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(numpy.asarray(values, dtype=dtype), name))
        return name

    def normal(self, shape, size, mean=0.0):
        return self.constant(mean + size * self.random.normal(size=shape))

    def node(self, operator, *inputs, **attributes):
        name = f"n{len(self.nodes)}_{operator}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def linear(self, x, inputs, outputs):
        product = self.node("MatMul", x, self.normal([inputs, outputs], inputs**-0.5))
        return self.node("Add", self.normal([outputs], 0.1), product)

    def reshape(self, x, *shape):
        return self.node("Reshape", x, self.constant(shape, "int64"))

    def mean(self, x):
        if self.opset < 18:
            return self.node("ReduceMean", x, axes=[-1])
        return self.node("ReduceMean", x, self.constant([-1], "int64"))

    def layer_norm(self, x, width):
        gamma, beta = self.normal([width], 0.2, 1.0), self.normal([width], 0.2)
        if self.opset >= 17:
            return self.node("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-6)
        distance = self.node("Sub", x, self.mean(x))
        variance = self.mean(self.node("Pow", distance, self.constant(2.0)))
        deviation = self.node("Sqrt", self.node("Add", variance, self.constant(1e-12)))
        return self.node("Add", self.node("Mul", self.node("Div", distance, deviation), gamma), beta)

    def gelu(self, x):
        if self.opset >= 20:
            return self.node("Gelu", x)
        erf = self.node("Erf", self.node("Div", x, self.constant(2.0**0.5)))
        return self.node("Mul", self.node("Mul", x, self.node("Add", erf, self.constant(1.0))), self.constant(0.5))

    def feed_forward(self, x, width):
        return self.linear(self.gelu(self.linear(x, width, 4 * width)), 4 * width, width)

    def attention(self, x, tokens, width, heads):
        """Queries, keys and values in layers of their own, as BERT has them."""
        head = width // heads

        def split(perm):
            return self.node("Transpose", self.reshape(self.linear(x, width, width), 1, tokens, heads, head), perm=perm)

        q, k, v = split([0, 2, 1, 3]), split([0, 2, 3, 1]), split([0, 2, 1, 3])
        scores = self.node("Div", self.node("MatMul", q, k), self.constant(head**0.5))
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        return self.linear(self.reshape(self.node("Transpose", mixed, perm=[0, 2, 1, 3]), 1, tokens, width), width, width)

    def joint_attention(self, x, tokens, width, heads):
        """Queries, keys and values in one layer, as vision transformers have them."""
        head = width // heads
        joint = self.reshape(self.linear(x, width, 3 * width), 1, tokens, 3, heads, head)
        joint = self.node("Transpose", joint, perm=[2, 0, 3, 1, 4])
        q, k, v = (self.node("Gather", joint, self.constant(index, "int64"), axis=0) for index in range(3))
        q = self.node("Mul", q, self.constant(head**-0.5))
        scores = self.node("MatMul", q, self.node("Transpose", k, perm=[0, 1, 3, 2]))
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        return self.linear(self.reshape(self.node("Transpose", mixed, perm=[0, 2, 1, 3]), 1, tokens, width), width, width)

    def save(self, path, shape, output):
        inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N"] + shape[1:])]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "transformer", inputs, outputs, self.constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8), path)


def bert(net, tokens, width, heads, blocks):
    """Normalisation behind each sum; positions added to embeddings; a classifier over the first token."""
    x = net.node("Add", "input", net.normal([1, tokens, width], 0.5))
    x = net.layer_norm(x, width)
    for _ in range(blocks):
        x = net.layer_norm(net.node("Add", net.attention(x, tokens, width, heads), x), width)
        x = net.layer_norm(net.node("Add", net.feed_forward(x, width), x), width)
    first = net.node("Gather", x, net.constant(0, "int64"), axis=1)
    pooled = net.node("Tanh", net.node("Gemm", first, net.normal([width, width], width**-0.5), net.normal([width], 0.1), transB=1))
    return net.node("Gemm", pooled, net.normal([5, width], width**-0.5), net.normal([5], 0.1), transB=1)


def vit(net, side, patch, width, heads, blocks, class_token):
    """Patches, a class token or the mean over tokens, normalisation before each layer."""
    tokens = (side // patch) ** 2
    x = net.node("Conv", "input", net.normal([width, 3, patch, patch], (3 * patch * patch) ** -0.5), net.normal([width], 0.1),
                 kernel_shape=[patch, patch], strides=[patch, patch])
    x = net.node("Transpose", net.reshape(x, 1, width, tokens), perm=[0, 2, 1])
    if class_token:
        batch = net.node("Slice", net.node("Shape", "input"), *(net.constant([place], "int64") for place in (0, 1)))
        shape = net.node("Concat", batch, net.constant([1, width], "int64"), axis=0)
        x = net.node("Concat", net.node("Expand", net.normal([1, 1, width], 0.5), shape), x, axis=1)
        tokens += 1
    x = net.node("Add", x, net.normal([1, tokens, width], 0.5))
    for _ in range(blocks):
        x = net.node("Add", x, net.joint_attention(net.layer_norm(x, width), tokens, width, heads))
        x = net.node("Add", x, net.feed_forward(net.layer_norm(x, width), width))
    if class_token:
        x = net.node("Gather", net.layer_norm(x, width), net.constant(0, "int64"), axis=1)
    elif net.opset < 18:
        x = net.layer_norm(net.node("ReduceMean", x, axes=[1], keepdims=0), width)
    else:
        x = net.layer_norm(net.node("ReduceMean", x, net.constant([1], "int64"), keepdims=0), width)
    return net.node("Gemm", x, net.normal([10, width], width**-0.5), net.normal([10], 0.1), transB=1)


NETWORKS = [
    ("bert-written-out", 13, [1, 24, 64], lambda net: bert(net, 24, 64, 4, 2)),
    ("bert", 17, [1, 16, 128], lambda net: bert(net, 16, 128, 2, 1)),
    ("vit-class-token", 17, [1, 3, 32, 32], lambda net: vit(net, 32, 8, 96, 3, 2, True)),
    ("vit-mean-of-tokens", 20, [1, 3, 32, 32], lambda net: vit(net, 32, 8, 64, 4, 1, False)),
]


def main():
    listed = []
    for seed, (name, opset, shape, build) in enumerate(NETWORKS):
        net = Net(seed, opset)
        path = os.path.join(sys.argv[1], f"{name}.onnx")
        net.save(path, shape, build(net))
        listed.append({"name": name, "model": path, "shape": shape})
    print(json.dumps(listed))


if __name__ == "__main__":
    main()
