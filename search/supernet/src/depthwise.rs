//! Gradients of depthwise weights.
//!
//! On a CPU, libtorch needs more time for them than for the rest of a training step. Here they are sums over shifted rows of pixels, many channels at a
//! time. The rest of the network's gradients, those of the convolution's input among them, are libtorch's.

use pulp::{Arch, Simd, WithSimd};
use tch::{Device, Kind, Tensor};

use crate::files::values;

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
    gradient: Gradient,
}

impl Pending {
    /// A depthwise convolution of `x` `[N, C, H, W]` with `kernel` `[C, 1, K, K]`, padded by K / 2. On a CPU, kernels of 3, 5 and 7 get their gradient
    /// from [`Pending::finish`], others as any tensor does.
    pub fn convolve(&mut self, x: &Tensor, kernel: &Tensor, stride: i64) -> Tensor {
        let side = kernel.size()[2];
        let convolve = |kernel: &Tensor| {
            let padding = side / 2;
            x.conv2d(kernel, None::<&Tensor>, [stride, stride], [padding, padding], [1, 1], x.size()[1])
        };
        let Some(gradient) = weight_gradient(side).filter(|_| x.device() == Device::Cpu) else { return convolve(kernel) };
        let y = convolve(&kernel.detach());
        let output = y.zeros_like().set_requires_grad(true);
        let sum = y + &output;
        self.0.push(Layer { input: x.detach(), kernel: kernel.shallow_clone(), output, stride: stride as usize, gradient });
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
            let geometry = Geometry { batch, channels, input: [height, width], output: [rows, columns], stride: layer.stride };
            let [input, gradient] = [&layer.input, &gradient].map(|map| values(&map.permute([0, 2, 3, 1])));
            let weights = (layer.gradient)(&geometry, &input, &gradient);
            let side = side as i64;
            let weights = Tensor::from_slice(&weights).reshape([side, side, -1]).permute([2, 0, 1]).unsqueeze(1);
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
    stride: usize,
}

/// Gradient `[K, K, C]` of the weights from the input `[N, H, W, C]` and the output's gradient.
type Gradient = fn(&Geometry, &[f32], &[f32]) -> Vec<f32>;

/// That of kernels of this side, where there is one.
fn weight_gradient(side: i64) -> Option<Gradient> {
    fn of<const K: usize>(geometry: &Geometry, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        Arch::new().dispatch(Sums::<K> { geometry, input, gradient })
    }
    match side {
        3 => Some(of::<3>),
        5 => Some(of::<5>),
        7 => Some(of::<7>),
        _ => None,
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
        let Self { geometry: &Geometry { batch, channels, input: [height, width], output: [rows, columns], stride }, .. } = self;
        let zero = simd.splat_f32s(0.0);
        let edge = K / 2;
        let padded_width = width + 2 * edge;
        let chunks: Vec<_> = (0..channels).step_by(S::F32_LANES).map(|first| first..channels.min(first + S::F32_LANES)).collect();
        // One chunk of channels of one image, with zeros around it, and of what comes from above.
        let mut padded = vec![zero; (height + 2 * edge) * padded_width];
        let mut upstream = vec![zero; rows * columns];
        let mut sums = vec![[[zero; K]; K]; chunks.len()];
        let images = self.input.chunks_exact(height * width * channels).zip(self.gradient.chunks_exact(rows * columns * channels));
        for (input, gradient) in images.take(batch) {
            for (chunk, sums) in chunks.iter().zip(&mut sums) {
                for (row, pixels) in input.chunks_exact(width * channels).enumerate() {
                    let into = &mut padded[(row + edge) * padded_width + edge..][..width];
                    for (to, pixel) in into.iter_mut().zip(pixels.chunks_exact(channels)) {
                        *to = simd.partial_load_f32s(&pixel[chunk.clone()]);
                    }
                }
                for (to, pixel) in upstream.iter_mut().zip(gradient.chunks_exact(channels)) {
                    *to = simd.partial_load_f32s(&pixel[chunk.clone()]);
                }
                for (down, sums) in sums.iter_mut().enumerate() {
                    // In registers: the sums of a row of taps and the gradient that they share. Those of an image come first: one chain over all images
                    // would lose digits.
                    let mut taps = [zero; K];
                    for (row, upstream) in upstream.chunks_exact(columns).enumerate() {
                        let from = row * stride + down;
                        if !(edge..edge + height).contains(&from) {
                            continue;
                        }
                        let from = &padded[from * padded_width..][..padded_width];
                        for (column, upstream) in upstream.iter().enumerate() {
                            let window = &from[column * stride..][..K];
                            for (tap, value) in taps.iter_mut().zip(window) {
                                *tap = simd.mul_add_f32s(*upstream, *value, *tap);
                            }
                        }
                    }
                    for (sum, tap) in sums.iter_mut().zip(taps) {
                        *sum = simd.add_f32s(*sum, tap);
                    }
                }
            }
        }
        let mut result = vec![0f32; K * K * channels];
        for (chunk, sums) in chunks.iter().zip(&sums) {
            for (into, sum) in result.chunks_exact_mut(channels).zip(sums.as_flattened()) {
                simd.partial_store_f32s(&mut into[chunk.clone()], *sum);
            }
        }
        result
    }
}

/// The same `[N, C, H, W]`, the channels of a pixel side by side where that is faster.
pub fn channels_last(x: Tensor) -> Tensor {
    if x.device() == Device::Cpu { x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_libtorch() {
        tch::manual_seed(1);
        let shapes =
            [(3, 1, 5), (5, 1, 14), (7, 1, 7), (7, 2, 14), (5, 2, 9), (7, 1, 4), (3, 2, 28), (7, 1, 19), (5, 3, 11), (1, 1, 6), (9, 2, 11)];
        // Less than a register, one or two and a rest, and five of eight lanes.
        for ((side, stride, size), channels) in shapes.into_iter().flat_map(|shape| [1, 8, 19, 40].map(|channels| (shape, channels))) {
            let random = |dims: [i64; 4]| Tensor::randn(dims, (Kind::Float, Device::Cpu)).set_requires_grad(true);
            let (x, w) = (random([3, channels, size, size + 1]), random([channels, 1, side, side]));
            let plain = x.conv2d(&w, None::<&Tensor>, [stride, stride], [side / 2, side / 2], [1, 1], channels);
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
                assert!(
                    (theirs - ours).abs().max().double_value(&[]) < 1e-4 * scale,
                    "side {side} stride {stride} size {size} channels {channels}"
                );
            }
        }
    }
}
