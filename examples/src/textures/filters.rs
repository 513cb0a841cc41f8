//! The filters that are written down instead of learned.

/// 3 x 3 kernels, by row.
type Kernel = [f64; 9];

/// Derivative along x, smoothed across it (Sobel).
const DX: Kernel = [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0];
const DY: Kernel = [-1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0];
const RISING: Kernel = [-2.0, -1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 1.0, 2.0];
const FALLING: Kernel = [0.0, 1.0, 2.0, -1.0, 0.0, 1.0, -2.0, -1.0, 0.0];
/// Second derivatives: ridges and valleys of one direction.
const DXX: Kernel = [-1.0, 2.0, -1.0, -2.0, 4.0, -2.0, -1.0, 2.0, -1.0];
const DYY: Kernel = [-1.0, -2.0, -1.0, 2.0, 4.0, 2.0, -1.0, -2.0, -1.0];
const LAPLACE: Kernel = [-1.0, -1.0, -1.0, -1.0, 8.0, -1.0, -1.0, -1.0, -1.0];
const BLUR: Kernel = [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0];

/// Directions in colour space: brightness, red against blue, green against the other two.
const BRIGHTNESS: [f64; 3] = [1.0, 1.0, 1.0];
const RED_BLUE: [f64; 3] = [1.4, 0.0, -1.4];

/// The first layer, `[16, 3, 3, 3]` (output, row, column, colour): both signs of seven brightness derivatives, so that rectification keeps
/// the whole signal, and of one colour contrast.
pub(super) fn first_layer() -> Vec<f64> {
    let derivatives = [DX, DY, RISING, FALLING, DXX, DYY, LAPLACE].map(|kernel| (kernel, BRIGHTNESS));
    let all = derivatives.into_iter().chain([(BLUR, RED_BLUE)]);
    all.flat_map(|bank| [(bank, 1.0), (bank, -1.0)]).flat_map(|((kernel, colour), sign)| outer(kernel, colour, sign)).collect()
}

fn outer(kernel: Kernel, colour: [f64; 3], sign: f64) -> Vec<f64> {
    let size: f64 = kernel.iter().map(|k| k.abs()).sum();
    kernel.iter().flat_map(|k| colour.map(|c| sign * k * c / size)).collect()
}

/// Depthwise kernels `[channels, 3, 3]` that smooth: what rectified derivatives need to become a local energy.
pub(super) fn smoothing(channels: usize) -> Vec<f64> {
    (0..channels).flat_map(|_| BLUR.map(|k| k / 16.0)).collect()
}

/// Depthwise kernels `[channels, 3, 3]`, a derivative of another direction for each channel in turn.
pub(super) fn derivatives(channels: usize) -> Vec<f64> {
    let bank = [DX, DY, LAPLACE, RISING, FALLING, BLUR];
    (0..channels).flat_map(|channel| bank[channel % bank.len()].map(|k| k / 8.0)).collect()
}
