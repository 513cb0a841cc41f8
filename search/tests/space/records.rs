use std::collections::BTreeMap;

use apq_search::space::record::{Header, Kind, POLICIES_PER_ARCHITECTURE, Point, Quantization, SCHEMA};
use apq_search::space::{Architecture, Choices, Space};

fn header(kind: Kind) -> Header {
    let quantization = Quantization {
        activation_ranges: "mse".into(),
        weight_ranges: "mse".into(),
        range_samples: 64,
        rounding: "nearest".into(),
        bias_correction: true,
        target: None,
        finetune: None,
    };
    Header {
        schema: SCHEMA.into(),
        fingerprint: Space::fashion().fingerprint_text(),
        kind,
        seed: 7,
        points: 60,
        shard: None,
        samples: 2000,
        data: "0123456789abcdef".repeat(4),
        supernet: "f".repeat(64),
        calibration: "0".repeat(64),
        norm_samples: 256,
        preprocess: "a".repeat(64),
        quantization: (kind == Kind::Quantized).then_some(quantization),
    }
}

#[test]
fn designs_are_a_function_of_seed_and_index() {
    let space = Space::fashion();
    let choices = Choices::new(&space, None).unwrap();
    let of = |header: &Header| (0..60).map(|index| header.design(&space, &choices, index)).collect::<Vec<_>>();
    let quantized = header(Kind::Quantized);
    let designs = of(&quantized);
    assert_eq!(of(&Header { shard: Some([2, 3]), ..quantized.clone() }), designs);
    assert_ne!(of(&Header { seed: 8, ..quantized.clone() }), designs);
    let mut architectures: BTreeMap<&Architecture, usize> = BTreeMap::new();
    for (architecture, policy) in &designs {
        *architectures.entry(architecture).or_default() += 1;
        assert_eq!(space.check_policy(architecture, policy.as_ref().unwrap()), Ok(()));
    }
    assert_eq!(architectures.len(), 30 + 3, "30 alone, 3 with 10 policies each");
    assert!(designs[30..].chunks(POLICIES_PER_ARCHITECTURE as usize).all(|ten| ten.iter().all(|one| one.0 == ten[0].0)));
    assert_ne!(designs[30].1, designs[31].1);
    let floats = of(&header(Kind::Float));
    assert!(floats.iter().all(|(_, policy)| policy.is_none()));
    assert!(floats.iter().all(|(architecture, _)| !architectures.contains_key(architecture)), "other streams");
}

#[test]
fn lines_are_those_of_the_contract() {
    let (space, head) = (Space::fashion(), header(Kind::Quantized));
    let choices = Choices::new(&space, None).unwrap();
    let (architecture, policy) = head.design(&space, &choices, 17);
    let point = Point { index: 17, architecture, policy, accuracy: 0.9131 };
    let line = serde_json::to_string(&point).unwrap();
    assert!(line.starts_with("{\"index\":17,\"architecture\":[{\"kernel\":"), "{line}");
    assert!(line.contains("\"policy\":[{\"pointwise\":\"w") && line.contains(",null,") && line.ends_with("\"accuracy\":0.9131}"), "{line}");
    assert_eq!(serde_json::from_str::<Point>(&line).unwrap(), point);
    let text = serde_json::to_string(&head).unwrap();
    assert!(text.contains("\"kind\":\"quantized\"") && text.contains("\"shard\":null"), "{text}");
    assert_eq!(serde_json::from_str::<Header>(&text).unwrap(), head);
    assert_eq!((head.check(&space), point.check(&space, &head)), (Ok(()), Ok(())));
}

#[test]
fn what_does_not_belong_is_named() {
    let (space, head) = (Space::fashion(), header(Kind::Quantized));
    let message = |change: fn(&mut Header)| {
        let mut other = head.clone();
        change(&mut other);
        other.check(&space).unwrap_err().to_string()
    };
    assert!(message(|h| h.schema.push('0')).starts_with("data set: `schema`"));
    assert!(message(|h| h.fingerprint = Space::imagenet().fingerprint_text()).contains("another search space than `fashion`"));
    assert!(message(|h| h.points = 0).contains("`points`"));
    assert!(message(|h| h.shard = Some([0, 2])).contains("`shard`"));
    assert!(message(|h| h.shard = Some([3, 2])).contains("`shard`"));
    assert!(message(|h| h.samples = 0).contains("`samples`"));
    assert!(message(|h| h.data.push('0')).contains("`data`"));
    assert!(message(|h| h.supernet = "G".repeat(64)).contains("`supernet`"));
    assert!(message(|h| h.quantization = None).contains("`quantization` is missing"));
    assert!(message(|h| h.kind = Kind::Float).contains("`quantization` is there"));

    let choices = Choices::new(&space, None).unwrap();
    let (architecture, policy) = head.design(&space, &choices, 3);
    let point = Point { index: 3, architecture, policy, accuracy: 1.0 };
    let second = Header { shard: Some([2, 2]), ..head.clone() };
    assert_eq!((second.check(&space), point.check(&space, &second)), (Ok(()), Ok(())));
    // Ten points of one architecture lie in one shard.
    let of = |index: u64| [1, 2, 3].map(|shard| Header { shard: Some([shard, 3]), ..head.clone() }.holds(index));
    assert!((0..60).all(|index| of(index).into_iter().filter(|holds| *holds).count() == 1));
    assert!((30..60).all(|index| of(index) == of(index / 10 * 10)) && of(30) != of(40));
    assert!(second.is_sibling(&head) && !second.is_sibling(&Header { seed: 1, ..head.clone() }));
    assert!(point.check(&space, &Header { shard: Some([1, 2]), ..head.clone() }).is_err());
    assert!(Point { index: 60, ..point.clone() }.check(&space, &head).is_err());
    for accuracy in [-0.1, 1.1, f64::NAN] {
        assert!(Point { accuracy, ..point.clone() }.check(&space, &head).is_err());
    }
    assert!(Point { policy: None, ..point.clone() }.check(&space, &head).is_err());
    assert!(Point { architecture: Space::imagenet().largest(), ..point }.check(&space, &head).is_err());
}
