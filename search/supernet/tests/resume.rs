//! A training that stops in the middle of a phase, and checkpoints that are not of their space.

use std::collections::BTreeMap;

use apq_search::space::Space;
use apq_supernet::checkpoint::{self, Checkpoint};
use apq_supernet::data::{Images, Preprocess};
use apq_supernet::recipe::{Recipe, State};
use apq_supernet::shrinking::{EpochRecord, RestoreError, Training};
use tch::{Device, Tensor};

/// Deeper than two blocks only by chance: some transforms are used for the first time long after a restart.
fn state() -> State {
    let recipe = Recipe {
        epochs: [1, 1, 3, 3],
        rates: [0.05; 4],
        batch: 16,
        momentum: 0.9,
        weight_decay: 1e-4,
        label_smoothing: 0.05,
        shift: 1,
        mirror: true,
        seed: 4,
    };
    let preprocess = Preprocess { mean: 80.0, std: 60.0 };
    State { space: Space::fashion(), recipe, preprocess, images: String::new(), validation: 8, epochs_done: 0 }
}

fn images(count: usize) -> Images {
    let pixel = |at: usize| {
        let (image, row) = (at / 784, at / 28 % 28);
        (at * 7 % 50) as u8 + if (row < 14) == (image % 2 == 0) { 150 } else { 0 }
    };
    Images {
        pixels: (0..count * 784).map(pixel).collect(),
        labels: (0..count).map(|image| (image % 2) as u8).collect(),
        shape: [28, 28, 1],
    }
}

type Tensors = BTreeMap<String, Tensor>;

fn bits(tensors: &Tensors) -> BTreeMap<&String, Vec<u32>> {
    let bits = |tensor: &Tensor| apq_supernet::files::values(tensor).into_iter().map(f32::to_bits).collect();
    tensors.iter().map(|(name, tensor)| (name, bits(tensor))).collect()
}

#[test]
fn a_stop_in_the_middle_of_a_phase_changes_nothing() {
    tch::set_num_threads(1);
    let (train, held_out) = images(40).split(8, 1);
    let epoch = |training: &mut Training| -> Option<EpochRecord> {
        training.epoch(&train, &held_out, |_| ()).map(|record| EpochRecord { seconds: 0.0, ..record })
    };
    let mut whole = Training::new(state(), Device::Cpu);
    let mut parts = Training::new(state(), Device::Cpu);
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("checkpoint.safetensors");
    while let Some(record) = epoch(&mut whole) {
        assert_eq!(epoch(&mut parts), Some(record));
        assert!(bits(&whole.supernet.parameters) == bits(&parts.supernet.parameters), "parameters, epoch {}", whole.state.epochs_done);
        assert!(bits(&whole.moments) == bits(&parts.moments), "moments, epoch {}", whole.state.epochs_done);
        // Another process: nothing but the file is left.
        checkpoint::write(&path, &parts.state, &parts.supernet.parameters, &parts.moments).unwrap();
        let Checkpoint { state: found, parameters, moments } = checkpoint::read::<State>(&path).unwrap();
        assert_eq!(found, whole.state);
        parts = Training::new(state(), Device::Cpu);
        parts.restore(parameters, moments, found).unwrap();
    }
    assert_eq!(whole.state.epochs_done, 8);
    assert!(whole.is_finite() && parts.next().is_none());
}

#[test]
fn tensors_that_the_space_does_not_have_are_refused() {
    let mut training = Training::new(state(), Device::Cpu);
    let copy = |training: &Training| -> Tensors {
        training.supernet.parameters.iter().map(|(name, tensor)| (name.clone(), tensor.detach().copy())).collect()
    };
    let parameters = copy(&training);
    let zeros = Tensor::zeros([3], tch::kind::FLOAT_CPU);
    let mut restore = |change: &dyn Fn(&mut Tensors, &mut Tensors)| {
        let (mut parameters, mut moments) = (copy(&training), BTreeMap::new());
        change(&mut parameters, &mut moments);
        training.restore(parameters, moments, state())
    };
    let wrong = |name: &str| RestoreError::Moment { name: name.into(), shape: vec![3] };
    for name in ["head.weight", "nobody.weight"] {
        let found = restore(&|_, moments| {
            moments.insert(name.into(), zeros.copy());
        });
        assert_eq!(found, Err(wrong(name)));
    }
    let shape = parameters["head.weight"].size();
    let missing = RestoreError::Parameter { name: "head.weight".into(), shape };
    let found = restore(&|parameters, _| {
        parameters.remove("head.weight");
    });
    assert_eq!(found, Err(missing.clone()));
    let found = restore(&|parameters, _| {
        parameters.insert("head.weight".into(), zeros.copy());
    });
    assert_eq!(found, Err(missing));
    assert_eq!(restore(&|_, _| ()), Ok(()));
}
