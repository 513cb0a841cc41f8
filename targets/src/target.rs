//! Target descriptions.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use apq_lut::{Candidate, FormatError, Operator, Table};
use serde::{Deserialize, Serialize};

use crate::exclusion::Exclusion;
use crate::kernels::{KernelRow, NotSupported, check, not_supported};
use crate::{BitFusion, builtin};

/// Most rows of a kernel table.
pub const KERNEL_ROWS_MAX: usize = 1024;

/// What stands before the name of a built-in target where its lookup table is meant.
pub const BUILTIN_TABLE: &str = "builtin:";

/// A machine to compile for. Made from a legal [`Description`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Description);

/// What there is to say about a target, as in its TOML file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Name on the command line and in reports.
    pub name: String,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// Clock in Hz.
    pub clock_hz: u64,
    /// Where latency and energy come from.
    pub cost: CostSource,
    /// File of the lookup table, for [`CostSource::Table`] only; as written, the reader of the
    /// target resolves it. `builtin:NAME` is that of a built-in target. Without it a table has to be
    /// given where costs are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Candidates where the user names none.
    pub candidates: Vec<Candidate>,
    /// Memories.
    #[serde(default, skip_serializing_if = "Memory::is_unknown")]
    pub memory: Memory,
    /// The kernel table.
    pub kernels: Vec<KernelRow>,
    /// Layers that the joint search does without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search_exclusions: Vec<Exclusion>,
}

/// Memories of a target. They are reported; budgets are the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Flash, or what holds model and code, in bytes; `None` where nothing limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_bytes: Option<u64>,
    /// RAM in bytes; `None` where nothing limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_bytes: Option<u64>,
}

/// Where the costs of a target come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CostSource {
    /// The analytic model [`BitFusion`].
    BitFusion,
    /// A lookup table, measured or imported.
    Table,
    /// Bit operations only: neither latency nor energy.
    Bops,
}

/// Why there is no such target.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No built-in target has this name.
    #[error("there is no target `{name}`; known: {}", known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// All names that exist.
        known: Vec<&'static str>,
    },
    /// The lookup table of a built-in target is damaged: a bug of this build.
    #[error("the lookup table of target `{name}`: {reason}")]
    Table {
        /// The target.
        name: String,
        /// What is wrong with it.
        reason: Box<FormatError>,
    },
    /// Not TOML, or not with the fields of a target; the text has line and column.
    #[error("not a target description: {0}")]
    Toml(String),
    /// A field has a value that it cannot have.
    #[error("target `{target}`: {reason}")]
    Field {
        /// Name of the target.
        target: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A row of the kernel table that says nothing, or too much.
    #[error("kernel row {number}: {reason}")]
    KernelRow {
        /// Number of the row, from 1.
        number: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// An exclusion that says nothing, or too much.
    #[error("search exclusion {number}: {reason}")]
    Exclusion {
        /// Number of the exclusion, from 1.
        number: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A kernel that is in the table twice.
    #[error(
        "the kernel table has {operator}{} a{activation_bits} {arrangement} twice",
        weight_bits.map_or_else(String::new, |bits| alloc::format!(" w{bits}"))
    )]
    DuplicateKernel {
        /// Its operator.
        operator: Operator,
        /// Its weight bits; `None` for operators without weights.
        weight_bits: Option<u8>,
        /// Its activation bits.
        activation_bits: u8,
        /// Its arrangement of the weights.
        arrangement: String,
    },
    /// A default candidate that no operator with weights has a kernel for.
    #[error("target `{target}`: no row of the kernel table can run candidate {candidate}")]
    CandidateWithoutKernel {
        /// Name of the target.
        target: String,
        /// The candidate.
        candidate: Candidate,
    },
}

impl Memory {
    fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

impl CostSource {
    /// Name in TOML and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CostSource::BitFusion => BitFusion::NAME,
            CostSource::Table => "table",
            CostSource::Bops => "bops",
        }
    }
}

impl Target {
    /// Checks a description.
    ///
    /// # Errors
    /// An empty name, a clock or memory of zero, no candidates or one twice, a table file without
    /// [`CostSource::Table`], a kernel row or exclusion that is not legal, a kernel twice, or a
    /// candidate without any kernel.
    pub fn new(description: Description) -> Result<Self, TargetError> {
        let fail = |reason| TargetError::Field { target: description.name.to_string(), reason };
        if description.name.trim().is_empty() {
            return Err(fail("the name is empty"));
        }
        if description.clock_hz == 0 {
            return Err(fail("clock_hz is zero"));
        }
        let Memory { flash_bytes, ram_bytes } = description.memory;
        if flash_bytes == Some(0) || ram_bytes == Some(0) {
            return Err(fail("a memory of zero bytes; leave it out where it has no limit"));
        }
        if description.table.is_some() && description.cost != CostSource::Table {
            return Err(fail("`table` needs cost = \"table\""));
        }
        if description.kernels.len() > KERNEL_ROWS_MAX {
            return Err(fail("the kernel table has more than 1024 rows"));
        }
        check(&description.kernels)?;
        if description.search_exclusions.len() > KERNEL_ROWS_MAX {
            return Err(fail("there are more than 1024 search exclusions"));
        }
        crate::exclusion::check(&description.search_exclusions)?;
        if description.candidates.is_empty() {
            return Err(fail("the list of candidates is empty"));
        }
        for (index, &candidate) in description.candidates.iter().enumerate() {
            if description.candidates[..index].contains(&candidate) {
                return Err(fail("a candidate is there twice"));
            }
            let Candidate { weight_bits, activation_bits } = candidate;
            let runs = description
                .kernels
                .iter()
                .any(|row| row.weight_bits.contains(&weight_bits) && row.activation_bits.contains(&activation_bits));
            if !runs {
                return Err(TargetError::CandidateWithoutKernel { target: description.name.to_string(), candidate });
            }
        }
        Ok(Self(description))
    }

    /// A built-in target.
    ///
    /// # Errors
    /// [`TargetError::Unknown`], with the names that exist.
    pub fn builtin(name: &str) -> Result<Self, TargetError> {
        match builtin::description(name) {
            Some(description) => Self::new(description),
            None => Err(TargetError::Unknown { name: name.to_string(), known: Self::builtin_names().into() }),
        }
    }

    /// Names of the built-in targets, sorted.
    #[must_use]
    pub fn builtin_names() -> &'static [&'static str] {
        &builtin::NAMES
    }

    /// Everything at once.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.0
    }

    /// Name on the command line and in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Clock in Hz.
    #[must_use]
    pub fn clock_hz(&self) -> u64 {
        self.0.clock_hz
    }

    /// Memories.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.0.memory
    }

    /// Where latency and energy come from.
    #[must_use]
    pub fn cost_source(&self) -> CostSource {
        self.0.cost
    }

    /// File of the lookup table, as written.
    #[must_use]
    pub fn table_file(&self) -> Option<&str> {
        self.0.table.as_deref()
    }

    /// The lookup table, if it is that of a built-in target.
    ///
    /// # Errors
    /// [`TargetError::Unknown`] where no built-in target of that name has a table.
    pub fn builtin_table(&self) -> Option<Result<Table, TargetError>> {
        let name = self.table_file()?.strip_prefix(BUILTIN_TABLE)?;
        let unknown = || TargetError::Unknown { name: name.to_string(), known: Self::builtin_names().into() };
        let text = builtin::table(name).ok_or_else(unknown);
        Some(text.and_then(|text| {
            Table::from_json(text).map_err(|error| TargetError::Table { name: name.to_string(), reason: Box::new(error) })
        }))
    }

    /// Candidates where the user names none, in the order of the description.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.0.candidates
    }

    /// The kernel table.
    #[must_use]
    pub fn kernels(&self) -> &[KernelRow] {
        &self.0.kernels
    }

    /// Whether a kernel for the operator exists at these widths, in any arrangement. Weight bits do
    /// not matter to operators without weights.
    #[must_use]
    pub fn kernel_supports(&self, operator: &Operator, weight_bits: u8, activation_bits: u8) -> bool {
        self.arrangements(operator, weight_bits, activation_bits).next().is_some()
    }

    /// Whether the joint search does without such a layer, although a kernel may exist.
    #[must_use]
    pub fn search_excludes(&self, operator: &Operator, kernel: [u32; 2], bits: Candidate) -> bool {
        self.0.search_exclusions.iter().any(|exclusion| exclusion.covers(operator, kernel, bits))
    }

    /// Arrangements of the weights for which the kernel exists, in the order of the table.
    pub fn arrangements<'a>(&'a self, operator: &'a Operator, weight_bits: u8, activation_bits: u8) -> impl Iterator<Item = &'a str> {
        self.0.kernels.iter().filter(move |row| row.covers(operator, weight_bits, activation_bits)).map(|row| row.arrangement.as_str())
    }

    /// Named operators and widths of [`apq_lut::WIDTHS`] that have no kernel, in the order of the
    /// operators.
    #[must_use]
    pub fn not_supported(&self) -> Vec<NotSupported> {
        not_supported(&self.0.kernels)
    }
}
