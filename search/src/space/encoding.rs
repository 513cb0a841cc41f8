//! Designs as one-hot vectors, the input of a predictor.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::{Architecture, Block, BlockBits, BlockShape, Policy, Space, SpaceError};
use apq_lut::Candidate;

/// Between designs of one space and one-hot vectors.
///
/// For each block of the space, in order: one-hot kernel, one-hot width, and four one-hot bit widths: weights and activations of the pointwise
/// convolutions, weights and activations of the depthwise one, each over the distinct widths of the space's candidates, ascending. All is zero
/// for a block that is left out, and the bit widths are zero where there is no policy.
///
/// Source: APQ, section 3.2, "Architecture and Quantization Policy Encoding".
#[derive(Debug, Clone)]
pub struct Encoding {
    space: Space,
    /// Each with the index of its first place.
    blocks: Vec<(u32, Block)>,
    weight_bits: Vec<u8>,
    activation_bits: Vec<u8>,
    dimensions: u32,
}

/// Number of one-hot vectors for the bit widths of a block.
const BIT_VECTORS: usize = 4;

fn place<T: PartialEq>(values: &[T], value: &T) -> Option<u32> {
    values.iter().position(|own| own == value).map(|at| at as u32)
}

fn distinct(bits: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut bits: Vec<u8> = bits.collect();
    bits.sort_unstable();
    bits.dedup();
    bits
}

impl Encoding {
    /// The encoding of a space.
    ///
    /// # Errors
    /// The space is none.
    pub fn new(space: &Space) -> Result<Self, SpaceError> {
        space.check()?;
        let weight_bits = distinct(space.candidates.iter().map(|candidate| candidate.weight_bits));
        let activation_bits = distinct(space.candidates.iter().map(|candidate| candidate.activation_bits));
        let of_bits = 2 * (weight_bits.len() + activation_bits.len());
        let mut dimensions = 0;
        let mut blocks = Vec::new();
        for block in space.blocks() {
            let start = dimensions;
            dimensions += (space.kernels.len() + block.widths.len() + of_bits) as u32;
            blocks.push((start, block));
        }
        Ok(Self { space: space.clone(), blocks, weight_bits, activation_bits, dimensions })
    }

    /// Length of the vectors.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions as usize
    }

    /// The space.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Lengths of the one-hot vectors of a block.
    fn lengths(&self, block: &Block) -> [u32; 2 + BIT_VECTORS] {
        let (weights, activations) = (self.weight_bits.len(), self.activation_bits.len());
        [self.space.kernels.len(), block.widths.len(), weights, activations, weights, activations].map(|length| length as u32)
    }

    fn shape_places(&self, block: &Block, shape: &BlockShape) -> Option<[u32; 2]> {
        Some([place(&self.space.kernels, &shape.kernel)?, place(&block.widths, &shape.channels)?])
    }

    fn bits_places(&self, bits: &BlockBits) -> Option<[u32; BIT_VECTORS]> {
        let BlockBits { pointwise, depthwise } = bits;
        let weights = |of: &Candidate| place(&self.weight_bits, &of.weight_bits);
        let activations = |of: &Candidate| place(&self.activation_bits, &of.activation_bits);
        Some([weights(pointwise)?, activations(pointwise)?, weights(depthwise)?, activations(depthwise)?])
    }

    /// Places of the ones, ascending.
    ///
    /// Whether stages have the right blocks is not looked at: that is [`Space::check_design`]'s.
    ///
    /// # Errors
    /// A list of another length, a shape or bit widths that the space does not have, bit widths that are missing or belong to a block that is left out.
    pub fn encode(&self, architecture: &Architecture, policy: Option<&Policy>) -> Result<Vec<u32>, SpaceError> {
        let mut ones = Vec::with_capacity(self.blocks.len() * (2 + BIT_VECTORS));
        self.encode_into(architecture, policy, &mut ones)?;
        Ok(ones)
    }

    /// [`Encoding::encode`] into a vector that is used again.
    ///
    /// # Errors
    /// As [`Encoding::encode`]; then `ones` holds a part.
    pub fn encode_into(&self, architecture: &Architecture, policy: Option<&Policy>, ones: &mut Vec<u32>) -> Result<(), SpaceError> {
        ones.clear();
        let expected = self.blocks.len();
        let lengths = [Some(architecture.0.len()), policy.map(|policy| policy.0.len())];
        if let Some(found) = lengths.into_iter().flatten().find(|length| *length != expected) {
            return Err(SpaceError::Length { found, expected });
        }
        for (index, ((start, block), shape)) in self.blocks.iter().zip(&architecture.0).enumerate() {
            let fail = |reason: &str| SpaceError::Block { block: block.name(), reason: reason.to_string() };
            let bits = policy.and_then(|policy| policy.0.get(index)).copied().flatten();
            let Some(shape) = shape else {
                if bits.is_some() {
                    return Err(fail("has bit widths, and is left out"));
                }
                continue;
            };
            let lengths = self.lengths(block);
            let shape = self.shape_places(block, shape).ok_or_else(|| fail("a shape that the search space does not have"))?;
            let bits = match (policy, bits) {
                (None, _) => None,
                (Some(_), None) => return Err(fail("has no bit widths")),
                (Some(_), Some(bits)) => {
                    Some(self.bits_places(&bits).ok_or_else(|| fail("bit widths that the search space does not have"))?)
                }
            };
            let mut from = *start;
            for (place, length) in shape.into_iter().chain(bits.into_iter().flatten()).zip(lengths) {
                ones.push(from + place);
                from += length;
            }
        }
        Ok(())
    }

    /// The vector itself.
    ///
    /// # Errors
    /// As [`Encoding::encode`].
    pub fn dense(&self, architecture: &Architecture, policy: Option<&Policy>) -> Result<Vec<f32>, SpaceError> {
        let mut vector = vec![0.0; self.dimensions()];
        for one in self.encode(architecture, policy)? {
            if let Some(value) = vector.get_mut(one as usize) {
                *value = 1.0;
            }
        }
        Ok(vector)
    }

    /// The design whose vector has ones at these places, ascending.
    ///
    /// # Errors
    /// No design of the space has such a vector.
    pub fn decode(&self, ones: &[u32]) -> Result<(Architecture, Option<Policy>), SpaceError> {
        let fail = |reason: String| SpaceError::Encoding(reason);
        if let Some(pair) = ones.windows(2).find(|pair| pair.first() >= pair.last()) {
            return Err(fail(format!("{pair:?} are not ascending")));
        }
        if let Some(last) = ones.last().filter(|last| **last >= self.dimensions) {
            return Err(fail(format!("{last} is past {} dimensions", self.dimensions)));
        }
        let (mut shapes, mut policy) = (Vec::new(), Vec::new());
        let mut rest = ones;
        for (start, block) in &self.blocks {
            let mut places = [None; 2 + BIT_VECTORS];
            let mut from = *start;
            for (place, length) in places.iter_mut().zip(self.lengths(block)) {
                if let Some((one, others)) = rest.split_first().filter(|(one, _)| **one < from + length) {
                    *place = Some(one - from);
                    rest = others;
                }
                if rest.first().is_some_and(|one| *one < from + length) {
                    return Err(fail(format!("{}: two ones in one of its vectors", block.name())));
                }
                from += length;
            }
            let value = |values: &[u8], at: Option<u32>| values.get(at? as usize).copied();
            let [kernel, channels, bits @ ..] = places;
            let channels = channels.and_then(|at| block.widths.get(at as usize).copied());
            shapes.push(match (value(&self.space.kernels, kernel), channels) {
                (Some(kernel), Some(channels)) => Some(BlockShape { kernel, channels }),
                (None, None) => None,
                _ => return Err(fail(format!("{}: a kernel without a width, or a width without a kernel", block.name()))),
            });
            let [a, b, c, d] = bits;
            let pair = |weights, activations| {
                let (weight_bits, activation_bits) = (value(&self.weight_bits, weights)?, value(&self.activation_bits, activations)?);
                Some(Candidate { weight_bits, activation_bits })
            };
            policy.push(match (pair(a, b), pair(c, d)) {
                (Some(pointwise), Some(depthwise)) => Some(BlockBits { pointwise, depthwise }),
                _ if bits == [None; BIT_VECTORS] => None,
                _ => return Err(fail(format!("{}: some of its bit widths are missing", block.name()))),
            });
        }
        let architecture = Architecture(shapes);
        self.space.check_architecture(&architecture)?;
        if policy.iter().all(Option::is_none) {
            return Ok((architecture, None));
        }
        let policy = Policy(policy);
        self.space.check_policy(&architecture, &policy)?;
        Ok((architecture, Some(policy)))
    }
}
