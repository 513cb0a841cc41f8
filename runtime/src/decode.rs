//! Reading records, which are written in postcard's encoding: no more than the records need, since it lies in the flash of every firmware.
//!
//! Anything that postcard would not have written is refused: numbers that do not fit, options and flags other than 0 and 1.

use apq_kernels::{Accumulator, ActivationBits, WeightBits};

use crate::built;
use crate::input::{InputRecord, OutputRecord, RawType};
use crate::model::GraphRecord;
use crate::node::{
    Add, AveragePool, Concat, Conv, LayerNorm, MatMul, Node, Operator, Pad, Prelu, Region, Rescale, Resize, Slice, Weighted, Window,
};
use crate::tensor::{Shape, Tensor};

/// What is left of the bytes of a record.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.bytes
    }

    #[inline(never)]
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(byte)
    }

    /// An unsigned number: seven bits a byte, the lowest first; the high bit says that another byte follows.
    #[inline(never)]
    fn number(&mut self, bits: u32) -> Option<u64> {
        let (mut value, mut shift) = (0u64, 0);
        while shift < bits {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            // The last byte holds the bits that are left.
            if bits - shift < 7 && part >> (bits - shift) != 0 {
                return None;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }
}

/// What can be read from a record.
pub(crate) trait Decode<'a>: Sized {
    /// Reads the value; `None` where the bytes end or are none.
    fn decode(reader: &mut Reader<'a>) -> Option<Self>;
}

impl Decode<'_> for u8 {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.byte()
    }
}

impl Decode<'_> for bool {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Decode<'_> for u16 {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(reader.number(Self::BITS)? as Self)
    }
}

impl Decode<'_> for u32 {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(reader.number(Self::BITS)? as Self)
    }
}

impl Decode<'_> for u64 {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.number(Self::BITS)
    }
}

impl Decode<'_> for i32 {
    /// Zigzag: the sign in the lowest bit.
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let number = u32::decode(reader)?;
        Some((number >> 1) as Self ^ -((number & 1) as Self))
    }
}

impl Decode<'_> for f32 {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take(4)?.first_chunk().copied().map(Self::from_le_bytes)
    }
}

impl<'a> Decode<'a> for &'a str {
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let length = u32::decode(reader)? as usize;
        core::str::from_utf8(reader.take(length)?).ok()
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Option<T> {
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        if bool::decode(reader)? { T::decode(reader).map(Some) } else { Some(None) }
    }
}

impl<'a, T: Decode<'a> + Copy + Default, const N: usize> Decode<'a> for [T; N] {
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let mut values = [T::default(); N];
        for value in &mut values {
            *value = T::decode(reader)?;
        }
        Some(values)
    }
}

impl<'a, T: Decode<'a>, const N: usize> Decode<'a> for heapless::Vec<T, N> {
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let mut values = Self::new();
        for _ in 0..u32::decode(reader)? {
            values.push(T::decode(reader)?).ok()?;
        }
        Some(values)
    }
}

impl Decode<'_> for WeightBits {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Self::try_from(reader.byte()?).ok()
    }
}

impl Decode<'_> for ActivationBits {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Self::try_from(reader.byte()?).ok()
    }
}

impl Decode<'_> for Accumulator {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.byte()? {
            32 => Some(Self::I32),
            64 => Some(Self::I64),
            _ => None,
        }
    }
}

impl Decode<'_> for RawType {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        match u32::decode(reader)? {
            0 => Some(Self::U8),
            1 => Some(Self::I8),
            2 => Some(Self::F32),
            _ => None,
        }
    }
}

impl Decode<'_> for Shape {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self(Decode::decode(reader)?))
    }
}

impl<'a> Decode<'a> for Operator {
    #[inline(never)]
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        Some(match u32::decode(reader)? {
            0 if built::CONV => Self::Conv(Decode::decode(reader)?),
            1 if built::FULLY_CONNECTED => Self::FullyConnected(Decode::decode(reader)?),
            2 if built::ADD => Self::Add(Decode::decode(reader)?),
            3 if built::MUL => Self::Mul(Decode::decode(reader)?),
            4 if built::AVERAGE_POOL => Self::AveragePool(Decode::decode(reader)?),
            5 if built::MAX_POOL => Self::MaxPool(Decode::decode(reader)?),
            6 if built::REQUANTIZE => Self::Requantize(Decode::decode(reader)?),
            7 if built::PAD => Self::Pad(Decode::decode(reader)?),
            8 if built::SLICE => Self::Slice(Decode::decode(reader)?),
            9 if built::CONCAT => Self::Concat(Decode::decode(reader)?),
            10 if built::TRANSPOSE => Self::Transpose { axes: Decode::decode(reader)? },
            11 if built::TABLE => Self::Table { raw: Decode::decode(reader)? },
            12 if built::SOFTMAX => Self::Softmax(Decode::decode(reader)?),
            13 if built::RESHAPE => Self::Reshape,
            14 if built::RESIZE => Self::Resize(Decode::decode(reader)?),
            15 if built::PRELU => Self::Prelu(Decode::decode(reader)?),
            16 if built::MATMUL => Self::MatMul(Decode::decode(reader)?),
            17 if built::LAYER_NORM => Self::LayerNorm(Decode::decode(reader)?),
            18 if built::CONSTANT => Self::Constant { raw: Decode::decode(reader)? },
            _ => return None,
        })
    }
}

/// Records whose fields lie one behind the other, in this order.
macro_rules! records {
    ($($record:ident $(<$lifetime:lifetime>)? { $($field:ident),* })*) => {
        $(impl<'a> Decode<'a> for $record $(<$lifetime>)? {
            fn decode(reader: &mut Reader<'a>) -> Option<Self> {
                Some(Self { $($field: Decode::decode(reader)?),* })
            }
        })*
    };
}

records! {
    GraphRecord<'a> { name, arena_bytes, tensors, nodes, groups, input, output }
    InputRecord { tensor, raw_type, lists, raw }
    OutputRecord { tensor, classes, softmax_removed }
    Tensor<'a> { name, shape, bits, scale, zero_point, offset, alias }
    Node<'a> { inputs, output, scratch, name, group, clamp, operator }
    Region { offset, length }
    Window { kernel, stride, dilation, pad }
    Weighted { bits, accumulator, arrangement, weights, stage }
    Conv { window, groups, weighted }
    Rescale { multiplier, shift }
    Add { multipliers, shift, subtract }
    MatMul { transposed, rescale }
    LayerNorm { epsilon, shift, raw }
    AveragePool { window, counted_end, divisors, raw }
    Pad { before, code }
    Resize { rescale, raw }
    Prelu { rescale, raw }
    Slice { begin, step }
    Concat { axis, rescales }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::fmt::Debug;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde::de::DeserializeOwned;

    use super::*;

    /// The same value and the same rest as postcard's, or none from both.
    fn same<T: for<'a> Decode<'a> + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> bool {
        let mut reader = Reader::new(bytes);
        let ours = T::decode(&mut reader).map(|value| (value, reader.rest()));
        assert_eq!(ours, postcard::take_from_bytes(bytes).ok(), "{bytes:02x?}");
        ours.is_some()
    }

    #[test]
    fn random_bytes_are_read_as_postcard_reads_them() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut read = [0; 9];
        for _ in 0..50_000 {
            let mut bytes = [0u8; 24];
            let length = random.random_range(0..=bytes.len());
            for byte in &mut bytes {
                // Edges of numbers and flags are frequent.
                *byte = [random.random(), 0, 1, 0x0f, 0x7f, 0x80, 0xff, 0x83][random.random_range(0..8)];
            }
            let bytes = &bytes[..length];
            let each = [
                same::<bool>(bytes),
                same::<u16>(bytes),
                same::<u32>(bytes),
                same::<u64>(bytes),
                same::<i32>(bytes),
                same::<Option<[i32; 2]>>(bytes),
                same::<[u32; 3]>(bytes),
                same::<heapless::Vec<u16, 3>>(bytes),
                same::<heapless::Vec<Option<u8>, 4>>(bytes),
            ];
            read.iter_mut().zip(each).for_each(|(count, read)| *count += u32::from(read));
        }
        assert!(read.iter().all(|&count| count > 500), "{read:?}");
    }

    #[test]
    fn text_is_read_as_postcard_reads_it() {
        for bytes in [&b"\x03abcd"[..], b"\x05abcd", b"\x02\xc3\xa4", b"\x01\xc3", b"\x00", b"\x80\x00", b""] {
            let mut reader = Reader::new(bytes);
            let ours = <&str>::decode(&mut reader).map(|text| (text, reader.rest()));
            assert_eq!(ours, postcard::take_from_bytes(bytes).ok(), "{bytes:02x?}");
        }
    }
}
