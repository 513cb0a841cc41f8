//! Spaces and architectures that can be worked with.

use apq_search::space::{Architecture, Space};

use super::SupernetError;

/// Most channels of any tensor.
const CHANNELS_MAX: u32 = 1 << 14;

/// Largest height and width of the input.
const SIDE_MAX: u32 = 1 << 12;

/// Most stages, and most blocks of one.
const LENGTH_MAX: usize = 64;

/// Every size is within its limit, and no list is empty or out of order.
pub(super) fn check(space: &Space) -> Result<(), SupernetError> {
    let fail = |what: String| Err(SupernetError::Space(what));
    let channels = [space.input[2], space.classes, space.stem.channels, space.head, space.channel_step, space.first.unwrap_or(1)];
    let stages = space.stages.iter().map(|stage| stage.channels);
    if let Some(wrong) = channels.into_iter().chain(stages).find(|channels| !(1..=CHANNELS_MAX).contains(channels)) {
        return fail(format!("{wrong} channels, classes or steps; 1 to {CHANNELS_MAX} are possible"));
    }
    if let Some(wrong) = space.input[..2].iter().find(|side| !(1..=SIDE_MAX).contains(*side)) {
        return fail(format!("an input {wrong} high or wide; 1 to {SIDE_MAX} are possible"));
    }
    if space.stages.is_empty() || space.stages.len() > LENGTH_MAX {
        return fail(format!("{} stages; 1 to {LENGTH_MAX} are possible", space.stages.len()));
    }
    let strides = space.stages.iter().map(|stage| stage.stride).chain([space.stem.stride]);
    if let Some(wrong) = strides.into_iter().find(|stride| !(1..=4).contains(stride)) {
        return fail(format!("a stride of {wrong}; 1 to 4 are possible"));
    }
    let kernel = |side: &u8| side % 2 == 1 && *side <= 15;
    if !kernel(&space.stem.kernel)
        || space.kernels.is_empty()
        || !space.kernels.iter().all(kernel)
        || !space.kernels.is_sorted_by(|a, b| a < b)
    {
        return fail(format!("kernels {:?}, stem {}: sides are odd, at most 15, and ascend", space.kernels, space.stem.kernel));
    }
    let depths = |depths: &[u8]| {
        depths.first().is_some_and(|first| *first > 0)
            && depths.last().is_some_and(|last| usize::from(*last) <= LENGTH_MAX)
            && depths.is_sorted_by(|a, b| a < b)
    };
    if let Some(stage) = space.stages.iter().position(|stage| !depths(&stage.depths)) {
        return fail(format!("stage {stage} has depths {:?}; they ascend from 1 to {LENGTH_MAX} at most", space.stages[stage].depths));
    }
    let [least, most] = space.expansion;
    let widest = space.stages.iter().map(|stage| stage.channels).chain([space.stem.channels, space.first.unwrap_or(1)]).max();
    if least == 0 || least > most || widest.is_none_or(|widest| most.saturating_mul(widest) > CHANNELS_MAX) {
        return fail(format!("expansion {least} to {most}; it ascends, and no expansion has more than {CHANNELS_MAX} channels"));
    }
    Ok(())
}

/// The architecture is a subnet of the space.
pub(super) fn check_architecture(space: &Space, architecture: &Architecture) -> Result<(), SupernetError> {
    let fail = |what: String| Err(SupernetError::Architecture(what));
    let blocks = space.blocks();
    if architecture.0.len() != blocks.len() {
        return fail(format!("{} blocks; the space has {}", architecture.0.len(), blocks.len()));
    }
    let mut depths = vec![0_u8; space.stages.len()];
    for (block, shape) in blocks.iter().zip(&architecture.0) {
        let (stage, position) = (block.stage, block.position);
        let Some(shape) = shape else { continue };
        let Some(depth) = depths.get_mut(stage).filter(|depth| usize::from(**depth) == position) else {
            return fail(format!("stage {stage} has block {position} without those before it"));
        };
        *depth += 1;
        if !space.kernels.contains(&shape.kernel) || !block.widths.contains(&shape.channels) {
            return fail(format!(
                "stage {stage}, block {position}: kernel {}, {} channels are not in the space",
                shape.kernel, shape.channels
            ));
        }
    }
    match depths.iter().zip(&space.stages).position(|(depth, stage)| !stage.depths.contains(depth)) {
        Some(stage) => fail(format!("stage {stage} has {} blocks; {:?} are possible", depths[stage], space.stages[stage].depths)),
        None => Ok(()),
    }
}
