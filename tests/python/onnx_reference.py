"""Runs ONNX models with onnxruntime on one CPU core, as the reference of the tests.

    onnx_reference.py --batch RUNS.json

RUNS.json is a list of {"model": path, "input": path, "shape": [..], "output": path}; inputs and outputs are little-endian float32 in ONNX order.
Prints a JSON list with {"shape": [..]} for each run whose output was written, or {"error": text}.
"""

import argparse
import json

import numpy
import onnxruntime


def run(entry):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # As written: a fusion of padding into average pooling makes nodes that onnxruntime itself refuses.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(entry["model"], options, providers=["CPUExecutionProvider"])
    values = numpy.fromfile(entry["input"], dtype="<f4").reshape(entry["shape"])
    constants = {value.name for value in session.get_overridable_initializers()}
    names = [value.name for value in session.get_inputs() if value.name not in constants]
    output = session.run(None, {names[0]: values})[0].astype("<f4")
    output.tofile(entry["output"])
    return {"shape": list(output.shape)}


def attempt(entry):
    try:
        return run(entry)
    except Exception as error:  # noqa: BLE001 - whatever onnxruntime raises is the answer
        return {"error": str(error)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", required=True, metavar="RUNS.json")
    with open(parser.parse_args().batch, encoding="utf-8") as file:
        entries = json.load(file)
    print(json.dumps([attempt(entry) for entry in entries]))


if __name__ == "__main__":
    main()
