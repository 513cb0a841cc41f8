//! Subnets of a once-for-all network: cut, measured anew and run in floats.

use apq_examples::supernet::{SIZE, images, tiny};
use apq_onnx::supernet::{Subnet, Supernet, read};
use apq_search::space::{Architecture, sample_architecture};
use apqc::data::{Dataset, Preprocess, Raw};
use apqc::network::Network;
use apqc::supernet::{FloatSubnet, Images, calibrate};
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
