//! Files of layers: the runtime takes them, runs them on this machine, and finds in them the layers that were asked for.

use std::collections::BTreeSet;

use apq_lut::{Candidate, LayerKey, Operator, Path};
use apq_profile::design::{all_candidates, layers};
use apq_profile::keys::model_keys;
use apq_profile::synthetic::{Limits, Skipped, batches};
use apq_runtime::{ALIGNMENT, Model, Session};
use apq_targets::Target;

const LIMITS: Limits = Limits { file_bytes: 128 << 10, arena_bytes: 96 << 10, layers: 48 };

#[test]
fn every_layer_of_the_list_runs_and_is_found_again() {
    let target = Target::builtin("cortex-m4").unwrap();
    let wanted = layers(&target, &all_candidates(&target));
    let (files, skipped) = batches(&target, &wanted, &LIMITS, 0);
    assert!(skipped.is_empty(), "{:?}", skipped.first());
    let mut found = BTreeSet::new();
    for batch in &files {
        assert!(batch.file.len() <= LIMITS.file_bytes && batch.arena_bytes <= LIMITS.arena_bytes, "{}", batch.file.len());
        let model = Model::new_checked(&batch.file).unwrap();
        let of_model = model_keys(&model);
        for layer in &batch.layers {
            // One that reads the network's input itself says so in the model.
            let plain = |(node, key): &(usize, LayerKey)| (*node, LayerKey { reads_network_input: false, ..key.clone() });
            assert!(of_model.iter().map(plain).any(|other| other == *layer), "{}", layer.1);
            found.insert(layer.1.clone());
        }
        let mut arena = vec![0; model.arena_bytes() + ALIGNMENT];
        let start = arena.as_ptr().align_offset(ALIGNMENT);
        Session::new(&model, &mut arena[start..]).unwrap().run(&mut ());
    }
    let wanted: BTreeSet<LayerKey> = wanted.into_iter().map(LayerKey::with_needed_padding).collect();
    assert_eq!(found, wanted);
}

#[test]
fn every_way_through_the_kernels_has_enough_layers_for_a_fit() {
    let target = Target::builtin("cortex-m4").unwrap();
    let keys = layers(&target, &[Candidate::new(4, 8).unwrap(), Candidate::new(8, 16).unwrap()]);
    for key in &keys {
        let alike = |other: &&LayerKey| {
            (&other.operator, Path::of(other), other.weight_bits, other.activation_bits)
                == (&key.operator, Path::of(key), key.weight_bits, key.activation_bits)
        };
        assert!(keys.iter().filter(alike).count() >= 7, "{key}");
    }
    let operators: BTreeSet<&Operator> = keys.iter().map(|key| &key.operator).collect();
    assert_eq!(operators.len(), Operator::NAMED.len(), "an operator is not in the list");
}

#[test]
fn equal_arguments_give_equal_files_and_large_layers_one_of_their_own() {
    let target = Target::builtin("cortex-m4").unwrap();
    let bits = Candidate::new(8, 8).unwrap();
    let conv = |side, channels| LayerKey::conv([side; 2], channels, channels, [1, 1], [1, 1], [0; 4], bits).unwrap();
    let mut first = conv(4, 8);
    first.reads_network_input = true;
    let keys = [conv(4, 8), conv(40, 24), first, conv(200, 200), conv(5, 300)];
    let (files, skipped) = batches(&target, &keys, &LIMITS, 7);
    let sizes: Vec<usize> = files.iter().map(|batch| batch.layers.len()).collect();
    assert_eq!(sizes, [1, 2], "one that is large in memory, and two keys, of which one came twice");
    assert_eq!(skipped.len(), 1);
    assert!(matches!(skipped[0].1, Skipped::TooLarge { what: "RAM", given_bytes: 98_304, .. }), "{:?}", skipped[0]);
    let (again, _) = batches(&target, &keys, &LIMITS, 7);
    assert!(files.iter().zip(&again).all(|(a, b)| a.file[..] == b.file[..]));
    let mut other = conv(4, 8);
    other.operator = "GridSample".parse().unwrap();
    let (files, skipped) = batches(&target, &[other], &LIMITS, 0);
    assert_eq!((files.len(), &skipped[0].1), (0, &Skipped::NoLayer));
}
