use super::*;
use crate::space::{BlockBits, BlockShape, Choices, Stage, uniform_policy};

const W8A8: Candidate = Candidate { weight_bits: 8, activation_bits: 8 };

#[test]
fn presets_are_spaces() {
    for name in Space::PRESETS {
        let space = Space::preset(name).unwrap();
        assert_eq!((space.name.as_str(), space.check()), (name, Ok(())));
        for architecture in [space.largest(), space.smallest()] {
            assert_eq!(space.check_architecture(&architecture), Ok(()));
        }
        let blocks = space.blocks();
        assert!(space.largest().0.iter().all(Option::is_some));
        for (block, shape) in blocks.iter().zip(space.smallest().0) {
            let wanted = BlockShape { kernel: 3, channels: 4 * block.input_channels };
            assert!(shape.is_none_or(|shape| shape == wanted));
        }
    }
    assert_eq!((Space::imagenet().blocks().len(), Space::preset("cifar")), (21, None));
}

/// The field that is wrong after the change.
type Change = (&'static str, fn(&mut Space));

#[test]
fn every_field_has_limits() {
    let changes: [Change; 27] = [
        ("name", |space| space.name.clear()),
        ("name", |space| space.name = "a\nb".into()),
        ("name", |space| space.name = "a".repeat(65)),
        ("input[0]", |space| space.input[0] = 0),
        ("input[1]", |space| space.input[1] = u32::MAX),
        ("input[2]", |space| space.input[2] = 0),
        ("classes", |space| space.classes = 0),
        ("stem.channels", |space| space.stem.channels = u32::MAX),
        ("stem.kernel", |space| space.stem.kernel = 2),
        ("stem.stride", |space| space.stem.stride = 0),
        ("first", |space| space.first = Some(0)),
        ("head", |space| space.head = 0),
        ("kernels", |space| space.kernels.clear()),
        ("kernels", |space| space.kernels = [5, 3].into()),
        ("kernels", |space| space.kernels = [3, 255].into()),
        ("expansion[0]", |space| space.expansion = [0, 6]),
        ("expansion[1]", |space| space.expansion = [6, 4]),
        ("expansion[1]", |space| space.expansion = [4, u32::MAX]),
        ("channel_step", |space| space.channel_step = 0),
        ("channel_step", |space| (space.channel_step, space.expansion, space.stages[0].channels) = (1, [1, 16], 60000)),
        ("stages", |space| space.stages.clear()),
        ("stages", |space| space.stages = alloc::vec![space.stages[0].clone(); 33]),
        ("stages", |space| space.stages[0].depths = [255].into()),
        ("stages[1].depths", |space| space.stages[1].depths = [0, 1].into()),
        ("stages[1].stride", |space| space.stages[1].stride = 9),
        ("candidates", |space| space.candidates.push(W8A8)),
        ("fixed", |space| space.fixed.weight_bits = 16),
    ];
    for (index, (wanted, change)) in changes.iter().enumerate() {
        let mut space = Space::fashion();
        change(&mut space);
        match space.check() {
            Err(SpaceError::Field { field, .. }) => assert_eq!(&field, wanted, "change {index}"),
            other => panic!("change {index}: {other:?}"),
        }
    }
    for candidates in [alloc::vec![], alloc::vec![Candidate { weight_bits: 3, activation_bits: 8 }]] {
        let space = Space { candidates, ..Space::fashion() };
        assert!(space.check().unwrap_err().to_string().starts_with("search space: `candidates`"));
    }
}

#[test]
fn what_is_not_of_the_space_is_named() {
    let stage = |channels, stride| Stage { channels, stride, depths: [2, 3, 4].into() };
    let space = Space { stages: [stage(8, 1), stage(24, 2)].into(), ..Space::fashion() };
    let largest = space.largest();
    let changed = |change: fn(&mut Architecture)| {
        let mut other = largest.clone();
        change(&mut other);
        space.check_architecture(&other).unwrap_err().to_string()
    };
    assert_eq!(changed(|a| a.0.truncate(7)), "7 blocks where the search space has 8");
    assert_eq!(changed(|a| a.0[1..4].fill(None)), "stage 0: 1 blocks; the search space has 2, 3, 4");
    assert_eq!(changed(|a| a.0[4..].fill(None)), "stage 1: 0 blocks; the search space has 2, 3, 4");
    assert_eq!(changed(|a| a.0[1] = None), "stages.0.blocks.1: is left out before a block that is there");
    let shape = |kernel, channels| Some(BlockShape { kernel, channels });
    assert_eq!(changed(|a| a.0[5] = None), "stages.1.blocks.1: is left out before a block that is there");
    let mut other = largest.clone();
    other.0[2] = shape(9, 32);
    assert_eq!(space.check_architecture(&other).unwrap_err().to_string(), "stages.0.blocks.2: kernel 9; the search space has 3, 5, 7");
    for channels in [0, 24, 33, 56, u32::MAX] {
        other.0[2] = shape(3, channels);
        let message = space.check_architecture(&other).unwrap_err().to_string();
        assert_eq!(message, alloc::format!("stages.0.blocks.2: {channels} channels; the search space has 32, 40, 48"));
    }

    let choices = Choices::new(&space, None).unwrap();
    let policy = uniform_policy(&choices, &largest, W8A8).unwrap();
    assert_eq!(space.check_policy(&largest, &policy), Ok(()));
    let changed = |change: fn(&mut Policy)| {
        let mut other = policy.clone();
        change(&mut other);
        space.check_policy(&largest, &other).unwrap_err().to_string()
    };
    assert_eq!(changed(|p| p.0.clear()), "0 blocks where the search space has 8");
    assert_eq!(changed(|p| p.0[7] = None), "stages.1.blocks.3: has no bit widths");
    let narrow = changed(|p| p.0[0] = Some(BlockBits { pointwise: W8A8, depthwise: Candidate { weight_bits: 2, activation_bits: 8 } }));
    assert!(narrow.starts_with("stages.0.blocks.0: w2a8; the search space has w4a4, w4a6,"), "{narrow}");
    let mut shorter = largest.clone();
    shorter.0[3] = None;
    assert_eq!(space.check_policy(&shorter, &policy).unwrap_err().to_string(), "stages.0.blocks.3: has bit widths, and is left out");
}
