//! scratch
use apqc::{network::Network, float::*, graph::*};
fn main(){ let p=std::env::args().nth(1).unwrap(); let path=std::path::PathBuf::from(&p); let net=Network::load(&std::fs::read(&path).unwrap(),"m",path.parent(),|_,_,_|{}).unwrap(); let ex=Executor::new(&net.graph); let sim=Simulation::float(&net.graph);
 let n=net.graph.tensor(net.graph.input).len(); let input:Vec<f32>=(0..n).map(|i|((i*7919)%255) as f32/127.5-1.0).collect();
 let mut t=std::time::Instant::now(); let mut acc=std::collections::BTreeMap::<String,f64>::new();
 for r in 0..10 { t=std::time::Instant::now(); ex.run_visiting(&sim,&input,|id,_|{ if r>2 { let nd=&net.graph.nodes[id.0]; let k=match &nd.op { Op::Conv{window,..}=>format!("{} k{} s{}",nd.op.name(),window.kernel[0],window.stride[0]), o=>o.name().into() }; *acc.entry(k).or_default()+=t.elapsed().as_secs_f64()/7.0*1e3; } t=std::time::Instant::now(); }); }
 let _=t; for (k,v) in &acc { println!("{k}: {v:.2} ms"); } println!("total {:.2}", acc.values().sum::<f64>()); }
