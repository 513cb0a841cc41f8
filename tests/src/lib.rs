//! What the end-to-end tests share.
//!
//! Every test here compares: the importer and the float executor with onnxruntime ([`python`]), lowered integers with an evaluation in f64 from
//! the arithmetic's specification ([`exact`]) and with the float simulation ([`compiled`]), the memory plan with a lower bound ([`bound`]) and with a checker that reads nothing but
//! the `.apq` file ([`arena`]). [`cases`] holds one small network for each form of each operator; [`data`] finds the real models and data, which
//! are not part of this repository.

pub mod arena;
pub mod bound;
pub mod cases;
pub mod compiled;
pub mod data;
pub mod exact;
pub mod layout;
pub mod python;
pub mod random;
