//! speed
use apq_search::space::*;
use apq_lut::Candidate;
use apq_supernet::{data::*, network::*, shrinking::*};
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let threads: i32 = args[1].parse().unwrap();
    tch::set_num_threads(threads);
    let stages: Vec<Stage> = args[3].split(',').map(|s| { let v: Vec<u32> = s.split(':').map(|x| x.parse().unwrap()).collect(); Stage { channels: v[0], stride: v[1], depths: (2..=v[2] as u8).collect() } }).collect();
    let st: Vec<u32> = args[2].split(':').map(|x| x.parse().unwrap()).collect();
    let space = Space { name: "t".into(), input: [28, 28, 1], classes: 10, stem: Stem { channels: st[0], kernel: 3, stride: st[1] }, first: None, stages, head: st[2], kernels: vec![3, 5, 7], expansion: [4, 6], channel_step: 8, candidates: vec![Candidate { weight_bits: 8, activation_bits: 8 }], fixed: Candidate { weight_bits: 8, activation_bits: 8 } };
    let images = Images::read(std::path::Path::new("/usr/share/datasets/fashion-mnist"), "train").unwrap();
    let n: usize = args[4].parse().unwrap();
    let (train, held) = images.split(5000, 0); let held = held.select(&(0..std::env::var("HELD").map_or(5000, |v| v.parse().unwrap())).collect::<Vec<_>>());
    let train = train.select(&(0..n.min(train.len())).collect::<Vec<_>>());
    let e: Vec<u32> = args[5].split(',').map(|x| x.parse().unwrap()).collect();
    let recipe = Recipe { epochs: [e[0], e[1], e[2], e[3]], rates: [0.1, 0.03, 0.03, 0.05], batch: 128, momentum: 0.9, weight_decay: 1e-4, label_smoothing: 0.05, shift: 2, mirror: true, seed: 0 };
    let mut t = Training::new(space, recipe, Preprocess { mean: 72.9404, std: 90.0212 });
    let mut macs = 0u64; { let s = &t.supernet.space; let st_o = 28u64.div_ceil(s.stem.stride as u64); macs += st_o * st_o * 9 * s.stem.channels as u64;
        for b in s.blocks() { let i = b.input[0] as u64; let o = i.div_ceil(b.stride as u64); let w = *b.widths.last().unwrap() as u64; macs += i * i * w * b.input_channels as u64 + o * o * w * (49 + b.output_channels as u64); } }
    println!("macs {macs} params {}", t.supernet.parameters.values().map(|p| p.numel()).sum::<usize>());
    let s0 = Instant::now(); let mut seen = 0;
    while let Some(r) = t.epoch(&train, &held, |k| { seen += k; }) { println!("{:.0}s {:.0} img/s {r:?}", s0.elapsed().as_secs_f64(), seen as f64 / s0.elapsed().as_secs_f64()); }
}
