use super::*;

#[test]
fn the_front_of_a_small_space_is_found_whole() {
    let space = space(&["w4a4", "w4a8", "w8a4", "w8a8"], &[&[1, 2]]);
    let domain = domain(&space);
    let all = all(&domain);
    let objectives = [Quantity::Latency, Quantity::Energy, Quantity::Flash];
    for budgets in [vec![], vec![budget(Quantity::Latency, 3_000)]] {
        let values = |score: f32, totals: &Totals| (score.to_bits(), objectives.map(|quantity| totals.get(quantity).unwrap()));
        let legal: Vec<(f32, Totals)> = all.iter().map(|design| (worth(design), costs(design).unwrap())).collect();
        let legal: Vec<_> = legal.into_iter().filter(|(_, totals)| crate::cost::all_met(&budgets, totals)).collect();
        let beats = |a: &(f32, Totals), b: &(f32, Totals)| {
            let costs = |totals: &Totals| objectives.map(|quantity| totals.get(quantity).unwrap());
            a.0 >= b.0 && costs(&a.1).iter().zip(costs(&b.1)).all(|(a, b)| *a <= b) && (a.0 > b.0 || costs(&a.1) != costs(&b.1))
        };
        let front = legal.iter().filter(|point| !legal.iter().any(|other| beats(other, point)));
        let mut expected: Vec<_> = front.map(|(score, totals)| values(*score, totals)).collect();
        expected.sort_unstable();
        expected.dedup();
        let deployment = Deployment { domain: &domain, costs: &costs, budgets: &budgets };
        let found = pareto(&deployment, &mut score, &objectives, &Options { iterations: 120, ..small() }).unwrap();
        found.points.iter().for_each(|scored| check(&space, &budgets, scored));
        let mut points: Vec<_> = found.points.iter().map(|scored| values(scored.score, &scored.totals)).collect();
        points.sort_unstable();
        assert_eq!(points, expected);
        assert!(found.evaluations < all.len() as u64 * 3 / 4, "{} of {}", found.evaluations, all.len());
    }
}
