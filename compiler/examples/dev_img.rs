//! scratch
fn main(){ let p=std::env::args().nth(1).unwrap(); let d=apqc::data::load_at_most(p.as_ref(), &[224,224,3], 40).unwrap(); let mut v=vec![]; for i in 0..d.len() { if let apqc::data::Sample::U8(s)=d.sample(i) { v.extend_from_slice(s);} } std::fs::write("/tmp/img.bin", v).unwrap(); }
