//! Quantized weights that cannot be taken as they are.

use apq_examples::onnx::{Attribute, Tensor};

use super::super::{Sketch, case};
use super::{Refused, refuse};

pub(super) fn refused() -> Vec<Refused> {
    let gemm = |name, weights: fn(&mut Sketch) -> String, attributes: &'static [(&str, f32)], says: &[&'static str]| {
        let attributes: Vec<(&str, Attribute)> = attributes.iter().map(|(name, value)| (*name, (*value).into())).collect();
        let case = case(name, 13, &[1, 4], |net| {
            let w = weights(net);
            net.node("Gemm", &["input", &w], &attributes)
        });
        refuse(case, &[&["node \"gemm", "operator Gemm", "nearest supported form"], says].concat())
    };
    vec![
        gemm(
            "refused-quantized-zero-point",
            |net| {
                let codes = Tensor::u8(&[4, 2], &[0, 3, 130, 255, 9, 77, 131, 12]);
                dequantized(net, codes, &[0.1], Tensor::u8(&[], &[131]))
            },
            &[],
            &["weights with the zero point 131", "symmetric"],
        ),
        gemm(
            "refused-quantized-zero-point-of-a-channel",
            |net| dequantized(net, Tensor::i8(&[4, 2], &[1, -2, 3, -4, 5, -6, 7, -8]), &[0.1, 0.2], Tensor::i8(&[2], &[0, -3])),
            &[],
            &["weights with the zero point -3", "symmetric"],
        ),
        gemm(
            "refused-quantized-32-bits",
            |net| dequantized(net, Tensor::i32(&[4, 2], &[1, -2, 300, -4, 5, -6, 7, -8]), &[0.1], Tensor::i32(&[], &[0])),
            &[],
            &["weights of 32 bits", "u8, i8, u4 or i4"],
        ),
        gemm("refused-quantized-alpha", symmetric, &[("alpha", 0.5)], &["attribute alpha", "0.5", "alpha = 1"]),
        gemm(
            "refused-quantized-then-computed",
            |net| {
                let weights = symmetric(net);
                net.node("Relu", &[&weights], &[])
            },
            &[],
            &["weights that a Relu makes", "Transpose"],
        ),
        gemm(
            "refused-quantized-along-inputs",
            |net| {
                let zero_points = Tensor::i8(&[4], &[0; 4]);
                let codes = Tensor::i8(&[2, 4], &[1, -2, 3, -4, 5, -6, 7, -8]);
                let weights = dequantized(net, codes, &[0.1, 0.2, 0.3, 0.4], zero_points);
                net.node("Transpose", &[&weights], &[])
            },
            &[],
            &["a scale for each position of axis 0", "each output channel"],
        ),
        refuse(
            case("refused-quantized-computed-constant", 13, &[1, 4], |net| {
                let weights = net.weights(&[4, 2]);
                let weights = net.node("Relu", &[&weights], &[]);
                let (scale, zero_point) = (net.constant(&[], &[0.1]), net.tensor(Tensor::i8(&[], &[0])));
                let codes = net.node("QuantizeLinear", &[&weights, &scale, &zero_point], &[]);
                let weights = net.node("DequantizeLinear", &[&codes, &scale, &zero_point], &[]);
                net.node("Gemm", &["input", &weights], &[])
            }),
            &["node \"quantizelinear", "operator QuantizeLinear", "that other operators compute"],
        ),
        refuse(
            case("refused-quantized-transposed-inputs", 13, &[1, 2, 3, 3], |net| {
                let weights = dequantize_along(net, 0);
                net.node("ConvTranspose", &["input", &weights], &[])
            }),
            &["node \"convtranspose", "operator ConvTranspose", "a scale for each position of axis 0"],
        ),
    ]
}

/// A `DequantizeLinear` of a constant, along the last axis where there are several scales.
fn dequantized(net: &mut Sketch, codes: Tensor, scales: &[f32], zero_points: Tensor) -> String {
    let shape: &[usize] = if scales.len() == 1 { &[] } else { &[scales.len()] };
    let (codes, scales, zero_points) = (net.tensor(codes), net.constant(shape, scales), net.tensor(zero_points));
    net.node("DequantizeLinear", &[&codes, &scales, &zero_points], &[("axis", (-1).into())])
}

/// Weights [4, 2] that a layer can have.
fn symmetric(net: &mut Sketch) -> String {
    dequantized(net, Tensor::i8(&[4, 2], &[1, -2, 3, -4, 5, -6, 7, -8]), &[0.1], Tensor::i8(&[], &[0]))
}

/// Weights [2, 2, 1, 1] with a scale for each position of `axis`.
fn dequantize_along(net: &mut Sketch, axis: i64) -> String {
    let codes = net.tensor(Tensor::i8(&[2, 2, 1, 1], &[1, -2, 3, -4]));
    let (scales, zero_points) = (net.constant(&[2], &[0.1, 0.2]), net.tensor(Tensor::i8(&[2], &[0, 0])));
    net.node("DequantizeLinear", &[&codes, &scales, &zero_points], &[("axis", axis.into())])
}
