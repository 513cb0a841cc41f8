//! Running files of layers, and the lookup table that comes of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use apq_lut::{Counter, Entry, LayerKey, Profile, ProfileError, Provenance, Table, TableError, Unit};

use crate::fit::fit;
use crate::synthetic::Batch;

/// Why a machine did not run a file.
pub type MachineError = Box<dyn std::error::Error + Send + Sync>;

/// Counts of one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerCount {
    /// Number of the node.
    pub node: usize,
    /// Number of counts.
    pub samples: u32,
    /// Their mean.
    pub mean: f64,
    /// Largest minus smallest.
    pub spread: f64,
}

/// What a machine says after it has run a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Who counted.
    pub counter: Counter,
    /// Every node.
    pub layers: Vec<LayerCount>,
    /// Mean count of a whole run, with what happens between the nodes; if it was wanted.
    pub total: Option<f64>,
}

/// A board or an emulator.
pub trait Machine: Sync {
    /// Runs a model of so many multiply-accumulates, often enough for counts that are good to 0.1 %. `whole`: whole runs are wanted too.
    ///
    /// # Errors
    /// Whatever went wrong; nothing is counted then.
    fn run(&self, file: &[u8], macs: u64, whole: bool) -> Result<Run, MachineError>;

    /// How many files may run at once: 1 for a board.
    fn parallel(&self) -> usize;
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The machine did not run a file.
    #[error("{0}")]
    Machine(#[source] MachineError),
    /// It ran, and left a layer out.
    #[error("the machine ran the layers and did not count {0}")]
    NotCounted(LayerKey),
    /// It counted, and cannot have.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The fits cannot be told from each other.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Counts of two machines do not go into one table.
    #[error("the machine changed: {} with {}, before {} with {}", now.board, now.kernels, before.board, before.kernels)]
    Changed {
        /// Who counts now.
        now: Box<Counter>,
        /// Who counted before.
        before: Box<Counter>,
    },
    /// The caller could not keep what was counted.
    #[error("{0}")]
    Keep(#[source] MachineError),
}

/// Counts that grow batch by batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    name: String,
    counter: Option<Counter>,
    layers: BTreeMap<LayerKey, LayerCount>,
    /// What a run does between two nodes, once it is known.
    between: Option<f64>,
}

impl Counts {
    /// None yet. `name`: of the table.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), counter: None, layers: BTreeMap::new(), between: None }
    }

    /// Those of a table that an earlier, interrupted call left.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let count = |(key, entry): (&LayerKey, &Entry)| {
            let (_, samples, mean, spread) = entry.provenance.counts()?;
            Some((key.clone(), LayerCount { node: 0, samples, mean, spread }))
        };
        Self {
            name: table.name().to_string(),
            counter: table.profile().map(|profile| profile.counter().clone()),
            layers: table.iter().filter_map(count).collect(),
            between: None,
        }
    }

    /// Whether the layer has been counted.
    #[must_use]
    pub fn contains(&self, key: &LayerKey) -> bool {
        self.layers.contains_key(key)
    }

    /// Number of layers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether nothing has been counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Takes the counts of layers of a model. What a run does between its nodes, known from the first whole run, is shared out among them, so
    /// that the entries of a model's layers sum to its run.
    ///
    /// # Errors
    /// Another machine counted before, or a layer has no count.
    pub fn add(&mut self, layers: &[(usize, LayerKey)], run: &Run) -> Result<(), MeasureError> {
        match &self.counter {
            Some(before) if *before != run.counter => {
                return Err(MeasureError::Changed { now: Box::new(run.counter.clone()), before: Box::new(before.clone()) });
            }
            _ => self.counter = Some(run.counter.clone()),
        }
        let between = *self.between.get_or_insert_with(|| between(run));
        for (node, key) in layers {
            let count = run.layers.iter().find(|count| count.node == *node).ok_or_else(|| MeasureError::NotCounted(key.clone()))?;
            self.layers.insert(key.clone(), LayerCount { mean: count.mean + between, ..*count });
        }
        Ok(())
    }

    /// The counts as a table, without fits.
    ///
    /// # Errors
    /// A count is negative, or there are too many.
    pub fn table(&self) -> Result<Table, MeasureError> {
        let table = Table::new(self.name.clone());
        let Some(counter) = &self.counter else { return Ok(table) };
        let mut table = table.with_profile(Profile::new(counter.clone(), Vec::new())?);
        for (key, LayerCount { samples, mean, spread, .. }) in &self.layers {
            let provenance = match counter.unit {
                Unit::Cycles => Provenance::Measured {
                    board: counter.board.clone(),
                    runner: counter.runner.clone(),
                    samples: *samples,
                    mean_cycles: *mean,
                    spread_cycles: *spread,
                },
                Unit::Instructions => Provenance::Emulated {
                    emulator: counter.runner.clone(),
                    core: counter.board.clone(),
                    samples: *samples,
                    mean_instructions: *mean,
                    spread_instructions: *spread,
                },
            };
            table.insert(key.clone(), Entry { cost: counter.unit.cost(*mean, counter.clock_hz), provenance })?;
        }
        Ok(table)
    }

    /// The table with fits of all counts. `kept`: which layers it also holds themselves.
    ///
    /// # Errors
    /// As [`Counts::table`].
    pub fn finished(&self, kept: impl Fn(&LayerKey) -> bool) -> Result<Table, MeasureError> {
        let Some(counter) = &self.counter else { return self.table() };
        let layers = self.layers.iter().filter(|(key, _)| kept(key)).map(|(key, count)| (key.clone(), *count)).collect();
        let table = Self { layers, ..self.clone() }.table()?;
        let fits = fit(self.layers.iter().map(|(key, count)| (key, count.mean)));
        Ok(table.with_profile(Profile::new(counter.clone(), fits)?))
    }
}

/// What a run does outside of its nodes, for each of them; 0 where no whole run was counted.
pub(crate) fn between(run: &Run) -> f64 {
    let inside: f64 = run.layers.iter().map(|count| count.mean).sum();
    run.total.map_or(0.0, |total| (total - inside).max(0.0) / run.layers.len().max(1) as f64)
}

/// Runs all batches and keeps their counts. `keep` gets the counts after each batch, in any order of the batches.
///
/// # Errors
/// The first batch that the machine does not run; what was counted before is in `counts` and has been kept.
pub fn run_batches(
    machine: &dyn Machine,
    batches: &[Batch],
    counts: &mut Counts,
    mut keep: impl FnMut(&Counts) -> Result<(), MachineError>,
) -> Result<(), MeasureError> {
    let run_one = |batch: &Batch, whole: bool| machine.run(&batch.file, batch.macs(), whole).map_err(MeasureError::Machine);
    let mut take = |batch: &Batch, run: Result<Run, MeasureError>| -> Result<(), MeasureError> {
        counts.add(&batch.layers, &run?)?;
        keep(counts).map_err(MeasureError::Keep)
    };
    // Alone: it shows whether the machine runs anything at all, and what happens between the nodes.
    let Some((first, batches)) = batches.split_first() else { return Ok(()) };
    take(first, run_one(first, true))?;
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..machine.parallel().min(batches.len()) {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send((batch, run_one(batch, false))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (batch, run) in receiver {
            if let Err(error) = take(batch, run) {
                // The others stop after the file that they are at.
                next.store(batches.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    })
}
