//! scratch
use apqc::{network::Network, data, compile::*, quant::ranges::RangeRule};
use apq_search::*; use apq_targets::*;
struct Store;
impl ListStore for Store {
    fn load(&self, key: &str) -> Option<Vec<Sensitivity>> { let t=std::fs::read_to_string(key).ok()?; Some(t.lines().map(|l| { let f: Vec<&str> = l.split(' ').collect(); Sensitivity{group:f[0].parse().unwrap(),candidate:f[1].parse().unwrap(),sqnr_db:f[2].parse().unwrap()} }).collect()) }
    fn store(&self, key: &str, list: &[Sensitivity]) { let t: Vec<String>=list.iter().map(|s| format!("{} {} {}",s.group,s.candidate,s.sqnr_db)).collect(); std::fs::write(key,t.join("\n")).unwrap(); }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let path = std::path::PathBuf::from(&a[1]);
    let bytes = std::fs::read(&path).unwrap();
    let net = Network::load(&bytes, "m", path.parent(), |_,_,_| {}).unwrap();
    let target = Target::builtin(&a[4]).unwrap();
    let n: usize = a[5].parse().unwrap();
    let r: f64 = a[6].parse().unwrap();
    let cands: Vec<Candidate> = if a[7]=="-" { target.candidates().to_vec() } else { a[7].split(',').map(|c| c.parse().unwrap()).collect() };
    let bc = a[8]=="bc";
    let json = path.with_extension("json");
    let ch = *net.sample_shape().last().unwrap();
    let pre = data::Preprocess::from_json(&std::fs::read_to_string(json).unwrap(), ch).unwrap();
    let cal = data::load_at_most(a[2].as_ref(), net.sample_shape(), n).unwrap();
    let test = (a[3]!="-").then(|| data::load_at_most(a[3].as_ref(), net.sample_shape(), 100000).unwrap());
    let fusion = BitFusion;
    let model: Option<&dyn apq_lut::CostModel> = if a[4]=="bitfusion" { Some(&fusion) } else { None };
    let mut budgets = vec![];
    if r>0.0 { budgets.push(Budget{quantity:Quantity::Bops, limit:(r*128.0*net.macs as f64) as u64}); }
    if let Some(l)=a.get(9) { budgets.push(Budget{quantity:Quantity::Latency, limit:l.parse().unwrap()}); }
    let opt = Options { candidates: cands, budgets, weight_ranges: RangeRule::Mse, activation_ranges: RangeRule::Mse, estimator: Estimator::Pooled, output_bits: 8, bias_correction: bc };
    let c = compile(&net, &target, model, &Data{calibration:&cal,test:test.as_ref(),preprocess:&pre}, &opt, (&Store,&format!("/tmp/list-{}-{}-{}", net.macs, n, a[7])), &()).unwrap();
    println!("feasible {} totals {:?} r {:.4}", c.feasible, c.totals, c.totals.bops as f64/128.0/net.macs as f64);
    println!("file {} weights {} arena {} outch {}", c.lowered.file.len(), c.lowered.weights_bytes, c.lowered.spec.arena_bytes, net.graph.nodes.iter().filter_map(|n| n.op.weights()).map(|w| w.outputs()).sum::<usize>());
    println!("sqnr {:.2} float {:?} int {:?} corr {:?}", c.calibration_sqnr_db, c.float_quality, c.integer_quality, c.correction);
    println!("{:?}", c.seconds);
    for (g,a) in c.grouping.groups.iter().zip(&c.assignment) { print!("{}:{a} ", g.name); }
    println!();
    for s in c.list.iter().take(200) { if std::env::var("LIST").is_ok() { println!("{} {} {:.2}", c.grouping.groups[s.group].name, s.candidate, s.sqnr_db); } }
}
