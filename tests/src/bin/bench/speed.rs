//! Times on this machine: the integer runtime beside float references, and the stages of a compilation.

use std::path::Path;
use std::time::Instant;

use apq_runtime::{Arithmetic, Model};
use apqc::compile::Compiled;
use apqc::evaluate::run_integer;
use apqc::float::{Executor, Simulation};

use crate::models::{Case, compiled, load, options};
use crate::table::Table;

/// Runs of each figure, of which the median counts.
const RUNS: usize = 5;

/// Prints the table; returns how many figures are not reached.
pub(crate) fn run(data: &Path, names: &[&str]) -> usize {
    let mut table = Table::new("Speed, one core, ms a sample: median of 5 runs");
    for name in names {
        if let Err(error) = model(data, name, &mut table) {
            table.row(*name, format!("failed: {error}"), "runs", "", Some(false));
        }
    }
    table.print()
}

fn model(data: &Path, name: &str, table: &mut Table) -> Result<(), Box<dyn std::error::Error>> {
    let case = load(data, name)?;
    let few = case.calibration.clone().take(8);
    let compiled = compiled(&case, &few, "host", &options("w4a8,w8a8", Vec::new()))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let (integer, tract, own) = pool.install(|| times(&case, &compiled).map_err(|error| error.to_string()))?;
    table.row(
        format!("{name} W8A8, integer runtime"),
        format!("{integer:.2} ({:.2} x tract)", integer / tract),
        "",
        format!("{tract:.2} (tract, float)"),
        None,
    );
    table.row(
        format!("{name} float, our executor"),
        format!("{own:.2} ({:.2} x tract)", own / tract),
        "",
        format!("{tract:.2} (tract, float)"),
        None,
    );
    let seconds = compiled.seconds;
    table.row(format!("{name} sensitivity, 8 samples, W4A8 and W8A8, seconds"), format!("{:.2}", seconds.sensitivity), "", "", None);
    Ok(())
}

/// Milliseconds a sample of the integer runtime, tract and our float executor.
fn times(case: &Case, compiled: &Compiled) -> Result<(f64, f64, f64), Box<dyn std::error::Error>> {
    let samples = case.test.clone().take(8);
    let model = Model::new_checked(&compiled.lowered.file).map_err(|error| error.to_string())?;
    let executor = Executor::new(&case.network.graph);
    let float = Simulation::float(&case.network.graph);
    let inputs: Vec<Vec<f32>> = (0..samples.len()).map(|index| samples.to_f32(index, &case.preprocess)).collect();
    let integer = median(samples.len(), || run_integer(&model, Arithmetic::Native, &samples, || {}).map(drop).map_err(Into::into))?;
    let reference = case.network.reference()?;
    let tract = median(samples.len(), || inputs.iter().try_for_each(|input| reference.run(input).map(drop)).map_err(Into::into))?;
    let own = median(samples.len(), || {
        inputs.iter().for_each(|input| drop(executor.run(&float, input)));
        Ok(())
    })?;
    Ok((integer, tract, own))
}

fn median(samples: usize, mut work: impl FnMut() -> Result<(), Box<dyn std::error::Error>>) -> Result<f64, Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64() * 1e3 / samples as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[RUNS / 2])
}
