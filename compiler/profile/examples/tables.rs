//! Makes the lookup table of a built-in core: `cargo xtask tables`, which builds the core's program first.
//!
//! What `apqc profile --compact --candidates all` does in the core's emulator, without the rest of the compiler: that takes its built-in
//! tables from here.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use apq_device::{Board, Runner};
use apq_lut::LayerKey;
use apq_profile::Device;
use apq_profile::design::{all_candidates, layers, networks};
use apq_profile::measure::{Counts, run_batches};
use apq_profile::synthetic::{Limits, batches};
use apq_targets::Target;

/// Room in the emulated boards.
const LIMITS: Limits = Limits { file_bytes: 512 << 10, arena_bytes: 1 << 20, layers: 64 };

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [core, firmware, output] = arguments.as_slice() else {
        return Err("usage: tables CORE FIRMWARE.elf TABLE.json".into());
    };
    let start = Instant::now();
    let target = Target::builtin(core)?;
    let machine = Board::emulating(core).and_then(|board| board.machine).ok_or("there is no emulated board with this core")?;
    let device = Device {
        runner: Runner::Emulator(machine),
        firmware: firmware.into(),
        core: core.clone(),
        build: String::new(),
        clock_hz: target.clock_hz(),
        repeats: None,
        silence_max: Duration::from_secs(600),
        threads: std::thread::available_parallelism()?.get(),
    };
    let known = networks(&target, target.candidates());
    let keys = [layers(&target, &all_candidates(&target)), known.clone()].concat();
    let (files, skipped) = batches(&target, &keys, &LIMITS, 0);
    if let Some((key, reason)) = skipped.first() {
        return Err(format!("{key}: {reason}").into());
    }
    let mut counts = Counts::new(core.clone());
    run_batches(&device, &files, &mut counts, |_| Ok(()))?;
    let known: BTreeSet<LayerKey> = known.into_iter().collect();
    let table = counts.finished(|key| known.contains(key))?;
    // Beside it first: the table is whole or the one before.
    let fresh = Path::new(output).with_extension("new");
    std::fs::write(&fresh, table.to_json()?)?;
    std::fs::rename(&fresh, output)?;
    let fits = table.profile().map_or(&[][..], |profile| profile.fits());
    let mean = fits.iter().map(|fit| fit.error_mean).sum::<f64>() / fits.len().max(1) as f64;
    println!(
        "{core}: {} layers in {} files, {} fits with a mean error of {:.2} %, {:.0} s",
        counts.len(),
        files.len(),
        fits.len(),
        mean * 100.0,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}
