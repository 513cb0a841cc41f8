use apq_lut::Operator;
use apq_search::Candidate;
use apq_search::space::{BlockBits, BlockShape, Choices, ChoicesError, Space, sample_architecture, sample_policy, uniform_policy};
use apq_targets::{Description, Exclusion, Target};

use crate::{bits, rng};

fn changed(name: &str, change: impl Fn(&mut Description)) -> Target {
    let mut description = Target::builtin(name).unwrap().description().clone();
    change(&mut description);
    Target::new(description).unwrap()
}

#[test]
fn a_seven_by_seven_has_no_four_bit_activations_on_bitfusion() {
    let space = Space::imagenet();
    let bitfusion = Target::builtin("bitfusion").unwrap();
    let choices = Choices::new(&space, Some(&bitfusion)).unwrap();
    assert_eq!(choices.pointwise(), space.candidates);
    for kernel in [3, 5] {
        assert_eq!(choices.depthwise(kernel), space.candidates);
    }
    let wider: Vec<Candidate> = space.candidates.iter().copied().filter(|pair| pair.activation_bits != 4).collect();
    assert_eq!(choices.depthwise(7), wider);
    assert!(choices.depthwise(9).is_empty());
    // The rule is the target's.
    let free = changed("bitfusion", |description| description.search_exclusions.clear());
    assert_eq!(Choices::new(&space, Some(&free)).unwrap().depthwise(7), space.candidates);
    assert!(!bitfusion.search_excludes(&Operator::Conv, [7, 7], bits(4, 4)));
    assert!(bitfusion.kernel_supports(&Operator::Depthwise, 4, 4), "other networks may have it");

    let mut rng = rng(3);
    let seven = |shape: &Option<BlockShape>| shape.is_some_and(|shape| shape.kernel == 7);
    let mut narrow = 0;
    for _ in 0..200 {
        let architecture = sample_architecture(&space, &mut rng);
        for policy in [sample_policy(&choices, &architecture, &mut rng), uniform_policy(&choices, &architecture, bits(4, 4)).unwrap()] {
            for (shape, widths) in architecture.0.iter().zip(&policy.0) {
                assert_eq!(shape.is_some(), widths.is_some());
                let depthwise = widths.map(|widths| widths.depthwise.activation_bits);
                assert!(!seven(shape) || depthwise != Some(4));
                narrow += usize::from(depthwise == Some(4));
            }
        }
    }
    assert!(narrow > 1000, "other kernels have 4 bits");
}

#[test]
fn a_uniform_policy_takes_the_nearest_wider_pair() {
    let space = Space::imagenet();
    let choices = Choices::new(&space, Some(&Target::builtin("bitfusion").unwrap())).unwrap();
    let largest = space.largest();
    let of = |pair| uniform_policy(&choices, &largest, pair).map(|policy| policy.0[0].unwrap());
    assert_eq!(of(bits(4, 4)), Some(BlockBits { pointwise: bits(4, 4), depthwise: bits(4, 6) }));
    assert_eq!(of(bits(8, 4)), Some(BlockBits { pointwise: bits(8, 4), depthwise: bits(8, 6) }));
    assert_eq!(of(bits(6, 6)), Some(BlockBits { pointwise: bits(6, 6), depthwise: bits(6, 6) }));
    assert_eq!(of(bits(2, 2)), Some(BlockBits { pointwise: bits(4, 4), depthwise: bits(4, 6) }));
    assert_eq!(of(bits(8, 16)), None);
}

#[test]
fn kernels_and_exclusions_narrow_the_choices() {
    let space = Space::fashion();
    let without_sums = changed("host", |description| {
        for row in &mut description.kernels {
            if row.operators.contains(&Operator::Add) {
                row.activation_bits = vec![8];
            }
        }
    });
    let choices = Choices::new(&space, Some(&without_sums)).unwrap();
    assert_eq!(choices.pointwise(), [bits(4, 8), bits(6, 8), bits(8, 8)], "a sum reads what the expansion reads");
    assert_eq!(choices.depthwise(3), space.candidates);
    let mut plain = space.clone();
    (plain.stages[0].stride, plain.stages[0].depths, plain.stages[1].depths) = (2, vec![1], vec![1]);
    assert_eq!(Choices::new(&plain, Some(&without_sums)).unwrap().pointwise(), space.candidates, "this space has no sums");

    let exclusion = |operator, kernel, weight_bits: &[u8]| Exclusion {
        operators: vec![operator],
        kernel,
        weight_bits: weight_bits.to_vec(),
        activation_bits: Vec::new(),
    };
    let target = changed("host", |description| {
        description.search_exclusions =
            vec![exclusion(Operator::Depthwise, Some([5, 5]), &[4, 6, 8]), exclusion(Operator::Conv, None, &[6])];
    });
    let error = Choices::new(&space, Some(&target)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "target `host` runs none of the search space's candidates (w4a4, w4a6, w4a8, w6a4, w6a6, w6a8, w8a4, w8a6, w8a8) in a depthwise \
         convolution 5x5"
    );
    let three = Space { kernels: vec![3, 7], ..space.clone() };
    let choices = Choices::new(&three, Some(&target)).unwrap();
    assert!(choices.pointwise().iter().all(|pair| pair.weight_bits != 6) && choices.depthwise(7).len() == 9);

    let no_pool = changed("host", |description| {
        description.kernels.iter_mut().for_each(|row| row.operators.retain(|operator| *operator != Operator::AveragePool));
    });
    let error = Choices::new(&space, Some(&no_pool)).unwrap_err();
    assert!(matches!(error, ChoicesError::Fixed { operator: Operator::AveragePool, .. }), "{error}");
    let broken = Space { kernels: Vec::new(), ..space };
    assert!(matches!(Choices::new(&broken, None), Err(ChoicesError::Space(_))));
}
