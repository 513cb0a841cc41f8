//! Data sets of evaluated designs: JSON lines, the first a [`Header`], each other one a [`Point`].

use alloc::format;
use alloc::string::String;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::{Architecture, Choices, Design, Policy, Space, SpaceError, sample_architecture, sample_policy};

/// `schema` of a [`Header`].
pub const SCHEMA: &str = "apq-dataset-1";

/// Policies for each architecture of the second half of a quantized data set.
pub const POLICIES_PER_ARCHITECTURE: u64 = 10;

/// Most points of a data set.
pub const POINTS_MAX: u64 = 1 << 20;

/// What was evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Subnets in floats.
    Float,
    /// Subnets with bit widths.
    Quantized,
}

/// How the points of a quantized data set were quantized, by the names of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Rule for the ranges of activations.
    pub activation_ranges: String,
    /// Rule for the ranges of weights.
    pub weight_ranges: String,
    /// Samples that gave the ranges of activations: the first of those that calibrated norms.
    pub range_samples: u64,
    /// How weights were rounded.
    pub rounding: String,
    /// Whether biases were corrected where held-out samples improved.
    pub bias_correction: bool,
    /// The target whose kernels decided about the widths to choose from; `None`: all of the space's.
    pub target: Option<String>,
    /// Quantization-aware fine-tuning of each design before its evaluation.
    pub finetune: Option<FineTuning>,
}

/// How the designs of a data set were fine-tuned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTuning {
    /// Steps.
    pub steps: u32,
    /// SHA-256 of the training images' files.
    pub images: String,
}

/// First line of a data set. Two shards belong together where all but `shard` is equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// [`Space::fingerprint_text`] of the space.
    pub fingerprint: String,
    /// What was evaluated.
    pub kind: Kind,
    /// Seed of the designs.
    pub seed: u64,
    /// Points of the whole data set.
    pub points: u64,
    /// `[i, n]`, from 1: this file has the points of the architectures ([`Header::unit`]) whose number is i - 1 modulo n.
    pub shard: Option<[u32; 2]>,
    /// Samples on which each point was evaluated.
    pub samples: u64,
    /// SHA-256 of the samples' file.
    pub data: String,
    /// SHA-256 of the supernet.
    pub supernet: String,
    /// SHA-256 of the samples that calibrated norms and ranges.
    pub calibration: String,
    /// Samples that calibrated norms.
    pub norm_samples: u64,
    /// SHA-256 of the preprocessing.
    pub preprocess: String,
    /// Of a quantized data set.
    pub quantization: Option<Quantization>,
}

/// One evaluated design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Its place in the whole data set, from 0.
    pub index: u64,
    /// The subnet.
    pub architecture: Architecture,
    /// Its bit widths; `None` in floats.
    pub policy: Option<Policy>,
    /// Share of the samples whose top class is their label.
    pub accuracy: f64,
}

/// Why a line does not belong into a data set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A field of the header has a value that it cannot have.
    #[error("data set: `{field}` {reason}")]
    Header {
        /// Name of the field.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A point is wrong.
    #[error("point {index}: {reason}")]
    Point {
        /// Its index.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// A point holds no design of the space.
    #[error("point {index}: {reason}")]
    Design {
        /// Its index.
        index: u64,
        /// What is wrong.
        reason: SpaceError,
    },
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Header {
    /// Checks the header, and that it belongs to `space`.
    ///
    /// # Errors
    /// [`RecordError::Header`], the first field that is wrong.
    pub fn check(&self, space: &Space) -> Result<(), RecordError> {
        self.check_form()?;
        let own = space.fingerprint_text();
        if self.fingerprint == own {
            return Ok(());
        }
        let reason = format!("is {:?}: the file is of another search space than `{}` ({own})", self.fingerprint, space.name);
        Err(RecordError::Header { field: "fingerprint", reason })
    }

    /// Checks what can be checked without the space.
    ///
    /// # Errors
    /// [`RecordError::Header`], the first field that is wrong.
    pub fn check_form(&self) -> Result<(), RecordError> {
        let fail = |field, reason: String| Err(RecordError::Header { field, reason });
        if self.schema != SCHEMA {
            return fail("schema", format!("is not `{SCHEMA}`: another version wrote the file"));
        }
        if self.points == 0 || self.points > POINTS_MAX {
            return fail("points", format!("is {}; it can be 1 to {POINTS_MAX}", self.points));
        }
        if let Some([index, count]) = self.shard
            && !(1..=count).contains(&index)
        {
            return fail("shard", format!("is [{index}, {count}]; shards are numbered from 1"));
        }
        if self.samples == 0 {
            return fail("samples", "is 0".into());
        }
        for (field, sha256) in
            [("data", &self.data), ("supernet", &self.supernet), ("calibration", &self.calibration), ("preprocess", &self.preprocess)]
        {
            if !is_hex(sha256, 64) {
                return fail(field, "is not a SHA-256: 64 hexadecimal digits".into());
            }
        }
        match (self.kind, &self.quantization) {
            (Kind::Float, Some(_)) => fail("quantization", "is there, and the points are floats".into()),
            (Kind::Quantized, None) => fail("quantization", "is missing".into()),
            _ => Ok(()),
        }
    }

    /// Number of the architecture of a point: points that share one have the same number, and lie in the same shard.
    #[must_use]
    pub fn unit(&self, index: u64) -> u64 {
        let fresh = self.points / 2;
        let shared = self.kind == Kind::Quantized && index >= fresh;
        if shared { fresh + (index - fresh) / POLICIES_PER_ARCHITECTURE } else { index }
    }

    /// Whether this file, and not another shard, has the point of that index.
    #[must_use]
    pub fn holds(&self, index: u64) -> bool {
        let of_shard = |[shard, count]: [u32; 2]| self.unit(index).checked_rem(count.into()) == Some(u64::from(shard.saturating_sub(1)));
        index < self.points && self.shard.is_none_or(of_shard)
    }

    /// Whether two files are parts of one data set, or the same.
    #[must_use]
    pub fn is_sibling(&self, other: &Self) -> bool {
        let whole = |header: &Self| Self { shard: None, ..header.clone() };
        whole(self) == whole(other)
    }

    /// The design that is to be evaluated as point `index`: a function of space, choices, kind, number of points, seed and index, so that shards and resumed runs
    /// agree. Of a quantized data set, the first half has architecture and policy drawn anew for each point, and in the second
    /// [`POLICIES_PER_ARCHITECTURE`] points in a row share an architecture (APQ, section 4).
    #[must_use]
    pub fn design(&self, space: &Space, choices: &Choices, index: u64) -> (Architecture, Option<Policy>) {
        // Architectures and policies are drawn from streams of their own, those of floats from others than those of quantized points.
        let stream = |policy: bool, index: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(index << 2 | u64::from(self.kind == Kind::Quantized) << 1 | u64::from(policy));
            rng
        };
        let architecture = sample_architecture(space, &mut stream(false, self.unit(index)));
        let policy = (self.kind == Kind::Quantized).then(|| sample_policy(choices, &architecture, &mut stream(true, index)));
        (architecture, policy)
    }
}

impl Point {
    /// Checks that the point can be one of the data set, and its design one of the space.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, space: &Space, header: &Header) -> Result<(), RecordError> {
        self.check_form(header)?;
        let design = match &self.policy {
            None => space.check_architecture(&self.architecture),
            Some(policy) => space.check_design(&Design { architecture: self.architecture.clone(), policy: policy.clone() }),
        };
        design.map_err(|reason| RecordError::Design { index: self.index, reason })
    }

    /// Checks what can be checked without the space.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_form(&self, header: &Header) -> Result<(), RecordError> {
        let index = self.index;
        let fail = |reason: String| Err(RecordError::Point { index, reason });
        if !header.holds(index) {
            return fail(format!("does not belong into this file of {} points, shard {:?}", header.points, header.shard));
        }
        if !(0.0..=1.0).contains(&self.accuracy) {
            return fail(format!("an accuracy of {}; it is a share of the samples", self.accuracy));
        }
        if (header.kind == Kind::Quantized) != self.policy.is_some() {
            return fail("bit widths belong to quantized points, and to them only".into());
        }
        Ok(())
    }
}
