//! Task budgets: how far down a curve of assignments the network still does its task.
//!
//! Accuracy is compared with the float network on labelled samples, SQNR and agreement on the calibration samples. A point is evaluated as it would be
//! shipped: ranges as found once, layers rounded with the inputs that they get, lowered, and run on the integer runtime.

use std::sync::Arc;

use apq_lut::Candidate;
use apq_runtime::{Arithmetic, Model};
use apq_search::{Scheme, Totals, locate};

use crate::compile::{CompileError, Data, Options, Progress, Stage, run_reference};
use crate::data::Dataset;
use crate::evaluate::{Quality, quality, run_integer};
use crate::lower::LowerError;
use crate::prepare::{Prepared, check_samples};

/// What the network must still do, all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TaskBudgets {
    /// Most accuracy lost against the float network, as a fraction of the samples.
    pub accuracy_drop: Option<f64>,
    /// Least SQNR against the float network in dB.
    pub sqnr_db_min: Option<f64>,
    /// Least share of samples with the float network's top class.
    pub agreement_min: Option<f64>,
}

/// How a task budget is searched, and on what it is decided.
#[derive(Debug, Clone, Default)]
pub struct TaskOptions {
    /// The budgets.
    pub budgets: TaskBudgets,
    /// How the curve is searched.
    pub scheme: Scheme,
    /// Labelled samples that decide about accuracy; `None`: the test samples do.
    pub labelled: Option<Arc<Dataset>>,
}

/// A budget held against its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TaskVerdict {
    /// `accuracy_drop`, `sqnr_db_min` or `agreement_min`.
    pub name: &'static str,
    /// As stated.
    pub limit: f64,
    /// What the network has.
    pub value: f64,
    /// Distance from the limit, 0 or more where it is met: in points of percentage, or in dB.
    pub margin: f64,
}

impl TaskBudgets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == TaskBudgets::default()
    }

    /// Every budget held against what a point reached.
    pub fn verdicts(&self, point: &Evaluation) -> Vec<TaskVerdict> {
        let mut verdicts = Vec::new();
        if let (Some(limit), Some(drop)) = (self.accuracy_drop, point.accuracy_drop) {
            verdicts.push(TaskVerdict { name: "accuracy_drop", limit, value: drop, margin: 100.0 * (limit - drop) });
        }
        if let (Some(limit), Some(quality)) = (self.sqnr_db_min, &point.calibration) {
            let value = quality.sqnr_db.unwrap_or(f64::NEG_INFINITY);
            verdicts.push(TaskVerdict { name: "sqnr_db_min", limit, value, margin: value - limit });
        }
        if let (Some(limit), Some(quality)) = (self.agreement_min, &point.calibration) {
            let value = quality.agreement.unwrap_or(0.0);
            verdicts.push(TaskVerdict { name: "agreement_min", limit, value, margin: 100.0 * (value - limit) });
        }
        verdicts
    }

    fn margin(&self, point: &Evaluation) -> f64 {
        self.verdicts(point).iter().map(|verdict| verdict.margin).fold(f64::INFINITY, f64::min)
    }
}

/// What one assignment is worth as integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Over the calibration samples, against the float network.
    pub calibration: Option<Quality>,
    /// Over the labelled samples.
    pub accuracy_top1: Option<f64>,
    /// Accuracy of the float network on the labelled samples minus this one's: a whole number of samples over their number.
    pub accuracy_drop: Option<f64>,
    /// Bytes of the file.
    pub flash_bytes: u64,
    /// Bytes of the arena.
    pub ram_bytes: u64,
}

/// Evaluates assignments of one network.
pub struct Evaluator<'a> {
    prepared: &'a Prepared<'a>,
    calibration: Option<&'a Dataset>,
    labelled: Option<(&'a Dataset, usize)>,
    options: &'a Options,
    progress: &'a dyn Progress,
}

/// Samples whose top class is their label.
fn hits(outputs: &[Vec<f32>], data: &Dataset) -> usize {
    let share = quality(outputs, data.labels(), None).accuracy_top1.unwrap_or(0.0);
    (share * outputs.len() as f64).round() as usize
}

impl<'a> Evaluator<'a> {
    /// Runs the labelled samples, where there are any, in floats.
    pub fn new(
        prepared: &'a Prepared<'a>,
        data: &Data<'a>,
        calibration: bool,
        labelled: Option<&'a Dataset>,
        options: &'a Options,
        progress: &'a dyn Progress,
    ) -> Result<Self, CompileError> {
        let labelled = match labelled.filter(|data| data.labels().is_some() && !data.is_empty()) {
            Some(labelled) => {
                check_samples(prepared.network, labelled)?;
                let float = run_reference(prepared.network, labelled, data.preprocess, || ())?;
                Some((labelled, hits(&float, labelled)))
            }
            None => None,
        };
        Ok(Evaluator { prepared, calibration: calibration.then_some(data.calibration), labelled, options, progress })
    }

    /// Accuracy of the float network on the labelled samples.
    pub fn float_accuracy(&self) -> Option<f64> {
        self.labelled.map(|(data, hits)| hits as f64 / data.len() as f64)
    }

    /// Lowers the network at these widths and runs it.
    pub fn evaluate(&self, assignment: &[Candidate]) -> Result<Evaluation, CompileError> {
        let (mut network, _) = self.prepared.finished(assignment.to_vec(), self.options, self.progress);
        let (logits, kept) = self.prepared.lowered(&mut network)?;
        let lowered = kept.as_ref().unwrap_or(&logits);
        let file = Model::new_checked(&logits.file).map_err(LowerError::Refused)?;
        let steps = self.calibration.map_or(0, Dataset::len) + self.labelled.map_or(0, |(data, _)| data.len());
        self.progress.begin(Stage::Evaluate, steps);
        let run = |data: &Dataset| run_integer(&file, Arithmetic::Native, data, || self.progress.step());
        let mut point = Evaluation {
            calibration: None,
            accuracy_top1: None,
            accuracy_drop: None,
            flash_bytes: lowered.file.len() as u64,
            ram_bytes: lowered.spec.arena_bytes as u64,
        };
        if let Some(data) = self.calibration {
            point.calibration = Some(quality(&run(data)?, None, Some(&self.prepared.reference_outputs)));
        }
        if let Some((data, float)) = self.labelled {
            let own = hits(&run(data)?, data);
            point.accuracy_top1 = Some(own as f64 / data.len() as f64);
            point.accuracy_drop = Some((float as f64 - own as f64) / data.len() as f64);
        }
        Ok(point)
    }
}

/// One evaluated point of the curve.
#[derive(Debug, Clone)]
pub struct EvaluatedPoint {
    /// Position on the curve, from the widest.
    pub point: usize,
    /// Cost of the network, by the cost model.
    pub totals: Totals,
    /// What it is worth.
    pub evaluation: Evaluation,
    /// Whether it meets every task budget.
    pub met: bool,
}

/// A search for the last point of a curve that meets the task budgets.
#[derive(Debug, Clone)]
pub struct TaskSearch {
    /// How it was searched.
    pub scheme: Scheme,
    /// Points of the curve.
    pub points: usize,
    /// Points that were evaluated, in the order of evaluation, each once.
    pub evaluated: Vec<EvaluatedPoint>,
    /// The result's position on the curve.
    pub point: usize,
    /// Whether it meets every task budget.
    pub met: bool,
    /// The budgets against the result.
    pub verdicts: Vec<TaskVerdict>,
    /// Accuracy of the float network on the labelled samples that decided.
    pub float_accuracy: Option<f64>,
    /// Where those samples come from, and how many there are.
    pub labelled: Option<(String, usize)>,
}

/// Searches `curve`, from the widest assignment to the narrowest; it has at least one point.
pub fn search(
    curve: &[(Vec<Candidate>, Totals)],
    evaluator: &Evaluator<'_>,
    budgets: &TaskBudgets,
    scheme: Scheme,
) -> Result<TaskSearch, CompileError> {
    let mut evaluated: Vec<EvaluatedPoint> = Vec::new();
    let located = locate(curve.len(), scheme, |point| {
        let (assignment, totals) = &curve[point];
        let evaluation = evaluator.evaluate(assignment)?;
        let margin = budgets.margin(&evaluation);
        evaluated.push(EvaluatedPoint { point, totals: *totals, evaluation, met: margin >= 0.0 });
        Ok::<f64, CompileError>(margin)
    })?;
    let result = evaluated.iter().find(|one| one.point == located.point);
    Ok(TaskSearch {
        scheme,
        points: curve.len(),
        verdicts: result.map(|one| budgets.verdicts(&one.evaluation)).unwrap_or_default(),
        evaluated,
        point: located.point,
        met: located.met,
        float_accuracy: evaluator.float_accuracy(),
        labelled: evaluator.labelled.map(|(data, _)| (data.source().to_string(), data.len())),
    })
}
