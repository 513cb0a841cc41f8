//! Tensors of a batch of images: `[C][H][W]`, each element one value of every image of the batch.
//!
//! With the images innermost, a pointwise convolution is one matrix product without rearrangement, and a depthwise one multiplies whole vectors by one
//! weight.

use crate::data::{Dataset, Preprocess};

/// Images of a batch.
pub(super) const LANES: usize = 16;

/// One value of every image of a batch.
pub(super) type Lane = [f32; LANES];

/// A tensor of a batch.
#[derive(Debug, Clone, Default)]
pub(super) struct Planes {
    /// `[C, H, W]`.
    pub(super) shape: [usize; 3],
    /// In the order of the shape.
    pub(super) values: Vec<Lane>,
}

impl Planes {
    /// Elements of a channel.
    pub(super) fn area(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// The channels, each `[H][W]`.
    pub(super) fn channels(&self) -> impl Iterator<Item = &[Lane]> {
        self.values.chunks_exact(self.area().max(1))
    }

    /// The channels, each `[H][W]`.
    pub(super) fn channels_mut(&mut self) -> impl Iterator<Item = &mut [Lane]> {
        let area = self.area().max(1);
        self.values.chunks_exact_mut(area)
    }
}

/// Images as networks of a space take them, in batches.
pub struct Images {
    pub(super) batches: Vec<Batch>,
    count: usize,
}

/// Up to [`LANES`] images.
pub(super) struct Batch {
    pub(super) input: Planes,
    /// Images; the lanes behind them are zeros.
    pub(super) count: usize,
}

impl Images {
    /// Samples `[H, W, C]`, preprocessed.
    pub fn new(data: &Dataset, preprocess: &Preprocess) -> Images {
        let shape = match *data.sample_shape() {
            [height, width, channels] => [channels, height, width],
            _ => [data.sample_len(), 1, 1],
        };
        let [channels, height, width] = shape;
        let first = (0..data.len()).step_by(LANES);
        let batches = first.map(|first| {
            let count = LANES.min(data.len() - first);
            let mut values = vec![[0.0; LANES]; channels * height * width];
            for image in first..first + count {
                for (place, value) in data.to_f32(image, preprocess).into_iter().enumerate() {
                    let (pixel, channel) = (place / channels, place % channels);
                    values[channel * height * width + pixel][image - first] = value;
                }
            }
            Batch { input: Planes { shape, values }, count }
        });
        Images { batches: batches.collect(), count: data.len() }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
