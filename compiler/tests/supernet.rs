//! Subnets of a once-for-all network: cut, measured anew and run in floats.

use apq_examples::supernet::{SIZE, images, tiny};
use apq_onnx::supernet::{Subnet, Supernet, read};
use apq_search::Totals;
use apq_search::space::{Architecture, Choices, Design, DesignCosts, sample_architecture, sample_policy};
use apq_targets::Target;
use apqc::cost::{layer_key, node_cost};
use apqc::data::{Dataset, Preprocess, Raw};
use apqc::network::Network;
use apqc::supernet::{FloatSubnet, Images, assignment, calibrate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn dataset(seed: u64, count: usize) -> Dataset {
    Dataset::new(vec![SIZE, SIZE, 1], Raw::U8(images(seed, count)), None, "test".into()).unwrap()
}

fn preprocess() -> Preprocess {
    Preprocess::new(vec![40.0], vec![60.0], 1).unwrap()
}

fn architectures(supernet: &Supernet) -> Vec<Architecture> {
    let space = supernet.space();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let drawn = (0..6).map(|_| sample_architecture(space, &mut random));
    [space.largest(), space.smallest()].into_iter().chain(drawn).collect()
}

/// Outputs of the subnet's file on tract.
fn reference(subnet: &Subnet, data: &Dataset) -> Vec<Vec<f32>> {
    let network = Network::load(&subnet.to_onnx(), "subnet", None, |_, _, _| ()).unwrap();
    let reference = network.reference().unwrap();
    (0..data.len()).map(|index| reference.run(&data.to_f32(index, &preprocess())).unwrap()).collect()
}

fn assert_near(ours: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(expected) {
        let largest = expected.iter().fold(1.0_f32, |largest, v| largest.max(v.abs()));
        assert!(ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4 * largest), "{ours:?}, not {expected:?}");
    }
}

#[test]
fn subnets_compute_what_their_files_say() {
    let supernet = read(&tiny(1).unwrap()).unwrap().unwrap();
    // More than a batch, and not a whole number of them.
    let (calibration, test) = (dataset(1, 40), dataset(2, 19));
    let (calibration, images) = (Images::new(&calibration, &preprocess()), Images::new(&test, &preprocess()));
    for architecture in architectures(&supernet) {
        let mut subnet = supernet.extract(&architecture).unwrap();
        assert_near(&FloatSubnet::new(&subnet).outputs(&images), &reference(&subnet, &test));
        calibrate(&mut subnet, &calibration).unwrap();
        assert_near(&FloatSubnet::new(&subnet).outputs(&images), &reference(&subnet, &test));
    }
}

#[test]
fn the_supernet_is_its_largest_network() {
    let bytes = tiny(2).unwrap();
    let supernet = read(&bytes).unwrap().unwrap();
    let test = dataset(3, 5);
    let network = Network::load(&bytes, "supernet", None, |_, _, _| ()).unwrap();
    let expected: Vec<Vec<f32>> =
        (0..test.len()).map(|index| network.reference().unwrap().run(&test.to_f32(index, &preprocess())).unwrap()).collect();
    let largest = supernet.extract(&supernet.space().largest()).unwrap();
    assert_near(&FloatSubnet::new(&largest).outputs(&Images::new(&test, &preprocess())), &expected);
}

#[test]
fn calibrated_norms_have_mean_zero_and_deviation_one_before_scale_and_bias() {
    let supernet = read(&tiny(3).unwrap()).unwrap().unwrap();
    let data = dataset(4, 21);
    let mut subnet = supernet.extract(&supernet.space().largest()).unwrap();
    let before = subnet.clone();
    calibrate(&mut subnet, &Images::new(&data, &preprocess())).unwrap();
    assert_ne!(before, subnet);
    // Each convolution's output, from the graph before norms are folded: a network cut behind it.
    for convolution in subnet.convolutions() {
        let mut model = <apq_onnx::proto::ModelProto as prost::Message>::decode(&subnet.to_onnx()[..]).unwrap();
        let graph = model.graph.as_mut().unwrap();
        let end = graph.node.iter().position(|node| node.name.as_deref() == Some(&convolution.name)).unwrap();
        graph.node.truncate(end + 1);
        graph.node[end].output[0] = "output".into();
        graph.output[0].value_type = None;
        let network = Network::load(&prost::Message::encode_to_vec(&model), "cut", None, |_, _, _| ()).unwrap();
        let reference = network.reference().unwrap();
        let outputs: Vec<Vec<f32>> = (0..data.len()).map(|index| reference.run(&data.to_f32(index, &preprocess())).unwrap()).collect();
        let [_, _, mean, variance] = subnet.norm(convolution);
        for channel in 0..convolution.outputs {
            let values =
                || outputs.iter().flat_map(|output| output.iter().skip(channel).step_by(convolution.outputs)).map(|v| f64::from(*v));
            let count = values().count() as f64;
            let expected = values().sum::<f64>() / count;
            let spread = values().map(|v| (v - expected).powi(2)).sum::<f64>() / count;
            let (mean, variance) = (f64::from(mean[channel]), f64::from(variance[channel]));
            assert!(
                (mean - expected).abs() < 1e-4 * spread.sqrt().max(1.0),
                "{}, channel {channel}: {mean}, not {expected}",
                convolution.name
            );
            assert!(
                (variance - spread).abs() < 1e-4 * spread.max(1e-3),
                "{}, channel {channel}: {variance}, not {spread}",
                convolution.name
            );
        }
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let supernet = read(&tiny(4).unwrap()).unwrap().unwrap();
    let images = Images::new(&dataset(5, 70), &preprocess());
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut subnet = supernet.extract(&supernet.space().largest()).unwrap();
            calibrate(&mut subnet, &images).unwrap();
            let outputs = FloatSubnet::new(&subnet).outputs(&images);
            (subnet, outputs)
        })
    };
    assert_eq!(run(1), run(3));
}

/// What the compiler's own cost model says of a subnet.
fn totals(supernet: &Supernet, design: &Design, target: &Target) -> (Totals, u64) {
    let table = target.builtin_table().transpose().unwrap();
    let model = target.cost_model(table.as_ref());
    let network = Network::load(&supernet.extract(&design.architecture).unwrap().to_onnx(), "subnet", None, |_, _, _| ()).unwrap();
    let grouping = network.group(target, &supernet.space().candidates).unwrap();
    let assignment = assignment(&grouping, supernet.space(), &design.policy);
    let mut sum = Totals { bops: 0, latency_ns: Some(0), energy_pj: Some(0), cycles: Some(0), flash_bytes: 0, ram_bytes: 0 };
    let mut weights_bytes = 0;
    for (node, group) in network.graph.nodes.iter().zip(&grouping.of_node) {
        let Some(group) = group else { continue };
        let cost = node_cost(&network.graph, node, assignment[*group], target, model.as_deref()).unwrap();
        sum.bops += cost.bops;
        weights_bytes += cost.weights_bytes;
        if cost.modelled && layer_key(&network.graph, node, assignment[*group]).is_some() {
            let plus = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
            sum.cycles = plus(sum.cycles, cost.cycles);
            sum.latency_ns = plus(sum.latency_ns, cost.latency_ns);
            sum.energy_pj = plus(sum.energy_pj, cost.energy_pj);
        }
    }
    (sum, weights_bytes)
}

#[test]
fn costs_of_designs_are_those_of_their_networks() {
    let supernet = read(&tiny(6).unwrap()).unwrap().unwrap();
    let space = supernet.space();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for name in ["bitfusion", "cortex-m4"] {
        let target = Target::builtin(name).unwrap();
        let table = target.builtin_table().transpose().unwrap();
        let model = target.cost_model(table.as_ref());
        let costs = DesignCosts::new(space, &target, model.as_deref()).unwrap();
        let choices = Choices::new(space, Some(&target)).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..40 {
            let architecture = sample_architecture(space, &mut random);
            let policy = sample_policy(&choices, &architecture, &mut random);
            let design = Design { architecture, policy };
            let cost = costs.cost(&design).unwrap();
            let (expected, weights_bytes) = totals(&supernet, &design, &target);
            let ours = Totals { flash_bytes: 0, ..cost.totals };
            assert_eq!((ours, cost.weights_bytes), (expected, weights_bytes), "{name}: {design:?}");
            assert!(expected.latency_ns.is_some_and(|ns| ns > 0), "{name}");
            seen.insert(expected.bops);
        }
        assert!(seen.len() > 20, "{name}: {} different costs", seen.len());
    }
}
