//! Milliseconds of one inference on one core, and of each of its nodes. The answer is compared with the reference's.
//!
//! `cargo run --release -p apq-runtime --example layers -- MODEL.apq [RUNS]`

use std::io::Read;
use std::time::{Duration, Instant};

use apq_runtime::build::AlignedBytes;
use apq_runtime::{Arithmetic, Model, Node, Observer, Session, TensorView};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), runs) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: layers MODEL.apq [RUNS]");
        std::process::exit(2);
    };
    let runs = runs.and_then(|runs| runs.parse().ok()).unwrap_or(50).max(1);
    if let Err(message) = profile(&path, runs) {
        eprintln!("{path}: {message}");
        std::process::exit(2);
    }
}

fn profile(path: &str, runs: usize) -> Result<(), String> {
    let file = read(path).map_err(|error| error.to_string())?;
    let model = Model::new_checked(&file).map_err(|error| error.to_string())?;
    let mut arena = AlignedBytes::zeroed(model.arena_bytes());
    let mut session = Session::new(&model, &mut arena).map_err(|error| error.to_string())?;
    let mut totals = Vec::with_capacity(runs);
    let mut times = Times::default();
    for _ in 0..runs {
        fill(&mut session);
        let begin = Instant::now();
        session.run(&mut ());
        totals.push(begin.elapsed());
        fill(&mut session);
        session.run(&mut times);
    }
    let output = session.output_bytes().to_vec();
    let mut oracle = Session::with_arithmetic(&model, &mut arena, Arithmetic::Reference).map_err(|error| error.to_string())?;
    fill(&mut oracle);
    oracle.run(&mut ());
    if oracle.output_bytes() != output {
        return Err("the fast kernels' answer differs from the reference's".into());
    }
    totals.sort();
    println!("{:>9}  node", "ms");
    for (name, time) in times.names.iter().zip(&times.shortest) {
        println!("{:>9.4}  {name}", time.as_secs_f64() * 1e3);
    }
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!("one inference: {:.3} ms, median {:.3} ms, of {runs} runs", milliseconds(totals[0]), milliseconds(totals[runs / 2]));
    Ok(())
}

/// The file, without a second copy of it.
fn read(path: &str) -> std::io::Result<AlignedBytes> {
    let mut file = std::fs::File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    let mut bytes = AlignedBytes::zeroed(length);
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// An input with no pattern that a kernel could profit from.
fn fill(session: &mut Session<'_, '_>) {
    for (index, byte) in session.input_codes_mut().iter_mut().enumerate() {
        *byte = ((index * 31) >> 3) as u8;
    }
}

/// The shortest time that each node took.
#[derive(Default)]
struct Times {
    names: Vec<String>,
    shortest: Vec<Duration>,
    begin: Option<Instant>,
}

impl Observer for Times {
    fn before(&mut self, _: usize, _: &Node<'_>) {
        self.begin = Some(Instant::now());
    }

    fn after(&mut self, index: usize, node: &Node<'_>, output: &TensorView<'_>) {
        let time = self.begin.map_or(Duration::ZERO, |begin| begin.elapsed());
        if index == self.names.len() {
            self.names.push(format!("{} {} {}", node.operator.name(), node.name, output.tensor().shape));
            self.shortest.push(time);
        }
        self.shortest[index] = self.shortest[index].min(time);
    }
}
