//! The images.

use crate::random::Random;
use core::f64::consts::{PI, TAU};

/// Height and width of an image in pixels.
pub const SIZE: usize = 16;

/// Names of the classes; the label is the index.
pub const CLASSES: [&str; 10] = [
    "horizontal stripes",
    "rising stripes",
    "vertical stripes",
    "falling stripes",
    "checkerboard",
    "dots",
    "net",
    "rings",
    "rays",
    "blobs",
];

/// Sample positions inside a pixel, on each axis, so that edges are not jagged.
const SUPERSAMPLES: usize = 2;

/// Everything about one image that does not depend on the pixel.
struct Scene {
    class: usize,
    /// Direction of the first wave vector.
    angle: f64,
    /// Waves per pixel.
    frequency: f64,
    phase: [f64; 2],
    /// Centre of rings and rays, in pixels.
    centre: [f64; 2],
    /// Number of rays.
    arms: f64,
    /// Waves that blobs are the sum of: (x, y, phase).
    waves: [[f64; 3]; 6],
    /// Slope of the edges: large is a hard edge.
    sharpness: f64,
    /// Brightness gradient over the image, relative.
    light: [f64; 2],
    noise: f64,
    colours: [[f64; 3]; 2],
}

impl Scene {
    fn new(class: usize, rng: &mut Random) -> Self {
        let jitter = rng.uniform(-0.36, 0.36);
        let angle = match class {
            0 => PI / 2.0 + jitter,
            1 => PI / 4.0 + jitter,
            2 => jitter,
            3 => 3.0 * PI / 4.0 + jitter,
            _ => rng.uniform(0.0, PI),
        };
        let middle = SIZE as f64 / 2.0;
        let frequency = 1.0 / rng.uniform(4.2, 6.8);
        let mut waves = [[0.0; 3]; 6];
        for wave in &mut waves {
            let direction = rng.uniform(0.0, TAU);
            let length = frequency * rng.uniform(0.25, 0.5);
            *wave = [length * libm::cos(direction), length * libm::sin(direction), rng.uniform(0.0, 1.0)];
        }
        Self {
            class,
            angle,
            frequency,
            phase: [rng.uniform(0.0, 1.0), rng.uniform(0.0, 1.0)],
            centre: [middle + rng.uniform(-4.0, 4.0), middle + rng.uniform(-4.0, 4.0)],
            arms: 5.0 + rng.index(4) as f64,
            waves,
            sharpness: rng.uniform(1.0, 4.0),
            light: [rng.uniform(-0.35, 0.35), rng.uniform(-0.35, 0.35)],
            noise: rng.uniform(4.0, NOISE_MAX),
            colours: colours(rng),
        }
    }

    /// The pattern at a point, about -1 .. 1, before its edges are sharpened.
    fn pattern(&self, x: f64, y: f64) -> f64 {
        let (cos, sin) = (libm::cos(self.angle), libm::sin(self.angle));
        let u = TAU * (self.frequency * (x * cos + y * sin) + self.phase[0]);
        let v = TAU * (self.frequency * (y * cos - x * sin) + self.phase[1]);
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        match self.class {
            0..=3 => libm::cos(u),
            4 => libm::cos(u) * libm::cos(v) * 1.6,
            5 => libm::cos(u) + libm::cos(v) - 0.7,
            6 => libm::fmax(libm::cos(u), libm::cos(v)) - 0.6,
            7 => libm::cos(TAU * (self.frequency * libm::hypot(dx, dy) + self.phase[0])),
            8 => libm::cos(self.arms * libm::atan2(dy, dx) + TAU * self.phase[0]),
            _ => self.waves.iter().map(|w| libm::cos(TAU * (w[0] * x + w[1] * y + w[2]))).sum::<f64>() * 0.6,
        }
    }
}

/// Largest standard deviation of the pixel noise, in grey levels of 255.
const NOISE_MAX: f64 = 20.0;

/// Two colours that differ enough in brightness, the brighter one first: dots are bright on dark, the meshes of a net are dark between bright
/// threads.
fn colours(rng: &mut Random) -> [[f64; 3]; 2] {
    loop {
        let mut draw = || [rng.uniform(20.0, 235.0), rng.uniform(20.0, 235.0), rng.uniform(20.0, 235.0)];
        let pair = [draw(), draw()];
        let brightness = |c: [f64; 3]| (c[0] + c[1] + c[2]) / 3.0;
        if brightness(pair[0]) - brightness(pair[1]) >= 50.0 {
            return pair;
        }
    }
}

/// One image of `class`, `[SIZE, SIZE, 3]` row-major, as a camera with RGB565 output gives it: 5, 6 and 5 bits, widened to 8.
fn image(class: usize, rng: &mut Random, out: &mut [u8]) {
    let scene = Scene::new(class, rng);
    for (index, pixel) in out.chunks_exact_mut(3).enumerate() {
        let (row, column) = (index / SIZE, index % SIZE);
        let mut mix = 0.0;
        for sample in 0..SUPERSAMPLES * SUPERSAMPLES {
            let offset = |i: usize| (i as f64 + 0.5) / SUPERSAMPLES as f64;
            let x = column as f64 + offset(sample % SUPERSAMPLES);
            let y = row as f64 + offset(sample / SUPERSAMPLES);
            mix += (scene.pattern(x, y) * scene.sharpness).clamp(-1.0, 1.0);
        }
        let mix = 0.5 + 0.5 * mix / (SUPERSAMPLES * SUPERSAMPLES) as f64;
        let (x, y) = (column as f64 / SIZE as f64 - 0.5, row as f64 / SIZE as f64 - 0.5);
        let light = 1.0 + scene.light[0] * x + scene.light[1] * y;
        for (channel, (value, bits)) in pixel.iter_mut().zip([5, 6, 5]).enumerate() {
            let colour = scene.colours[0][channel] * mix + scene.colours[1][channel] * (1.0 - mix);
            *value = posterise(colour * light + scene.noise * rng.normal(), bits);
        }
    }
}

/// Rounds to `bits` bits and widens again by repeating the top bits.
fn posterise(value: f64, bits: u32) -> u8 {
    let levels = f64::from((1u32 << bits) - 1);
    let code = libm::round(value.clamp(0.0, 255.0) * levels / 255.0) as u32;
    ((code << (8 - bits)) | (code >> (2 * bits - 8))) as u8
}

/// `count` images and labels: pixels `[count, SIZE, SIZE, 3]`, classes in turn. Sets with different `stream` share no image.
pub(super) fn images(count: usize, stream: u64) -> (Vec<u8>, Vec<i64>) {
    let mut rng = Random::new(0, stream);
    let mut pixels = vec![0; count * SIZE * SIZE * 3];
    let mut labels = Vec::with_capacity(count);
    for (index, out) in pixels.chunks_exact_mut(SIZE * SIZE * 3).enumerate() {
        let class = index % CLASSES.len();
        image(class, &mut rng, out);
        labels.push(class as i64);
    }
    (pixels, labels)
}
