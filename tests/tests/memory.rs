//! scratch test
use apq_examples::mobilenet::{Norms, visual_wake_words};
use apq_targets::Target;
use apq_tests::compiled::{Prepared, lowered};
use apq_tests::data::{self, AUTOENCODER, DSCNN, RESNET8};
use apqc::network::Network;
use apqc::lower::*;use apq_runtime::build::RawType;use apqc::data::Preprocess;use apqc::plan::Effort;
use apqc::quant::ranges::RangeRule;

#[test]
fn arenas() {
    let Some(folder) = data::folder() else { return };
    let vww = Network::load(&visual_wake_words(0, Norms::Separate), "vww", None, |_, _, _| {}).unwrap();
    let target = Target::builtin("cortex-m4").unwrap();
    for network in [RESNET8.load(&folder), DSCNN.load(&folder), vww, AUTOENCODER.load(&folder)] {
        println!("{} macs {}", network.graph.name, network.macs);
        let samples = apq_tests::random::samples("m", network.sample_shape().iter().product(), 2);
        let prepared = Prepared::new(&network, &target, &["w8a8".parse().unwrap()], &samples, RangeRule::MinMax).unwrap();
        let q = prepared.widest();
        let channels = q.graph.tensor(q.graph.input).channels();
        let input = RawInput { raw: RawType::F32, preprocess: Preprocess::identity(channels) };
        for max in [None, Some(30000), Some(20000), Some(12000), Some(0)] {
            let start = std::time::Instant::now();
            let l = lower(&q, &input, MemoryGoal { effort: Effort::default(), arena_bytes_max: max }).unwrap();
            println!("max {max:?} arena {} file {} nodes {} {:?} {:?}", l.spec.arena_bytes, l.file.len(), l.spec.nodes.len(), l.streamed, start.elapsed());
            let start = std::time::Instant::now();
            println!("quick {:?} {:?}", apqc::lower::arena_bytes(&q, max).unwrap(), start.elapsed());
        }
        let l = lowered(&q);
        if true { continue }
        for node in &l.spec.nodes {
            let o = &l.spec.tensors[node.output];
            let i = &l.spec.tensors[node.inputs[0]];
            println!("  {:30} in {:6} {:?} out {:6} {:?} scratch {:?}", node.name, i.offset, i.shape, o.offset, o.shape, node.scratch);
        }
    }
}
