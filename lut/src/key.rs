//! What a layer's cost depends on.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Candidate, Operator};

/// Everything that the cost of one layer depends on. Batch is 1.
///
/// Shapes are `[height, width]` beside a number of channels. What an operator does not use is 1
/// (padding: 0), so that equal layers have equal keys; [`LayerKey::conv`], [`LayerKey::depthwise`],
/// [`LayerKey::fully_connected`] and [`LayerKey::plain`] fill a key in this way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerKey {
    /// What the layer computes.
    pub operator: Operator,
    /// Input `[height, width]`.
    pub input: [u32; 2],
    /// Output `[height, width]`.
    pub output: [u32; 2],
    /// Input channels of all groups together; inputs of a fully connected layer.
    pub input_channels: u32,
    /// Output channels of all groups together; outputs of a fully connected layer.
    pub output_channels: u32,
    /// Kernel `[height, width]`.
    pub kernel: [u32; 2],
    /// Stride `[height, width]`.
    pub stride: [u32; 2],
    /// Padding `[top, left, bottom, right]`.
    pub padding: [u32; 4],
    /// Dilation `[height, width]`.
    pub dilation: [u32; 2],
    /// Groups of a convolution, independent products of a matrix product (each
    /// `rows x input_channels/groups -> rows x output_channels/groups`), 1 otherwise.
    pub groups: u32,
    /// Rows of a fully connected layer or matrix product, 1 otherwise.
    pub rows: u32,
    /// Bits of a weight, or of the second operand of a matrix product; 8 where the operator
    /// has none.
    pub weight_bits: u8,
    /// Bits of an activation of the input.
    pub activation_bits: u8,
    /// Whether the layer reads the network's input. BitFusion lowers such a convolution by im2col.
    pub reads_network_input: bool,
}

/// Why a key describes no layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A size, stride, dilation or number of groups is zero.
    #[error("`{0}` is zero")]
    Zero(&'static str),
    /// The dilated kernel is larger than the padded input.
    #[error("the kernel does not fit in the padded input")]
    KernelTooLarge,
    /// Channels cannot be cut into this number of groups.
    #[error("the groups do not divide the channels")]
    Groups,
    /// A depthwise convolution has one group for each input channel.
    #[error("a depthwise convolution needs as many groups as input channels")]
    Depthwise,
    /// A fully connected layer or matrix product has no window and no image.
    #[error("a fully connected layer or matrix product has one pixel and a 1x1 kernel")]
    Window,
    /// A convolution has no rows beside its image.
    #[error("a convolution has one row")]
    Rows,
    /// A size or the number of multiply-accumulates passes the supported range.
    #[error("the layer is too large")]
    TooLarge,
}

impl LayerKey {
    /// A dense convolution. The output size follows from the window.
    ///
    /// `input`, `kernel`, `stride`: `[height, width]`; `padding`: `[top, left, bottom, right]`.
    ///
    /// # Errors
    /// A zero stride or size, or a kernel larger than the padded input.
    pub fn conv(
        input: [u32; 2],
        input_channels: u32,
        output_channels: u32,
        kernel: [u32; 2],
        stride: [u32; 2],
        padding: [u32; 4],
        bits: Candidate,
    ) -> Result<Self, KeyError> {
        let mut key = Self::plain(Operator::Conv, input, input_channels, bits);
        key.output_channels = output_channels;
        key.kernel = kernel;
        key.stride = stride;
        key.padding = padding;
        key.output = key.window_output()?;
        key.check()?;
        Ok(key)
    }

    /// A depthwise convolution with channel multiplier 1. The output size follows from the window.
    ///
    /// # Errors
    /// As [`LayerKey::conv`].
    pub fn depthwise(
        input: [u32; 2],
        channels: u32,
        kernel: [u32; 2],
        stride: [u32; 2],
        padding: [u32; 4],
        bits: Candidate,
    ) -> Result<Self, KeyError> {
        let mut key = Self::conv(input, channels, channels, kernel, stride, padding, bits)?;
        key.operator = Operator::Depthwise;
        key.groups = channels;
        Ok(key)
    }

    /// A fully connected layer `rows x inputs -> rows x outputs`.
    #[must_use]
    pub fn fully_connected(rows: u32, inputs: u32, outputs: u32, bits: Candidate) -> Self {
        let mut key = Self::plain(Operator::FullyConnected, [1, 1], inputs, bits);
        key.output_channels = outputs;
        key.rows = rows;
        key
    }

    /// A layer with a 1x1 window whose output has the shape of its input, for elementwise
    /// operators and as a start for others.
    #[must_use]
    pub fn plain(operator: Operator, input: [u32; 2], channels: u32, bits: Candidate) -> Self {
        let weight_bits = if operator.has_weights() { bits.weight_bits } else { 8 };
        Self {
            operator,
            input,
            output: input,
            input_channels: channels,
            output_channels: channels,
            kernel: [1, 1],
            stride: [1, 1],
            padding: [0; 4],
            dilation: [1, 1],
            groups: 1,
            rows: 1,
            weight_bits,
            activation_bits: bits.activation_bits,
            reads_network_input: false,
        }
    }

    /// Output `[height, width]` that input, window and padding give, rounded down as in ONNX.
    ///
    /// # Errors
    /// A zero stride, kernel or dilation, or a kernel larger than the padded input.
    pub fn window_output(&self) -> Result<[u32; 2], KeyError> {
        let side = |axis: usize| -> Result<u32, KeyError> {
            let [kernel, stride, dilation] = [self.kernel, self.stride, self.dilation].map(|pair| u64::from(pair[axis]));
            if kernel == 0 || stride == 0 || dilation == 0 {
                return Err(KeyError::Zero("kernel, stride or dilation"));
            }
            let padded = u64::from(self.input[axis]) + u64::from(self.padding[axis]) + u64::from(self.padding[axis + 2]);
            let extent = (kernel - 1).checked_mul(dilation).and_then(|reach| reach.checked_add(1)).ok_or(KeyError::TooLarge)?;
            let room = padded.checked_sub(extent).ok_or(KeyError::KernelTooLarge)?;
            u32::try_from(room / stride + 1).map_err(|_| KeyError::TooLarge)
        };
        Ok([side(0)?, side(1)?])
    }

    /// The key with the padding at bottom and right that the output's size needs, and no more: what is past the last window does no work. Two
    /// keys that differ in nothing else are the same layer to a machine that was measured.
    #[must_use]
    pub fn with_needed_padding(mut self) -> Self {
        if matches!(self.operator, Operator::Conv | Operator::Depthwise | Operator::AveragePool | Operator::MaxPool) {
            for axis in 0..2 {
                let [input, output, kernel, stride, dilation, begin] =
                    [self.input, self.output, self.kernel, self.stride, self.dilation, [self.padding[0], self.padding[1]]]
                        .map(|pair| i128::from(pair[axis]));
                let reach = (output - 1) * stride + (kernel - 1) * dilation + 1;
                self.padding[axis + 2] = u32::try_from((reach - input - begin).max(0)).unwrap_or(u32::MAX);
            }
        }
        self
    }

    /// Checks that the key describes a layer: no zero sizes, groups that divide the channels, and
    /// a number of multiply-accumulates that fits in 64 bits.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check(&self) -> Result<(), KeyError> {
        let nonzero = [
            ("input", self.input[0].min(self.input[1])),
            ("output", self.output[0].min(self.output[1])),
            ("input_channels", self.input_channels),
            ("output_channels", self.output_channels),
            ("kernel", self.kernel[0].min(self.kernel[1])),
            ("stride", self.stride[0].min(self.stride[1])),
            ("dilation", self.dilation[0].min(self.dilation[1])),
            ("groups", self.groups),
            ("rows", self.rows),
            ("weight_bits", u32::from(self.weight_bits)),
            ("activation_bits", u32::from(self.activation_bits)),
        ];
        if let Some((name, _)) = nonzero.iter().find(|(_, value)| *value == 0) {
            return Err(KeyError::Zero(name));
        }
        if !self.input_channels.is_multiple_of(self.groups) || !self.output_channels.is_multiple_of(self.groups) {
            return Err(KeyError::Groups);
        }
        if self.operator == Operator::Depthwise && self.groups != self.input_channels {
            return Err(KeyError::Depthwise);
        }
        let product = matches!(self.operator, Operator::FullyConnected | Operator::MatMul);
        let pixel = self.input == [1, 1] && self.output == [1, 1] && self.kernel == [1, 1];
        if product && !pixel {
            return Err(KeyError::Window);
        }
        if matches!(self.operator, Operator::Conv | Operator::Depthwise) && self.rows != 1 {
            return Err(KeyError::Rows);
        }
        self.macs().map(drop).ok_or(KeyError::TooLarge)
    }

    /// Multiply-accumulates: `OH * OW * rows * OC * KH * KW * IC / groups` for convolution,
    /// depthwise, fully connected and matrix product, 0 for every other operator. `None` past 64
    /// bits or with zero groups.
    #[must_use]
    pub fn macs(&self) -> Option<u64> {
        if !self.operator.has_weights() {
            return Some(0);
        }
        [
            self.output[0],
            self.output[1],
            self.rows,
            self.output_channels,
            self.kernel[0],
            self.kernel[1],
            self.input_channels.checked_div(self.groups)?,
        ]
        .iter()
        .try_fold(1_u64, |product, &factor| product.checked_mul(u64::from(factor)))
    }
}

/// One line with what matters, for messages: `conv 14x14x96 -> 14x14x456 kernel 1x1 stride 1x1 w4a4`.
impl fmt::Display for LayerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.operator)?;
        if matches!(self.operator, Operator::FullyConnected | Operator::MatMul) {
            let (rows, inputs, outputs) = (self.rows, self.input_channels, self.output_channels);
            write!(f, "{rows}x{inputs} -> {rows}x{outputs}")?;
        } else {
            let [height, width] = self.input;
            write!(f, "{height}x{width}x{} -> ", self.input_channels)?;
            let [height, width] = self.output;
            write!(f, "{height}x{width}x{}", self.output_channels)?;
            let [height, width] = self.kernel;
            write!(f, " kernel {height}x{width}")?;
            let [height, width] = self.stride;
            write!(f, " stride {height}x{width}")?;
            if self.padding != [0; 4] {
                let [top, left, bottom, right] = self.padding;
                write!(f, " padding {top},{left},{bottom},{right}")?;
            }
            if self.dilation != [1, 1] {
                write!(f, " dilation {}x{}", self.dilation[0], self.dilation[1])?;
            }
        }
        if self.groups != 1 {
            write!(f, " groups {}", self.groups)?;
        }
        if self.reads_network_input {
            f.write_str(" from the network's input")?;
        }
        write!(f, " w{}a{}", self.weight_bits, self.activation_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn w8a8() -> Candidate {
        Candidate::new(8, 8).unwrap()
    }

    #[test]
    fn macs_by_hand() {
        let conv = LayerKey::conv([8, 10], 3, 16, [3, 5], [1, 2], [1, 2, 1, 2], w8a8()).unwrap();
        assert_eq!(conv.output, [8, 5]);
        assert_eq!(conv.macs(), Some(8 * 5 * 16 * 3 * 5 * 3));
        let mut grouped = LayerKey::conv([8, 8], 12, 6, [1, 1], [1, 1], [0; 4], w8a8()).unwrap();
        grouped.groups = 3;
        assert_eq!(grouped.macs(), Some(64 * 6 * 4));
        let depthwise = LayerKey::depthwise([7, 7], 32, [3, 3], [1, 1], [1; 4], w8a8()).unwrap();
        assert_eq!(depthwise.macs(), Some(49 * 32 * 9));
        assert_eq!(LayerKey::fully_connected(5, 20, 30, w8a8()).macs(), Some(3000));
        let add = LayerKey::plain(Operator::Add, [8, 8], 16, w8a8());
        assert_eq!(add.macs(), Some(0));
    }

    #[test]
    fn what_is_no_layer_is_refused() {
        let conv = |input, kernel, stride| LayerKey::conv(input, 8, 8, kernel, stride, [0; 4], w8a8());
        assert_eq!(conv([2, 2], [3, 3], [1, 1]), Err(KeyError::KernelTooLarge));
        assert!(matches!(conv([8, 8], [3, 3], [0, 1]), Err(KeyError::Zero(_))));
        assert!(matches!(conv([8, 8], [0, 3], [1, 1]), Err(KeyError::Zero(_))));
        let good = conv([8, 8], [3, 3], [1, 1]).unwrap();
        let broken = |change: &dyn Fn(&mut LayerKey)| {
            let mut key = good.clone();
            change(&mut key);
            key.check()
        };
        assert_eq!(broken(&|key| key.groups = 3), Err(KeyError::Groups));
        assert_eq!(broken(&|key| key.rows = 0), Err(KeyError::Zero("rows")));
        assert_eq!(broken(&|key| key.rows = 2), Err(KeyError::Rows));
        assert_eq!(broken(&|key| key.operator = Operator::Depthwise), Err(KeyError::Depthwise));
        assert_eq!(broken(&|key| key.operator = Operator::MatMul), Err(KeyError::Window));
        assert_eq!(broken(&|key| (key.output, key.input_channels) = ([u32::MAX; 2], u32::MAX)), Err(KeyError::TooLarge));
        let dilated = broken(&|key| key.dilation = [u32::MAX; 2]);
        assert_eq!(dilated, Ok(()), "the output size is the caller's word");
        let mut wide = good.clone();
        wide.dilation = [u32::MAX; 2];
        assert_eq!(wide.window_output(), Err(KeyError::KernelTooLarge));
    }

    #[test]
    fn padding_that_no_window_reaches_is_dropped() {
        let strided = LayerKey::conv([8, 9], 3, 4, [3, 3], [2, 2], [0, 1, 1, 1], w8a8()).unwrap();
        let needed = strided.clone().with_needed_padding();
        assert_eq!((strided.output, needed.padding), ([4, 5], [0, 1, 1, 1]));
        let wasteful = LayerKey { padding: [0, 1, 2, 1], ..strided };
        assert_eq!((wasteful.window_output(), wasteful.with_needed_padding()), (Ok([4, 5]), needed));
        let mut absurd = LayerKey::plain(Operator::MaxPool, [1, 1], 1, w8a8());
        (absurd.output, absurd.stride, absurd.kernel, absurd.dilation) = ([u32::MAX; 2], [u32::MAX; 2], [0; 2], [u32::MAX; 2]);
        assert_eq!(absurd.with_needed_padding().padding[2..], [u32::MAX; 2]);
    }

    #[test]
    fn one_line_names_the_layer() {
        let mut key = LayerKey::conv([14, 14], 96, 456, [1, 1], [1, 1], [0; 4], w8a8()).unwrap();
        assert_eq!(key.to_string(), "conv 14x14x96 -> 14x14x456 kernel 1x1 stride 1x1 w8a8");
        (key.groups, key.dilation, key.reads_network_input) = (2, [2, 1], true);
        assert_eq!(
            key.to_string(),
            "conv 14x14x96 -> 14x14x456 kernel 1x1 stride 1x1 dilation 2x1 groups 2 \
             from the network's input w8a8"
        );
        assert_eq!(LayerKey::fully_connected(1, 1280, 1000, w8a8()).to_string(), "fully_connected 1x1280 -> 1x1000 w8a8");
    }
}
