//! Runs a model on a board and prints what each layer costs: `cargo run -p apq-device --example run -- RUNNER FIRMWARE.elf MODEL.apq`.

use std::path::Path;
use std::time::Duration;

use apq_device::{Inputs, Job, Runner, Wants, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runner, firmware, model] = arguments.as_slice() else {
        return Err("usage: run RUNNER FIRMWARE.elf MODEL.apq".into());
    };
    let runner: Runner = runner.parse()?;
    let model = std::fs::read(model)?;
    let wants = Wants { outputs: true, layers: true, run: true, stack: true };
    let job = Job { model: &model, inputs: Inputs::Drawn { seed: 0, count: 1 }, repeats: 16, arena_bytes: None, wants };
    let outcome = run(&runner, Path::new(firmware), &job, Duration::from_secs(60))?;
    let unit = outcome.unit.name();
    println!("{} on {} with {} kernels", outcome.model, outcome.board, outcome.kernels);
    for (index, layer) in outcome.layers.iter().enumerate() {
        println!("layer {index:3} {:14.1} {unit}", layer.mean());
    }
    let sum: f64 = outcome.layers.iter().map(|layer| layer.mean()).sum();
    println!("layers    {sum:14.1} {unit}\nrun       {:14.1} {unit}", outcome.run.mean());
    println!("arena {} bytes, stack {} bytes", outcome.arena_bytes, outcome.stack_bytes.unwrap_or(0));
    println!("output {:?}", outcome.outputs.first());
    Ok(())
}
