use apq_lut::Candidate;
use apq_search::space::{Architecture, BlockShape, Stage, Stem};
use proptest::prelude::*;
use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::proto::{LOCATION_EXTERNAL, ModelProto};

fn space() -> Space {
    let candidate = |weight_bits, activation_bits| Candidate { weight_bits, activation_bits };
    Space {
        name: "small".into(),
        input: [12, 10, 2],
        classes: 3,
        stem: Stem { channels: 6, kernel: 3, stride: 2 },
        first: Some(4),
        stages: vec![Stage { channels: 4, stride: 1, depths: vec![1, 2] }, Stage { channels: 5, stride: 2, depths: vec![2, 3] }],
        head: 7,
        kernels: vec![3, 5, 7],
        expansion: [4, 6],
        channel_step: 4,
        candidates: vec![candidate(4, 4), candidate(8, 8)],
        fixed: candidate(8, 8),
    }
}

fn tensors(space: &Space, seed: u64) -> BTreeMap<String, Tensor> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tensor = |name: &str, shape: Vec<usize>| {
        let least = if name.ends_with("variance") { 0.1 } else { -1.0 };
        let values = (0..shape.iter().product()).map(|_| random.random_range(least..1.0)).collect();
        Tensor { shape, values }
    };
    tensor_shapes(space).into_iter().map(|(name, shape)| (name.clone(), tensor(&name, shape))).collect()
}

fn shape(kernel: u8, channels: u32) -> Option<BlockShape> {
    Some(BlockShape { kernel, channels })
}

/// One block of the first stage, two of the second.
fn architecture() -> Architecture {
    Architecture(vec![shape(5, 20), None, shape(3, 16), shape(7, 28), None])
}

#[test]
fn names_and_shapes_are_those_of_the_format() {
    let shapes: BTreeMap<_, _> = tensor_shapes(&space()).into_iter().collect();
    let expected: &[(&str, &[usize])] = &[
        ("stem.weight", &[6, 2, 3, 3]),
        ("stem.norm.variance", &[6]),
        ("first.depthwise.weight", &[6, 1, 3, 3]),
        ("first.project.weight", &[4, 6, 1, 1]),
        ("first.project.norm.mean", &[4]),
        ("stages.0.blocks.1.expand.weight", &[24, 4, 1, 1]),
        ("stages.1.blocks.0.depthwise.weight", &[24, 1, 7, 7]),
        ("stages.1.blocks.2.depthwise.transform.7to5", &[25, 25]),
        ("stages.1.blocks.2.depthwise.transform.5to3", &[9, 9]),
        ("stages.1.blocks.2.project.weight", &[5, 28, 1, 1]),
        ("stages.1.blocks.2.project.norm.scale", &[5]),
        ("head.weight", &[7, 5, 1, 1]),
        ("classifier.weight", &[3, 7]),
        ("classifier.bias", &[3]),
    ];
    for (name, shape) in expected {
        assert_eq!(shapes.get(*name).map(Vec::as_slice), Some(*shape), "{name}");
    }
    // Stem, first block, five blocks, head: weight and norm; two transforms a block; the classifier.
    assert_eq!(shapes.len(), (1 + 2 + 5 * 3 + 1) * 5 + 5 * 2 + 2);
}

#[test]
fn a_file_reads_back_as_it_was_written() {
    let (space, tensors) = (space(), tensors(&space(), 1));
    let bytes = write(&space, &tensors).unwrap();
    let read_back = read(&bytes).unwrap().unwrap();
    assert_eq!((read_back.space(), read_back.tensors()), (&space, &tensors));
    assert_eq!(read_back.to_onnx(), bytes);
    let largest = read_back.extract(&space.largest()).unwrap().to_onnx();
    assert_eq!(read(&largest), Ok(None), "a subnet is an ordinary network");
    // Nodes and what they read are those of the supernet.
    let nodes = |bytes: &[u8]| ModelProto::decode(bytes).unwrap().graph.unwrap().node;
    assert_eq!(nodes(&largest), nodes(&bytes));
    let names: Vec<String> = nodes(&largest).into_iter().filter_map(|node| node.name).collect();
    for name in
        ["stem", "stem.norm", "stem.clip", "first.project.norm", "stages.0.blocks.1.add", "head.clip", "pool", "flatten", "classifier"]
    {
        assert!(names.iter().any(|other| other == name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|name| name == "first.project.clip" || name == "stages.1.blocks.0.add"));
}

#[test]
fn subnets_take_leading_channels_and_blocks() {
    let (space, tensors) = (space(), tensors(&space(), 2));
    let supernet = Supernet::new(space.clone(), tensors.clone()).unwrap();
    let subnet = supernet.extract(&architecture()).unwrap();
    assert!(!subnet.tensors().keys().any(|name| name.contains("stages.0.blocks.1") || name.contains("transform")));
    assert_eq!(subnet.values("stem.weight"), &tensors["stem.weight"].values[..]);
    let from = |name: &str, index: &[usize]| {
        let tensor = &tensors[name];
        let place = index.iter().zip(&tensor.shape).fold(0, |place, (index, size)| place * size + index);
        tensor.values[place]
    };
    let expand = &subnet.tensors()["stages.1.blocks.0.expand.weight"];
    assert_eq!(expand.shape, [16, 4, 1, 1]);
    for (place, value) in expand.values.iter().enumerate() {
        assert_eq!(*value, from("stages.1.blocks.0.expand.weight", &[place / 4, place % 4, 0, 0]));
    }
    let project = &subnet.tensors()["stages.1.blocks.0.project.weight"];
    assert_eq!(project.shape, [5, 16, 1, 1]);
    for (place, value) in project.values.iter().enumerate() {
        assert_eq!(*value, from("stages.1.blocks.0.project.weight", &[place / 16, place % 16, 0, 0]));
    }
    for (name, outputs) in [("expand", 16), ("depthwise", 16), ("project", 5)] {
        for part in layers::NORM {
            let name = format!("stages.1.blocks.0.{name}.norm.{part}");
            assert_eq!(subnet.values(&name), &tensors[&name].values[..outputs], "{name}");
        }
    }
}

#[test]
fn kernels_go_through_every_transform() {
    let (space, tensors) = (space(), tensors(&space(), 3));
    let supernet = Supernet::new(space, tensors.clone()).unwrap();
    let subnet = supernet.extract(&architecture()).unwrap();
    let seven = |block: &str, channel: usize, y: usize, x: usize| {
        f64::from(tensors[&format!("{block}.depthwise.weight")].values[(channel * 7 + y) * 7 + x])
    };
    let five = |block: &str, channel: usize, y: usize, x: usize| {
        let transform = &tensors[&format!("{block}.depthwise.transform.7to5")].values;
        let term = |j: usize| f64::from(transform[(y * 5 + x) * 25 + j]) * seven(block, channel, j / 5 + 1, j % 5 + 1);
        (0..25).map(term).sum::<f64>()
    };
    let three = |block: &str, channel: usize, y: usize, x: usize| {
        let transform = &tensors[&format!("{block}.depthwise.transform.5to3")].values;
        let term = |j: usize| f64::from(transform[(y * 3 + x) * 9 + j]) * five(block, channel, j / 3 + 1, j % 3 + 1);
        (0..9).map(term).sum::<f64>()
    };
    type Kernel<'a> = &'a dyn Fn(&str, usize, usize, usize) -> f64;
    let blocks: [(&str, usize, usize, Kernel<'_>); 3] =
        [("stages.0.blocks.0", 5, 20, &five), ("stages.1.blocks.0", 3, 16, &three), ("stages.1.blocks.1", 7, 28, &seven)];
    for (block, side, channels, expected) in blocks {
        let kernels = &subnet.tensors()[&format!("{block}.depthwise.weight")];
        assert_eq!(kernels.shape, [channels, 1, side, side]);
        for (place, value) in kernels.values.iter().enumerate() {
            let (channel, y, x) = (place / (side * side), place / side % side, place % side);
            let expected = expected(block, channel, y, x);
            assert!((f64::from(*value) - expected).abs() < 1e-5, "{block}, channel {channel}, {y}, {x}: {value}, not {expected}");
        }
    }
}

#[test]
fn architectures_of_other_spaces_are_refused() {
    let supernet = Supernet::new(space(), tensors(&space(), 4)).unwrap();
    let with = |index: usize, shape: Option<BlockShape>| {
        let mut changed = architecture();
        changed.0[index] = shape;
        supernet.extract(&changed)
    };
    assert!(with(1, shape(3, 16)).is_ok());
    let wrong =
        [(0, shape(4, 20)), (0, shape(9, 20)), (0, shape(5, 18)), (0, shape(5, 28)), (0, None), (2, None), (3, None), (4, shape(3, 21))];
    for (index, shape) in wrong {
        assert!(matches!(with(index, shape), Err(SupernetError::Space(_))), "block {index}: {shape:?}");
    }
    assert!(matches!(supernet.extract(&Architecture(Vec::new())), Err(SupernetError::Space(_))));
}

/// The error for a file that was changed after it was written.
fn broken(change: impl FnOnce(&mut ModelProto)) -> SupernetError {
    let mut model = ModelProto::decode(&write(&space(), &tensors(&space(), 5)).unwrap()[..]).unwrap();
    change(&mut model);
    read(&model.encode_to_vec()).unwrap_err()
}

fn initializer(model: &mut ModelProto, wanted: &str) -> usize {
    let list = &model.graph.as_ref().unwrap().initializer;
    list.iter().position(|tensor| tensor.name.as_deref() == Some(wanted)).unwrap()
}

#[test]
fn broken_metadata_say_what_is_wrong() {
    let with = |text: &str| broken(|model| model.metadata_props[0].value = Some(text.into())).to_string();
    assert!(with("").starts_with("metadata `apq.supernet`: "));
    assert!(with("{}").contains("`version`"));
    assert!(with(r#"{"version":"1"}"#).contains("whole number"));
    assert!(with(r#"{"version":2,"space":{}}"#).contains("version 2"));
    assert!(with(r#"{"version":1}"#).contains("`space`"));
    assert!(with(r#"{"version":1,"space":{"name":"x"}}"#).contains("missing field"));
    assert!(with(&"[".repeat(5000)).contains("recursion"));
    let twice = broken(|model| model.metadata_props.push(model.metadata_props[0].clone()));
    assert_eq!(twice, SupernetError::Metadata("is there twice".into()));
    let mut other = space();
    other.kernels = vec![7, 5];
    let text = serde_json::json!({ "version": 1, "space": other }).to_string();
    assert!(with(&text).contains("kernels"), "{}", with(&text));
    assert!(matches!(read(b"no protobuf"), Err(SupernetError::NotOnnx(_))));
}

#[test]
fn broken_tensors_are_named() {
    let name = "stages.1.blocks.2.depthwise.transform.7to5";
    let change = |change: fn(&mut crate::proto::TensorProto)| {
        let error = broken(|model| {
            let index = initializer(model, name);
            change(&mut model.graph.as_mut().unwrap().initializer[index]);
        });
        assert!(error.to_string().contains(name) || matches!(error, SupernetError::Twice(_)), "{error}");
        error
    };
    assert!(matches!(change(|tensor| tensor.name = Some("other".into())), SupernetError::Missing { .. }));
    assert!(matches!(change(|tensor| tensor.name = Some("stem.weight".into())), SupernetError::Twice(_)));
    assert!(matches!(change(|tensor| tensor.dims = vec![25, 24]), SupernetError::Shape { .. }));
    assert!(matches!(change(|tensor| tensor.dims = vec![-1, 25]), SupernetError::Shape { .. }));
    assert!(matches!(change(|tensor| tensor.data_type = Some(11)), SupernetError::Elements { .. }));
    assert!(matches!(change(|tensor| tensor.data_location = Some(LOCATION_EXTERNAL)), SupernetError::Elements { .. }));
    assert!(matches!(change(|tensor| tensor.raw_data.as_mut().unwrap().truncate(7)), SupernetError::Elements { .. }));
    assert!(matches!(change(|tensor| tensor.raw_data.as_mut().unwrap().truncate(8)), SupernetError::Length { .. }));
    let infinite = |tensor: &mut crate::proto::TensorProto| {
        tensor.raw_data.as_mut().unwrap()[8..12].copy_from_slice(&f32::INFINITY.to_le_bytes());
    };
    assert!(matches!(change(infinite), SupernetError::NotFinite { index: 2, .. }));
    let error = broken(|model| {
        let index = initializer(model, "head.norm.variance");
        model.graph.as_mut().unwrap().initializer[index].raw_data.as_mut().unwrap()[..4].copy_from_slice(&(-1.0_f32).to_le_bytes());
    });
    assert!(matches!(error, SupernetError::NegativeVariance { index: 0, .. }), "{error}");
}

#[test]
fn values_may_be_written_as_a_list() {
    let mut model = ModelProto::decode(&write(&space(), &tensors(&space(), 6)).unwrap()[..]).unwrap();
    for tensor in &mut model.graph.as_mut().unwrap().initializer {
        let bytes = tensor.raw_data.take().unwrap();
        tensor.float_data = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    }
    assert_eq!(read(&model.encode_to_vec()).unwrap().unwrap().tensors(), &tensors(&space(), 6));
}

#[test]
fn values_of_a_subnet_are_replaced_whole() {
    let supernet = Supernet::new(space(), tensors(&space(), 7)).unwrap();
    let mut subnet = supernet.extract(&architecture()).unwrap();
    subnet.set("stem.norm.mean", vec![0.5; 6]).unwrap();
    assert_eq!(subnet.values("stem.norm.mean"), [0.5; 6]);
    let before = subnet.clone();
    assert!(subnet.set("stem.norm.mean", vec![0.5; 5]).is_err());
    assert!(subnet.set("stem.norm.mean", vec![f32::NAN; 6]).is_err());
    assert!(subnet.set("stem.norm.variance", vec![-1.0; 6]).is_err());
    assert!(subnet.set("nothing", vec![0.0; 6]).is_err());
    assert_eq!(before, subnet);
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn damaged_files_never_panic(place in any::<proptest::sample::Index>(), value in any::<u8>(), cut in any::<proptest::sample::Index>()) {
        static FILE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| write(&space(), &tensors(&space(), 8)).unwrap());
        let mut bytes = FILE.clone();
        // The metadata are at the end.
        let end = bytes.len();
        let tail = end - 900;
        let place = if value % 2 == 0 { tail + place.index(900) } else { place.index(end) };
        bytes[place] = value;
        let _ = read(&bytes);
        bytes.truncate(cut.index(end));
        let _ = read(&bytes);
    }

    #[test]
    fn hostile_spaces_never_panic(
        sizes in proptest::collection::vec(prop_oneof![Just(0), 1..9_u32, Just(8192), any::<u32>()], 14),
        kernels in proptest::collection::vec(any::<u8>(), 0..4),
        depths in proptest::collection::vec(prop_oneof![1..4_u8, any::<u8>()], 0..4),
    ) {
        let hostile = Space {
            input: [sizes[0], sizes[1], sizes[2]],
            classes: sizes[3],
            stem: Stem { channels: sizes[4], kernel: sizes[5] as u8, stride: sizes[6] },
            first: (sizes[7] > 4).then_some(sizes[7]),
            stages: vec![Stage { channels: sizes[8], stride: sizes[9], depths }],
            head: sizes[10],
            kernels,
            expansion: [sizes[11], sizes[12]],
            channel_step: sizes[13],
            ..space()
        };
        prop_assert!(Supernet::new(hostile, BTreeMap::new()).is_err());
    }
}

#[test]
fn the_page_about_the_format_shows_a_space_that_is_read() {
    let page = include_str!("../../../../docs/supernet.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    let (json, _) = rest.split_once("```").unwrap();
    let wanted = broken(|model| model.metadata_props[0].value = Some(json.into()));
    // Metadata and space are in order; the file is one of another space.
    assert!(matches!(wanted, SupernetError::Missing { .. } | SupernetError::Shape { .. }), "{wanted}");
}
