//! Jobs on emulated boards: the same bits as here, counts, and every way to be refused.

mod common;

use std::path::Path;
use std::time::Duration;

use apq_device::{BOARDS, Class, DeviceError, FrameError, Inputs, Job, JobError, Outcome, Refusal, Runner, Unit, Wants, image, run};
use apq_runtime::build::seal;
use common::{SILENCE_MAX, emulator, emulators_are_there, firmware, model, outputs_here};

const DRAWN: Inputs<'_> = Inputs::Drawn { seed: 5, count: 3 };

fn job<'a>(model: &'a [u8], inputs: Inputs<'a>) -> Job<'a> {
    let wants = Wants { outputs: true, layers: true, run: true, stack: true };
    Job { model, inputs, repeats: 16, arena_bytes: None, wants }
}

fn on_m4(job: &Job<'_>) -> Result<Outcome, DeviceError> {
    run(&emulator("cortex-m4"), &firmware("cortex-m4"), job, SILENCE_MAX)
}

fn refusal(job: &Job<'_>) -> Refusal {
    match on_m4(job) {
        Err(DeviceError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_core_gives_the_bits_of_this_machine_and_counts() {
    if !emulators_are_there() {
        return;
    }
    let model = model();
    let expected = outputs_here(&model, &DRAWN);
    assert_ne!(expected[0], expected[1]);
    for board in BOARDS.iter().filter(|board| board.machine.is_some()) {
        let outcome =
            run(&emulator(board.core), &firmware(board.core), &job(&model, DRAWN), SILENCE_MAX).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((outcome.board.as_str(), outcome.model.as_str()), (board.name, "small"));
        assert_eq!(outcome.outputs, expected, "{}", board.core);
        assert_eq!((outcome.unit, outcome.layers.len()), (Unit::Instructions, 2));
        // 10368 and 2880 products. A core with vectors may take less than one instruction each, none takes more than a hundred.
        let [conv, connected] = [outcome.layers[0].mean(), outcome.layers[1].mean()];
        assert!((1e3..1e6).contains(&conv) && (2e2..3e5).contains(&connected), "{}: {conv} {connected}", board.core);
        // What a run does beside its layers: the nodes are read, the input is checked.
        let beside = outcome.run.mean() - conv - connected;
        assert!((0.0..20_000.0).contains(&beside), "{}: {beside}", board.core);
        let stack = outcome.stack_bytes.unwrap_or(0);
        assert!((100..8000).contains(&stack), "{}: {stack}", board.core);
    }
}

#[test]
fn counts_repeat() {
    if !emulators_are_there() {
        return;
    }
    let model = model();
    let [first, second] = [0, 0].map(|_| on_m4(&job(&model, DRAWN)).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(first, second);
}

#[test]
fn given_inputs_are_run_in_order() {
    if !emulators_are_there() {
        return;
    }
    let (model, codes) = (model(), [vec![3; 144], (0..144).collect(), vec![250; 144]].concat());
    let inputs = Inputs::Given { codes: &codes, each: 144 };
    let wants = Wants { outputs: true, ..Wants::default() };
    let outcome = on_m4(&Job { wants, ..job(&model, inputs) }).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.outputs, outputs_here(&model, &inputs));
    assert_eq!((outcome.layers.len(), outcome.run.repeats, outcome.stack_bytes), (0, 0, None));
    // The first third alone.
    assert_eq!(refusal(&job(&model, Inputs::Given { codes: &codes, each: 48 })), Refusal::Input { needed: 144, given: 48 });
}

#[test]
fn models_that_this_build_cannot_run_are_refused() {
    if !emulators_are_there() {
        return;
    }
    let load = |file: &[u8]| match refusal(&job(file, DRAWN)) {
        Refusal::Load { class, text } => (class, text),
        other => panic!("{other:?}"),
    };
    // Another arrangement of the weights.
    let mut file = model();
    let at = file.windows(9).position(|bytes| bytes == b"row-major").expect("the arrangement's name");
    file[at..at + 9].copy_from_slice(b"row-minor");
    seal(&mut file);
    let (class, text) = load(&file);
    assert!(class == Class::Unsupported && text.contains("`row-minor`"), "{text}");
    // A newer version.
    let mut file = model();
    file[12] += 1;
    seal(&mut file);
    let (class, text) = load(&file);
    assert!(class == Class::Unsupported && text.contains(&format!("version {}", file[12])), "{text}");
    // A flipped bit, the last one of the weights.
    let mut file = model();
    let last = file.len() - 1;
    file[last] ^= 0x80;
    let (class, text) = load(&file);
    assert!(class == Class::BadFile && text.contains("checksum"), "{text}");
    assert!(matches!(load(b"no model"), (Class::BadFile, _)));
}

#[test]
fn an_arena_that_is_too_small_is_refused() {
    if !emulators_are_there() {
        return;
    }
    let model = model();
    let needed = on_m4(&job(&model, DRAWN)).unwrap_or_else(|error| panic!("{error}")).arena_bytes;
    let exact = Job { arena_bytes: Some(needed), ..job(&model, DRAWN) };
    assert!(on_m4(&exact).is_ok());
    let given = needed - 1;
    assert_eq!(refusal(&Job { arena_bytes: Some(given), ..exact }), Refusal::Arena { needed, given });
}

#[test]
fn a_damaged_job_is_refused() {
    if !emulators_are_there() {
        return;
    }
    let (path, model, inputs) = (firmware("cortex-m4"), model(), Inputs::Given { codes: &[9; 144], each: 144 });
    let program = std::fs::read(&path).expect("the program");
    let mut program = image(&path, &program, &job(&model, inputs)).expect("an image");
    let at = program.windows(144).rposition(|bytes| bytes == [9; 144]).expect("the input");
    program[at + 20] ^= 4;
    // Run as it is: without a job to put in, another program would be needed.
    let folder = tempfile::tempdir().expect("a folder");
    let damaged = folder.path().join("damaged.elf");
    std::fs::write(&damaged, program).expect("a file");
    let script = format!(
        "exec qemu-system-arm -machine mps2-an386 -nographic -monitor none -serial none -semihosting-config enable=on,target=native -kernel {}",
        damaged.display()
    );
    let runner = Runner::Command(["sh", "-c", &script].map(String::from).into());
    let result = run(&runner, &path, &job(&model, inputs), SILENCE_MAX);
    assert!(matches!(&result, Err(DeviceError::Refused(Refusal::Job(JobError::Checksum)))), "{result:?}");
}

#[test]
fn programs_that_take_no_job_are_refused() {
    let (model, runner) = (model(), Runner::Command(vec!["true".into()]));
    let refused = |path: &Path| match run(&runner, path, &job(&model, DRAWN), SILENCE_MAX) {
        Err(DeviceError::Firmware { path: named, problem }) if named == path => problem,
        other => panic!("{other:?}"),
    };
    refused(Path::new("no-such-program.elf"));
    assert!(refused(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))).contains("ELF"));
    // This test itself is a program of 64 bits.
    let this = std::env::current_exe().expect("this program");
    assert!(refused(&this).contains("32-bit"));
    if emulators_are_there() {
        let path = firmware("cortex-m4");
        let program = std::fs::read(&path).expect("the program");
        let large = vec![0; 4 << 20];
        assert!(matches!(image(&path, &program, &job(&large, DRAWN)), Err(DeviceError::Room { given: 0x30_0000, .. })));
        for length in (0..program.len()).step_by(997) {
            assert!(matches!(image(&path, &program[..length], &job(&model, DRAWN)), Err(DeviceError::Firmware { .. })), "{length}");
        }
    }
}

#[test]
fn runners_that_fail_are_told_apart() {
    if !emulators_are_there() {
        return;
    }
    let (path, model) = (firmware("cortex-m4"), model());
    let with = |script: &str, silence_max| {
        run(&Runner::Command(["sh", "-c", script].map(String::from).into()), &path, &job(&model, DRAWN), silence_max)
    };
    let cut = with("echo apq:0001020", SILENCE_MAX);
    assert!(matches!(cut, Err(DeviceError::Frame(FrameError::Cut))), "{cut:?}");
    let changed = with("echo apq:000102030405", SILENCE_MAX);
    assert!(matches!(changed, Err(DeviceError::Frame(FrameError::Checksum))), "{changed:?}");
    let ended = with("echo no probe was found; exit 1", SILENCE_MAX);
    assert!(matches!(&ended, Err(DeviceError::Ended { console, .. }) if console == "no probe was found"), "{ended:?}");
    let silent = with("exec sleep 60", Duration::from_millis(200));
    assert!(matches!(silent, Err(DeviceError::Silent { .. })), "{silent:?}");
}
