//! The studies behind `docs/results.md`: `reach`, `widths`, `ablation`, `subsets` and `calibration`.
//!
//! Test sets report only. Each row is the integer runtime over the whole test set, with the difference to the float network and its paired 95 %
//! interval. Seeds are 0; subsets are drawn by their number.

use std::path::Path;
use std::time::Instant;

use apq_search::mean_and_deviation;
use apqc::data::Dataset;
use apqc::quant::rounding::Rounding;

use crate::lab::{Float, Lab, Point, Result};
use crate::models::{Case, load};
use crate::sensitivity::{other_domains, part};
use crate::table::{Markdown, Table};

/// What the target's kernels make practical.
const PRACTICAL: &str = "w4a8,w8a8,w8a16";

/// The same with 2-bit weights and 4-bit activations besides.
const WIDE: &str = "w2a8,w4a4,w4a8,w8a8,w8a16";

/// The paper's larger space.
const EIGHT: &str = "w4a4,w4a6,w6a4,w6a6,w8a6,w6a8,w8a8,w8a16";

/// Relative BOPs and the accuracy to reach under them; `wide` says that W2A8 and W4A4 are candidates.
const REACH: [(&str, f64, bool, f64); 11] = [
    ("MobileNetV2", 0.50, false, 0.792),
    ("MobileNetV2", 0.375, false, 0.784),
    ("MobileNetV2", 0.25, false, 0.776),
    ("ResNet8", 0.375, false, 0.870),
    ("ResNet8", 0.25, false, 0.870),
    ("ResNet20", 0.25, false, 0.910),
    ("DS-CNN", 0.25, false, 0.920),
    ("ResNet20", 0.1875, true, 0.910),
    ("ResNet20", 0.125, true, 0.892),
    ("ResNet8", 0.1875, true, 0.855),
    ("ResNet8", 0.125, true, 0.830),
];

/// Figures without a bound to reach.
const REPORTED: [(&str, f64); 2] = [("MobileNetV2", 0.1875), ("MobileNetV2", 0.125)];

/// Rows of the table "what it must reach" that are accuracies. Returns how many are missed.
pub(crate) fn reach(data: &Path, names: &[&str]) -> usize {
    let mut table = Table::new("Mixed precision, descent rounding, 256 calibration samples, integer runtime, full test sets");
    for name in names {
        if let Err(error) = reach_of(data, name, &mut table) {
            table.row(*name, format!("failed: {error}"), "runs", "", Some(false));
        }
    }
    table.print()
}

fn reach_of(data: &Path, name: &str, table: &mut Table) -> Result<()> {
    let case = load(data, name)?;
    let float = Float::new(&case)?;
    table.row(format!("{name} float"), format!("{:.2}", 100.0 * float.accuracy), "", "", None);
    for (candidates, wide) in [(PRACTICAL, false), (WIDE, true)] {
        let bounds = REACH.iter().filter(|row| row.0 == name && row.2 == wide).map(|row| (row.1, Some(row.3)));
        let reported = REPORTED.iter().filter(|row| row.0 == name && wide).map(|row| (row.1, None));
        let rows: Vec<(f64, Option<f64>)> = bounds.chain(reported).collect();
        if rows.is_empty() {
            continue;
        }
        let lab = Lab::new(&case, &case.calibration, candidates, Rounding::Descent)?;
        for (r, bound) in rows {
            let Some(point) = lab.at(Some(r), &float)? else { continue };
            table.row(
                format!("{name}, {candidates}, r = {:.4}", point.r),
                point.to_string(),
                bound.map_or(String::new(), |bound| format!(">= {:.1} at r <= {r}", 100.0 * bound)),
                format!("{:.1} dB, {} bytes", point.sqnr_db, point.file_bytes),
                bound.map(|bound| point.accuracy >= bound - 1e-9),
            );
        }
    }
    Ok(())
}

/// Mixed against fixed precision at equal BOPs.
pub(crate) fn widths(data: &Path, names: &[&str]) -> Result<()> {
    let fixed = [("w8a8", 0.5), ("w6a8", 0.375), ("w6a6", 0.28125), ("w4a8", 0.25)];
    for name in names {
        let case = load(data, name)?;
        let float = Float::new(&case)?;
        let mut table = Markdown::new(
            format!("{name}: mixed against fixed precision at equal r (float {:.2})", 100.0 * float.accuracy),
            &["rounding", "space", "r = 0.5000", "0.3750", "0.2813", "0.2500"],
        );
        for rounding in [Rounding::Nearest, Rounding::Descent] {
            let uniform: Vec<String> = fixed
                .iter()
                .map(|(width, _)| {
                    let lab = Lab::new(&case, &case.calibration, width, rounding)?;
                    cell(lab.at(None, &float)?)
                })
                .collect::<Result<_>>()?;
            table.row([rounding.name().into(), "fixed: W8A8, W6A8, W6A6, W4A8".into()].into_iter().chain(uniform));
            for (title, candidates) in [("practical", PRACTICAL), ("eight candidates", EIGHT)] {
                let lab = Lab::new(&case, &case.calibration, candidates, rounding)?;
                let mixed: Vec<String> = fixed.iter().map(|(_, r)| cell(lab.at(Some(*r), &float)?)).collect::<Result<_>>()?;
                table.row([rounding.name().into(), title.into()].into_iter().chain(mixed));
            }
        }
        table.print();
    }
    Ok(())
}

fn cell(point: Option<Point>) -> Result<String> {
    Ok(point.map_or_else(|| "-".into(), |point| point.to_string()))
}

/// Points of a curve.
const CURVE: [f64; 6] = [0.5, 0.45, 0.4, 0.35, 0.3, 0.25];

/// What becomes of an assignment.
#[derive(Clone, Copy)]
enum Finish {
    /// Layers as the list was measured with.
    Plain,
    /// As it is shipped.
    Shipped,
    /// Rounded in graph order by another method than the list was measured with.
    By(Rounding),
}

/// No rounding method, one only after the assignment, and one inside both phases.
pub(crate) fn ablation(data: &Path, names: &[&str], learned: bool) -> Result<()> {
    let mut methods = vec![Rounding::Descent];
    if learned {
        methods.push(Rounding::AdaRound);
    }
    for name in names {
        let case = load(data, name)?;
        let float = Float::new(&case)?;
        let columns: Vec<String> = CURVE.iter().map(|r| format!("r = {r}")).collect();
        let headings: Vec<&str> = ["rounding", "where", "seconds"].into_iter().chain(columns.iter().map(String::as_str)).collect();
        let mut table =
            Markdown::new(format!("{name}: where rounding helps, {PRACTICAL} (float {:.2})", 100.0 * float.accuracy), &headings);
        let nearest = Lab::new(&case, &case.calibration, PRACTICAL, Rounding::Nearest)?;
        let mut row = |method: &str, place: &str, lab: &Lab<'_>, finish: Finish| -> Result<()> {
            let start = Instant::now();
            let mut cells = Vec::new();
            for r in CURVE {
                let Some(assignment) = lab.assignment(Some(r))? else { continue };
                let network = match finish {
                    Finish::Plain => lab.prepared.quantized(assignment),
                    Finish::Shipped => lab.finished(assignment),
                    Finish::By(method) => lab.finished_by(assignment, method),
                };
                cells.push(lab.judge(&network, &float)?.to_string());
            }
            table.row([method.into(), place.into(), format!("{:.0}", start.elapsed().as_secs_f64())].into_iter().chain(cells));
            Ok(())
        };
        row("nearest", "-", &nearest, Finish::Plain)?;
        row("nearest, biases corrected", "-", &nearest, Finish::Shipped)?;
        for method in &methods {
            row(method.name(), "after the assignment", &nearest, Finish::By(*method))?;
            let both = Lab::new(&case, &case.calibration, PRACTICAL, *method)?;
            row(method.name(), "in both phases", &both, Finish::Shipped)?;
        }
        table.print();
    }
    Ok(())
}

/// Curves from five subsets of the calibration data, and the range of SQNR over the groups.
pub(crate) fn subsets(data: &Path, names: &[&str]) -> Result<()> {
    const SUBSETS: usize = 5;
    for name in names {
        let case = load(data, name)?;
        let float = Float::new(&case)?;
        let columns: Vec<String> = CURVE.iter().map(|r| format!("r = {r}")).collect();
        let headings: Vec<&str> = ["subset", "SQNR of the groups, dB"].into_iter().chain(columns.iter().map(String::as_str)).collect();
        let mut table = Markdown::new(format!("{name}: five disjoint parts of the calibration data, {PRACTICAL}"), &headings);
        let mut accuracies = vec![Vec::new(); CURVE.len()];
        for subset in 0..SUBSETS {
            let places: Vec<usize> = (subset..case.calibration.len()).step_by(SUBSETS).collect();
            let some = part(&case.calibration, &places)?;
            let lab = Lab::new(&case, &some, PRACTICAL, Rounding::Descent)?;
            let (low, high) = lab
                .list
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), entry| (low.min(entry.sqnr_db), high.max(entry.sqnr_db)));
            let mut cells = vec![format!("{} ({} samples)", subset + 1, some.len()), format!("{low:.1} .. {high:.1}")];
            for (r, accuracies) in CURVE.iter().zip(&mut accuracies) {
                let point = lab.at(Some(*r), &float)?.ok_or("the narrowest candidates miss the budget")?;
                accuracies.push(point.accuracy);
                cells.push(format!("{:.2}", 100.0 * point.accuracy));
            }
            table.row(cells);
        }
        let spread = |values: &Vec<f64>| {
            mean_and_deviation(values)
                .map_or_else(String::new, |(mean, deviation)| format!("{:.2} +- {:.2}", 100.0 * mean, 100.0 * deviation))
        };
        table.row(["mean and deviation".to_string(), String::new()].into_iter().chain(accuracies.iter().map(spread)));
        table.print();
    }
    Ok(())
}

/// Numbers of calibration samples, and where they come from: the task's own, another task's, drawn.
pub(crate) fn calibration(data: &Path, names: &[&str]) -> Result<()> {
    const COUNTS: [usize; 3] = [16, 64, 256];
    for name in names {
        let case = load(data, name)?;
        let float = Float::new(&case)?;
        let mut table = Markdown::new(
            format!("{name}: calibration data, W8A8 and W4A8 by descent (float {:.2})", 100.0 * float.accuracy),
            &["samples", "from", "W8A8", "W4A8"],
        );
        for (source, all) in sources(data, &case)? {
            for count in COUNTS.into_iter().filter(|count| *count <= all.len()) {
                let some = all.clone().take(count);
                let mut cells = vec![count.to_string(), source.into()];
                for width in ["w8a8", "w4a8"] {
                    let lab = Lab::new(&case, &some, width, Rounding::Descent)?;
                    cells.push(cell(lab.at(None, &float)?)?);
                }
                table.row(cells);
            }
        }
        table.print();
    }
    Ok(())
}

fn sources(data: &Path, case: &Case) -> Result<Vec<(&'static str, Dataset)>> {
    Ok([("the task's own data", case.calibration.clone())].into_iter().chain(other_domains(data, case)?).collect())
}
