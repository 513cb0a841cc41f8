//! `apqc targets`: what there is to compile for.

use apq_lut::Operator;
use apq_targets::Target;
use clap::Subcommand;
use serde_json::{Value, json};

use super::failure::Exit;
use super::{Context, inputs};
use crate::report::tables::table;
use crate::units::human_bytes;

/// What each target can do.
#[derive(Debug, Subcommand)]
pub(crate) enum TargetsCommand {
    /// All built-in targets.
    List,
    /// One target as TOML: a start for one of your own.
    Show {
        /// A name or a TOML file.
        #[arg(value_name = "NAME|FILE.toml")]
        target: String,
    },
    /// The operator table with its *not supported* rows.
    Kernels {
        /// A name or a TOML file.
        #[arg(value_name = "NAME|FILE.toml")]
        target: String,
    },
}

/// The command.
pub(crate) fn targets(context: &Context, command: &TargetsCommand) -> anyhow::Result<Exit> {
    match command {
        TargetsCommand::List => {
            let targets = Target::builtin_names().iter().map(|name| Target::builtin(name)).collect::<Result<Vec<_>, _>>()?;
            let all: Vec<_> = targets.iter().map(Target::description).collect();
            context.console.result(&all, || list(&targets))?;
        }
        TargetsCommand::Show { target } => {
            let target = inputs::target(target)?.target;
            let toml = target.to_toml()?;
            context.console.result(target.description(), || toml)?;
        }
        TargetsCommand::Kernels { target } => {
            let target = inputs::target(target)?.target;
            context.console.result(&kernels_json(&target), || kernels(&target))?;
        }
    }
    Ok(Exit::Done)
}

fn list(targets: &[Target]) -> String {
    let mut rows = table(&["target", "clock", "flash", "RAM", "costs", "candidates", "what it is"], 1);
    for column in [4, 5, 6] {
        if let Some(column) = rows.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Left);
        }
    }
    for target in targets {
        let memory = |bytes: Option<u64>| bytes.map_or("-".into(), human_bytes);
        let candidates: Vec<String> = target.candidates().iter().map(ToString::to_string).collect();
        rows.add_row([
            target.name().to_string(),
            format!("{} MHz", target.clock_hz() as f64 / 1e6),
            memory(target.memory().flash_bytes),
            memory(target.memory().ram_bytes),
            target.cost_source().name().into(),
            candidates.join(" "),
            target.description().description.clone(),
        ]);
    }
    rows.to_string()
}

fn kernels_json(target: &Target) -> Value {
    let not_supported: Vec<Value> = target
        .not_supported()
        .into_iter()
        .map(|row| json!({ "operator": row.operator, "weight_bits": row.weight_bits, "activation_bits": row.activation_bits }))
        .collect();
    json!({ "target": target.name(), "kernels": target.kernels(), "not_supported": not_supported })
}

fn widths(bits: &[u8]) -> String {
    if bits.is_empty() {
        return "-".into();
    }
    let texts: Vec<String> = bits.iter().map(ToString::to_string).collect();
    texts.join(" ")
}

fn kernels(target: &Target) -> String {
    let mut rows = table(&["operator", "weight bits", "activation bits", "weights arranged"], 4);
    let missing = target.not_supported();
    for operator in Operator::NAMED {
        for row in target.kernels().iter().filter(|row| row.operators.contains(&operator)) {
            let arrangement = if operator.has_weights() { row.arrangement.as_str() } else { "-" };
            rows.add_row([operator.name(), &widths(&row.weight_bits), &widths(&row.activation_bits), arrangement]);
        }
        for row in missing.iter().filter(|row| row.operator == operator) {
            rows.add_row([operator.name(), &widths(&row.weight_bits), &widths(&row.activation_bits), "not supported"]);
        }
    }
    format!("Kernels of {}\n{rows}", target.name())
}
