mod baselines;
mod front;

use alloc::vec;
use alloc::vec::Vec;

use apq_lut::Candidate;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::variation::Variation;
use super::*;
use crate::cost::Quantity;
use crate::space::{Architecture, BlockBits, BlockShape, Choices, Policy, Space, Stage as SpaceStage, Stem};

fn pair(text: &str) -> Candidate {
    text.parse().unwrap()
}

/// A space with widths [16, 24], [32, 40, 48] in its stages.
fn space(candidates: &[&str], depths: &[&[u8]]) -> Space {
    let stage = |(index, depths): (usize, &&[u8])| SpaceStage { channels: 8, stride: 1 + index as u32 % 2, depths: depths.to_vec() };
    Space {
        name: "test".into(),
        input: [16, 16, 1],
        classes: 10,
        stem: Stem { channels: 4, kernel: 3, stride: 2 },
        first: None,
        stages: depths.iter().enumerate().map(stage).collect(),
        head: 32,
        kernels: vec![3, 5],
        expansion: [4, 6],
        channel_step: 8,
        candidates: candidates.iter().map(|text| pair(text)).collect(),
        fixed: pair("w8a8"),
    }
}

fn domain(space: &Space) -> Domain {
    Domain::new(space, &Choices::new(space, None).unwrap()).unwrap()
}

/// Sums over the blocks; latency does not fall with the bits everywhere, energy falls with other things than latency.
fn costs(design: &Design) -> Option<Totals> {
    let mut totals = Totals { latency_ns: Some(0), energy_pj: Some(0), ..Totals::default() };
    let add = |to: &mut Option<u64>, what: u64| *to = to.map(|value| value + what);
    for (index, (shape, bits)) in design.architecture.0.iter().zip(&design.policy.0).enumerate() {
        let (Some(BlockShape { kernel, channels }), Some(BlockBits { pointwise, depthwise })) = (shape, bits) else { continue };
        let (kernel, channels, index) = (u64::from(*kernel), u64::from(*channels), index as u64);
        let (pw, dw) = (u64::from(pointwise.product()), u64::from(depthwise.product()));
        let tile = |value: u64, of: u64| value.div_ceil(of) * of;
        add(&mut totals.latency_ns, tile(channels * pw, 700) + channels * kernel * kernel * tile(dw, 24) / 20 + 40 * index);
        add(&mut totals.energy_pj, channels * u64::from(pointwise.weight_bits) * 9 + kernel * u64::from(depthwise.activation_bits) * 70);
        totals.flash_bytes += channels * u64::from(pointwise.weight_bits) + kernel * kernel * u64::from(depthwise.weight_bits);
        totals.bops += channels * (pw + kernel * kernel * dw);
    }
    Some(totals)
}

/// Gains that saturate, and that depend on what the block before has.
fn worth(design: &Design) -> f32 {
    let mut score = 0.0;
    let mut before = 1.0;
    for (shape, bits) in design.architecture.0.iter().zip(&design.policy.0) {
        let (Some(shape), Some(bits)) = (shape, bits) else { continue };
        let width = libm::sqrtf(shape.channels as f32) * (1.0 + 0.1 * f32::from(shape.kernel));
        let noise =
            |pair: Candidate| libm::powf(2.0, -f32::from(pair.weight_bits) / 2.0) + libm::powf(2.0, -f32::from(pair.activation_bits) / 3.0);
        let gain = width * (1.0 - noise(bits.pointwise)) * (1.0 - noise(bits.depthwise) / 2.0);
        score += gain + 0.2 * libm::sqrtf((gain * before).max(0.0));
        before = gain;
    }
    score
}

fn score(designs: &[Design]) -> Vec<f32> {
    designs.iter().map(worth).collect()
}

/// Every design of a domain.
fn all(domain: &Domain) -> Vec<Design> {
    let mut all = vec![(Vec::new(), Vec::new())];
    for stage in &domain.stages {
        let mut longer = Vec::new();
        for &depth in &stage.depths {
            let mut of_depth = all.clone();
            for (position, block) in domain.blocks[stage.blocks.clone()].iter().enumerate() {
                let mut choices = vec![(None, None)];
                if position < usize::from(depth) {
                    choices.clear();
                    for (kernel, pairs) in &block.kernels {
                        for &channels in &block.widths {
                            for &pointwise in &block.pointwise {
                                for &depthwise in pairs {
                                    let shape = BlockShape { kernel: *kernel, channels };
                                    choices.push((Some(shape), Some(BlockBits { pointwise, depthwise })));
                                }
                            }
                        }
                    }
                }
                let extend = |(shapes, bits): (Vec<_>, Vec<_>)| {
                    choices
                        .clone()
                        .into_iter()
                        .map(move |(shape, own)| ([shapes.clone(), vec![shape]].concat(), [bits.clone(), vec![own]].concat()))
                };
                of_depth = of_depth.into_iter().flat_map(extend).collect();
            }
            longer.extend(of_depth);
        }
        all = longer;
    }
    all.into_iter().map(|(shapes, bits)| Design { architecture: Architecture(shapes), policy: Policy(bits) }).collect()
}

fn budget(quantity: Quantity, limit: u64) -> Budget {
    Budget { quantity, limit }
}

fn small() -> Options {
    Options { population: 40, parents: 10, mutations: 20, crossovers: 20, iterations: 60, ..Options::default() }
}

/// Independent of the search: legal in the space, its own costs, below every budget.
fn check(space: &Space, budgets: &[Budget], scored: &Scored) {
    space.check_design(&scored.design).unwrap();
    let totals = costs(&scored.design).unwrap();
    assert_eq!(totals, scored.totals);
    assert_eq!(worth(&scored.design), scored.score);
    for budget in budgets {
        assert!(totals.get(budget.quantity).unwrap() <= budget.limit, "{budget:?} {totals:?}");
    }
}

#[test]
fn the_optimum_of_a_small_space_is_found() {
    let space = space(&["w4a4", "w4a8", "w8a8"], &[&[1, 2], &[1]]);
    let domain = domain(&space);
    let all = all(&domain);
    let cost = |quantity| all.iter().map(|design| costs(design).unwrap().get(quantity).unwrap()).max().unwrap();
    for (part, energy_part) in [(0.9, 1.0), (0.5, 0.7), (0.3, 1.0), (0.25, 0.4)] {
        let limit = |quantity, part: f64| budget(quantity, (cost(quantity) as f64 * part) as u64);
        let budgets = [limit(Quantity::Latency, part), limit(Quantity::Energy, energy_part)];
        let legal = |design: &&Design| crate::cost::all_met(&budgets, &costs(design).unwrap());
        let best = all.iter().filter(legal).map(worth).max_by(f32::total_cmp).unwrap();
        let deployment = Deployment { domain: &domain, costs: &costs, budgets: &budgets };
        let found = evolve(&deployment, &mut score, &small()).unwrap();
        found.best.iter().for_each(|scored| check(&space, &budgets, scored));
        assert_eq!(found.best[0].score, best, "{part}");
        assert!(found.evaluations < all.len() as u64 / 10, "{} of {}", found.evaluations, all.len());
        assert!(found.best.windows(2).all(|pair| pair[0].score >= pair[1].score && pair[0].design != pair[1].design));
    }
}

#[test]
fn evolution_is_ahead_of_chance_at_every_budget() {
    let space = Space::imagenet();
    let domain = domain(&space);
    let largest = costs(&widest_largest(&domain)).unwrap();
    let options = Options { iterations: 60, seed: 3, ..Options::default() };
    for (percent, quantity) in [(60, Quantity::Latency), (25, Quantity::Latency), (30, Quantity::Energy), (20, Quantity::Bops)] {
        let budgets = [budget(quantity, largest.get(quantity).unwrap() * percent / 100)];
        let deployment = Deployment { domain: &domain, costs: &costs, budgets: &budgets };
        let found = evolve(&deployment, &mut score, &options).unwrap();
        let chance = random(&deployment, &mut score, options.evaluations(), &options).unwrap();
        found.best.iter().chain(&chance.best).for_each(|scored| check(&space, &budgets, scored));
        assert_eq!(chance.evaluations, options.evaluations() as u64);
        assert!(found.evaluations <= chance.evaluations);
        assert!(found.best[0].score > chance.best[0].score, "{percent} {quantity}");
        assert!(found.history.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}

#[test]
fn equal_seeds_give_equal_results_and_others_do_not() {
    let space = Space::imagenet();
    let domain = domain(&space);
    let budgets = [budget(Quantity::Latency, 300_000)];
    let deployment = Deployment { domain: &domain, costs: &costs, budgets: &budgets };
    let run = |seed| evolve(&deployment, &mut score, &Options { seed, ..small() }).unwrap();
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).best, run(6).best);
    let objectives = [Quantity::Latency, Quantity::Flash];
    let front = |seed| pareto(&deployment, &mut score, &objectives, &Options { seed, iterations: 20, ..small() }).unwrap();
    assert_eq!(front(5), front(5));
    assert_eq!(random(&deployment, &mut score, 500, &small()).unwrap(), random(&deployment, &mut score, 500, &small()).unwrap());
}

#[test]
fn any_budget_that_can_be_met_is_met() {
    let space = Space::imagenet();
    let domain = domain(&space);
    let least = |quantity| cheapest(&domain, &costs, quantity).unwrap().1;
    for quantity in [Quantity::Latency, Quantity::Energy, Quantity::Flash, Quantity::Bops] {
        let budgets = [budget(quantity, least(quantity))];
        let deployment = Deployment { domain: &domain, costs: &costs, budgets: &budgets };
        let options = Options { iterations: 3, ..small() };
        for found in [evolve(&deployment, &mut score, &options), random(&deployment, &mut score, options.evaluations(), &options)] {
            found.unwrap().best.iter().for_each(|scored| check(&space, &budgets, scored));
        }
        let chains = sequential(&deployment, &mut score, &options).unwrap().chains;
        chains.iter().for_each(|chain| check(&space, &budgets, &chain.stages[2].best));
        let below = [budget(quantity, least(quantity) - 1), budget(Quantity::Ram, 0)];
        let deployment = Deployment { budgets: &below, ..deployment };
        let error = evolve(&deployment, &mut score, &options).unwrap_err();
        let smallest = |budget: Budget, value| Smallest { budget, value };
        assert_eq!(error, SearchError::Infeasible(vec![smallest(below[0], least(quantity)), smallest(below[1], 0)]));
        assert!(alloc::format!("{error}").contains(&alloc::format!("{quantity} is at least {}", least(quantity))));
    }
}

#[test]
fn the_cheapest_designs_are_those_of_the_whole_space() {
    let space = space(&["w4a8", "w8a4"], &[&[1, 2], &[1]]);
    let domain = domain(&space);
    let all: Vec<Totals> = all(&domain).iter().map(|design| costs(design).unwrap()).collect();
    let mut kinds = [0, 0];
    for quantity in [Quantity::Latency, Quantity::Energy, Quantity::Flash, Quantity::Bops] {
        let least = all.iter().map(|totals| totals.get(quantity).unwrap()).min().unwrap();
        let (design, value) = cheapest(&domain, &costs, quantity).unwrap();
        assert_eq!([value, costs(&design).unwrap().get(quantity).unwrap()], [least; 2], "{quantity}");
    }
    // Two budgets close to where they exclude each other.
    let least = |quantity| cheapest(&domain, &costs, quantity).unwrap().1;
    for flash in 0..40 {
        for energy in 0..20 {
            let over = |quantity, steps: u64| budget(quantity, least(quantity) * (100 + steps) / 100);
            let budgets = [over(Quantity::Flash, flash), over(Quantity::Energy, 2 * energy)];
            let can = all.iter().any(|totals| crate::cost::all_met(&budgets, totals));
            let deployment = Deployment { domain: &domain, costs: &costs, budgets: &budgets };
            let found = super::cheapest::feasible(&deployment);
            assert_eq!(found.is_ok(), can, "{flash} {energy}");
            kinds[usize::from(can)] += 1;
        }
    }
    assert!(kinds.iter().all(|count| *count > 20), "{kinds:?}");
}

#[test]
fn what_is_given_comes_back() {
    let space = Space::imagenet();
    let domain = domain(&space);
    let deployment = Deployment { domain: &domain, costs: &costs, budgets: &[] };
    let given = widest_largest(&domain);
    let options = Options { iterations: 2, initial: vec![given.clone(), given.clone()], ..small() };
    let found = evolve(&deployment, &mut score, &options).unwrap();
    assert_eq!(found.best[0].design, given);
    let mut short = |designs: &[Design]| vec![0.0; designs.len() - 1];
    assert_eq!(evolve(&deployment, &mut short, &small()), Err(SearchError::Scores { asked: 40, got: 39 }));
    let mut none = |designs: &[Design]| vec![f32::NAN; designs.len()];
    assert_eq!(evolve(&deployment, &mut none, &options).unwrap().best[0].score, f32::NEG_INFINITY);
    let cycles = [budget(Quantity::Cycles, 1)];
    let not_modelled = evolve(&Deployment { budgets: &cycles, ..deployment }, &mut score, &small());
    assert_eq!(not_modelled, Err(SearchError::NotModelled(Quantity::Cycles)));
    assert_eq!(pareto(&deployment, &mut score, &[Quantity::Cycles], &small()), Err(SearchError::NotModelled(Quantity::Cycles)));
    for options in [
        Options { population: 0, ..small() },
        Options { parents: 0, ..small() },
        Options { iterations: 0, ..small() },
        Options { mutation_rate: f32::NAN, ..small() },
    ] {
        assert!(matches!(evolve(&deployment, &mut score, &options), Err(SearchError::Options(_))));
    }
}

#[test]
fn a_space_of_one_design_is_searched() {
    let space = Space { kernels: vec![3], expansion: [6, 6], ..space(&["w8a8"], &[&[2]]) };
    let domain = domain(&space);
    let deployment = Deployment { domain: &domain, costs: &costs, budgets: &[] };
    let found = evolve(&deployment, &mut score, &small()).unwrap();
    assert_eq!((found.best.len(), found.evaluations, found.history.len()), (1, 1, 1));
    assert_eq!(pareto(&deployment, &mut score, &[Quantity::Latency], &small()).unwrap().points.len(), 1);
}

proptest! {
    #[test]
    fn drawn_mutated_and_crossed_designs_are_legal(seed: u64, rate in 0.0_f32..=1.0, excluded: bool) {
        let mut space = Space::imagenet();
        if excluded {
            space.candidates.truncate(2);
        }
        let mut domain = domain(&space);
        if excluded {
            // The largest kernel lacks a pair that the others have.
            domain.blocks.iter_mut().for_each(|block| block.kernels.last_mut().unwrap().1.truncate(1));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let variation = Variation::new(&domain);
        let (a, b) = (variation.draw(&mut rng), variation.draw(&mut rng));
        let crossed = variation.cross(&a, &b, &mut rng);
        for design in [&a, &b, &variation.mutate(&a, rate, &mut rng), &variation.mutate(&b, 0.0, &mut rng), &crossed] {
            prop_assert!(domain.contains(design));
            prop_assert!(space.check_design(design).is_ok());
        }
        prop_assert_ne!(&variation.mutate(&a, rate, &mut rng), &a);
        for (index, (shape, bits)) in crossed.architecture.0.iter().zip(&crossed.policy.0).enumerate() {
            let of = |parent: &Design| (parent.architecture.0[index], parent.policy.0[index]);
            prop_assert!(shape.is_none() || of(&a) == (*shape, *bits) || of(&b) == (*shape, *bits));
        }
    }

    #[test]
    fn a_mutation_of_rate_zero_changes_one_choice(seed: u64) {
        let domain = domain(&space(&["w4a4", "w8a8"], &[&[2], &[3]]));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let variation = Variation::new(&domain);
        let parent = variation.draw(&mut rng);
        let child = variation.mutate(&parent, 0.0, &mut rng);
        let mut changes = 0;
        for (a, b) in parent.architecture.0.iter().zip(&child.architecture.0) {
            let (a, b) = (a.unwrap(), b.unwrap());
            changes += usize::from(a.kernel != b.kernel) + usize::from(a.channels != b.channels);
        }
        for (a, b) in parent.policy.0.iter().zip(&child.policy.0) {
            let (a, b) = (a.unwrap(), b.unwrap());
            changes += usize::from(a.pointwise != b.pointwise) + usize::from(a.depthwise != b.depthwise);
        }
        prop_assert_eq!(changes, 1);
    }
}
