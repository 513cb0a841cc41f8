//! Tables from machines that are formulas: what is counted, kept, resumed, fitted and checked.

use std::sync::Mutex;

use apq_lut::{Candidate, CostModel, Counter, LayerKey, Provenance, Unit};
use apq_profile::check::check;
use apq_profile::design::layers;
use apq_profile::keys::{layer_key, model_keys};
use apq_profile::measure::{Counts, MeasureError, run_batches};
use apq_profile::synthetic::{Batch, Limits, batches};
use apq_profile::{LayerCount, Machine, MachineError, Run};
use apq_runtime::Model;
use apq_targets::Target;

const LIMITS: Limits = Limits { file_bytes: 128 << 10, arena_bytes: 96 << 10, layers: 24 };

/// Instructions between two nodes.
const BETWEEN: f64 = 250.0;

/// Counts by a loop nest over blocks of two channels and four columns.
struct Formula {
    unit: Unit,
    /// Fails from this file on.
    files_max: usize,
    run: Mutex<usize>,
}

impl Formula {
    fn new(unit: Unit) -> Self {
        Self { unit, files_max: usize::MAX, run: Mutex::new(0) }
    }
}

fn count(key: &LayerKey) -> f64 {
    let up = |value: u32, block: u32| f64::from(value.div_ceil(block));
    let pixels = key.output[0] * key.output[1] * key.rows;
    let outputs = f64::from(pixels * key.output_channels);
    if !key.operator.has_weights() {
        return 300.0 + 12.0 * outputs;
    }
    let products = key.kernel[0] * key.kernel[1] * key.input_channels / key.groups;
    let tiles = f64::from(key.groups) * up(key.output_channels / key.groups, 2) * up(pixels, 4);
    let width = f64::from(key.weight_bits + key.activation_bits);
    410.0 + 7.0 * outputs + tiles * (31.0 + width * up(products, 4)) + 1.3 * f64::from(key.groups * pixels * products)
}

impl Machine for Formula {
    fn run(&self, file: &[u8], macs: u64, whole: bool) -> Result<Run, MachineError> {
        let mut run = self.run.lock().map_err(|_| "poisoned")?;
        *run += 1;
        if *run > self.files_max {
            return Err("the board has not answered for 5 s".into());
        }
        assert!(macs > 0);
        let file = apq_runtime::build::AlignedBytes::from(file);
        let model = Model::new_checked(&file)?;
        let of = |node| layer_key(&model, &node).map_or(0.0, |key| count(&key));
        let layers: Vec<LayerCount> =
            model.nodes().map(of).enumerate().map(|(node, mean)| LayerCount { node, samples: 3, mean, spread: 2.0 }).collect();
        let total = layers.iter().map(|layer| layer.mean + BETWEEN).sum();
        let counter =
            Counter { board: "formula".into(), runner: "test".into(), kernels: "none".into(), unit: self.unit, clock_hz: 100_000_000 };
        Ok(Run { counter, layers, total: whole.then_some(total) })
    }

    fn parallel(&self) -> usize {
        2
    }
}

fn files(candidates: &[&str]) -> (Target, Vec<LayerKey>, Vec<Batch>) {
    let target = Target::builtin("cortex-m4").unwrap();
    let candidates: Vec<Candidate> = candidates.iter().map(|text| text.parse().unwrap()).collect();
    let keys = layers(&target, &candidates);
    let (files, skipped) = batches(&target, &keys, &LIMITS, 0);
    assert!(skipped.is_empty() && files.len() > 3);
    (target, keys, files)
}

#[test]
fn counts_become_entries_and_estimates_of_other_layers() {
    let (target, keys, files) = files(&["w8a8"]);
    for unit in [Unit::Instructions, Unit::Cycles] {
        let (mut counts, mut kept) = (Counts::new("cortex-m4"), 0);
        run_batches(&Formula::new(unit), &files, &mut counts, |now| {
            kept += 1;
            assert!(!now.table()?.is_empty());
            Ok(())
        })
        .unwrap();
        assert_eq!((kept, counts.len()), (files.len(), keys.len()));
        let table = counts.finished(|_| true).unwrap();
        for key in &keys {
            let entry = table.answer(key).unwrap();
            let expected = count(key) + BETWEEN;
            let (of, samples, mean, spread) = entry.provenance.counts().unwrap();
            assert_eq!((of, samples, spread), (unit, 3, 2.0));
            assert!((mean - expected).abs() < 1e-6 * expected, "{key}");
            let cycles = (unit == Unit::Cycles).then_some((mean + 0.5) as u64);
            assert_eq!((entry.cost, entry.cost.cycles), (unit.cost(mean, 100_000_000), cycles), "instructions are no cycles");
        }
        // Layers that were not measured.
        let bits = Candidate::new(8, 8).unwrap();
        let others = [
            LayerKey::conv([32, 32], 16, 32, [3, 3], [1, 1], [1; 4], bits).unwrap(),
            LayerKey::conv([48, 48], 8, 16, [1, 1], [1, 1], [0; 4], bits).unwrap(),
            LayerKey::conv([96, 96], 3, 8, [3, 3], [2, 2], [0, 0, 1, 1], bits).unwrap(),
            LayerKey::fully_connected(1, 640, 128, bits),
        ];
        for key in others {
            let (entry, expected) = (table.answer(&key).unwrap(), count(&key) + BETWEEN);
            let Provenance::Estimated { count, error_max, .. } = entry.provenance else { panic!("{key} was not measured") };
            assert!((count / expected - 1.0).abs() < 0.01 && error_max < 0.1, "{key}: {count} {expected} {error_max}");
            assert!(table.estimates(&key) && table.cost(&key).is_ok());
        }
        let compact = counts.finished(|_| false).unwrap();
        assert!(compact.is_empty() && compact.profile() == table.profile());
        assert!(target.cost_model(Some(&compact)).unwrap().cost(&keys[0]).is_ok());
    }
}

#[test]
fn what_was_counted_before_a_failure_is_kept_and_goes_on() {
    let (target, keys, files) = files(&["w4a8"]);
    let machine = Formula { files_max: 2, ..Formula::new(Unit::Instructions) };
    let (mut counts, mut kept) = (Counts::new("cortex-m4"), String::new());
    let keep = |now: &Counts, kept: &mut String| -> Result<(), MachineError> {
        *kept = now.table()?.to_json()?;
        Ok(())
    };
    let error = run_batches(&machine, &files, &mut counts, |now| keep(now, &mut kept)).unwrap_err();
    assert!(error.to_string().contains("has not answered"), "{error}");
    let table = apq_lut::Table::from_json(&kept).unwrap();
    let mut again = Counts::of(&table);
    assert!(!again.is_empty() && again.len() < keys.len());
    let left: Vec<LayerKey> = keys.iter().filter(|key| !again.contains(&(*key).clone().with_needed_padding())).cloned().collect();
    let (rest, _) = batches(&target, &left, &LIMITS, 0);
    run_batches(&Formula::new(Unit::Instructions), &rest, &mut again, |_| Ok(())).unwrap();
    let mut whole = Counts::new("cortex-m4");
    run_batches(&Formula::new(Unit::Instructions), &files, &mut whole, |_| Ok(())).unwrap();
    assert_eq!(again.finished(|_| true).unwrap().len(), whole.finished(|_| true).unwrap().len());
    // Another board does not go on with it.
    let error = run_batches(&Formula::new(Unit::Cycles), &rest, &mut again, |_| Ok(())).unwrap_err();
    assert!(matches!(error, MeasureError::Changed { .. }), "{error}");
    // Nor is anything lost in silence.
    let full = run_batches(&Formula::new(Unit::Instructions), &files, &mut Counts::new("x"), |_| Err("disk full".into())).unwrap_err();
    assert!(matches!(full, MeasureError::Keep(_)) && full.to_string() == "disk full");
}

#[test]
fn predictions_are_compared_layer_by_layer_and_in_all() {
    let (_, _, files) = files(&["w8a8"]);
    let machine = Formula::new(Unit::Instructions);
    let mut counts = Counts::new("cortex-m4");
    run_batches(&machine, &files, &mut counts, |_| Ok(())).unwrap();
    let table = counts.finished(|_| true).unwrap();
    let model = Model::new_checked(&files[1].file).unwrap();
    let run = machine.run(&files[1].file, 1, true).unwrap();
    let checked = check(&table, &model, &run).unwrap();
    assert_eq!(checked.layers.len(), model_keys(&model).len());
    assert_eq!(checked.measured, run.total.unwrap());
    for (index, key) in &files[1].layers {
        let position = model_keys(&model).iter().position(|(node, _)| node == index).unwrap();
        let layer = &checked.layers[position];
        assert_eq!((&layer.key.clone().with_needed_padding(), layer.estimated), (key, false));
        assert!((layer.predicted / layer.measured - 1.0).abs() < 1e-9);
    }
    assert!(checked.fit_error().unwrap().abs() < 0.1 && checked.error().abs() < 0.1, "{} {:?}", checked.error(), checked.fit_error());
    // A machine that has become twice as slow shows.
    let mut slow = run.clone();
    slow.layers.iter_mut().for_each(|layer| layer.mean *= 2.0);
    slow.total = slow.total.map(|total| total * 2.0);
    assert!((check(&table, &model, &slow).unwrap().error() + 0.5).abs() < 0.05);
}
