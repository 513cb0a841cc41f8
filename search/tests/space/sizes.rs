use std::collections::BTreeSet;

use apq_search::space::{Architecture, BlockShape, Choices, Count, Space, sample_architecture};
use apq_targets::Target;

use crate::{rng, tiny};

/// The product of decimal numbers, digit by digit as on paper.
fn product(a: &str, b: u128) -> String {
    let mut digits: Vec<u128> = a.bytes().rev().map(|digit| u128::from(digit - b'0') * b).collect();
    let mut at = 0;
    while at < digits.len() {
        let carry = digits[at] / 10;
        digits[at] %= 10;
        if carry > 0 && at + 1 == digits.len() {
            digits.push(0);
        }
        if carry > 0 {
            digits[at + 1] += carry;
        }
        at += 1;
    }
    digits.iter().rev().map(|digit| char::from(b'0' + *digit as u8)).collect()
}

/// Designs of a stage whose first block offers `first` shapes and the others `rest`, at 2, 3 or 4 blocks.
fn stage(first: u128, rest: u128) -> u128 {
    first * rest * (1 + rest * (1 + rest))
}

#[test]
fn the_papers_space_is_larger_than_10_to_the_35() {
    let space = Space::imagenet();
    // Widths of an expansion from B channels: from 4 B to 6 B in steps of 8.
    let widths = |base: u128| base / 4 + 1;
    let bases = [(16, 24), (24, 40), (40, 80), (80, 96), (96, 192)];
    let expected = |shapes: u128| {
        let stages = bases.map(|(first, rest)| stage(widths(first) * shapes, widths(rest) * shapes));
        stages.into_iter().fold((widths(192) * shapes).to_string(), |all, stage| product(&all, stage))
    };
    let count = space.count_architectures();
    assert_eq!(count.to_string(), expected(3));
    assert_eq!(count.to_string(), "903930510606498177748135769196646875");
    assert!(count.to_string().len() == 36 && count.digits() == 36);

    let every = Choices::new(&space, None).unwrap();
    assert_eq!(space.count_designs(&every).to_string(), expected(3 * 81));
    // On BitFusion a 7x7 depthwise convolution has 6 pairs, the other two kernels have 9.
    let bitfusion = Choices::new(&space, Some(&Target::builtin("bitfusion").unwrap())).unwrap();
    assert_eq!(space.count_designs(&bitfusion).to_string(), expected(9 * (9 + 9 + 6)));
    assert_eq!(space.count_designs(&bitfusion).to_string(), "813899129219671210290956636862720862650049426479328176372777150421401600000");
}

/// Every architecture of a space, block by block, with those that no check takes.
fn all(space: &Space) -> Vec<Architecture> {
    let mut all = vec![Vec::new()];
    for block in space.blocks() {
        let shapes =
            space.kernels.iter().flat_map(|kernel| block.widths.iter().map(|channels| BlockShape { kernel: *kernel, channels: *channels }));
        let entries: Vec<Option<BlockShape>> = shapes.map(Some).chain([None]).collect();
        all = all.iter().flat_map(|leading| entries.iter().map(|entry| [leading.as_slice(), &[*entry]].concat())).collect();
    }
    all.into_iter().map(Architecture).collect()
}

#[test]
fn the_count_is_that_of_a_list() {
    let space = tiny();
    let listed: BTreeSet<Architecture> = all(&space).into_iter().filter(|one| space.check_architecture(one).is_ok()).collect();
    assert_eq!(space.count_architectures(), Count::from(listed.len() as u64));
    let choices = Choices::new(&space, Some(&Target::builtin("bitfusion").unwrap())).unwrap();
    let policies = |shape: &BlockShape| (choices.pointwise().len() * choices.depthwise(shape.kernel).len()) as u64;
    let designs: u64 = listed.iter().map(|one| one.0.iter().flatten().map(policies).product::<u64>()).sum();
    assert_eq!(space.count_designs(&choices), Count::from(designs));
    assert_eq!(choices.depthwise(7).len(), 1, "the exclusion is part of the test");

    let mut rng = rng(5);
    let drawn: BTreeSet<Architecture> = (0..40 * listed.len()).map(|_| sample_architecture(&space, &mut rng)).collect();
    assert_eq!(drawn, listed, "sampling reaches every architecture and no other");
}
