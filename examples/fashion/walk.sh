#!/usr/bin/env bash
# From images to a network on an emulated Cortex-M4: everything that examples/fashion holds, and its tables in docs/results.md.
#
#     examples/fashion/walk.sh [DATA [FOLDER]]
#
# DATA holds the four IDX files, gzipped or not. What was finished in FOLDER is kept: started again, this goes on. It takes libtorch (`cargo xtask
# libtorch`), two to three hours on two cores, more than half of them for the training.
set -euo pipefail
data=$(realpath "${1:-/usr/share/datasets/fashion-mnist}")
mkdir -p "${2:-fashion}"
out=$(realpath "${2:-fashion}")
cd "$(dirname "$0")/../.."
cargo build --release -p apqc -p apq-examples
apqc=target/release/apqc

# Train, and cut out what the compiler needs: network, kernel transforms and space; preprocessing; 256 images to calibrate, 4744 to choose, 1000 to report.
cargo xtask train supernet --data "$data" -o "$out"
cargo xtask train export --checkpoint "$out/checkpoint.safetensors" --data "$data" -o "$out/supernet.onnx" --force
# All test images, for the tables.
mkdir -p "$out/all"
cargo xtask train export --checkpoint "$out/checkpoint.safetensors" --data "$data" --test-images 10000 -o "$out/all/supernet.onnx" --force
test=$out/all/supernet.test.npz
target/release/first-samples "$out/supernet.test.npz" 10 "$out/supernet.samples.bin"

# What subnets are worth, in floats and as integers, and what learns from it, with and without transfer.
"$apqc" dataset sample "$out/supernet.onnx" --kind float --samples 2000 --points 2000
"$apqc" dataset sample "$out/supernet.onnx" --kind quantized --points 1500
cargo xtask train predictor --supernet "$out/supernet.onnx" --curve 100,200,400,800 --force
cargo xtask train predictor --supernet "$out/supernet.onnx" --scratch -o "$out/scratch.predictor" --force

# The joint search beside its baselines.
compare=("$apqc" search compare "$out/supernet.onnx" --target bitfusion --search-data "$out/supernet.valid.npz" --data "$test" --scratch "$out/scratch.predictor"
    --rounding nearest --finalists 4 --force)
"${compare[@]}" --budgets latency:auto -o "$out/compare-latency.d"
"${compare[@]}" --budgets energy:auto --seeds 1 -o "$out/compare-energy.d"
"${compare[@]}" --budgets bops:auto --seeds 1 -o "$out/compare-bops.d"

# Search, compile, fine-tune, compile again.
"$apqc" compile --target bitfusion --latency 0.2ms "$out/supernet.onnx" --search-data "$out/supernet.valid.npz" --data "$test" -o "$out/bitfusion.apq.d" --force
"$apqc" pareto --target bitfusion "$out/supernet.onnx" --search-data "$out/supernet.valid.npz" -o "$out/front.pareto.d" --force
cargo xtask train finetune --supernet "$out/supernet.onnx" --design "$out/bitfusion.apq.d/design.json" --data "$data" -o "$out/finetuned.onnx" --force
"$apqc" compile --target bitfusion --assign "$out/bitfusion.apq.d/assignment.toml" "$out/finetuned.onnx" --data "$test" \
    -o "$out/finetuned.apq.d" --force

# For a microcontroller: the first test image on an emulated Cortex-M4.
"$apqc" compile --target cortex-m4 --latency 20ms "$out/supernet.onnx" --search-data "$out/supernet.valid.npz" -o "$out/cortex-m4.apq.d" --force
"$apqc" export "$out/cortex-m4.apq.d/model.apq" --as rust --name model --labels examples/fashion/classes.json -o "$out/model" --force
APQ_EXPORT=$out/model APQ_INPUT=$out/supernet.samples.bin cargo xtask firmware cargo cortex-m4 examples/firmware-embed run --release
