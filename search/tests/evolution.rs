//! Search from the public interface: the costs of a real target, a predictor, and results that are checked layer by layer.

use apq_lut::CostModel;
use apq_search::evolution::{
    Costs, Deployment, Domain, Options, Predicted, Scored, Scorer, cheapest, evolve, pareto, sequential, widest_largest,
};
use apq_search::predictor::{Dense, Portable, Predictor, PredictorError, Scale};
use apq_search::space::{Design, DesignCosts, Encoding, Space};
use apq_search::{Budget, Quantity};
use apq_targets::{BitFusion, Target};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Random weights: what they say means nothing, but they say it of every choice.
fn predictor(dimensions: usize) -> Predictor {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut numbers = |count: usize, bound: f32| -> Vec<f32> {
        (0..count).map(|_| bound * ((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0)).collect()
    };
    let mut inputs = dimensions;
    let mut dense = |outputs: usize| {
        let layer = Dense { weight: numbers(inputs * outputs, 3.0 / (inputs as f32).sqrt()), bias: numbers(outputs, 0.1) };
        inputs = outputs;
        layer
    };
    let layers = [64, 32, 16].map(&mut dense);
    Predictor::new(dimensions, layers, dense(1), Scale { mean: 0.8, deviation: 0.05 }).unwrap()
}

fn options() -> Options {
    Options { population: 40, parents: 10, mutations: 20, crossovers: 20, iterations: 12, seed: 1, ..Options::default() }
}

/// What a design costs by the cost model itself, layer by layer.
fn modelled(costs: &DesignCosts, design: &Design, quantity: Quantity) -> u64 {
    let layers = costs.keys(design).unwrap();
    let of_layer = |key: &apq_lut::LayerKey| -> u64 {
        let Ok(cost) = BitFusion.cost(key) else { return 0 };
        match quantity {
            Quantity::Latency => cost.latency_ns.unwrap().ceil() as u64,
            Quantity::Energy => (cost.energy_nj.unwrap() * 1e3).ceil() as u64,
            _ => cost.cycles.unwrap(),
        }
    };
    layers.iter().map(|(_, key)| of_layer(key)).sum()
}

#[test]
fn results_meet_their_budgets_layer_by_layer() {
    let space = Space::fashion();
    let target = Target::builtin("bitfusion").unwrap();
    let costs = DesignCosts::new(&space, &target, Some(&BitFusion)).unwrap();
    let domain = Domain::new(&space, costs.choices()).unwrap();
    let encoding = Encoding::new(&space).unwrap();
    let predictor = predictor(encoding.dimensions());
    let mut scorer = Predicted::new(&encoding, &predictor, Portable).unwrap();
    let largest = costs.totals(&widest_largest(&domain)).unwrap();
    for quantity in [Quantity::Latency, Quantity::Energy, Quantity::Cycles] {
        let (design, least) = cheapest(&domain, &costs, quantity).unwrap();
        assert_eq!(modelled(&costs, &design, quantity), least);
        let most = largest.get(quantity).unwrap();
        for limit in [least, least + (most - least) / 10, least + (most - least) / 2] {
            let budgets = [Budget { quantity, limit }];
            let deployment = Deployment { domain: &domain, costs: &costs, budgets: &budgets };
            let mut results: Vec<Scored> = evolve(&deployment, &mut scorer, &options()).unwrap().best;
            results.extend(pareto(&deployment, &mut scorer, &[Quantity::Latency, Quantity::Flash], &options()).unwrap().points);
            let chains = sequential(&deployment, &mut scorer, &options()).unwrap().chains;
            results.extend(chains.into_iter().map(|chain| chain.stages[2].best.clone()));
            for Scored { design, score, totals } in &results {
                space.check_design(design).unwrap();
                let cost = modelled(&costs, design, quantity);
                assert!(cost <= limit, "{cost} {quantity}, {limit} allowed");
                assert_eq!(totals.get(quantity), Some(cost));
                assert_eq!(scorer.score(std::slice::from_ref(design)), [*score]);
                let excluded = |(shape, bits): (&Option<_>, &Option<_>)| {
                    let (shape, bits): (Option<apq_search::space::BlockShape>, Option<apq_search::space::BlockBits>) = (*shape, *bits);
                    shape.is_some_and(|shape| shape.kernel == 7) && bits.is_some_and(|bits| bits.depthwise.activation_bits == 4)
                };
                assert!(!design.architecture.0.iter().zip(&design.policy.0).any(excluded));
            }
        }
    }
}

#[test]
fn predictions_see_bit_widths_and_refuse_what_is_not_of_the_space() {
    let space = Space::fashion();
    let encoding = Encoding::new(&space).unwrap();
    let predictor_of_space = predictor(encoding.dimensions());
    let domain = Domain::new(&space, &apq_search::space::Choices::new(&space, None).unwrap()).unwrap();
    let wide = widest_largest(&domain);
    let narrow = widest_largest(&domain.at_bits("w4a4".parse().unwrap()));
    let mut other = wide.clone();
    other.architecture.0.pop();
    let designs = [wide, narrow, other];
    let mut scorer = Predicted::new(&encoding, &predictor_of_space, Portable).unwrap();
    let scores = scorer.score(&designs);
    assert_ne!(scores[0], scores[1]);
    assert!(scores[2].is_nan());
    let other = predictor(encoding.dimensions() + 1);
    let error = Predicted::new(&encoding, &other, Portable).unwrap_err();
    assert_eq!(error, PredictorError::Dimensions { expected: encoding.dimensions(), actual: encoding.dimensions() + 1 });
}
