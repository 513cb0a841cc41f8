use alloc::collections::BTreeSet;

use super::*;

#[test]
fn baselines_leave_fixed_what_they_say() {
    let space = space(&["w4a4", "w6a6", "w8a8"], &[&[2, 3], &[1, 2]]);
    let domain = domain(&space);
    let w8a8 = pair("w8a8");
    let largest = costs(&widest_largest(&domain)).unwrap();
    for part in [0.2, 0.4, 0.8] {
        let budgets = [budget(Quantity::Latency, (largest.latency_ns.unwrap() as f64 * part) as u64)];
        let deployment = Deployment { domain: &domain, costs: &costs, budgets: &budgets };
        let joint = evolve(&deployment, &mut score, &small()).unwrap();
        let Sequential { chains } = sequential(&deployment, &mut score, &small()).unwrap();
        for Chain { stages: [first, second, third], best, .. } in &chains {
            assert_eq!(&best[0], &third.best);
            check(&space, &first.budgets, &first.best);
            check(&space, &second.budgets, &second.best);
            check(&space, &budgets, &third.best);
            assert_eq!(third.budgets, budgets);
            let shapes = |stage: &Stage| stage.best.design.architecture.clone();
            assert!(domain.at_bits(w8a8).at_largest_widths().contains(&first.best.design));
            assert!(domain.at_bits(w8a8).contains(&second.best.design));
            let kernels = |stage: &Stage| shapes(stage).0.iter().map(|shape| shape.map(|shape| shape.kernel)).collect::<Vec<_>>();
            assert_eq!(kernels(first), kernels(second));
            assert_eq!(shapes(second), shapes(third));
            assert!(joint.best[0].score >= third.best.score);
        }
        assert!(chains.windows(2).all(|pair| pair[0].stages[2].best.score >= pair[1].stages[2].best.score));
        let both = super::super::joint(&deployment, &mut score, &small()).unwrap();
        assert!(both.sequential[0].score == chains[0].stages[2].best.score && both.designs[0].score >= both.sequential[0].score);
        assert!(both.designs.windows(2).all(|pair| pair[0].score >= pair[1].score));
        let architectures: BTreeSet<_> = both.designs.iter().map(|scored| &scored.design.architecture).collect();
        assert_eq!(architectures.len(), both.designs.len());
        both.designs.iter().for_each(|scored| check(&space, &budgets, scored));
        assert!(both.evaluations <= small().joint_evaluations() as u64);
        let w4a4 = domain.at_bits(pair("w4a4"));
        let fixed = evolve(&Deployment { domain: &w4a4, ..deployment }, &mut score, &small()).unwrap();
        let bits = |scored: &Scored| {
            scored.design.policy.0.iter().flatten().all(|bits| bits.pointwise == pair("w4a4") && bits.depthwise == pair("w4a4"))
        };
        assert!(fixed.best.iter().all(bits));
        assert!(joint.best[0].score >= fixed.best[0].score);
    }
    let design = widest_largest(&domain);
    assert_eq!(design.architecture, space.largest());
    // What no convolution has becomes the widest that there is.
    assert_eq!(domain.at_bits(pair("w8a16")), domain.at_bits(w8a8));
}
