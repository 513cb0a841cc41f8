//! The assignment on small networks made to show one behaviour each.

use apq_search::checker::{Fault, check};
use apq_search::{
    Budget, Candidate, Change, Group, NetworkCost, Outcome, Problem, ProblemError, Quantity, Sensitivity, SkipReason, Step, Totals,
};

/// A cost model from a function.
struct Model<F>(F);

impl<F: Fn(&[Candidate]) -> Totals> NetworkCost for Model<F> {
    fn totals(&self, assignment: &[Candidate]) -> Totals {
        (self.0)(assignment)
    }
}

fn bits(text: &str) -> Candidate {
    text.parse().expect("a candidate")
}

fn group(name: &str, candidates: &[&str]) -> Group {
    Group { name: name.into(), candidates: candidates.iter().map(|text| bits(text)).collect() }
}

fn entry(group: usize, candidate: &str, sqnr_db: f64) -> Sensitivity {
    Sensitivity { group, candidate: bits(candidate), sqnr_db }
}

/// One MAC for each group.
fn bops(assignment: &[Candidate]) -> Totals {
    let bops = assignment.iter().map(|c| u64::from(c.product())).sum();
    Totals { bops, ..Totals::default() }
}

fn budget(quantity: Quantity, limit: u64) -> Budget {
    Budget { quantity, limit }
}

/// Assigns and checks.
fn assign(groups: &[Group], list: &[Sensitivity], cost: &dyn NetworkCost, budgets: &[Budget]) -> Outcome {
    let problem = Problem::new(groups, list, cost).expect("a valid problem");
    let outcome = problem.assign(budgets).expect("modelled quantities");
    assert_eq!(check(groups, list, cost, budgets, &outcome), Ok(()));
    outcome
}

fn taken(outcome: &Outcome) -> Vec<String> {
    let text = |step: Step| match step {
        Step::Start => "start".into(),
        Step::Flip(change) => format!("flip {} {}", change.group, change.to),
        Step::PlainFlip(change) => format!("plain {} {}", change.group, change.to),
        Step::Exchange(change) => format!("exchange {} {}", change.group, change.to),
        Step::Undo(change) => format!("undo {} {}", change.group, change.to),
        Step::Narrowest => "narrowest".into(),
        Step::Nearest => "nearest".into(),
    };
    outcome.points.iter().map(|point| text(point.step)).collect()
}

#[test]
fn without_budgets_the_widest_candidates_are_chosen() {
    let groups = [group("a", &["w4a16", "w8a8", "w4a4"]), group("b", &["w4a8", "w8a8"])];
    let list = [entry(0, "w8a8", 90.0), entry(0, "w4a4", 80.0), entry(1, "w4a8", 70.0)];
    let outcome = assign(&groups, &list, &Model(bops), &[]);
    assert!(outcome.feasible);
    // Equal w*a: more activation bits are wider.
    assert_eq!(outcome.assignment, [bits("w4a16"), bits("w8a8")]);
    assert_eq!(taken(&outcome), ["start"]);
    assert!(outcome.skipped.iter().all(|skipped| skipped.reason == SkipReason::NotNeeded));
}

#[test]
fn a_lucky_measurement_does_not_move_the_baseline() {
    let groups = [group("a", &["w4a8", "w8a8"])];
    let list = [entry(0, "w4a8", 60.0), entry(0, "w8a8", 20.0)];
    let outcome = assign(&groups, &list, &Model(bops), &[budget(Quantity::Bops, 64)]);
    assert_eq!(outcome.assignment, [bits("w8a8")]);
    // The entry of w8a8 itself is not a flip.
    let problem_list = [entry(0, "w4a8", 60.0)];
    assert_eq!(Problem::new(&groups, &list, &Model(bops)).unwrap().list(), problem_list);
}

#[test]
fn ties_go_by_bits_then_bops_saved_then_graph_order() {
    let groups: Vec<Group> = ["a", "b", "c"].map(|name| group(name, &["w8a8", "w4a8", "w4a4"])).into();
    let mut list = Vec::new();
    for of in 0..3 {
        list.push(entry(of, "w4a8", 30.0));
        list.push(entry(of, "w4a4", 30.0));
    }
    let macs = [1, 5, 5];
    let cost = Model(|assignment: &[Candidate]| {
        let each = assignment.iter().zip(macs).map(|(c, macs)| u64::from(c.product()) * macs);
        Totals { bops: each.sum(), ..Totals::default() }
    });
    let problem = Problem::new(&groups, &list, &cost).unwrap();
    let order: Vec<(usize, Candidate)> = problem.list().iter().map(|entry| (entry.group, entry.candidate)).collect();
    let [narrow, wide] = [bits("w4a4"), bits("w4a8")];
    assert_eq!(order, [(1, narrow), (2, narrow), (0, narrow), (1, wide), (2, wide), (0, wide)]);
}

#[test]
fn flips_that_buy_nothing_are_skipped() {
    // On BitFusion 6-bit operands are stored in 8 bits, so w6a8 is not faster than w8a8.
    let candidates = ["w8a8", "w6a8", "w4a4"];
    let groups = [group("a", &candidates), group("b", &candidates)];
    let list = [entry(0, "w6a8", 45.0), entry(1, "w6a8", 44.0), entry(0, "w4a4", 25.0), entry(1, "w4a4", 20.0)];
    let cost = Model(|assignment: &[Candidate]| {
        let ns = assignment.iter().map(|c| if c.weight_bits > 4 { 100 } else { 50 }).sum();
        Totals { latency_ns: Some(ns), ..bops(assignment) }
    });
    let outcome = assign(&groups, &list, &cost, &[budget(Quantity::Latency, 150)]);
    assert_eq!(taken(&outcome), ["start", "flip 0 w4a4"]);
    let reasons: Vec<_> = outcome.skipped.iter().map(|skipped| skipped.reason).collect();
    let falls = SkipReason::NoViolatedCostFalls;
    assert_eq!(reasons, [falls, falls, SkipReason::NotNeeded]);

    let curve = Problem::new(&groups, &list, &cost).unwrap();
    assert_eq!(curve.curve(&[]).unwrap().points.len(), 5);
    assert_eq!(curve.curve(&[Quantity::Latency]).unwrap().points.len(), 3);
}

#[test]
fn an_undo_finds_the_candidate_between() {
    let groups = [group("a", &["w8a8", "w4a4"]), group("b", &["w8a8", "w6a8", "w4a4"])];
    let list = [entry(0, "w4a4", 20.0), entry(1, "w4a4", 30.0), entry(1, "w6a8", 40.0)];
    // Group 0 comes last and saves most. Then group 1 can have 48 of its 64, not all.
    let cost = Model(|assignment: &[Candidate]| {
        let [a, b] = [assignment[0], assignment[1]].map(|c| u64::from(c.product()));
        Totals { bops: 3 * a + b, ..Totals::default() }
    });
    let outcome = assign(&groups, &list, &cost, &[budget(Quantity::Bops, 100)]);
    let expected = ["start", "flip 1 w6a8", "flip 1 w4a4", "flip 0 w4a4", "undo 1 w6a8"];
    assert_eq!(taken(&outcome), expected);
}

#[test]
fn undoing_starts_with_the_most_harmful() {
    let groups: Vec<Group> = ["a", "b", "c"].map(|name| group(name, &["w8a8", "w4a8"])).into();
    let list = [entry(0, "w4a8", 40.0), entry(1, "w4a8", 30.0), entry(2, "w4a8", 20.0)];
    // The last flip saves much: either of the first two can then go back, not both.
    let macs = [2, 2, 6];
    let cost = Model(|assignment: &[Candidate]| {
        let each = assignment.iter().zip(macs).map(|(c, macs)| u64::from(c.weight_bits) * macs);
        Totals { bops: each.sum(), ..Totals::default() }
    });
    let outcome = assign(&groups, &list, &cost, &[budget(Quantity::Bops, 48)]);
    assert_eq!(taken(&outcome)[3..], ["flip 2 w4a8", "undo 1 w8a8"]);
    assert_eq!(outcome.assignment, [bits("w4a8"), bits("w8a8"), bits("w4a8")]);
    assert_eq!(outcome.first_feasible, Some(3));
}

#[test]
fn a_flip_skipped_early_is_taken_in_a_later_pass() {
    // Group 0 gets faster only once group 1 is narrow.
    let groups = [group("a", &["w8a8", "w4a8"]), group("b", &["w8a8", "w4a8"])];
    let list = [entry(0, "w4a8", 40.0), entry(1, "w4a8", 30.0)];
    let cost = Model(|assignment: &[Candidate]| {
        let ns = match (assignment[0].weight_bits, assignment[1].weight_bits) {
            (4, 4) => 50,
            (8, 4) => 80,
            (4, 8) => 110,
            _ => 100,
        };
        Totals { latency_ns: Some(ns), ..bops(assignment) }
    });
    let outcome = assign(&groups, &list, &cost, &[budget(Quantity::Latency, 60)]);
    assert_eq!(taken(&outcome), ["start", "flip 1 w4a8", "flip 0 w4a8"]);
}

#[test]
fn flips_that_help_only_together_are_taken_and_the_rest_undone() {
    // Two steps need equally much RAM, so no single flip lowers the peak; group 0 is in neither.
    let groups: Vec<Group> = ["a", "b", "c"].map(|name| group(name, &["w8a8", "w8a4"])).into();
    let list = [entry(0, "w8a4", 40.0), entry(1, "w8a4", 30.0), entry(2, "w8a4", 20.0)];
    let cost = Model(|assignment: &[Candidate]| {
        let peak = assignment[1].activation_bits.max(assignment[2].activation_bits);
        Totals { ram_bytes: peak.into(), ..bops(assignment) }
    });
    let outcome = assign(&groups, &list, &cost, &[budget(Quantity::Ram, 6)]);
    let expected = ["start", "plain 0 w8a4", "plain 1 w8a4", "plain 2 w8a4", "undo 0 w8a8"];
    assert_eq!(taken(&outcome), expected);
}

#[test]
fn a_wider_candidate_is_found_where_it_is_faster() {
    // (96, 520, 14) on BitFusion: 37022 cycles at w4a4, 35602 at w4a6. The list tries w4a4 first.
    let groups = [group("a", &["w8a8", "w4a6", "w4a4"])];
    let list = [entry(0, "w4a4", 40.0), entry(0, "w4a6", 30.0)];
    let cost = Model(|assignment: &[Candidate]| {
        let cycles = match assignment[0].activation_bits {
            4 => 37_022,
            6 => 35_602,
            _ => 70_000,
        };
        Totals { cycles: Some(cycles), ..bops(assignment) }
    });
    let outcome = assign(&groups, &list, &cost, &[budget(Quantity::Cycles, 36_000)]);
    assert_eq!(taken(&outcome), ["start", "flip 0 w4a4", "exchange 0 w4a6"]);
}

#[test]
fn an_infeasible_result_is_the_nearest_without_needless_harm() {
    let groups = [group("a", &["w8a8", "w4a8"]), group("b", &["w8a8", "w4a8"])];
    let list = [entry(0, "w4a8", 40.0), entry(1, "w4a8", 30.0)];
    // Group 0 has no weights in flash.
    let cost = Model(|assignment: &[Candidate]| Totals { flash_bytes: u64::from(assignment[1].weight_bits) * 10, ..bops(assignment) });
    let outcome = assign(&groups, &list, &cost, &[budget(Quantity::Flash, 30)]);
    assert!(!outcome.feasible);
    assert_eq!(outcome.first_feasible, None);
    assert_eq!(outcome.assignment, [bits("w8a8"), bits("w4a8")]);
    assert_eq!(outcome.smallest.flash_bytes, 40);
    assert_eq!(outcome.smallest.bops, 64);
}

#[test]
fn invalid_problems_are_errors() {
    let two = [group("a", &["w8a8", "w4a8"])];
    let good = [entry(0, "w4a8", 40.0)];
    let refused = |groups: &[Group], list: &[Sensitivity]| Problem::new(groups, list, &Model(bops)).err().expect("an error");
    let candidate = bits("w4a8");
    assert_eq!(refused(&[group("a", &[])], &[]), ProblemError::NoCandidates { group: 0 });
    assert_eq!(refused(&[group("a", &["w4a8", "w8a8", "w4a8"])], &good), ProblemError::RepeatedCandidate { group: 0, candidate });
    assert_eq!(refused(&two, &[]), ProblemError::MissingEntry { group: 0, candidate });
    let unknown = ProblemError::UnknownCandidate { group: 0, candidate: bits("w4a4") };
    assert_eq!(refused(&two, &[entry(0, "w4a4", 1.0)]), unknown);
    assert_eq!(refused(&two, &[entry(1, "w4a8", 1.0)]), ProblemError::UnknownGroup { group: 1 });
    let twice = [good[0], good[0]];
    assert_eq!(refused(&two, &twice), ProblemError::RepeatedEntry { group: 0, candidate });
    let nan = [entry(0, "w4a8", f64::NAN)];
    assert_eq!(refused(&two, &nan), ProblemError::NotANumber { group: 0, candidate });

    let model = Model(bops);
    let problem = Problem::new(&two, &good, &model).unwrap();
    let unmodelled = Err(ProblemError::NotModelled { quantity: Quantity::Energy });
    assert_eq!(problem.assign(&[budget(Quantity::Energy, 1)]), unmodelled);
    assert!(problem.curve(&[Quantity::Energy]).is_err());
}

#[test]
fn a_network_without_groups_is_assigned() {
    let outcome = assign(&[], &[], &Model(bops), &[budget(Quantity::Bops, 0)]);
    assert!(outcome.feasible);
    let cost = Model(|_: &[Candidate]| Totals { ram_bytes: 1, ..Totals::default() });
    assert!(!assign(&[], &[], &cost, &[budget(Quantity::Ram, 0)]).feasible);
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let candidates = ["w8a8", "w4a8"];
    let groups = [group("a", &candidates), group("b", &candidates)];
    let list = [entry(0, "w4a8", 40.0), entry(1, "w4a8", 30.0)];
    let model = Model(bops);
    let budgets = [budget(Quantity::Bops, 100)];
    let good = assign(&groups, &list, &model, &budgets);
    let fault = |spoil: &dyn Fn(&mut Outcome)| {
        let mut outcome = good.clone();
        spoil(&mut outcome);
        check(&groups, &list, &model, &budgets, &outcome).expect_err("a fault")
    };
    assert_eq!(fault(&|o| o.points.clear()), Fault::Result);
    assert_eq!(fault(&|o| o.feasible = false), Fault::Result);
    assert_eq!(fault(&|o| o.assignment[1] = bits("w4a8")), Fault::Result);
    assert_eq!(fault(&|o| o.points[1].feasible = false), Fault::Mark { point: 1 });
    assert_eq!(fault(&|o| o.points[1].totals.bops = 1), Fault::Totals { point: 1 });
    assert_eq!(fault(&|o| o.points[0].assignment.clear()), Fault::Length { point: 0 });
    let smallest = Fault::Smallest { point: 1, quantity: Quantity::Bops };
    assert_eq!(fault(&|o| o.smallest.bops = 128), smallest);
    let foreign = bits("w2a2");
    let not_a_candidate = Fault::NotACandidate { point: 1, group: 1, candidate: foreign };
    assert_eq!(fault(&|o| o.points[1].assignment[1] = foreign), not_a_candidate);
    let late = |o: &mut Outcome| {
        o.points.remove(0);
        o.points[0].step = Step::Start;
    };
    assert_eq!(fault(&late), Fault::Start { group: 0 });
    let again = |o: &mut Outcome| o.points.push(o.points[1].clone());
    assert_eq!(fault(&again), Fault::Change { point: 2 });
    assert_eq!(fault(&|o| o.first_feasible = None), Fault::FirstFeasible);
    assert_eq!(fault(&|o| o.first_feasible = Some(0)), Fault::FirstFeasible);
    // The flip that is lower in the list, taken first.
    let disorder = |o: &mut Outcome| {
        let (from, to) = (bits("w8a8"), bits("w4a8"));
        o.points[1].step = Step::Flip(Change { group: 1, from, to });
        o.points[1].assignment.swap(0, 1);
        (o.assignment, o.totals) = (o.points[1].assignment.clone(), o.points[1].totals);
    };
    assert_eq!(fault(&disorder), Fault::Order { point: 1 });
    // Called plain, the flip says that the list has nothing useful left.
    let plain = |o: &mut Outcome| {
        let Step::Flip(change) = o.points[1].step else { panic!("a flip") };
        o.points[1].step = Step::PlainFlip(change);
    };
    assert_eq!(fault(&plain), Fault::Order { point: 1 });
    // RAM, which alone violates its budget, does not fall by the flip.
    let ram = Model(|assignment: &[Candidate]| Totals { ram_bytes: 7, ..bops(assignment) });
    let missed = [budget(Quantity::Ram, 6)];
    let mut useless = assign(&groups, &list, &model, &budgets);
    useless.points.iter_mut().for_each(|point| (point.totals.ram_bytes, point.feasible) = (7, false));
    assert!(matches!(useless.points[1].step, Step::Flip(_)));
    useless.smallest.ram_bytes = 7;
    assert_eq!(check(&groups, &list, &ram, &missed, &useless), Err(Fault::Useless { point: 1 }));

    // Under a looser budget the same result has a change too many.
    let loose = [budget(Quantity::Bops, 128)];
    let mut outcome = good.clone();
    let Step::Flip(change) = outcome.points[1].step else { panic!("a flip") };
    outcome.points[1].step = Step::Exchange(change);
    (outcome.points[0].feasible, outcome.first_feasible) = (true, Some(0));
    let undo_left = Fault::UndoLeft { group: 0, candidate: bits("w8a8") };
    assert_eq!(check(&groups, &list, &model, &loose, &outcome), Err(undo_left));
    // Under a tighter one the flips end too early.
    let tight = [budget(Quantity::Bops, 64)];
    let mut outcome = good.clone();
    outcome.points.iter_mut().for_each(|point| point.feasible = false);
    (outcome.feasible, outcome.first_feasible) = (false, None);
    assert_eq!(check(&groups, &list, &model, &tight, &outcome), Err(Fault::Order { point: 2 }));
    // No flip alone lowers the RAM, but all together do.
    let together = Model(|assignment: &[Candidate]| Totals {
        ram_bytes: if assignment.iter().all(|c| *c == bits("w4a8")) { 3 } else { 7 },
        ..bops(assignment)
    });
    outcome.points.truncate(1);
    (outcome.points[0].totals.ram_bytes, outcome.smallest.ram_bytes) = (7, 7);
    (outcome.assignment, outcome.totals) = (outcome.points[0].assignment.clone(), outcome.points[0].totals);
    let narrowest = Err(Fault::NarrowestIsFeasible);
    assert_eq!(check(&groups, &list, &together, &[budget(Quantity::Ram, 5)], &outcome), narrowest);
}
