//! Images with the statistics of natural ones, for calibration without any data.
//!
//! The dead leaves model: opaque discs fall on each other until nothing else shows. With radii of density r^-3 the result is
//! invariant to scale; its power spectrum falls like 1/f^2 and its derivatives have heavy tails, as in photographs (Ruderman 1997; Lee,
//! Mumford and Huang 2001). Colours come from a few hues for each image, and leaves carry shading and a 1/f texture, so
//! that neither smooth areas nor saturated ones are missing.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::synthetic::standard_normal;
use super::{DataError, Dataset, Raw};

/// Samples along one pixel's side: discs are drawn on a finer grid, whose means are the antialiased image.
const OVERSAMPLE: usize = 2;
/// Radii in pixels of the image, and in parts of its longer side.
const RADIUS_MIN_PX: f64 = 1.0;
const RADIUS_MAX_PART: f64 = 0.6;
/// What is still bare after this part is covered lies under one last leaf, which spares most of the discs.
const COVERED_ENOUGH: f64 = 0.998;
/// Side of the texture in fine samples, a power of two; it repeats.
const TEXTURE: usize = 256;

/// Draws `count` images `[H, W, C]` of u8, C = 1 or 3. Image i depends on `seed` and i alone.
///
/// # Errors
/// [`DataError::NotAnImageModel`] where the shape is not that of a grey or RGB image; [`DataError::Inconsistent`] where `count` or a side is 0.
pub fn dead_leaves(sample_shape: &[usize], count: usize, seed: u64) -> Result<Dataset, DataError> {
    let &[height, width, channels @ (1 | 3)] = sample_shape else {
        return Err(DataError::NotAnImageModel { model: sample_shape.to_vec() });
    };
    let images: Vec<Vec<u8>> = (0..count as u64)
        .into_par_iter()
        .map(|index| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index);
            draw(height, width, channels, &mut rng)
        })
        .collect();
    let source = format!("drawn by the tool: dead leaves, seed {seed}");
    Dataset::new(sample_shape.to_vec(), Raw::U8(images.concat()), None, source)
}

fn draw(height: usize, width: usize, channels: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let palette = Palette::random(rng);
    let texture = texture(rng);
    let (rows, columns) = (height * OVERSAMPLE, width * OVERSAMPLE);
    let mut canvas = vec![[0.0_f32; 3]; rows * columns];
    let mut bare = vec![true; rows * columns];
    let mut bare_left = rows * columns;
    let enough = (bare_left as f64 * (1.0 - COVERED_ENOUGH)) as usize;

    let oversample = OVERSAMPLE as f64;
    let radius_min = RADIUS_MIN_PX * oversample;
    let radius_max = (height.max(width) as f64 * oversample * RADIUS_MAX_PART).max(2.0 * radius_min);
    // From the top leaf down: a sample keeps the first leaf that covers it.
    while bare_left > 0 {
        let last = bare_left <= enough;
        // Inverse of the distribution function of the density r^-3 between the limits.
        let u: f64 = rng.random();
        let radius = radius_min / (1.0 - u * (1.0 - (radius_min / radius_max).powi(2))).sqrt();
        // Centres reach as far outside as the largest disc, so the borders are like the middle.
        let y = rng.random_range(-radius_max..rows as f64 + radius_max);
        let x = rng.random_range(-radius_max..columns as f64 + radius_max);
        if !last && !(-radius..rows as f64 + radius).contains(&y) {
            continue;
        }
        let leaf = Leaf::random(&palette, radius, rng);
        let (top, bottom) = if last { (0, rows) } else { span(y, radius, rows) };
        for row in top..bottom {
            let dy = row as f64 + 0.5 - y;
            let half_chord = if last { f64::INFINITY } else { (radius * radius - dy * dy).max(0.0).sqrt() };
            let (left, right) = span(x, half_chord, columns);
            for column in left..right {
                let i = row * columns + column;
                if bare[i] {
                    bare[i] = false;
                    bare_left -= 1;
                    canvas[i] = leaf.colour(dy as f32, (column as f64 + 0.5 - x) as f32, texture_at(&texture, row, column, leaf.offset));
                }
            }
        }
    }
    let softness = rng.random_range(0.0..0.8);
    finish(&canvas, height, width, channels, softness)
}

/// The samples whose centres lie within `reach` of `centre`, of `len` samples.
fn span(centre: f64, reach: f64, len: usize) -> (usize, usize) {
    let first = (centre - reach - 0.5).ceil().clamp(0.0, len as f64);
    let end = ((centre + reach - 0.5).floor() + 1.0).clamp(first, len as f64);
    (first as usize, end as usize)
}

/// The colours of one image: a level of light, a contrast, and a few hues.
struct Palette {
    light: f64,
    contrast: f64,
    /// Red-green and blue-yellow deviations from grey.
    hues: Vec<[f64; 2]>,
}

impl Palette {
    fn random(rng: &mut ChaCha8Rng) -> Palette {
        let light = rng.random_range(0.3..0.62);
        let contrast = rng.random_range(0.14..0.34);
        let saturation = 0.02 + 0.16 * rng.random::<f64>();
        let hues = rng.random_range(3..9);
        let hues = (0..hues).map(|_| [standard_normal(rng) * saturation * 0.6, standard_normal(rng) * saturation]).collect();
        Palette { light, contrast, hues }
    }
}

struct Leaf {
    colour: [f32; 3],
    /// Change of the light over one sample, downwards and to the right.
    shading: [f32; 2],
    roughness: f32,
    /// Where in the texture the leaf begins.
    offset: [usize; 2],
}

impl Leaf {
    fn random(palette: &Palette, radius: f64, rng: &mut ChaCha8Rng) -> Leaf {
        let light = palette.light + palette.contrast * standard_normal(rng);
        let hue = palette.hues[rng.random_range(0..palette.hues.len())];
        let [red, blue] = hue.map(|h| h * rng.random_range(0.6..1.4) * (0.4 + light.clamp(0.0, 1.0)));
        // Red-green and blue-yellow around the light, so that green moves against both.
        let colour = [light + red, light - 0.5 * red - 0.2 * blue, light + blue].map(|c| c as f32);
        let slope = 0.12 * rng.random::<f64>() / radius;
        let shading = [standard_normal(rng), standard_normal(rng)].map(|d| (d * slope) as f32);
        let roughness = 0.09 * rng.random::<f32>().powi(2);
        let offset = [rng.random_range(0..TEXTURE), rng.random_range(0..TEXTURE)];
        Leaf { colour, shading, roughness, offset }
    }

    fn colour(&self, dy: f32, dx: f32, texture: f32) -> [f32; 3] {
        let light = self.shading[0] * dy + self.shading[1] * dx + self.roughness * texture;
        self.colour.map(|c| c + light)
    }
}

/// Noise of variance near 1 whose power falls like 1/f^2: the same variance in every octave.
fn texture(rng: &mut ChaCha8Rng) -> Vec<f32> {
    let octaves = TEXTURE.ilog2() - 1;
    let mut sum = vec![0.0_f32; TEXTURE * TEXTURE];
    for octave in 1..=octaves {
        let period = TEXTURE >> octave;
        let points = TEXTURE / period;
        let lattice: Vec<f32> = (0..points * points).map(|_| standard_normal(rng) as f32).collect();
        let at = |i: usize, j: usize| lattice[i % points * points + j % points];
        for row in 0..TEXTURE {
            let (i, fy) = (row / period, (row % period) as f32 / period as f32);
            for column in 0..TEXTURE {
                let (j, fx) = (column / period, (column % period) as f32 / period as f32);
                let upper = at(i, j) * (1.0 - fx) + at(i, j + 1) * fx;
                let lower = at(i + 1, j) * (1.0 - fx) + at(i + 1, j + 1) * fx;
                sum[row * TEXTURE + column] += upper * (1.0 - fy) + lower * fy;
            }
        }
    }
    // Interpolation between neighbours leaves 4/9 of the lattice's variance.
    let norm = (octaves as f32 * 4.0 / 9.0).sqrt().recip();
    sum.iter_mut().for_each(|t| *t *= norm);
    sum
}

fn texture_at(texture: &[f32], row: usize, column: usize, offset: [usize; 2]) -> f32 {
    texture[(row + offset[0]) % TEXTURE * TEXTURE + (column + offset[1]) % TEXTURE]
}

/// From fine samples to pixels: means, a slight blur (0 none .. 1 the binomial kernel 1-2-1), and 8 bits.
fn finish(canvas: &[[f32; 3]], height: usize, width: usize, channels: usize, softness: f32) -> Vec<u8> {
    let columns = width * OVERSAMPLE;
    let mut pixels = vec![0.0_f32; height * width * channels];
    for (i, pixel) in pixels.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (i / width * OVERSAMPLE, i % width * OVERSAMPLE);
        let mut mean = [0.0_f32; 3];
        for (dy, dx) in (0..OVERSAMPLE).flat_map(|dy| (0..OVERSAMPLE).map(move |dx| (dy, dx))) {
            let sample = canvas[(y + dy) * columns + x + dx];
            // A camera's pixel saturates after the optics, but a lone highlight must not bleed over its neighbours.
            mean.iter_mut().zip(sample).for_each(|(m, s)| *m += s.clamp(-0.1, 1.1));
        }
        let mean = mean.map(|m| m / (OVERSAMPLE * OVERSAMPLE) as f32);
        match pixel {
            [grey] => *grey = 0.2126 * mean[0] + 0.7152 * mean[1] + 0.0722 * mean[2],
            rgb => rgb.copy_from_slice(&mean),
        }
    }
    let side = softness / 4.0;
    let blur = |get: &dyn Fn(isize) -> f32| get(0) * (1.0 - 2.0 * side) + (get(-1) + get(1)) * side;
    let shifted = |i: usize, by: isize, len: usize| i.saturating_add_signed(by).min(len - 1);
    let across: Vec<f32> = (0..pixels.len())
        .map(|i| {
            let (row, x, c) = (i / channels / width * width, i / channels % width, i % channels);
            blur(&|d| pixels[(row + shifted(x, d, width)) * channels + c])
        })
        .collect();
    let stride = width * channels;
    (0..across.len())
        .map(|i| blur(&|d| across[shifted(i / stride, d, height) * stride + i % stride]))
        .map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8)
        .collect()
}

#[cfg(test)]
#[path = "dead_leaves_tests.rs"]
mod tests;
