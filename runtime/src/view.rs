//! Reading and writing the packed codes of one tensor.

use apq_kernels::{ActivationBits, pack};

use crate::tensor::Tensor;

/// A tensor together with its bytes in the arena.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    tensor: &'a Tensor<'a>,
    bytes: &'a [u8],
}

impl<'a> TensorView<'a> {
    pub(crate) fn new(tensor: &'a Tensor<'a>, bytes: &'a [u8]) -> Self {
        Self { tensor, bytes }
    }

    /// Shape and quantizer.
    pub fn tensor(&self) -> &'a Tensor<'a> {
        self.tensor
    }

    /// The packed codes: each pixel's channels start at a byte.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The codes, channel last.
    pub fn codes(&self) -> Codes<'a> {
        Codes::new(self.tensor, self.bytes)
    }

    /// The real values, channel last.
    pub fn values(&self) -> impl Iterator<Item = f32> + 'a {
        let tensor = self.tensor;
        self.codes().map(|code| tensor.dequantize(code))
    }
}

/// Iterator over the codes of a tensor, channel last.
#[derive(Clone, Debug)]
pub struct Codes<'a> {
    rows: core::slice::ChunksExact<'a, u8>,
    row: &'a [u8],
    bits: ActivationBits,
    channels: usize,
    channel: usize,
}

impl<'a> Codes<'a> {
    pub(crate) fn new(tensor: &Tensor<'_>, bytes: &'a [u8]) -> Self {
        let mut rows = bytes.chunks_exact(tensor.pixel_bytes().max(1));
        let row = rows.next().unwrap_or(&[]);
        let channels = if row.is_empty() { 0 } else { tensor.shape.channels() };
        Self { rows, row, bits: tensor.bits, channels, channel: 0 }
    }
}

impl Iterator for Codes<'_> {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        if self.channel >= self.channels {
            self.row = self.rows.next()?;
            self.channel = 0;
        }
        let code = pack::code(self.row, self.bits, self.channel);
        self.channel += 1;
        Some(code)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rows.len() * self.channels + (self.channels - self.channel);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Codes<'_> {}

/// Writes the codes of a tensor, channel last; `code` gets the place of the code and its channel.
pub(crate) fn fill(tensor: &Tensor<'_>, bytes: &mut [u8], mut code: impl FnMut(usize, usize) -> i32) {
    let channels = tensor.shape.channels();
    let mut index = 0;
    for row in bytes.chunks_exact_mut(tensor.pixel_bytes().max(1)) {
        // Unused bits of a packed row are zero, so that equal codes are equal bytes.
        row.fill(0);
        for channel in 0..channels {
            pack::set_code(row, tensor.bits, channel, code(index, channel));
            index += 1;
        }
    }
}
