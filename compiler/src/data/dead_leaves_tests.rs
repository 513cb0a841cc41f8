use std::f64::consts::{PI, TAU};

use super::*;

fn bytes(shape: &[usize], count: usize, seed: u64) -> Vec<u8> {
    match dead_leaves(shape, count, seed).unwrap().raw() {
        Raw::U8(values) => values.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_image_depends_on_seed_and_index_alone() {
    let shape = [24, 32, 3];
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let [one, three] = [1, 3].map(|threads| pool(threads).install(|| bytes(&shape, 5, 7)));
    assert_eq!(one, three);
    let size: usize = shape.iter().product();
    assert_eq!(bytes(&shape, 2, 7), one[..2 * size]);
    assert_ne!(bytes(&shape, 1, 8), one[..size]);
    assert_ne!(one[..size], one[size..2 * size]);
}

#[test]
fn any_size_is_drawn() {
    for shape in [[1, 1, 1], [1, 9, 3], [7, 1, 1], [2, 300, 3], [33, 17, 1]] {
        let data = dead_leaves(&shape, 3, 0).unwrap();
        assert_eq!((data.len(), data.sample_shape()), (3, &shape[..]));
    }
}

#[test]
fn only_images_of_one_or_three_channels_are_drawn() {
    for shape in [&[640][..], &[8, 8], &[8, 8, 2], &[1, 8, 8, 3]] {
        assert!(matches!(dead_leaves(shape, 1, 0), Err(DataError::NotAnImageModel { .. })), "{shape:?}");
    }
    assert!(matches!(dead_leaves(&[8, 8, 3], 0, 0), Err(DataError::Inconsistent { .. })));
    assert!(matches!(dead_leaves(&[8, 0, 3], 1, 0), Err(DataError::Inconsistent { .. })));
}

/// Power at frequencies 0..n/2 in each direction, `[n / 2, n / 2]`, of a square image seen through a Hann window.
fn power(image: &[u8], n: usize) -> Vec<f64> {
    let window: Vec<f64> = (0..n).map(|i| 0.5 - 0.5 * (TAU * (i as f64 + 0.5) / n as f64).cos()).collect();
    let mean = image.iter().map(|&v| f64::from(v)).sum::<f64>() / image.len() as f64;
    let half = n / 2;
    // Row by row, then column by column; complex numbers as pairs.
    let mut rows = vec![(0.0, 0.0); n * half];
    for y in 0..n {
        for f in 0..half {
            let (mut re, mut im) = (0.0, 0.0);
            for x in 0..n {
                let (sin, cos) = (TAU * ((f * x) % n) as f64 / n as f64).sin_cos();
                let value = (f64::from(image[y * n + x]) - mean) * window[x] * window[y];
                re += value * cos;
                im -= value * sin;
            }
            rows[y * half + f] = (re, im);
        }
    }
    let mut power = vec![0.0; half * half];
    for (i, p) in power.iter_mut().enumerate() {
        let (g, f) = (i / half, i % half);
        let (mut re, mut im) = (0.0, 0.0);
        for y in 0..n {
            let (sin, cos) = (TAU * ((g * y) % n) as f64 / n as f64).sin_cos();
            let (a, b) = rows[y * half + f];
            re += a * cos + b * sin;
            im += b * cos - a * sin;
        }
        *p = re * re + im * im;
    }
    power
}

#[test]
fn the_spectrum_falls_like_that_of_photographs() {
    const N: usize = 64;
    const IMAGES: usize = 24;
    let values = bytes(&[N, N, 1], IMAGES, 3);
    let mut total = vec![0.0; N * N / 4];
    for image in values.chunks_exact(N * N) {
        total.iter_mut().zip(power(image, N)).for_each(|(sum, p)| *sum += p);
    }
    // Mean over rings, then a line through the logarithms. The lowest frequencies see the window, the highest the blur of the pixels.
    let points: Vec<(f64, f64)> = (3..16)
        .map(|radius| {
            let ring = |i: &usize| {
                let distance = ((i / (N / 2)) as f64).hypot((i % (N / 2)) as f64);
                (distance - f64::from(radius)).abs() < 0.5
            };
            let powers: Vec<f64> = (0..total.len()).filter(ring).map(|i| total[i]).collect();
            (f64::from(radius).ln(), (powers.iter().sum::<f64>() / powers.len() as f64).ln())
        })
        .collect();
    let mean = |values: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(values).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
    let slope = mean(&|p| (p.0 - x) * (p.1 - y)) / mean(&|p| (p.0 - x).powi(2));
    assert!((-2.9..-1.6).contains(&slope), "{slope}");
}

#[test]
fn all_levels_of_light_occur() {
    let mut histogram = [0_usize; 16];
    let values = bytes(&[32, 32, 3], 64, 0);
    values.iter().for_each(|v| histogram[usize::from(v / 16)] += 1);
    assert!(histogram.iter().all(|&n| n * 200 > values.len()), "{histogram:?}");
    // Most pixels are neither black nor white.
    assert!((histogram[0] + histogram[15]) * 3 < values.len(), "{histogram:?}");
    assert!(values.contains(&0) && values.contains(&255));
}

#[test]
fn colours_differ_between_channels_and_images() {
    let values = bytes(&[32, 32, 3], 8, 1);
    let coloured = values.chunks_exact(3).filter(|p| p[0].abs_diff(p[2]) > 8).count();
    assert!(coloured * 4 > values.len() / 3, "{coloured} of {} pixels", values.len() / 3);
}

#[test]
fn a_texture_repeats_and_has_unit_variance() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mean_variance = (0..8)
        .map(|_| {
            let texture = texture(&mut rng);
            assert_eq!(texture_at(&texture, TEXTURE + 3, 1, [0, TEXTURE - 1]), texture[3 * TEXTURE]);
            texture.iter().map(|&t| f64::from(t).powi(2)).sum::<f64>() / texture.len() as f64
        })
        .sum::<f64>()
        / 8.0;
    assert!((0.5..1.6).contains(&mean_variance), "{mean_variance}");
}

#[test]
fn a_span_holds_the_samples_whose_centres_are_inside() {
    assert_eq!(span(2.0, 1.0, 10), (1, 3));
    assert_eq!(span(2.5, 0.4, 10), (2, 3));
    assert_eq!(span(2.0, 0.4, 10), (2, 2));
    assert_eq!(span(-5.0, 2.0, 10), (0, 0));
    assert_eq!(span(50.0, 2.0, 10), (10, 10));
    assert_eq!(span(5.0, f64::INFINITY, 10), (0, 10));
    let (first, end) = span(PI, 2.0, 4);
    assert_eq!((first, end), (1, 4));
}
