//! How far a sensitivity list can be trusted: section 4.2 of "A Practical Mixed Precision Algorithm for Post-Training Quantization" on our models.
//!
//! Each list is compared by Kendall's tau-b with the list by accuracy over the whole test set: by metric, by number of samples (5 random subsets each),
//! and from images of other domains. Then the lists assign, and the test set judges. The test sets report; nothing is tuned on them.

use std::collections::BTreeMap;
use std::path::Path;

use apq_lut::Candidate;
use apq_search::{Budget, Estimator, Problem, Quantity, SampleEnergy, kendall_tau_b, mean_and_deviation};
use apq_targets::Target;
use apqc::compile::Data;
use apqc::data::{Dataset, Raw, dead_leaves, load_at_most};
use apqc::evaluate::top1;
use apqc::float::{CodeSimulation, Simulation};
use apqc::prepare::Prepared;
use apqc::quant::sensitivity::{Measurement, Metric, energy, expanded, measured};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::models::{CALIBRATION_SAMPLES, Case, calibration_pool, load, options};
use crate::table::Table;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The practical candidates of the paper.
const CANDIDATES: &str = "w4a8,w8a8,w8a16";

/// Samples of a subset, and how many subsets are drawn.
const SIZES: [usize; 3] = [16, 64, 256];
const SUBSETS: u64 = 5;

/// Relative BOPs at which lists assign.
const BUDGETS: [f64; 6] = [0.48, 0.44, 0.40, 0.36, 0.32, 0.28];

/// Lists of one set of samples, by the name of their metric: a value for each measured group and candidate.
type Lists = BTreeMap<&'static str, Vec<f64>>;

const NAMES: [&str; 5] = ["sqnr pooled", "sqnr paper", "sqnr db", "fit", "accuracy"];

/// Prints the tables; returns how many figures are not reached.
pub(crate) fn run(data: &Path, names: &[&str]) -> usize {
    let mut table = Table::new("Sensitivity lists: Kendall's tau-b with the list by accuracy over the test set; what they assign");
    for name in names {
        if let Err(error) = load(data, name).and_then(|case| model(data, &case, &mut table)) {
            table.row(*name, format!("failed: {error}"), "runs", "", Some(false));
        }
    }
    table.print()
}

fn model(data: &Path, case: &Case, table: &mut Table) -> Result<()> {
    let target = Target::builtin("host")?;
    let options = options(CANDIDATES, Vec::new());
    let prepare = |calibration: &Dataset| {
        let data = Data { calibration, test: None, preprocess: &case.preprocess };
        Prepared::new(&case.network, &target, &data, &options, &()).map(|prepared| prepared.bank)
    };
    let first = Data { calibration: &case.calibration, test: None, preprocess: &case.preprocess };
    let prepared = Prepared::new(&case.network, &target, &first, &options, &())?;
    let bench = Bench { case, prepared: &prepared, entries: measured(&prepared.grouping, &prepared.widest) };

    let reference = bench.lists(&prepared.bank, &case.test)?.remove("accuracy").ok_or("the test set has no labels")?;
    let tau = |lists: &Lists, name: &str| kendall_tau_b(&reference, lists.get(name)?);
    let whole = bench.lists(&prepared.bank, &case.calibration)?;

    let pool = calibration_pool(data, case)?;
    for size in SIZES {
        let mut taus: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for seed in 0..SUBSETS {
            let subset = part(&pool, &drawn(seed, pool.len(), size))?;
            let lists = bench.lists(&prepare(&subset)?, &subset)?;
            NAMES
                .iter()
                .filter_map(|name| Some((*name, tau(&lists, name)?)))
                .for_each(|(name, tau)| taus.entry(name).or_default().push(tau));
        }
        for name in NAMES {
            let text = taus
                .get(name)
                .and_then(|taus| mean_and_deviation(taus))
                .map_or("-".into(), |(mean, spread)| format!("{mean:.3} +- {spread:.3}"));
            table.row(format!("{}, {name}, {} samples, {SUBSETS} subsets", case.name, size.min(pool.len())), text, "", "", None);
        }
    }
    for (domain, images) in other_domains(data, case)? {
        let lists = bench.lists(&prepare(&images)?, &images)?;
        for name in NAMES {
            let text = tau(&lists, name).map_or("-".into(), |tau| format!("{tau:.3}"));
            table.row(format!("{}, {name}, {} samples of {domain}", case.name, images.len()), text, "", "", None);
        }
    }
    bench.assignments(&whole, table)
}

/// A calibrated network and what is measured of it.
struct Bench<'a> {
    case: &'a Case,
    prepared: &'a Prepared<'a>,
    entries: Vec<(usize, Candidate)>,
}

impl Bench<'_> {
    /// Lists by every metric that the samples allow, with given quantizers.
    fn lists(&self, bank: &apqc::quant::bank::Bank, data: &Dataset) -> Result<Lists> {
        let (graph, grouping, executor) = (&self.case.network.graph, &self.prepared.grouping, &self.prepared.executor);
        let samples: Vec<Vec<f32>> = (0..data.len()).map(|index| data.to_f32(index, &self.case.preprocess)).collect();
        let simulations: Vec<Simulation> =
            self.entries.iter().map(|(group, candidate)| bank.one_group(graph, grouping, *group, *candidate)).collect();
        let float = Simulation::float(graph);
        // One run of a sample serves all estimators and accuracy.
        let runs: Vec<Vec<(SampleEnergy, usize)>> = samples
            .par_iter()
            .map(|sample| {
                let values = executor.run_all(&float, sample);
                let output = values[graph.output.0].as_deref().unwrap_or_default();
                let changed = simulations.iter().map(|simulation| executor.run_changed(simulation, &values));
                changed.map(|quantized| (energy(output, &quantized), top1(&quantized))).collect()
            })
            .collect();
        let mut lists = Lists::new();
        for (name, estimator) in NAMES.into_iter().zip([Estimator::Pooled, Estimator::Paper, Estimator::Db]) {
            let value = |entry: usize| estimator.sqnr_db(&runs.iter().map(|run| run[entry].0).collect::<Vec<_>>());
            lists.insert(name, (0..self.entries.len()).map(value).collect::<std::result::Result<_, _>>()?);
        }
        if let Some(labels) = data.labels() {
            let hits = |entry: usize| runs.iter().zip(labels).filter(|(run, label)| run[entry].1 == **label as usize).count();
            lists.insert("accuracy", (0..self.entries.len()).map(|entry| hits(entry) as f64 / data.len().max(1) as f64).collect());
        }
        let fit = Measurement::new(executor, grouping, bank, Metric::Fit, &self.entries, data.labels())?;
        lists.insert("fit", fit.run(&samples, &(), &|| ()));
        Ok(lists)
    }

    /// Accuracy over the test set of what each list assigns.
    fn assignments(&self, lists: &Lists, table: &mut Table) -> Result<()> {
        let costs = self.prepared.costs(None, false)?;
        let mut known: BTreeMap<String, f64> = BTreeMap::new();
        for name in NAMES {
            let Some(values) = lists.get(name) else { continue };
            let problem = Problem::new(&self.prepared.groups, &expanded(&self.prepared.grouping, &self.entries, values), &costs)?;
            let mut accuracies = Vec::new();
            for r in BUDGETS {
                let limit = (r * 128.0 * self.case.network.macs as f64) as u64;
                let outcome = problem.assign(&[Budget { quantity: Quantity::Bops, limit }])?;
                let key = format!("{:?}", outcome.assignment);
                let accuracy = match known.get(&key) {
                    Some(accuracy) => *accuracy,
                    None => *known.entry(key).or_insert(self.accuracy(outcome.assignment)?),
                };
                accuracies.push(accuracy);
            }
            let each: Vec<String> = accuracies.iter().zip(BUDGETS).map(|(accuracy, r)| format!("{r:.2} {accuracy:.4}")).collect();
            let (mean, _) = mean_and_deviation(&accuracies).unwrap_or_default();
            let what = format!("{}, assigned by {name} of {CALIBRATION_SAMPLES} samples, mean over r", self.case.name);
            table.row(what, format!("{mean:.4} ({})", each.join(", ")), "", "", None);
        }
        Ok(())
    }

    /// Accuracy of the integers, by their simulation on codes, which has the same bits.
    fn accuracy(&self, assignment: Vec<Candidate>) -> Result<f64> {
        let (quantized, _) = self.prepared.finished(assignment, &options(CANDIDATES, Vec::new()), &());
        let simulation = CodeSimulation::new(&quantized).ok_or("a tensor has no quantizer")?;
        let (test, labels) = (&self.case.test, self.case.test.labels().ok_or("the test set has no labels")?);
        let right = |index: usize| top1(&simulation.run(&test.to_f32(index, &self.case.preprocess))) == labels[index] as usize;
        Ok((0..test.len()).into_par_iter().filter(|index| right(*index)).count() as f64 / test.len().max(1) as f64)
    }
}

/// `count` different places among `len`, or all of them.
fn drawn(seed: u64, len: usize, count: usize) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut places: Vec<usize> = (0..len).collect();
    for place in 0..count.min(len) {
        let other = place + (random.next_u64() % (len - place) as u64) as usize;
        places.swap(place, other);
    }
    places.truncate(count);
    places
}

/// Some samples of a data set, in the given order.
pub(crate) fn part(data: &Dataset, places: &[usize]) -> Result<Dataset> {
    let size: usize = data.sample_shape().iter().product();
    fn pick<T: Copy>(values: &[T], size: usize, places: &[usize]) -> Vec<T> {
        places.iter().flat_map(|place| values[place * size..][..size].iter().copied()).collect()
    }
    let raw = match data.raw() {
        Raw::U8(values) => Raw::U8(pick(values, size, places)),
        Raw::I8(values) => Raw::I8(pick(values, size, places)),
        Raw::F32(values) => Raw::F32(pick(values, size, places)),
    };
    let labels = data.labels().map(|labels| pick(labels, 1, places));
    Ok(Dataset::new(data.sample_shape().to_vec(), raw, labels, data.source().into())?)
}

/// Samples of other domains: drawn images, images of another data set, and noise.
pub(crate) fn other_domains(data: &Path, case: &Case) -> Result<Vec<(&'static str, Dataset)>> {
    let shape = case.network.sample_shape().to_vec();
    let size: usize = shape.iter().product();
    let mut noise = vec![0u8; CALIBRATION_SAMPLES * size];
    ChaCha8Rng::seed_from_u64(0).fill_bytes(&mut noise);
    let noise = match case.calibration.raw() {
        Raw::U8(_) => Raw::U8(noise),
        _ => Raw::I8(noise.into_iter().map(|byte| byte as i8).collect()),
    };
    let mut domains = vec![("uniform noise", Dataset::new(shape.clone(), noise, None, "noise".into())?)];
    if let [height, width, 3] = shape[..] {
        domains.push(("drawn dead leaves", dead_leaves(&shape, CALIBRATION_SAMPLES, 0)?));
        if height == 32 {
            domains.push(("ImageNet, centres", load_at_most(&data.join("imagenet-val/calib"), &shape, CALIBRATION_SAMPLES)?));
        } else {
            let small = load_at_most(&data.join("cifar10/calib.npz"), &[32, 32, 3], CALIBRATION_SAMPLES)?;
            domains.push(("CIFAR-10, enlarged", enlarged(&small, height, width)?));
        }
    }
    // Labels of another domain are classes of another network.
    domains
        .into_iter()
        .map(|(name, data)| Ok((name, Dataset::new(shape.clone(), data.raw().clone(), None, data.source().into())?)))
        .collect()
}

/// Nearest-neighbour enlargement of `[32, 32, 3]` images.
fn enlarged(data: &Dataset, height: usize, width: usize) -> Result<Dataset> {
    let Raw::U8(values) = data.raw() else { return Err("CIFAR-10 has bytes".into()) };
    let pixel = |place: usize| {
        let (image, y, x) = (place / (height * width), place / width % height, place % width);
        &values[((image * 32 + y * 32 / height) * 32 + x * 32 / width) * 3..][..3]
    };
    let raw = (0..data.len() * height * width).flat_map(|place| pixel(place).iter().copied()).collect();
    Ok(Dataset::new(vec![height, width, 3], Raw::U8(raw), None, data.source().into())?)
}
