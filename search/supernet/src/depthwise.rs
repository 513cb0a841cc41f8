//! Gradients of depthwise weights.
//!
//! libtorch leaves them to a general matrix product where the kernel is larger than 3x3: more than half of the time of a training step. Here they are
//! sums of shifted rows. The rest of the network's gradients, those of the convolution's input among them, are libtorch's.

use pulp::{Arch, Simd, WithSimd};
use tch::{Kind, Tensor};

use crate::checkpoint::values;

/// Depthwise convolutions of forward passes whose weights still wait for their gradient.
#[derive(Debug, Default)]
pub struct Pending(Vec<Layer>);

#[derive(Debug)]
struct Layer {
    input: Tensor,
    kernel: Tensor,
    /// Zeros that were added to the output: their gradient is the output's.
    output: Tensor,
    stride: usize,
}

impl Pending {
    /// A depthwise convolution of `x` `[N, C, H, W]` with `kernel` `[C, 1, K, K]`, padded by K / 2, whose kernel gets its gradient from [`Pending::finish`].
    pub fn convolve(&mut self, x: &Tensor, kernel: &Tensor, stride: i64) -> Tensor {
        let padding = kernel.size()[2] / 2;
        let y = x.conv2d(&kernel.detach(), None::<&Tensor>, [stride, stride], [padding, padding], [1, 1], x.size()[1]);
        let output = y.zeros_like().set_requires_grad(true);
        let sum = y + &output;
        self.0.push(Layer { input: x.detach(), kernel: kernel.shallow_clone(), output, stride: stride as usize });
        sum
    }

    /// After `backward` of the loss: adds the gradients of all kernels to what they were made from.
    pub fn finish(self) {
        let mut total = Tensor::from(0f32);
        for layer in self.0 {
            let gradient = layer.output.grad();
            let [batch, channels, height, width] = sizes(&layer.input);
            let [_, _, rows, columns] = sizes(&gradient);
            let [_, _, side, _] = sizes(&layer.kernel);
            let geometry = Geometry { batch, channels, input: [height, width], output: [rows, columns], side, stride: layer.stride };
            let weights = weight_gradient(&geometry, &values(&layer.input), &values(&gradient));
            let weights = Tensor::from_slice(&weights).reshape(layer.kernel.size());
            // The gradient of this sum with respect to the kernel is what was just computed.
            total += (layer.kernel * weights).sum(Kind::Float);
        }
        if total.requires_grad() {
            total.backward();
        }
    }
}

fn sizes(tensor: &Tensor) -> [usize; 4] {
    let size = tensor.size();
    std::array::from_fn(|at| size[at] as usize)
}

/// Shapes of a depthwise convolution with padding `side / 2`.
struct Geometry {
    batch: usize,
    channels: usize,
    input: [usize; 2],
    output: [usize; 2],
    side: usize,
    stride: usize,
}

/// Gradient `[C, K, K]` of the weights from the input `[N, C, H, W]` and the output's gradient.
fn weight_gradient(geometry: &Geometry, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let arch = Arch::new();
    match geometry.side {
        3 => arch.dispatch(Sums::<3> { geometry, input, gradient }),
        5 => arch.dispatch(Sums::<5> { geometry, input, gradient }),
        7 => arch.dispatch(Sums::<7> { geometry, input, gradient }),
        side => panic!("depthwise kernels have a side of 3, 5 or 7, not {side}"),
    }
}

/// What the dispatcher compiles for each instruction set.
struct Sums<'a, const K: usize> {
    geometry: &'a Geometry,
    input: &'a [f32],
    gradient: &'a [f32],
}

impl<const K: usize> WithSimd for Sums<'_, K> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { geometry, input, gradient } = self;
        let ([height, width], [rows, columns], stride) = (geometry.input, geometry.output, geometry.stride);
        // Every `stride`-th value of a padded row lies together, so that what a row of outputs meets at one tap is a run. Behind the rows and beside
        // the gradient lie zeros.
        let chunks = columns.div_ceil(S::F32_LANES);
        let run = chunks * S::F32_LANES;
        let phase = (width + 2 * (K / 2)).div_ceil(stride).max(run + K);
        let mut padded = vec![0f32; (height + K) * stride * phase];
        let mut upstream = vec![0f32; rows * run];
        let offsets: [usize; K] = std::array::from_fn(|right| right % stride * phase + right / stride);
        // Where the values of a row that begin at each of the first columns go.
        let starts: Vec<usize> = (K / 2..K / 2 + stride).map(|at| at % stride * phase + at / stride).collect();
        let mut result = vec![0f32; geometry.channels * K * K];
        for (channel, taps) in result.chunks_exact_mut(K * K).enumerate() {
            let mut lanes = [[simd.splat_f32s(0.0); K]; K];
            for image in 0..geometry.batch {
                let plane = image * geometry.channels + channel;
                let map = &input[plane * height * width..][..height * width];
                for (row, values) in map.chunks_exact(width).enumerate() {
                    let into = &mut padded[(row + K / 2) * stride * phase..][..stride * phase];
                    for (first, start) in starts.iter().enumerate() {
                        let to = &mut into[*start..];
                        if stride == 1 {
                            to[..width].copy_from_slice(values);
                        } else {
                            for (to, value) in to.iter_mut().zip(values.iter().skip(first).step_by(stride)) {
                                *to = *value;
                            }
                        }
                    }
                }
                let map = &gradient[plane * rows * columns..][..rows * columns];
                for (to, values) in upstream.chunks_exact_mut(run).zip(map.chunks_exact(columns)) {
                    to[..columns].copy_from_slice(values);
                }
                for (down, lanes) in lanes.iter_mut().enumerate() {
                    for (row, upstream) in upstream.chunks_exact(run).enumerate() {
                        let from = &padded[(row * stride + down) * stride * phase..][..stride * phase];
                        for (sum, offset) in lanes.iter_mut().zip(offsets) {
                            let (upstream, window) = (S::as_simd_f32s(upstream).0, S::as_simd_f32s(&from[offset..][..run]).0);
                            for (upstream, window) in upstream.iter().zip(window) {
                                *sum = simd.mul_add_f32s(*upstream, *window, *sum);
                            }
                        }
                    }
                }
            }
            for (tap, lanes) in taps.iter_mut().zip(lanes.as_flattened()) {
                *tap = simd.reduce_sum_f32s(*lanes);
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_libtorch() {
        tch::manual_seed(1);
        for (side, stride, size) in [(3, 1, 5), (5, 1, 14), (7, 1, 7), (7, 2, 14), (5, 2, 9), (7, 1, 4), (3, 2, 28), (7, 1, 19), (5, 3, 11)]
        {
            let make = || {
                let x = Tensor::randn([3, 4, size, size + 1], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
                let w = Tensor::randn([4, 1, side, side], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
                (x, w)
            };
            let (x, w) = make();
            let plain = x.conv2d(&w, None::<&Tensor>, [stride, stride], [side / 2, side / 2], [1, 1], 4);
            let weights = plain.randn_like();
            (&plain * &weights).sum(Kind::Float).backward();
            let (x2, w2) = (x.detach().set_requires_grad(true), w.detach().set_requires_grad(true));
            let mut pending = Pending::default();
            // What the kernel was made from gets the gradient too.
            let ours = pending.convolve(&x2, &(&w2 * 2.0), stride);
            assert!((&ours - &plain * 2.0).abs().max().double_value(&[]) < 1e-3);
            (ours * weights).sum(Kind::Float).backward();
            pending.finish();
            for (theirs, ours) in [(w.grad() * 2.0, w2.grad()), (x.grad() * 2.0, x2.grad())] {
                let scale = theirs.abs().max().double_value(&[]);
                assert!((theirs - ours).abs().max().double_value(&[]) < 1e-4 * scale, "{side} {stride} {size}");
            }
        }
    }
}
