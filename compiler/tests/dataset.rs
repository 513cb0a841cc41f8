//! `apqc dataset` from outside: shards, merging, runs that are killed, refusals, and the example for Slurm.

#[path = "dataset/networks.rs"]
mod networks;
#[path = "dataset/small.rs"]
mod small;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    fn new() -> Sandbox {
        let sandbox = Sandbox { folder: tempfile::tempdir().unwrap() };
        fs::write(sandbox.path("net.onnx"), small::supernet(1).to_onnx()).unwrap();
        small::samples(&sandbox.path("net.calib.npz"), 24, 1);
        small::samples(&sandbox.path("valid.npz"), 40, 2);
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apqc"));
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a line that must succeed.
    fn done(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(0), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a line that must fail with `code` and say all of `texts`.
    fn fails(&self, line: &str, code: i32, texts: &[&str]) {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}\n{said}");
        texts.iter().for_each(|text| assert!(said.contains(text), "{line}: no {text:?} in\n{said}"));
    }
}

const QUANTIZED: &str = "dataset sample net.onnx --kind quantized --data valid.npz --points 44 -q";

#[test]
fn shards_threads_and_stops_change_no_byte() {
    let sandbox = Sandbox::new();
    sandbox.done(&format!("{QUANTIZED} -o whole.jsonl --threads 1"));
    sandbox.done(&format!("{QUANTIZED} -o threads.jsonl --threads 3"));
    let whole = sandbox.read("whole.jsonl");
    assert_eq!(whole, sandbox.read("threads.jsonl"));
    let lines: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["schema"], &lines[0]["kind"]), (45, &"apq-dataset-1".into(), &"quantized".into()));
    let indices: Vec<u64> = lines[1..].iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, (0..44).collect::<Vec<u64>>());
    // In the second half ten points share an architecture, with policies of their own; in the first none do on purpose.
    let architecture = |index: usize| &lines[1 + index]["architecture"];
    assert!((22..32).all(|index| architecture(index) == architecture(22)) && architecture(31) != architecture(32));
    assert!((22..31).any(|index| lines[1 + index]["policy"] != lines[2 + index]["policy"]));
    assert!((0..21).any(|index| architecture(index) != architecture(index + 1)));
    // Widths matter to this network, so that equal files are not equal for want of anything to differ.
    let accuracies: std::collections::BTreeSet<String> = lines[1..].iter().map(|line| line["accuracy"].to_string()).collect();
    assert!(accuracies.len() > 3, "{accuracies:?}");
    for index in 1..=3 {
        sandbox.done(&format!("{QUANTIZED} -o part{index}.jsonl --shard {index}/3"));
    }
    sandbox.done("dataset merge part3.jsonl part1.jsonl part2.jsonl -o merged.jsonl -q");
    assert_eq!(whole, sandbox.read("merged.jsonl"));
    // A file cut anywhere is completed; what was whole in it stays.
    for end in [0, 30, whole.find('\n').unwrap() + 1, whole.len() / 2, whole.len() - 1, whole.len()] {
        fs::write(sandbox.path("cut.jsonl"), &whole[..end]).unwrap();
        let json: Value = serde_json::from_str(&sandbox.done(&format!("{QUANTIZED} -o cut.jsonl --format json"))).unwrap();
        let kept = whole[..end].matches('\n').count().saturating_sub(1) as u64;
        assert_eq!((json["points"].as_u64(), json["evaluated"].as_u64()), (Some(44), Some(44 - kept)), "{end}");
        assert_eq!(whole, sandbox.read("cut.jsonl"), "{end}");
    }
}

#[test]
fn a_killed_run_keeps_every_finished_point() {
    let sandbox = Sandbox::new();
    let line = "dataset sample net.onnx --kind float --data valid.npz --points 3000 -q";
    let mut child = sandbox.command(&format!("{line} -o killed.jsonl")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let lines = || fs::read_to_string(sandbox.path("killed.jsonl")).unwrap_or_default().matches('\n').count();
    let start = Instant::now();
    while lines() < 20 {
        assert!(start.elapsed() < Duration::from_secs(120), "no points");
        assert!(child.try_wait().unwrap().is_none(), "the run was over before it could be killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    let kept = lines() as u64 - 1;
    let resumed = sandbox.run(&format!("{} -o killed.jsonl --format json", line.replace(" -q", "")));
    assert!(resumed.status.success() && String::from_utf8_lossy(&resumed.stderr).contains("points are there already"));
    let json: Value = serde_json::from_slice(&resumed.stdout).unwrap();
    assert!(kept >= 19 && json["evaluated"].as_u64() == Some(3000 - kept), "{kept} {json}");
    sandbox.done(&format!("{line} -o whole.jsonl"));
    assert_eq!(sandbox.read("killed.jsonl"), sandbox.read("whole.jsonl"));
}

#[test]
fn what_does_not_belong_together_is_refused_by_name() {
    let sandbox = Sandbox::new();
    let line = "dataset sample net.onnx --kind quantized --data valid.npz --points 12 -q";
    sandbox.done(&format!("{line} -o whole.jsonl"));
    let whole = sandbox.read("whole.jsonl");
    let quantized = |flags: &str| format!("{line} {flags} -o whole.jsonl");
    sandbox.fails(&quantized("--seed 1"), 2, &["whole.jsonl", "seed", "0", "1"]);
    sandbox.fails(&quantized("--samples 8"), 2, &["samples", "40", "8"]);
    sandbox.fails(&quantized("--shard 1/2"), 2, &["shard"]);
    sandbox.fails(&quantized("--weight-ranges minmax"), 2, &["quantization", "minmax"]);
    sandbox.fails(&quantized("--no-bias-correction"), 2, &["quantization", "bias_correction"]);
    sandbox.fails(&quantized("--calib valid.npz"), 2, &["calibration"]);
    sandbox.fails("dataset sample net.onnx --kind float --data valid.npz --points 12 -o whole.jsonl", 2, &["kind"]);
    fs::write(sandbox.path("other.onnx"), small::supernet(2).to_onnx()).unwrap();
    sandbox.fails(&quantized("--calib net.calib.npz").replace("net.onnx", "other.onnx"), 2, &["supernet"]);
    fs::write(sandbox.path("text.jsonl"), "a letter to nobody\n").unwrap();
    sandbox.fails(&format!("{line} -o text.jsonl"), 2, &["text.jsonl", "not a dataset"]);
    assert_eq!(sandbox.read("text.jsonl"), "a letter to nobody\n");
    // Another architecture than the index has.
    let (header, points) = whole.split_once('\n').unwrap();
    let points: Vec<&str> = points.lines().collect();
    let swapped = points[0].replace("\"index\":0", "\"index\":1");
    fs::write(sandbox.path("swapped.jsonl"), format!("{header}\n{swapped}\n")).unwrap();
    sandbox.fails(&format!("{line} -o swapped.jsonl"), 2, &["point 1", "another design"]);
    assert_eq!(sandbox.read("whole.jsonl"), whole);

    // The same point twice: once where it is the same, an error where it is not.
    fs::write(sandbox.path("a.jsonl"), format!("{header}\n{}\n", points[..7].join("\n"))).unwrap();
    fs::write(sandbox.path("b.jsonl"), format!("{header}\n{}\n", points[5..].join("\n"))).unwrap();
    let json: Value = serde_json::from_str(&sandbox.done("dataset merge a.jsonl b.jsonl -o ab.jsonl --format json -q")).unwrap();
    assert_eq!((json["points"].as_u64(), json["repeated"].as_u64()), (Some(12), Some(2)));
    assert_eq!(sandbox.read("ab.jsonl"), whole);
    let mut changed: Value = serde_json::from_str(points[5]).unwrap();
    changed["accuracy"] = 0.123.into();
    fs::write(sandbox.path("c.jsonl"), format!("{header}\n{changed}\n{}\n", points[6..].join("\n"))).unwrap();
    sandbox.fails("dataset merge a.jsonl c.jsonl -o ac.jsonl", 2, &["point 5", "a.jsonl", "c.jsonl", "0.123"]);
    sandbox.fails("dataset merge a.jsonl -o ac.jsonl", 2, &["5 of 12 points are missing: 7-11", "--partial"]);
    assert!(!sandbox.path("ac.jsonl").exists());
    sandbox.done("dataset merge a.jsonl -o partial.jsonl --partial");
    assert_eq!(sandbox.read("partial.jsonl"), sandbox.read("a.jsonl"));
    fs::write(sandbox.path("d.jsonl"), whole.replace("\"seed\":0", "\"seed\":3")).unwrap();
    sandbox.fails("dataset merge a.jsonl d.jsonl -o ad.jsonl", 2, &["a.jsonl", "d.jsonl", "seed"]);
    fs::write(sandbox.path("e.jsonl"), whole.replacen("\"accuracy\":0", "\"accuracy\":7", 3)).unwrap();
    sandbox.fails("dataset merge e.jsonl -o ae.jsonl", 2, &["e.jsonl", "line", "accuracy"]);
    sandbox.fails("dataset merge a.jsonl b.jsonl -o whole.jsonl", 2, &["whole.jsonl is there already", "--force"]);
    sandbox.fails("dataset merge none.jsonl -o x.jsonl", 2, &["none.jsonl"]);
}

#[test]
fn bad_input_is_named() {
    let sandbox = Sandbox::new();
    let line = "dataset sample net.onnx --kind float --data valid.npz --points 4";
    let subnet = small::supernet(1).extract(&small::supernet(1).space().largest()).unwrap();
    fs::write(sandbox.path("plain.onnx"), subnet.to_onnx()).unwrap();
    sandbox.fails(&line.replace("net.onnx", "plain.onnx"), 2, &["plain.onnx", "ordinary network", "apq.supernet"]);
    sandbox.fails(&line.replace("net.onnx", "valid.npz"), 2, &["valid.npz", "ONNX"]);
    sandbox.fails(&format!("{line} --shard 3/2"), 2, &["--shard"]);
    sandbox.fails(&line.replace("--points 4", "--points 0"), 2, &["--points"]);
    sandbox.fails(&line.replace(" --points 4", ""), 2, &["--points"]);
    sandbox.fails(&format!("{line} --target nothing"), 2, &["nothing"]);
    sandbox.fails(&line.replace("valid.npz", "none.npz"), 2, &["none.npz"]);
    sandbox.fails(&format!("{line} -o no/such.jsonl"), 2, &["no/such.jsonl"]);
    small::unlabelled(&sandbox.path("unlabelled.npz"), 8);
    sandbox.fails(&line.replace("valid.npz", "unlabelled.npz"), 2, &["unlabelled.npz", "no labels"]);
    if Path::new("/dev/full").exists() {
        sandbox.fails(&format!("{line} -o /dev/full"), 2, &["/dev/full", "no regular file"]);
    }
}

#[test]
fn a_full_disk_costs_no_finished_point() {
    let sandbox = Sandbox::new();
    let line = "dataset sample net.onnx --kind float --data valid.npz --points 40";
    // A limit on the size of files stands in for a full disk.
    let limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_apqc")])
        .args(format!("{line} -o full.jsonl").split(' '))
        .current_dir(sandbox.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(limited.stderr).unwrap();
    assert_eq!(limited.status.code(), Some(2), "{said}");
    let kept = sandbox.read("full.jsonl").lines().count() - 1;
    assert!(said.contains("cannot write full.jsonl") && said.contains(&format!("its {kept} finished points are kept")), "{said}");
    assert!(sandbox.read("full.jsonl").ends_with('\n') && (1..40).contains(&kept));
    let json: Value = serde_json::from_str(&sandbox.done(&format!("{line} -o full.jsonl --format json"))).unwrap();
    assert_eq!(json["evaluated"].as_u64(), Some(40 - kept as u64));
    sandbox.done(&format!("{line} -o whole.jsonl"));
    assert_eq!(sandbox.read("full.jsonl"), sandbox.read("whole.jsonl"));
}

/// A Slurm cluster of this machine; its daemons end with it.
struct Cluster<'s> {
    script: PathBuf,
    sandbox: &'s Sandbox,
}

impl Cluster<'_> {
    fn call(&self, action: &str) -> Output {
        Command::new("sh").arg(&self.script).args([action, "cluster"]).current_dir(self.sandbox.folder.path()).output().unwrap()
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        self.call("stop");
    }
}

#[test]
fn the_example_for_slurm_gives_the_dataset_of_one_run() {
    let there = |program: &str| Command::new(program).arg("-V").output().is_ok();
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !root || !["sbatch", "slurmctld", "slurmd", "munged"].into_iter().all(there) {
        println!("skipped: needs root, and slurm-wlm and munge of Debian");
        return;
    }
    let sandbox = Sandbox::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/slurm");
    let cluster = Cluster { script: examples.join("local-slurm.sh"), sandbox: &sandbox };
    let started = cluster.call("start");
    if !started.status.success() {
        println!("skipped: Slurm does not start here: {}", String::from_utf8_lossy(&started.stderr));
        return;
    }
    let submitted = Command::new("sbatch")
        .args(["--wait", "--array=1-2"])
        .arg(examples.join("dataset.sbatch"))
        .args("net.onnx --kind quantized --data valid.npz --points 44".split(' '))
        .current_dir(sandbox.folder.path())
        .env("SLURM_CONF", sandbox.path("cluster/slurm.conf"))
        .env("APQC", env!("CARGO_BIN_EXE_apqc"))
        .output()
        .unwrap();
    let log = || fs::read_to_string(sandbox.path("dataset-1.log")).unwrap_or_default();
    assert!(submitted.status.success(), "{}\n{}", String::from_utf8_lossy(&submitted.stderr), log());
    let parts: Vec<usize> = [1, 2].map(|part| sandbox.read(&format!("part-{part}.jsonl")).lines().count() - 1).into();
    assert!(parts.iter().all(|points| *points > 10) && parts.iter().sum::<usize>() == 44, "{parts:?}");
    sandbox.done("dataset merge part-1.jsonl part-2.jsonl -o merged.jsonl -q");
    sandbox.done(&format!("{QUANTIZED} -o whole.jsonl"));
    assert_eq!(sandbox.read("merged.jsonl"), sandbox.read("whole.jsonl"));
}

/// The trainer's place is taken by a script: what it is called with, and what becomes of its network.
#[test]
fn points_may_be_trained_before_they_are_measured() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("bin")).unwrap();
    fs::write(sandbox.path("train.npz"), "").unwrap();
    let line = "dataset sample net.onnx --kind quantized --data valid.npz --points 2 --finetune 7 --train train.npz -o tuned.jsonl";
    let run = || {
        let mut command = sandbox.command(line);
        command.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display())).output().unwrap()
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    // Where the trainer was built, it is found.
    let built =
        |profile: &str| Path::new(env!("CARGO_BIN_EXE_apqc")).with_file_name("../supernet").join(profile).join("apqc-train").exists();
    if !built("release") && !built("debug") {
        let missing = run();
        assert!(missing.status.code() == Some(2) && said(&missing).contains("cargo xtask train"), "{}", said(&missing));
    }
    sandbox.fails(&line.replace(" --train train.npz", ""), 2, &["--train"]);
    sandbox.fails(&line.replace("quantized", "float"), 2, &["--finetune"]);
    let script = |text: &str| {
        fs::write(sandbox.path("bin/apqc-train"), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(sandbox.path("bin/apqc-train"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("echo no memory left >&2; exit 4");
    let failed = run();
    assert!(failed.status.code() == Some(2) && said(&failed).contains("no memory left"), "{}", said(&failed));
    // Its network is the smallest of another supernet, whatever the design is.
    let other = small::supernet(5);
    fs::write(sandbox.path("other.onnx"), other.extract(&other.space().smallest()).unwrap().to_onnx()).unwrap();
    script("echo \"$@\" >> calls; for last; do :; done; cp other.onnx \"$last\"");
    let tuned = run();
    assert!(tuned.status.success(), "{}", said(&tuned));
    let calls = sandbox.read("calls");
    assert!(calls.starts_with("finetune -q --seed 0 --steps 7 --threads 1 "), "{calls}");
    assert_eq!(calls.matches(" --held-out valid.npz --supernet net.onnx --data train.npz --design ").count(), 2, "{calls}");
    let lines: Vec<Value> = sandbox.read("tuned.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["quantization"]["finetune"]["steps"]), (3, &7.into()));
    sandbox.fails(&line.replace(" --finetune 7 --train train.npz", ""), 2, &["quantization", "finetune"]);
}
