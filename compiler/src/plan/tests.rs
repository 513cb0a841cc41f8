use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::checker::{PlanFault, check};
use super::{Buffer, Effort, PlanError, Relation, plan};

fn buffer(bytes: usize, first: usize, last: usize) -> Buffer {
    Buffer { bytes, align: 1, first, last }
}

/// A number of cases, each with at most `count_max` buffers.
fn random_cases(cases: usize, count_max: usize, bytes_max: usize, steps: usize) -> impl Iterator<Item = Vec<Buffer>> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut one = move || {
        let (a, b) = (random.random_range(0..steps), random.random_range(0..steps));
        let align = 1 << random.random_range(0..3);
        (random.random_range(0..=bytes_max), align, a.min(b), a.max(b))
    };
    let mut case = move || {
        let draw = |(bytes, align, first, last)| Buffer { bytes, align, first, last };
        (0..count_max).map(|_| draw(one())).collect::<Vec<_>>()
    };
    // Every count from 0 on.
    (0..cases).map(move |index| {
        let mut buffers = case();
        buffers.truncate(index % (count_max + 1));
        buffers
    })
}

/// The smallest arena: every aligned offset of every buffer is tried.
fn brute_force(buffers: &[Buffer]) -> usize {
    fn fits(buffers: &[Buffer], offsets: &mut Vec<usize>, arena: usize) -> bool {
        let Some(next) = buffers.get(offsets.len()) else {
            return true;
        };
        (0..=arena.saturating_sub(next.bytes)).step_by(next.align).any(|offset| {
            offsets.push(offset);
            let placed = &buffers[..offsets.len()];
            let found = check(placed, &[], offsets, arena).is_ok() && fits(buffers, offsets, arena);
            offsets.pop();
            found
        })
    }
    (0..).find(|&arena| fits(buffers, &mut Vec::new(), arena)).expect("some arena is large enough")
}

/// Activations of a MobileNetV2-like chain: expand, depthwise, project, and a residual sum every
/// other block; with the input of a residual block alive across it.
fn inverted_residuals(blocks: usize) -> Vec<Buffer> {
    let mut buffers = vec![buffer(224 * 224 * 3, 0, 0)];
    let mut step = 0;
    let (mut side, mut channels) = (112_usize, 16_usize);
    let mut last = buffers.len();
    buffers.push(buffer(side * side * channels, step, step));
    for block in 0..blocks {
        let residual = block % 2 == 1;
        let (input_pixels, input_channels) = (side * side, channels);
        if !residual && side > 7 {
            side /= 2;
            channels += 16;
        }
        let sizes = [input_pixels * input_channels * 6, side * side * input_channels * 6, side * side * channels];
        let input = last;
        for bytes in sizes {
            step += 1;
            buffers[last].last = step;
            last = buffers.len();
            buffers.push(buffer(bytes, step, step));
        }
        if residual {
            step += 1;
            buffers[input].last = step;
            buffers[last].last = step;
            last = buffers.len();
            buffers.push(buffer(side * side * channels, step, step));
        }
    }
    for (index, buffer) in buffers.iter_mut().enumerate() {
        buffer.align = if index % 3 == 0 { 16 } else { 4 };
    }
    buffers
}

#[test]
fn chains_reach_the_lower_bound_without_search() {
    for blocks in 1..=24 {
        let chain = inverted_residuals(blocks);
        let quick = plan(&chain, &[], Effort::quick()).unwrap();
        assert_eq!(check(&chain, &[], &quick.offsets, quick.arena_bytes), Ok(()));
        assert_eq!(quick.arena_bytes, quick.lower_bound_bytes, "{blocks} blocks");
        assert!(quick.optimal);
    }
}

#[test]
fn an_optimum_above_the_lower_bound_is_proven() {
    // Of two aligned buffers of 3 bytes the lower one leaves a hole of 1 byte, too small for the
    // third, whose alignment keeps the lower bound from seeing the hole.
    let aligned = Buffer { bytes: 3, align: 4, first: 0, last: 0 };
    let three = [aligned, aligned, buffer(3, 0, 0)];
    let planned = plan(&three, &[], Effort::default()).unwrap();
    assert_eq!((planned.lower_bound_bytes, planned.arena_bytes, planned.optimal), (9, 10, true));
    let quick = plan(&three, &[], Effort::quick()).unwrap();
    assert_eq!((quick.arena_bytes, quick.optimal), (10, false));
}

#[test]
fn nothing_needs_nothing() {
    let planned = plan(&[], &[], Effort::default()).unwrap();
    assert_eq!((planned.arena_bytes, planned.lower_bound_bytes, planned.optimal), (0, 0, true));
    let empty = [Buffer { bytes: 0, align: 64, first: 3, last: 9 }];
    assert_eq!(plan(&empty, &[], Effort::quick()).unwrap().arena_bytes, 0);
}

#[test]
fn invalid_buffers_are_errors() {
    let unaligned = Buffer { bytes: 1, align: 0, first: 0, last: 0 };
    let effort = Effort::default();
    assert_eq!(plan(&[unaligned], &[], effort), Err(PlanError::Alignment { buffer: 0, align: 0 }));
    let early = buffer(1, 2, 1);
    let expected = PlanError::Lifetime { buffer: 1, first: 2, last: 1 };
    assert_eq!(plan(&[buffer(1, 0, 0), early], &[], effort), Err(expected));
    let half = buffer(usize::MAX / 2 + 1, 0, 0);
    assert_eq!(plan(&[half, half], &[], effort), Err(PlanError::TooLarge));
    let sparse = Buffer { bytes: usize::MAX, align: 2, first: 0, last: 0 };
    assert_eq!(plan(&[sparse], &[], effort), Err(PlanError::TooLarge));
    let far = buffer(1, 0, usize::MAX);
    assert_eq!(plan(&[far, far], &[], effort).unwrap().arena_bytes, 2);
}

#[test]
fn the_checker_sees_every_fault() {
    let pair = [buffer(4, 0, 1), Buffer { bytes: 4, align: 4, first: 1, last: 2 }];
    assert_eq!(check(&pair, &[], &[0, 4], 8), Ok(()));
    assert_eq!(check(&pair, &[], &[4, 0], 8), Ok(()));
    assert_eq!(check(&pair, &[], &[0], 8), Err(PlanFault::Length { offsets: 1, buffers: 2 }));
    assert_eq!(check(&pair, &[], &[0, 6], 16), Err(PlanFault::Unaligned { buffer: 1, offset: 6 }));
    assert_eq!(check(&pair, &[], &[0, 4], 7), Err(PlanFault::Outside { buffer: 1 }));
    assert_eq!(check(&pair, &[], &[usize::MAX, 4], 8), Err(PlanFault::Outside { buffer: 0 }));
    let overlap = Err(PlanFault::Overlap { first: 0, second: 1, step: 1 });
    for offsets in [[0, 0], [1, 0], [3, 0], [1, 4], [0, 0]] {
        assert_eq!(check(&pair, &[], &offsets, 8), overlap);
    }
    assert_eq!(check(&[buffer(4, 0, 1), buffer(4, 2, 2)], &[], &[0, 0], 4), Ok(()));
}

#[test]
fn plans_are_valid_and_deterministic() {
    for list in random_cases(1000, 40, 50, 20) {
        let effort = Effort { nodes_max: 1000 };
        let planned = plan(&list, &[], effort).unwrap();
        assert_eq!(check(&list, &[], &planned.offsets, planned.arena_bytes), Ok(()), "{list:?}");
        assert!(planned.arena_bytes >= planned.lower_bound_bytes, "{list:?}");
        let quick = plan(&list, &[], Effort::quick()).unwrap();
        assert!(planned.arena_bytes <= quick.arena_bytes, "{list:?}");
        assert_eq!(planned, plan(&list, &[], effort).unwrap(), "{list:?}");
    }
}

#[test]
fn small_plans_are_optimal() {
    for list in random_cases(2000, 6, 4, 5) {
        let planned = plan(&list, &[], Effort::default()).unwrap();
        let smallest = brute_force(&list);
        assert!(planned.optimal, "{list:?}");
        assert_eq!(planned.arena_bytes, smallest, "{list:?}");
        assert!(planned.lower_bound_bytes <= smallest, "{list:?}");
        let quick = plan(&list, &[], Effort::quick()).unwrap();
        assert!(!quick.optimal || quick.arena_bytes == smallest, "{list:?}");
    }
}

#[test]
fn related_buffers_lie_as_near_as_they_may() {
    let pair = [buffer(64, 0, 1), buffer(64, 1, 2)];
    let related = |forbidden: &[(i64, i64)]| {
        let relation = Relation { over: 1, under: 0, forbidden: forbidden.to_vec() };
        plan(&pair, &[relation], Effort::default()).unwrap()
    };
    let [free, near, above] = [related(&[]), related(&[(-8, 8)]), related(&[(-64, 12)])];
    assert_eq!([free.arena_bytes, near.arena_bytes, above.arena_bytes], [64, 72, 76]);
    assert_eq!([free.lower_bound_bytes, near.lower_bound_bytes, above.lower_bound_bytes], [64, 72, 76]);
    assert!(free.optimal && near.optimal && above.optimal);
    assert_eq!(above.offsets[1] - above.offsets[0], 12);
    // Nothing is gained: they lie apart.
    let small = [buffer(64, 0, 1), buffer(64, 1, 2), buffer(128, 3, 3)];
    let relation = Relation { over: 1, under: 0, forbidden: vec![(-8, 8)] };
    let planned = plan(&small, &[relation], Effort::default()).unwrap();
    assert_eq!(planned.arena_bytes, 128);
    assert_eq!(check(&small, &[], &planned.offsets, 128), Ok(()));
}

#[test]
fn relations_are_kept_and_never_make_the_arena_larger() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for list in random_cases(400, 12, 64, 8) {
        let mut relations = Vec::new();
        for over in 0..list.len() {
            for under in 0..over {
                if list[over].meets(&list[under]) && random.random_bool(0.3) {
                    let (low, high) = (-(list[over].bytes as i64), list[under].bytes as i64);
                    let (a, b) = (random.random_range(low..=high), random.random_range(low..=high));
                    let forbidden = if a == b { Vec::new() } else { vec![(a.min(b), a.max(b))] };
                    relations.push(Relation { over, under, forbidden });
                }
            }
        }
        for effort in [Effort::quick(), Effort { nodes_max: 1000 }] {
            let planned = plan(&list, &relations, effort).unwrap();
            assert!(planned.arena_bytes <= plan(&list, &[], effort).unwrap().arena_bytes, "{list:?} {relations:?}");
            assert!(planned.arena_bytes >= planned.lower_bound_bytes, "{list:?} {relations:?}");
            let pairs: Vec<(usize, usize)> = relations.iter().map(|relation| (relation.over, relation.under)).collect();
            assert_eq!(check(&list, &pairs, &planned.offsets, planned.arena_bytes), Ok(()), "{list:?} {relations:?}");
            for Relation { over, under, forbidden } in
                relations.iter().filter(|relation| list[relation.over].bytes * list[relation.under].bytes > 0)
            {
                let difference = planned.offsets[*over] as i64 - planned.offsets[*under] as i64;
                assert!(!forbidden.iter().any(|(from, to)| *from < difference && difference < *to), "{list:?} {relations:?}");
            }
        }
    }
}
