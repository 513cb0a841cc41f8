//! From a layer key to dense convolutions.
//!
//! | layer | dense convolutions |
//! |---|---|
//! | convolution | one |
//! | grouped convolution | one for each group, one after another |
//! | depthwise, channel multiplier m | one `g -> g*m` for each block of `g = 8 * lanes` channels, the last block in full |
//! | fully connected, matrix product | one 1x1 (for each group) with an output pixel for each row |
//!
//! A convolution that reads the network's input, has one group and a kernel larger than 1x1 is
//! lowered by im2col, and no other.

use apq_lut::{LayerKey, Operator};

use super::machine::{PARTIAL_SUM_BITS, Precision, ROWS};

/// Channels of a depthwise block at one product for each fusion unit.
const DEPTHWISE_BLOCK: u64 = 8;

/// Bound on the bits that any tiling may move for one stream: far above any network, and low
/// enough that no sum or product of the model passes 64 bits.
const TRAFFIC_BITS_MAX: u64 = 1 << 50;

/// One dense convolution. Shapes `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dense {
    pub(super) input_channels: u64,
    pub(super) output_channels: u64,
    pub(super) output: [u64; 2],
    pub(super) kernel: [u64; 2],
    pub(super) stride: [u64; 2],
    pub(super) dilation: [u64; 2],
    pub(super) weights: Precision,
    pub(super) activations: Precision,
    pub(super) im2col: bool,
}

/// A layer as equal dense convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) convolutions: u64,
    pub(super) dense: Dense,
}

/// Why a layer cannot be expressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    NotModelled(&'static str),
    TooLarge,
}

impl Dense {
    /// Input channels that one pass of the array reduces.
    pub(super) fn reduction(&self) -> u64 {
        ROWS * self.weights.lanes * self.activations.lanes
    }

    /// Elements of one kernel plane.
    pub(super) fn kernel_area(&self) -> u64 {
        self.kernel[0] * self.kernel[1]
    }

    /// Times that the array runs over the same operands, 8 bits of each at a time.
    pub(super) fn passes(&self) -> u64 {
        self.weights.passes * self.activations.passes
    }

    /// Input rows and columns that a tile of `output` rows and columns reads.
    pub(super) fn input_side(&self, axis: usize, output: u64) -> u64 {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1 + (output - 1) * self.stride[axis]
    }

    /// Whether every tiling stays below [`TRAFFIC_BITS_MAX`]. The factors 2 are for edge tiles,
    /// which are charged in full: `tile * ceil(size / tile) < 2 * size`.
    fn in_range(&self) -> bool {
        let product = |factors: &[u64]| factors.iter().try_fold(1_u64, |product, &factor| product.checked_mul(factor));
        let [height, width] = self.output;
        let channels = [2 * self.input_channels, 2 * self.output_channels];
        let pixels = [2 * height, 2 * width];
        let reach = |axis: usize| {
            let dilated = (self.kernel[axis] - 1).checked_mul(self.dilation[axis])?;
            dilated.checked_add(1 + self.stride[axis])
        };
        let weights = product(&[pixels[0], pixels[1], channels[0], channels[1], self.kernel[0], self.kernel[1], self.weights.bits]);
        let activations = reach(0).zip(reach(1)).and_then(|(rows, columns)| {
            product(&[
                pixels[0],
                pixels[1],
                channels[0],
                channels[1],
                rows.max(self.kernel[0]),
                columns.max(self.kernel[1]),
                self.activations.bits,
            ])
        });
        let outputs = product(&[pixels[0], pixels[1], channels[0], channels[1], PARTIAL_SUM_BITS]);
        [weights, activations, outputs].iter().all(|bits| bits.is_some_and(|bits| bits <= TRAFFIC_BITS_MAX))
    }
}

impl Work {
    /// `key` has passed [`LayerKey::check`].
    pub(super) fn of(key: &LayerKey) -> Result<Self, Outside> {
        if !key.operator.has_weights() {
            return Err(Outside::NotModelled("only convolution, fully connected and matrix product are"));
        }
        let width = |bits| Precision::new(bits).ok_or(Outside::NotModelled("operands have 1 to 8 or 16 bits"));
        let weights = width(key.weight_bits)?;
        let activations = width(key.activation_bits)?;

        let groups = u64::from(key.groups);
        let input_channels = u64::from(key.input_channels) / groups;
        let output_channels = u64::from(key.output_channels) / groups;
        let (convolutions, input_channels, output_channels) = if key.operator == Operator::Depthwise {
            let block = DEPTHWISE_BLOCK * weights.lanes * activations.lanes;
            let multiplier = output_channels;
            (groups.div_ceil(block), block, block * multiplier)
        } else {
            (groups, input_channels, output_channels)
        };

        // Rows of a product are pixels of a 1x1 convolution; a convolution has one row.
        let height = u64::from(key.output[0]) * u64::from(key.rows);
        let width = u64::from(key.output[1]);
        let dense = Dense {
            input_channels,
            output_channels,
            output: [height, width],
            kernel: key.kernel.map(u64::from),
            stride: key.stride.map(u64::from),
            dilation: key.dilation.map(u64::from),
            weights,
            activations,
            im2col: key.operator == Operator::Conv && key.reads_network_input && key.groups == 1 && key.kernel != [1, 1],
        };
        if !dense.in_range() {
            return Err(Outside::TooLarge);
        }
        Ok(Self { convolutions, dense })
    }
}
