//! Prints every figure that the project claims beside the figure it is held to: `cargo xtask bench [SECTION [MODEL]]`.
//!
//! `firmware [--format json]` counts instructions on emulated cores, `search` times joint search; neither needs data. `accuracy`, `cost`, `speed` and `reach` are held to something and run where no section is named. The studies behind `docs/results.md`
//! (`sensitivity`, `widths`, `ablation`, `adaround`, `subsets`, `calibration`) take long: each runs only where it is named, and on MobileNetV2 only
//! where that is named too.
//!
//! Accuracy is measured on the whole test sets, which only report: nothing is tuned on them. Times are medians of this run on this machine, and are
//! given as ratios where a reference runs beside ours.

mod accuracy;
mod cost;
mod firmware;
mod lab;
mod models;
mod search;
mod sensitivity;
mod speed;
mod study;
mod table;

use std::process::ExitCode;

/// Sections with figures to reach.
const FIGURES: [&str; 4] = ["accuracy", "cost", "speed", "reach"];

/// Sections that only report.
const STUDIES: [&str; 6] = ["sensitivity", "widths", "ablation", "adaround", "subsets", "calibration"];

fn main() -> ExitCode {
    let section = std::env::args().nth(1);
    if section.as_deref() == Some("firmware") {
        return firmware::main(&std::env::args().skip(2).collect::<Vec<_>>());
    }
    if section.as_deref() == Some("search") {
        return search::main();
    }
    let wanted = |name: &str| section.as_deref().is_none_or(|section| section == name);
    if let Some(name) = section.as_deref().filter(|name| !FIGURES.contains(name) && !STUDIES.contains(name)) {
        eprintln!("error: unknown section \"{name}\"; the sections are firmware, search, {}, {}", FIGURES.join(", "), STUDIES.join(", "));
        return ExitCode::from(2);
    }
    let model = std::env::args().nth(2);
    let names: Vec<&str> = models::names().into_iter().filter(|name| model.as_deref().is_none_or(|model| model == *name)).collect();
    if names.is_empty() {
        eprintln!("error: unknown model; the models are {}", models::names().join(", "));
        return ExitCode::from(2);
    }
    let Some(data) = models::data_folder() else {
        eprintln!("error: the models and data are not there; set APQ_DATA to their folder");
        return ExitCode::from(2);
    };
    let mut failed = 0;
    if wanted("cost") {
        failed += cost::run(&data);
    }
    if wanted("accuracy") {
        failed += accuracy::run(&data, &names);
    }
    if wanted("reach") {
        failed += study::reach(&data, &names);
    }
    if wanted("speed") {
        failed += speed::run(&data, &names);
    }
    if let Some(name) = section.as_deref().filter(|name| STUDIES.contains(name)) {
        let names: Vec<&str> = names.into_iter().filter(|name| model.is_some() || *name != "MobileNetV2").collect();
        let done = match name {
            "sensitivity" => {
                failed += sensitivity::run(&data, &names);
                Ok(())
            }
            "widths" => study::widths(&data, &names),
            "ablation" => study::ablation(&data, &names, false),
            "adaround" => study::ablation(&data, &names, true),
            "subsets" => study::subsets(&data, &names),
            _ => study::calibration(&data, &names),
        };
        if let Err(error) = done {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    if failed == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{failed} figures are not reached");
    ExitCode::FAILURE
}
