//! scratch
use apqc::{network::Network, float::*};
fn main() {
    for p in std::env::args().skip(1) {
        let path = std::path::PathBuf::from(&p);
        let bytes = std::fs::read(&path).unwrap();
        let net = match Network::load(&bytes, "m", path.parent(), |n,k,g| if k>0 { eprintln!("pass {n}: {k} -> {} nodes", g.nodes.len()) }) { Ok(n)=>n, Err(e)=>{ println!("{p}: ERR {e}"); continue } };
        println!("{}", net.graph);
        println!("macs {}", net.macs);
        let r = net.reference().unwrap();
        let ex = Executor::new(&net.graph);
        let sim = Simulation::float(&net.graph);
        let n: usize = net.graph.tensor(net.graph.input).len();
        let input: Vec<f32> = (0..n).map(|i| ((i*7919)%255) as f32/127.5-1.0).collect();
        let a = ex.run(&sim,&input);
        let t=std::time::Instant::now(); for _ in 0..10 { ex.run(&sim,&input); } let own=t.elapsed()/10;
        let b = r.run(&input).unwrap();
        let t=std::time::Instant::now(); for _ in 0..10 { r.run(&input).unwrap(); } let tr=t.elapsed()/10;
        let d = a.iter().zip(&b).map(|(x,y)|(x-y).abs()).fold(0f32,f32::max);
        println!("{p}: max diff {d} of {:?}; own {own:?} tract {tr:?}", &b[..3]);
    }
}
