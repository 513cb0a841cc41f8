//! What a table predicts for a whole model, beside what the model took.

use apq_lut::{CostError, CostModel, Entry, LayerKey, Table};
use apq_runtime::Model;

use crate::keys::model_keys;
use crate::measure::{Run, between};

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCheck {
    /// The layer's name in the model.
    pub name: String,
    /// Its key.
    pub key: LayerKey,
    /// What the table says.
    pub predicted: f64,
    /// Whether that is an estimate, and not an entry of this very layer.
    pub estimated: bool,
    /// What the table's fits say, where they answer for the layer.
    pub fitted: Option<f64>,
    /// What it took, with its share of what happens between layers.
    pub measured: f64,
}

/// A whole model, in the unit of the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCheck {
    /// All layers that compute something.
    pub layers: Vec<LayerCheck>,
    /// Sum of the predictions.
    pub predicted: f64,
    /// Sum of the fits alone; `None` where a layer has none.
    pub fitted: Option<f64>,
    /// The whole run.
    pub measured: f64,
}

/// `a / b - 1`.
#[must_use]
pub fn relative(a: f64, b: f64) -> f64 {
    if a == b { 0.0 } else { a / b - 1.0 }
}

impl ModelCheck {
    /// Relative error of the prediction.
    #[must_use]
    pub fn error(&self) -> f64 {
        relative(self.predicted, self.measured)
    }

    /// Relative error of the fits alone.
    #[must_use]
    pub fn fit_error(&self) -> Option<f64> {
        Some(relative(self.fitted?, self.measured))
    }
}

/// Compares the table with a run of the model on the same kind of machine.
///
/// # Errors
/// The table has no answer for a layer.
pub fn check(table: &Table, model: &Model<'_>, run: &Run) -> Result<ModelCheck, CostError> {
    let between = between(run);
    let mut layers = Vec::new();
    for (index, key) in model_keys(model) {
        table.cost(&key)?;
        let Some(entry) = table.answer(&key) else { continue };
        let measured = run.layers.iter().find(|count| count.node == index).map_or(0.0, |count| count.mean + between);
        let name = model.node(index as u16).map_or(String::new(), |node| node.name.to_string());
        layers.push(LayerCheck {
            name,
            predicted: count(&entry, run.counter.clock_hz),
            estimated: entry.provenance.is_estimate(),
            fitted: table.profile().and_then(|profile| profile.count(&key)),
            measured,
            key,
        });
    }
    Ok(ModelCheck {
        predicted: layers.iter().map(|layer| layer.predicted).sum(),
        fitted: layers.iter().map(|layer| layer.fitted).sum(),
        measured: run.total.unwrap_or_else(|| run.layers.iter().map(|count| count.mean).sum()),
        layers,
    })
}

/// The count behind an entry; where nobody counted, cycles or latency at that clock.
fn count(entry: &Entry, clock_hz: u64) -> f64 {
    if let Some((_, _, mean, _)) = entry.provenance.counts() {
        return mean;
    }
    match (&entry.provenance, entry.cost.cycles) {
        (apq_lut::Provenance::Estimated { count, .. }, _) => *count,
        (_, Some(cycles)) => cycles as f64,
        _ => entry.cost.latency_ns.unwrap_or(0.0) * clock_hz as f64 / 1e9,
    }
}
