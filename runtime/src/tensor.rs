//! Tensors as the file describes them: shape, quantizer and place in the arena.

use apq_kernels::ActivationBits;
use serde::Serialize;

/// Highest rank of a tensor, batch axis included.
pub const RANK_MAX: usize = 5;

/// Most codes that one tensor may hold; keeps every product of sizes inside 32 bits.
pub const ELEMENTS_MAX: usize = 1 << 28;

/// Sizes of a tensor, slowest axis first: `[1, H, W, C]` or `[1, F]`. The last axis is the channel axis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shape(pub(crate) heapless::Vec<u32, RANK_MAX>);

impl Shape {
    /// The shape with these sizes; `None` where there are more than [`RANK_MAX`] or one exceeds 32 bits.
    pub fn new(sizes: &[usize]) -> Option<Self> {
        let mut shape = Self::default();
        for &size in sizes {
            shape.0.push(u32::try_from(size).ok()?).ok()?;
        }
        Some(shape)
    }

    /// Number of axes, batch axis included.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Size of axis `axis`, slowest first; 1 beyond the last axis.
    pub fn size(&self, axis: usize) -> usize {
        self.0.get(axis).map_or(1, |&size| size as usize)
    }

    /// All sizes, slowest axis first.
    pub fn sizes(&self) -> impl ExactSizeIterator<Item = usize> + Clone + '_ {
        self.0.iter().map(|&size| size as usize)
    }

    /// Size of the last axis, whose codes are packed together.
    pub fn channels(&self) -> usize {
        self.0.last().map_or(1, |&size| size as usize)
    }

    /// Number of pixels: the product of all sizes but the last.
    pub fn pixels(&self) -> usize {
        let sizes = self.0.split_last().map_or(&[][..], |(_, rest)| rest);
        sizes.iter().fold(1, |product, &size| product.saturating_mul(size as usize))
    }

    /// Number of codes.
    pub fn elements(&self) -> usize {
        self.pixels().saturating_mul(self.channels())
    }

    /// Whether the rank is 1 to [`RANK_MAX`], no axis is empty and the codes number at most [`ELEMENTS_MAX`].
    pub(crate) fn is_legal(&self) -> bool {
        self.rank() > 0 && self.0.iter().all(|&size| size > 0) && self.elements() <= ELEMENTS_MAX
    }
}

impl core::fmt::Display for Shape {
    /// As `1x32x32x16`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (axis, size) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str("x")?;
            }
            write!(f, "{size}")?;
        }
        Ok(())
    }
}

/// One tensor of the graph. Real value of a code `q`: `scale * (q - zero_point)`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tensor<'a> {
    /// Name in the network that was compiled; may be empty.
    pub name: &'a str,
    /// Sizes, channel last.
    pub shape: Shape,
    /// Width of a code, which also says how codes are packed.
    #[serde(with = "crate::codec::activation_bits")]
    pub bits: ActivationBits,
    /// Step of the quantizer; finite and positive.
    pub scale: f32,
    /// Code of the real value zero.
    pub zero_point: i32,
    /// First byte in the arena.
    pub offset: u32,
    /// The tensor of which this one shows bytes under another shape; a view takes no memory of its own.
    pub alias: Option<u16>,
}

impl Tensor<'_> {
    /// Bytes of one pixel: its channels, starting at a byte.
    pub fn pixel_bytes(&self) -> usize {
        apq_kernels::pack::row_bytes(self.bits, self.shape.channels())
    }

    /// Bytes in the arena.
    pub fn bytes(&self) -> usize {
        self.shape.pixels().saturating_mul(self.pixel_bytes())
    }

    /// The bytes in the arena.
    pub fn range(&self) -> core::ops::Range<usize> {
        let begin = self.offset as usize;
        begin..begin.saturating_add(self.bytes())
    }

    /// Real value of a code.
    pub fn dequantize(&self, code: i32) -> f32 {
        self.scale * code.saturating_sub(self.zero_point) as f32
    }
}
