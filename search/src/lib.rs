//! Post-training mixed precision: from a sensitivity list, a cost model and budgets to bit widths.
//!
//! Source: "A Practical Mixed Precision Algorithm for Post-Training Quantization". [`Estimator`] turns the energies
//! measured in phase 1 into the SQNR of equation 3. [`Problem`] holds the quantizer groups with their candidates, the
//! sensitivity list and the cost model; [`Problem::assign`] is phase 2 under efficiency budgets, [`Problem::curve`] the
//! whole trade-off curve. Its flips are the paper's; only where they find no feasible point in list order do
//! [`Step::PlainFlip`] and [`Step::Exchange`] go beyond them, because costs need not fall with the bits.
//! [`Problem::assign_exact`] finds the assignment with the least additive noise instead. [`locate`] finds how far down a curve a task budget allows to go. [`checker`] verifies a result and shares no code with the
//! search.
//!
//! Joint search: [`space`] holds the designs of a once-for-all network, [`predictor`] tells their accuracy, and [`evolution`] finds the best under budgets,
//! the whole front of several objectives, and the baselines.
//!
//! The crate is `no_std` with `alloc`, reads no files, prints nothing and holds no clock, and its random
//! numbers come from the caller's seed: equal input gives equal results. All costs are integers.
#![no_std]

extern crate alloc;

mod cost;
mod exact;
mod greedy;
mod group;
mod noise;
mod outcome;
mod problem;
mod rank;
mod sqnr;
mod task;
mod undo;

pub mod checker;
pub mod evolution;
pub mod predictor;
pub mod space;

pub use cost::{Budget, Excess, NetworkCost, Quantity, Totals, excess_sum};
pub use exact::{Best, Effort, Exact};
pub use group::{Candidate, Group};
pub use outcome::{Change, Curve, Outcome, Point, SkipReason, Skipped, Step};
pub use problem::{Problem, ProblemError, Sensitivity};
pub use rank::{kendall_tau_b, mean_and_deviation};
pub use sqnr::{Estimator, RATIO_MAX, RATIO_MIN, SampleEnergy, SqnrError};
pub use task::{Located, Scheme, locate};
