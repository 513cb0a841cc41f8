//! Joint search on this machine: candidates that a predictor takes a second, and seconds of a whole search.

use std::process::ExitCode;
use std::time::Instant;

use apq_search::evolution::{Costs, Deployment, Domain, Options, Predicted, evolve, joint, pareto, random, sequential, widest_largest};
use apq_search::predictor::{Dense, MatrixProduct, Portable, Predictor, Scale};
use apq_search::space::{DesignCosts, Encoding, Space, sample_architecture, sample_policy};
use apq_search::{Budget, Quantity};
use apq_targets::{BitFusion, Target};
use apqc::supernet::Parallel;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::table::Table;

/// Runs of each figure, of which the best counts: what else runs on the machine only adds time.
const RUNS: usize = 3;

/// Width of the predictor's layers.
const WIDTH: usize = 400;

/// Prints the table; it needs no data.
pub(crate) fn main() -> ExitCode {
    let mut table = Table::new("Joint search, the 21 blocks of the paper on BitFusion: best of 3 runs or more");
    if let Err(error) = rows(&mut table) {
        table.row("joint search", format!("failed: {error}"), "runs", "", Some(false));
    }
    match table.print() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn rows(table: &mut Table) -> Result<(), Box<dyn std::error::Error>> {
    let space = Space::imagenet();
    let target = Target::builtin("bitfusion")?;
    let encoding = Encoding::new(&space)?;
    let predictor = predictor(encoding.dimensions())?;
    let start = Instant::now();
    let costs = DesignCosts::new(&space, &target, Some(&BitFusion))?;
    table.row("table of costs, seconds", format!("{:.2}", start.elapsed().as_secs_f64()), "", "", None);

    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut encoded = |count: usize| -> Result<Vec<Vec<u32>>, apq_search::space::SpaceError> {
        let mut one = || {
            let architecture = sample_architecture(&space, &mut rng);
            encoding.encode(&architecture, Some(&sample_policy(costs.choices(), &architecture, &mut rng)))
        };
        (0..count).map(|_| one()).collect()
    };
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    for count in [100, 1000] {
        let candidates = encoded(count)?;
        let mut rate = |product: &mut (dyn MatrixProduct + Send), reach: f64, name: &str| -> Result<(), Box<dyn std::error::Error>> {
            let seconds =
                single.install(|| best(|| predictor.predict(&candidates, product).map(drop).map_err(|error| error.to_string())))?;
            let (rate, reach) = (count as f64 / seconds, (count == 1000).then_some(reach));
            let met = reach.map(|reach| rate >= reach);
            let reach = reach.map(|reach| format!(">= {reach}")).unwrap_or_default();
            table.row(format!("candidates/s, one core, batches of {count}, {name}"), format!("{rate:.0}"), reach, "", met);
            Ok(())
        };
        rate(&mut Portable, 20_000.0, "portable")?;
        rate(&mut Parallel, 100_000.0, "ndarray's product")?;
    }

    let domain = Domain::new(&space, costs.choices())?;
    let largest = costs.totals(&widest_largest(&domain)).and_then(|totals| totals.latency_ns).ok_or("latency is not modelled")?;
    let two = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
    for percent in [60, 30] {
        let budgets = [Budget { quantity: Quantity::Latency, limit: largest * percent / 100 }];
        let deployment = || Deployment { domain: &domain, costs: &costs, budgets: &budgets };
        let options = Options::default();
        let mut evaluations = 0;
        let mut time = |work: &mut (dyn FnMut(&mut Predicted<Parallel>) -> Result<u64, String> + Send)| -> Result<f64, String> {
            let mut scorer = Predicted::new(&encoding, &predictor, Parallel).map_err(|error| error.to_string())?;
            two.install(|| {
                best(|| {
                    evaluations = work(&mut scorer)?;
                    Ok(())
                })
            })
        };
        let text = |error: apq_search::evolution::SearchError| error.to_string();
        let seconds = time(&mut |scorer| evolve(&deployment(), scorer, &options).map(|found| found.evaluations).map_err(text))?;
        let what = format!("500 iterations of 100 at {percent} % of the largest network's latency, seconds on 2 cores");
        table.row(what, format!("{seconds:.2}"), "<= 2", "half a GPU hour", Some(seconds <= 2.0));
        let count = options.evaluations();
        let seconds = time(&mut |scorer| random(&deployment(), scorer, count, &options).map(|found| found.evaluations).map_err(text))?;
        table.row("as many by chance", format!("{seconds:.2}"), "", "", None);
        let seconds = time(&mut |scorer| sequential(&deployment(), scorer, &options).map(|_| 0).map_err(text))?;
        table.row("four sequential chains", format!("{seconds:.2}"), "", "", None);
        let seconds = time(&mut |scorer| joint(&deployment(), scorer, &options).map(|found| found.evaluations).map_err(text))?;
        table.row("what `compile` runs: those chains, then the evolution", format!("{seconds:.2}"), "", "", None);
        let objectives = [Quantity::Latency, Quantity::Energy, Quantity::Flash];
        let mut points = 0;
        let seconds = time(&mut |scorer| {
            let front = pareto(&deployment(), scorer, &objectives, &options).map_err(text)?;
            points = front.points.len();
            Ok(front.evaluations)
        })?;
        table.row(format!("the front of accuracy, latency, energy and flash ({points} points)"), format!("{seconds:.2}"), "", "", None);
    }
    Ok(())
}

/// Random weights of the paper's sizes.
fn predictor(dimensions: usize) -> Result<Predictor, apq_search::predictor::PredictorError> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut inputs = dimensions;
    let mut dense = |outputs: usize| {
        let bound = (3.0 / inputs as f32).sqrt();
        let weight = (0..inputs * outputs).map(|_| rng.random_range(-bound..bound)).collect();
        inputs = outputs;
        Dense { weight, bias: vec![0.01; outputs] }
    };
    let layers = [WIDTH; 3].map(&mut dense);
    Predictor::new(dimensions, layers, dense(1), Scale { mean: 0.7, deviation: 0.05 })
}

/// Seconds of the fastest of [`RUNS`] runs, or of as many as fit into a second.
fn best(mut work: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    let mut best = f64::INFINITY;
    let all = Instant::now();
    for run in 0.. {
        if run >= RUNS && (all.elapsed().as_secs_f64() > 1.0 || run >= 100 * RUNS) {
            break;
        }
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}
