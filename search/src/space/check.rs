//! Whether a space can be one, and whether designs are of a space.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use apq_lut::{Candidate, WIDTHS};

use super::{Architecture, Design, Policy, Space};

/// Longest name of a space, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Largest height and width of the input.
const SIDE_MAX: u32 = 2048;
/// Most channels of anything but an expansion, and most classes.
const CHANNELS_MAX: u32 = 1 << 16;
/// Most stages.
const STAGES_MAX: usize = 32;
/// Most blocks of all stages at their largest depth.
const BLOCKS_MAX: usize = 128;
/// Largest side of a kernel.
const KERNEL_MAX: u8 = 15;
/// Largest stride.
const STRIDE_MAX: u32 = 8;
/// Largest multiple of a block's input channels.
const EXPANSION_MAX: u32 = 16;
/// Most widths of one block.
const WIDTHS_MAX: usize = 1024;

/// What is wrong with a space, or with something that should be of a space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// A field of the space has a value that it cannot have.
    #[error("search space: `{field}` {reason}")]
    Field {
        /// Name of the field in the text form.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// A list with an entry for each block has another length.
    #[error("{found} blocks where the search space has {expected}")]
    Length {
        /// Entries of the list.
        found: usize,
        /// Blocks of the space.
        expected: usize,
    },
    /// A stage has a number of blocks that the space does not offer.
    #[error("stage {stage}: {found} blocks; the search space has {choices}")]
    Depth {
        /// Index of the stage.
        stage: usize,
        /// Blocks that are there.
        found: usize,
        /// What the space offers.
        choices: String,
    },
    /// A block has a shape or bit widths that the space does not offer.
    #[error("{block}: {reason}")]
    Block {
        /// Name of the block, `stages.2.blocks.0`.
        block: String,
        /// What is wrong.
        reason: String,
    },
    /// Indices that are no encoding of a design.
    #[error("not an encoding of this search space: {0}")]
    Encoding(String),
}

fn field(name: impl Into<String>, reason: impl Into<String>) -> SpaceError {
    SpaceError::Field { field: name.into(), reason: reason.into() }
}

fn within(name: impl Into<String>, value: u32, least: u32, most: u32) -> Result<(), SpaceError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(field(name, format!("is {value}; it can be {least} to {most}")))
}

fn ascending<T: PartialOrd>(name: impl Into<String>, values: &[T]) -> Result<(), SpaceError> {
    if !values.is_empty() && values.windows(2).all(|pair| matches!(pair, [a, b] if a < b)) {
        return Ok(());
    }
    Err(field(name, "needs at least one value, ascending, none twice"))
}

fn legal(candidate: Candidate) -> bool {
    // No kernel has weights of 16 bits.
    WIDTHS.contains(&candidate.activation_bits) && WIDTHS.contains(&candidate.weight_bits) && candidate.weight_bits <= 8
}

/// Values as a message lists them: `3, 5, 7`.
fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}

impl Space {
    /// Checks every field, so that all sizes are bounded and every network of the space can be built.
    ///
    /// # Errors
    /// [`SpaceError::Field`], the first field that is wrong.
    pub fn check(&self) -> Result<(), SpaceError> {
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || self.name.chars().any(char::is_control) {
            return Err(field("name", format!("needs 1 to {NAME_BYTES_MAX} bytes without control characters")));
        }
        let [height, width, channels] = self.input;
        within("input[0]", height, 1, SIDE_MAX)?;
        within("input[1]", width, 1, SIDE_MAX)?;
        within("input[2]", channels, 1, CHANNELS_MAX)?;
        within("classes", self.classes, 1, CHANNELS_MAX)?;
        within("stem.channels", self.stem.channels, 1, CHANNELS_MAX)?;
        kernel("stem.kernel", self.stem.kernel)?;
        within("stem.stride", self.stem.stride, 1, STRIDE_MAX)?;
        within("first", self.first.unwrap_or(1), 1, CHANNELS_MAX)?;
        within("head", self.head, 1, CHANNELS_MAX)?;
        ascending("kernels", &self.kernels)?;
        self.kernels.iter().try_for_each(|side| kernel("kernels", *side))?;
        let [least, largest] = self.expansion;
        within("expansion[0]", least, 1, EXPANSION_MAX)?;
        within("expansion[1]", largest, least, EXPANSION_MAX)?;
        within("channel_step", self.channel_step, 1, CHANNELS_MAX)?;
        self.check_stages()?;
        if self.candidates.is_empty() {
            return Err(field("candidates", "is empty"));
        }
        for (index, candidate) in self.candidates.iter().enumerate() {
            if !legal(*candidate) {
                return Err(field("candidates", format!("has {candidate}; weights have 2 to 8 bits, activations 2 to 16")));
            }
            if self.candidates.iter().take(index).any(|other| other == candidate) {
                return Err(field("candidates", format!("has {candidate} twice")));
            }
        }
        if !legal(self.fixed) {
            return Err(field("fixed", format!("is {}; weights have 2 to 8 bits, activations 2 to 16", self.fixed)));
        }
        Ok(())
    }

    fn check_stages(&self) -> Result<(), SpaceError> {
        if self.stages.is_empty() || self.stages.len() > STAGES_MAX {
            return Err(field("stages", format!("needs 1 to {STAGES_MAX} stages")));
        }
        let mut blocks = 0;
        let mut input_channels = self.first.unwrap_or(self.stem.channels);
        for (index, stage) in self.stages.iter().enumerate() {
            within(format!("stages[{index}].channels"), stage.channels, 1, CHANNELS_MAX)?;
            within(format!("stages[{index}].stride"), stage.stride, 1, STRIDE_MAX)?;
            ascending(format!("stages[{index}].depths"), &stage.depths)?;
            if stage.depths.contains(&0) {
                return Err(field(format!("stages[{index}].depths"), "has 0; every stage needs a block"));
            }
            blocks += stage.depths.last().copied().map_or(0, usize::from);
            let [least, largest] = self.expansion;
            // Both factors are bounded by now.
            let widths = (largest - least) * input_channels.max(stage.channels) / self.channel_step + 1;
            if widths as usize > WIDTHS_MAX {
                return Err(field("channel_step", format!("gives a block of stage {index} {widths} widths; at most {WIDTHS_MAX}")));
            }
            input_channels = stage.channels;
        }
        if blocks > BLOCKS_MAX {
            return Err(field("stages", format!("has {blocks} blocks; at most {BLOCKS_MAX}")));
        }
        Ok(())
    }

    /// Checks that an architecture is one of the space.
    ///
    /// # Errors
    /// The first entry that is not.
    pub fn check_architecture(&self, architecture: &Architecture) -> Result<(), SpaceError> {
        let blocks = self.blocks();
        if architecture.0.len() != blocks.len() {
            return Err(SpaceError::Length { found: architecture.0.len(), expected: blocks.len() });
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let of_stage = || blocks.iter().zip(&architecture.0).filter(|(block, _)| block.stage == index);
            let found = of_stage().filter(|(_, shape)| shape.is_some()).count();
            if !stage.depths.iter().any(|depth| usize::from(*depth) == found) {
                return Err(SpaceError::Depth { stage: index, found, choices: list(&stage.depths) });
            }
            if let Some((block, _)) = of_stage().take(found).find(|(_, shape)| shape.is_none()) {
                return Err(SpaceError::Block { block: block.name(), reason: "is left out before a block that is there".to_string() });
            }
        }
        for (block, shape) in blocks.iter().zip(&architecture.0) {
            let Some(shape) = shape else { continue };
            let fail = |reason| Err(SpaceError::Block { block: block.name(), reason });
            if !self.kernels.contains(&shape.kernel) {
                return fail(format!("kernel {}; the search space has {}", shape.kernel, list(&self.kernels)));
            }
            if !block.widths.contains(&shape.channels) {
                return fail(format!("{} channels; the search space has {}", shape.channels, list(&block.widths)));
            }
        }
        Ok(())
    }

    /// Checks that a policy belongs to an architecture of the space: bit widths of the space for its blocks, and for them only.
    ///
    /// # Errors
    /// The first entry that is wrong.
    pub fn check_policy(&self, architecture: &Architecture, policy: &Policy) -> Result<(), SpaceError> {
        if policy.0.len() != architecture.0.len() {
            return Err(SpaceError::Length { found: policy.0.len(), expected: architecture.0.len() });
        }
        for ((block, shape), bits) in self.blocks().iter().zip(&architecture.0).zip(&policy.0) {
            let fail = |reason| Err(SpaceError::Block { block: block.name(), reason });
            let Some(bits) = bits else {
                if shape.is_some() {
                    return fail("has no bit widths".to_string());
                }
                continue;
            };
            if shape.is_none() {
                return fail("has bit widths, and is left out".to_string());
            }
            if let Some(other) = [bits.pointwise, bits.depthwise].iter().find(|candidate| !self.candidates.contains(candidate)) {
                return fail(format!("{other}; the search space has {}", list(&self.candidates)));
            }
        }
        Ok(())
    }

    /// Checks that a design is one of the space.
    ///
    /// # Errors
    /// The first entry that is not.
    pub fn check_design(&self, design: &Design) -> Result<(), SpaceError> {
        self.check_architecture(&design.architecture)?;
        self.check_policy(&design.architecture, &design.policy)
    }
}

fn kernel(name: &str, side: u8) -> Result<(), SpaceError> {
    if side % 2 == 1 && side <= KERNEL_MAX {
        return Ok(());
    }
    Err(field(name, format!("has {side}; kernels have odd sides of 1 to {KERNEL_MAX}")))
}

#[cfg(test)]
mod tests;
