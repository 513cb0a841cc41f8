//! Tables for people.

use std::collections::BTreeMap;
use std::path::Path;

use apq_targets::Target;
use comfy_table::{CellAlignment, Table, TableComponent, presets};

use super::Report;
use super::search::{assignments_table, task_table};
use crate::units::{human_bytes, human_count};

/// An empty table in the tool's style; columns from `numbers` on are aligned to the right.
pub(crate) fn table(header: &[&str], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for line in [TableComponent::HeaderLines, TableComponent::MiddleHeaderIntersections, TableComponent::LeftHeaderIntersection] {
        table.set_style(line, '\u{2500}');
    }
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A fraction as a percentage, or a dash.
pub(crate) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or("-".into(), |fraction| format!("{:.2} %", 100.0 * fraction))
}

/// Groups whose narrowest candidate disturbs the output most.
const MOST_SENSITIVE: usize = 5;

/// The summary of a compilation.
pub(crate) fn summary(report: &Report, target: &Target, directory: &Path, from_cache: bool, quiet: bool) -> String {
    let mut parts = Vec::new();
    let verdict = match (report.budgets.is_empty(), report.feasible) {
        (true, _) if report.supernet.is_some() => "no budget: the most accurate design",
        (true, _) if report.search.assign_by == "file" => "bit widths as given",
        (true, _) => "no budget: the widest candidates",
        (false, true) => "every budget is met",
        (false, false) => "NOT FEASIBLE: this is the nearest point found",
    };
    let misfit = if report.fits.flash && report.fits.ram { "" } else { "; IT DOES NOT FIT the target's memory" };
    parts.push(format!("{} for {}: {verdict}{misfit}", report.model, report.target));
    if !report.budgets.is_empty() {
        parts.push(budgets(report));
    }
    parts.push(result(report, target));
    parts.extend(report.supernet.as_ref().map(super::supernet::table));
    if let (Some(greedy), Some(exact)) = (&report.search.greedy, &report.search.exact)
        && report.budgets.iter().any(|budget| !budget.task)
    {
        parts.push(assignments_table(greedy, exact, report.search.assign_by));
    }
    if let Some(task) = &report.search.task {
        parts.push(task_table(task));
    }
    parts.extend(report.pruning.as_ref().map(|pruning| pruning.text()));
    parts.push(widths(report));
    parts.extend(most_sensitive(report));
    if quiet {
        return parts.join("\n\n");
    }
    if !report.notes.is_empty() {
        parts.push(report.notes.iter().map(|note| format!("note: {note}")).collect::<Vec<_>>().join("\n"));
    }
    let list = if report.search.assign_by == "file" {
        "not needed"
    } else if from_cache {
        "from the cache"
    } else {
        "measured"
    };
    parts.push(format!("{:.1} s, sensitivity list {list}; files in {}", report.search.seconds.total, directory.display()));
    parts.join("\n\n")
}

fn budgets(report: &Report) -> String {
    let mut rows = table(&["budget", "value", "limit", "met"], 1);
    for budget in &report.budgets {
        let name = match budget.name {
            "sqnr_db_min" => "least SQNR",
            "agreement_min" => "least agreement",
            "accuracy_drop" => "accuracy drop",
            name => name.rsplit_once('_').map_or(name, |(name, _)| name),
        };
        let shown = |value: &serde_json::Number| match (budget.name, value.as_f64(), value.as_u64()) {
            (name, _, Some(bytes)) if name.ends_with("_bytes") => human_bytes(bytes),
            ("latency_ms", Some(ms), _) => format!("{ms:.4} ms"),
            ("energy_mj", Some(mj), _) => format!("{mj:.4} mJ"),
            ("sqnr_db_min", Some(db), _) => format!("{db:.2} dB"),
            ("agreement_min" | "accuracy_drop", share, _) => percent(share),
            _ => value.to_string(),
        };
        let value = budget.value.as_ref().map_or("-".into(), shown);
        rows.add_row([name.to_string(), value, shown(&budget.limit), if budget.met { "yes" } else { "NO" }.into()]);
    }
    rows.to_string()
}

fn result(report: &Report, target: &Target) -> String {
    let result = &report.result;
    let mut rows = table(&["", "float", "integer"], 1);
    let mut row = |name: &str, float: String, integer: String| {
        rows.add_row([name.to_string(), float, integer]);
    };
    if let Some(samples) = report.fp32.samples {
        if result.accuracy_top1.is_some() {
            row(&format!("accuracy ({samples} samples)"), percent(report.fp32.accuracy_top1), percent(result.accuracy_top1));
        }
        if result.accuracy_top5.is_some() {
            row("accuracy, top 5", percent(report.fp32.accuracy_top5), percent(result.accuracy_top5));
        }
        row("agreement", String::new(), percent(result.agreement));
    }
    row(&format!("SQNR ({} calibration samples)", report.calibration.samples), String::new(), format!("{:.2} dB", result.sqnr_db));
    row("BOPs", String::new(), format!("{} (r = {:.4})", human_count(result.bops), result.bops_relative));
    if let Some(latency) = result.latency_ms {
        row("latency", String::new(), format!("{latency:.4} ms"));
    }
    if let Some(energy) = result.energy_mj {
        row("energy", String::new(), format!("{energy:.4} mJ"));
    }
    let memory = target.memory();
    let size = |bytes: u64, limit: Option<u64>| match limit {
        Some(limit) => format!("{} of {}{}", human_bytes(bytes), human_bytes(limit), if bytes > limit { ": DOES NOT FIT" } else { "" }),
        None => human_bytes(bytes),
    };
    row("flash (model)", String::new(), size(result.flash_bytes, memory.flash_bytes));
    row("  of it weights", String::new(), human_bytes(result.weights_bytes));
    row("RAM (arena)", String::new(), size(result.arena_bytes, memory.ram_bytes));
    rows.to_string()
}

/// How many groups, MACs and weights have which widths.
fn widths(report: &Report) -> String {
    let mut by_width: BTreeMap<(u8, u8), usize> = BTreeMap::new();
    for group in &report.groups {
        *by_width.entry((group.weight_bits, group.activation_bits)).or_default() += 1;
    }
    let most = by_width.values().copied().max().unwrap_or(1).max(1);
    const BAR: usize = 24;
    let mut rows = table(&["width", "groups", "", "MACs", "weights"], 1);
    if let Some(bars) = rows.column_mut(2) {
        bars.set_cell_alignment(CellAlignment::Left);
    }
    for ((weight_bits, activation_bits), groups) in by_width {
        let of_width = |layer: &&super::layers::LayerReport| layer.weight_bits == weight_bits && layer.activation_bits == activation_bits;
        let macs: u64 = report.layers.iter().filter(of_width).map(|layer| layer.macs).sum();
        let bytes: u64 = report.layers.iter().filter(of_width).map(|layer| layer.weights_bytes).sum();
        let bar = "\u{2588}".repeat((groups * BAR).div_ceil(most));
        rows.add_row([format!("w{weight_bits}a{activation_bits}"), groups.to_string(), bar, human_count(macs), human_bytes(bytes)]);
    }
    rows.to_string()
}

/// The groups that disturb the output most, under a title.
fn most_sensitive(report: &Report) -> Option<String> {
    let mut groups: Vec<_> = report.groups.iter().filter_map(|group| Some((group.values.worst()?, group))).collect();
    groups.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
    let heading = groups.first()?.1.values.heading();
    let mut rows = table(&["group", "candidate", heading, "assigned"], 1);
    for ((value, candidate), group) in groups.into_iter().take(MOST_SENSITIVE) {
        let assigned = format!("w{}a{}", group.weight_bits, group.activation_bits);
        rows.add_row([group.name.clone(), candidate.to_string(), group.values.shown(value), assigned]);
    }
    let metric = heading.split(',').next().unwrap_or(heading);
    Some(format!("Most sensitive groups ({metric} with the group alone at its worst candidate)\n{rows}"))
}
