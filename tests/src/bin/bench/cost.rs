//! The BitFusion model against the published table, and the cost of MobileNetV2 from its ONNX file.

use std::path::Path;
use std::time::Instant;

use apq_lut::{Candidate, CostModel, diff, import_published};
use apq_targets::BitFusion;
use apqc::cost::layer_key;

use crate::models::load;
use crate::table::Table;

/// Prints the table; returns how many figures are not reached.
pub(crate) fn run(data: &Path) -> usize {
    let mut table = Table::new("BitFusion cost model");
    if let Err(error) = rows(data, &mut table) {
        table.row("cost model", format!("failed: {error}"), "runs", "", Some(false));
    }
    table.print()
}

fn rows(data: &Path, table: &mut Table) -> Result<(), Box<dyn std::error::Error>> {
    let published = import_published(&std::fs::read_to_string(data.join("apq_bitfusion_b1.json"))?)?;
    let start = Instant::now();
    let found = diff(&published, &BitFusion)?;
    let per_layer_ms = start.elapsed().as_secs_f64() * 1e3 / found.compared.max(1) as f64;
    table.row("published entries compared", found.compared.to_string(), "6569", "6569", Some(found.compared == 6569));
    table.row("cycles that differ", found.cycles_mismatched.to_string(), "0", "0", Some(found.cycles_mismatched == 0));
    let energy = found.energy_rel_max.unwrap_or(f64::INFINITY);
    table.row("largest relative difference of energy", format!("{energy:.1e}"), "<= 1e-12", "", Some(energy <= 1e-12));
    table.row("best tiling, ms a layer", format!("{per_layer_ms:.4}"), "<= 1", "", Some(per_layer_ms <= 1.0));

    let case = load(data, "MobileNetV2")?;
    let graph = &case.network.graph;
    for (bits, latency, energy) in [("w8a8", Some("9.099"), Some("12.456")), ("w6a8", Some("9.028"), None), ("w4a4", None, None)] {
        let candidate: Candidate = bits.parse()?;
        let (mut cycles, mut energy_nj) = (0, 0.0);
        for node in &graph.nodes {
            if let Some(cost) = layer_key(graph, node, candidate).and_then(|key| BitFusion.cost(&key).ok()) {
                cycles += cost.cycles.unwrap_or(0);
                energy_nj += cost.energy_nj.unwrap_or(0.0);
            }
        }
        let ours = [format!("{:.3}", cycles as f64 / 500_000.0), format!("{:.3}", energy_nj / 1e6)];
        for (what, ours, published) in [("latency, ms", &ours[0], latency), ("energy, mJ", &ours[1], energy)] {
            let reach = published.unwrap_or("");
            table.row(format!("MobileNetV2 {bits}, {what}"), ours, reach, reach, published.map(|published| published == ours));
        }
    }
    Ok(())
}
