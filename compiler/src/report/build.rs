//! From a compilation to its report.

use apq_search::{Budget, Quantity, Totals};
use apq_targets::Target;
use apqc::compile::Compiled;
use apqc::cost::REFERENCE_BITS;
use apqc::lower::StreamedStretch;
use apqc::network::Network;
use apqc::quant::rounding::Rounding;
use apqc::quant::sensitivity::measured;
use serde_json::Number;

use super::layers::layers;
use super::search;
use super::{
    BudgetReport, CalibrationReport, Fits, FloatReport, GroupReport, ListValues, Report, ResultReport, SCHEMA, SearchReport, SecondsReport,
    StreamedReport,
};
use crate::units::{human_bytes, mj, ms};

/// What the report needs beside the compilation itself.
pub(crate) struct Facts<'a> {
    /// The model.
    pub(crate) network: &'a Network,
    /// The target.
    pub(crate) target: &'a Target,
    /// Where calibration samples came from.
    pub(crate) calibration_source: &'a str,
    /// How many there are.
    pub(crate) calibration_samples: usize,
    /// Budgets, as the search got them.
    pub(crate) budgets: &'a [Budget],
    /// What the sensitivity list holds: `sqnr`, `accuracy` or `fit`.
    pub(crate) metric: &'a str,
    /// Width of the network's output.
    pub(crate) output_bits: u8,
    /// What the tool has to say before the compilation's own notes.
    pub(crate) notes: Vec<String>,
}

/// Builds the report.
pub(crate) fn build(compiled: &Compiled, facts: Facts<'_>) -> Report {
    let mut budgets: Vec<BudgetReport> = facts.budgets.iter().map(|budget| budget_report(*budget, compiled)).collect();
    budgets.extend(compiled.task.iter().flat_map(|task| &task.verdicts).map(search::task_budget));
    let mut notes = facts.notes;
    compilation_notes(compiled, facts.network, &budgets, &mut notes);
    let memory = facts.target.memory();
    let totals = &compiled.totals;
    for (what, flag, value, limit) in
        [("flash", "--flash", totals.flash_bytes, memory.flash_bytes), ("RAM", "--ram", totals.ram_bytes, memory.ram_bytes)]
    {
        if let Some(limit) = limit.filter(|limit| value > *limit) {
            let (value, shown) = (human_bytes(value), human_bytes(limit));
            notes.push(format!("does not fit the target: {value} of {shown} {what}; {flag} {limit}B makes the memory a budget"));
        }
    }
    let float = compiled.float_quality.unwrap_or_default();
    let integer = compiled.integer_quality.unwrap_or_default();
    let graph = &facts.network.graph;
    Report {
        schema: SCHEMA,
        model: graph.name.clone(),
        target: facts.target.name().into(),
        feasible: compiled.feasible,
        fits: Fits {
            flash: memory.flash_bytes.is_none_or(|bytes| totals.flash_bytes <= bytes),
            ram: memory.ram_bytes.is_none_or(|bytes| totals.ram_bytes <= bytes),
        },
        calibration: CalibrationReport { source: facts.calibration_source.into(), samples: facts.calibration_samples },
        notes,
        fp32: FloatReport {
            accuracy_top1: float.accuracy_top1,
            accuracy_top5: float.accuracy_top5,
            samples: compiled.float_quality.map(|quality| quality.samples),
        },
        result: ResultReport {
            accuracy_top1: integer.accuracy_top1,
            accuracy_top5: integer.accuracy_top5,
            agreement: integer.agreement,
            sqnr_db: compiled.calibration_sqnr_db,
            bops: totals.bops,
            bops_relative: relative(totals.bops, facts.network.macs),
            latency_ms: totals.latency_ns.map(ms),
            energy_mj: totals.energy_pj.map(mj),
            cycles: totals.cycles,
            flash_bytes: totals.flash_bytes,
            weights_bytes: compiled.lowered.weights_bytes as u64,
            arena_bytes: totals.ram_bytes,
            macs: graph.total_macs(),
        },
        groups: groups(compiled, facts.network, facts.metric),
        layers: layers(graph, compiled, facts.output_bits),
        streamed: compiled.lowered.streamed.iter().map(streamed).collect(),
        pruning: None,
        search: search_report(compiled, facts.calibration_samples, facts.network.macs.saturating_mul(REFERENCE_BITS)),
        budgets,
        supernet: None,
    }
}

fn streamed(stretch: &StreamedStretch) -> StreamedReport {
    let StreamedStretch { layers, strips, moved_bytes } = stretch.clone();
    StreamedReport { layers, strips, recomputed_macs: 0, moved_bytes }
}

pub(super) fn relative(bops: u64, macs: u64) -> f64 {
    if macs == 0 { 0.0 } else { bops as f64 / (REFERENCE_BITS * macs) as f64 }
}

fn groups(compiled: &Compiled, network: &Network, metric: &str) -> Vec<GroupReport> {
    let report = |(index, group): (usize, &apqc::quant::groups::QuantizerGroup)| GroupReport {
        name: group.name.clone(),
        weight_bits: compiled.assignment[index].weight_bits,
        activation_bits: compiled.assignment[index].activation_bits,
        ops: group.nodes.iter().map(|node| network.graph.nodes[node.0].name.clone()).collect(),
        values: ListValues::new(
            metric,
            compiled.list.iter().filter(|entry| entry.group == index).map(|entry| (entry.candidate.to_string(), entry.sqnr_db)).collect(),
        ),
    };
    compiled.grouping.groups.iter().enumerate().map(report).collect()
}

fn search_report(compiled: &Compiled, samples: usize, reference_bops: u64) -> SearchReport {
    let seconds = compiled.seconds;
    let assign_by = compiled.searched.as_ref().map_or("file", |searched| searched.by.name());
    let (greedy, exact) = search::assignments(compiled, reference_bops);
    let measured = || samples * (1 + measured(&compiled.grouping, &compiled.widest).len());
    SearchReport {
        scheme: compiled.task.as_ref().map_or(assign_by, |task| task.scheme.name()),
        assign_by,
        forward_passes: compiled.searched.as_ref().map_or(0, |_| measured()),
        evaluations: compiled.evaluations,
        greedy,
        exact,
        task: compiled.task.as_ref().map(|task| search::task(task, reference_bops)),
        seconds: SecondsReport {
            calibrate: seconds.calibrate,
            sensitivity: seconds.sensitivity,
            assign: seconds.assign,
            lower: seconds.lower,
            total: seconds.total,
        },
    }
}

/// Name of a budget with its unit.
pub(crate) fn budget_name(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Bops => "bops",
        Quantity::Latency => "latency_ms",
        Quantity::Energy => "energy_mj",
        Quantity::Cycles => "cycles",
        Quantity::Flash => "flash_bytes",
        Quantity::Ram => "ram_bytes",
    }
}

/// A value in the unit of [`budget_name`].
pub(crate) fn in_unit(quantity: Quantity, value: u64) -> Number {
    match quantity {
        // A finite value always is a JSON number.
        Quantity::Latency => Number::from_f64(ms(value)).unwrap_or_else(|| value.into()),
        Quantity::Energy => Number::from_f64(mj(value)).unwrap_or_else(|| value.into()),
        _ => value.into(),
    }
}

fn budget_report(budget: Budget, compiled: &Compiled) -> BudgetReport {
    let Budget { quantity, limit } = budget;
    let value = |totals: &Totals| totals.get(quantity).map(|value| in_unit(quantity, value));
    let met = budget.met(&compiled.totals);
    BudgetReport {
        name: budget_name(quantity),
        limit: in_unit(quantity, limit),
        value: value(&compiled.totals),
        met,
        task: false,
        smallest_found: compiled.searched.as_ref().filter(|_| !met).and_then(|searched| value(&searched.greedy.smallest)),
    }
}

fn outputs(network: &Network, node: usize) -> usize {
    network.graph.nodes[node].op.weights().map_or(0, |weights| weights.outputs())
}

fn compilation_notes(compiled: &Compiled, network: &Network, budgets: &[BudgetReport], notes: &mut Vec<String>) {
    let exact = compiled.searched.as_ref().and_then(|searched| searched.exact.as_ref());
    let missed: Vec<&BudgetReport> = budgets.iter().filter(|budget| !budget.met).collect();
    if !compiled.feasible {
        let smallest: Vec<String> =
            missed.iter().filter_map(|budget| Some(format!("{} {}", budget.name, budget.smallest_found.as_ref()?))).collect();
        let smallest =
            if smallest.is_empty() { String::new() } else { format!("; smallest found for each alone: {}", smallest.join(", ")) };
        if exact.is_some_and(|exact| exact.best.is_none() && exact.proved) {
            notes.push("proved: no assignment meets the efficiency budgets together, by the cost model".into());
        }
        notes.push(format!("infeasible: no assignment was found that meets every budget; this is the nearest one{smallest}"));
    }
    let costs = compiled.node_costs.iter().flatten().filter(|cost| cost.latency_ns.is_some());
    let (estimated, all) = costs.fold((0, 0), |(estimated, all), cost| (estimated + usize::from(cost.estimated), all + 1));
    if estimated > 0 {
        notes.push(format!("the costs of {estimated} of {all} layers are estimated: fitted to the counts of other layers of their kind"));
    }
    if !compiled.not_modelled.is_empty() {
        notes.push(format!("not modelled by the target, counted as 0 in latency and energy: {}", compiled.not_modelled.join(", ")));
    }
    if let Some((source, _)) = compiled.task.as_ref().and_then(|task| task.labelled.as_ref()).filter(|_| compiled.decided_on_test) {
        notes.push(format!(
            "the accuracy budget was decided on {source}, which also reports: the reported accuracy is that of the chosen point, and flattered by the \
             choice; --search-data PATH decides on other samples"
        ));
    }
    for stretch in &compiled.lowered.streamed {
        let (first, last) = (stretch.layers.first().map_or("", String::as_str), stretch.layers.last().map_or("", String::as_str));
        notes.push(format!(
            "streamed by rows: {} layers from {first} to {last} run in {} strips; no sum is computed twice, {} of rows are moved",
            stretch.layers.len(),
            stretch.strips,
            human_bytes(stretch.moved_bytes as u64)
        ));
    }
    if compiled.lowered.spec.output.softmax_removed {
        notes.push("the softmax at the end is left out: outputs are logits".into());
    }
    if !compiled.lowered.raised.is_empty() {
        let layers: Vec<String> = compiled
            .lowered
            .raised
            .iter()
            .map(|(node, channels)| {
                format!("{} ({} of {} channels)", network.graph.nodes[node.0].name, channels.len(), outputs(network, node.0))
            })
            .collect();
        notes.push(format!("weight scales raised so that sums fit the accumulator: {}", layers.join(", ")));
    }
    match compiled.correction {
        Some(verdict) => notes.push(format!(
            "bias correction {}: {:.2} dB without, {:.2} dB with it on {} held-out calibration samples",
            if verdict.kept { "kept" } else { "not used" },
            verdict.sqnr_db_before,
            verdict.sqnr_db_after,
            verdict.held_out
        )),
        None if compiled.rounding == Rounding::Nearest && network.graph.is_quantized() => {
            notes.push("no bias correction: the biases are the model's own".into());
        }
        None if compiled.rounding == Rounding::Nearest => {
            notes.push("no bias correction: too few calibration samples to judge it".into());
        }
        None => {}
    }
}
