//! Float layers, as plain as they can be, over whole sets of images.

/// Activations `[images, height, width, channels]`, row-major.
#[derive(Clone)]
pub(super) struct Maps {
    pub(super) images: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<f64>,
}

impl Maps {
    pub(super) fn zeros(images: usize, height: usize, width: usize, channels: usize) -> Self {
        Self { images, height, width, channels, values: vec![0.0; images * height * width * channels] }
    }

    /// The channels of one pixel.
    pub(super) fn pixel(&self, image: usize, y: usize, x: usize) -> &[f64] {
        let start = ((image * self.height + y) * self.width + x) * self.channels;
        &self.values[start..start + self.channels]
    }

    /// The patch of `kernel` x `kernel` pixels around a pixel, `[kernel, kernel, channels]`, zero outside of the image.
    pub(super) fn patch(&self, image: usize, y: usize, x: usize, kernel: usize, out: &mut [f64]) {
        let half = kernel / 2;
        for (index, pixel) in out.chunks_exact_mut(self.channels).enumerate() {
            let (py, px) = (y + index / kernel, x + index % kernel);
            let inside = (half..self.height + half).contains(&py) && (half..self.width + half).contains(&px);
            match inside {
                true => pixel.copy_from_slice(self.pixel(image, py - half, px - half)),
                false => pixel.fill(0.0),
            }
        }
    }
}

/// Weights `[outputs, kernel, kernel, inputs]` of a convolution, or `[outputs, kernel, kernel, 1]` of a depthwise one; no bias, stride 1,
/// padded to keep the size.
#[derive(Clone)]
pub(super) struct Conv {
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    pub(super) depthwise: bool,
    pub(super) weights: Vec<f64>,
}

impl Conv {
    pub(super) fn apply(&self, input: &Maps) -> Maps {
        let taps = self.kernel * self.kernel;
        let mut out = Maps::zeros(input.images, input.height, input.width, self.outputs);
        let mut patch = vec![0.0; taps * input.channels];
        for (index, pixel) in out.values.chunks_exact_mut(self.outputs).enumerate() {
            let (row, x) = (index / input.width, index % input.width);
            input.patch(row / input.height, row % input.height, x, self.kernel, &mut patch);
            if self.depthwise {
                for (channel, (value, weights)) in pixel.iter_mut().zip(self.weights.chunks_exact(taps)).enumerate() {
                    let values = patch.iter().skip(channel).step_by(input.channels);
                    *value = weights.iter().zip(values).map(|(w, v)| w * v).sum();
                }
            } else {
                for (value, weights) in pixel.iter_mut().zip(self.weights.chunks_exact(patch.len())) {
                    *value = super::linalg::dot(weights, &patch);
                }
            }
        }
        out
    }
}

/// Batch normalization with its statistics; `gamma * (x - mean) / sqrt(variance + EPSILON) + beta`.
#[derive(Clone)]
pub(super) struct Norm {
    pub(super) gamma: Vec<f64>,
    pub(super) beta: Vec<f64>,
    pub(super) mean: Vec<f64>,
    pub(super) variance: Vec<f64>,
}

/// ONNX's default.
pub(super) const EPSILON: f64 = 1e-5;

impl Norm {
    /// Measures mean and variance on `input`.
    pub(super) fn measure(input: &Maps, gamma: f64, beta: f64) -> Self {
        let channels = input.channels;
        let count = (input.values.len() / channels) as f64;
        let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
        for pixel in input.values.chunks_exact(channels) {
            mean.iter_mut().zip(pixel).for_each(|(m, v)| *m += v / count);
        }
        for pixel in input.values.chunks_exact(channels) {
            let terms = variance.iter_mut().zip(pixel.iter().zip(&mean));
            terms.for_each(|(s, (v, m))| *s += (v - m) * (v - m) / count);
        }
        Self { gamma: vec![gamma; channels], beta: vec![beta; channels], mean, variance }
    }

    pub(super) fn apply(&self, maps: &mut Maps) {
        for pixel in maps.values.chunks_exact_mut(maps.channels) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let deviation = libm::sqrt(self.variance[channel] + EPSILON);
                *value = self.gamma[channel] * (*value - self.mean[channel]) / deviation + self.beta[channel];
            }
        }
    }
}

/// What follows a normalization.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Linear,
    Relu,
    /// ONNX `Clip` between 0 and 6.
    Relu6,
}

impl Activation {
    pub(super) fn apply(self, maps: &mut Maps) {
        let (low, high) = match self {
            Activation::Linear => return,
            Activation::Relu => (0.0, f64::INFINITY),
            Activation::Relu6 => (0.0, 6.0),
        };
        maps.values.iter_mut().for_each(|value| *value = value.clamp(low, high));
    }
}

/// Pools windows of 2 x 2 with stride 2 by folding their values with `combine`.
fn pool(input: &Maps, combine: impl Fn(f64, f64) -> f64) -> Maps {
    let mut out = Maps::zeros(input.images, input.height / 2, input.width / 2, input.channels);
    let (height, width) = (out.height, out.width);
    for (index, pixel) in out.values.chunks_exact_mut(input.channels).enumerate() {
        let (row, x) = (index / width, index % width);
        let (image, y) = (row / height, row % height);
        pixel.copy_from_slice(input.pixel(image, 2 * y, 2 * x));
        for (dy, dx) in [(0, 1), (1, 0), (1, 1)] {
            let other = input.pixel(image, 2 * y + dy, 2 * x + dx);
            pixel.iter_mut().zip(other).for_each(|(a, &b)| *a = combine(*a, b));
        }
    }
    out
}

/// Maximum over windows of 2 x 2, stride 2.
pub(super) fn max_pool(input: &Maps) -> Maps {
    pool(input, libm::fmax)
}

/// Average over windows of 2 x 2, stride 2.
pub(super) fn average_pool(input: &Maps) -> Maps {
    let mut out = pool(input, |a, b| a + b);
    out.values.iter_mut().for_each(|value| *value /= 4.0);
    out
}

/// Average over all pixels, `[images, channels]`.
pub(super) fn global_average_pool(input: &Maps) -> Vec<f64> {
    let pixels = input.height * input.width;
    let mut out = vec![0.0; input.images * input.channels];
    let images = input.values.chunks_exact(pixels * input.channels);
    for (row, image) in out.chunks_exact_mut(input.channels).zip(images) {
        for pixel in image.chunks_exact(input.channels) {
            row.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value / pixels as f64);
        }
    }
    out
}
