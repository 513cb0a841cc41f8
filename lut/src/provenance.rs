//! Where the entries of a table came from.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::Unit;

/// Where an entry came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Provenance {
    /// Read from somebody's published table.
    Imported {
        /// Whose.
        source: String,
    },
    /// Computed by a model.
    Analytic {
        /// [`CostModel::name`](crate::CostModel::name).
        model: String,
    },
    /// Measured on hardware.
    Measured {
        /// The board.
        board: String,
        /// What ran the firmware.
        runner: String,
        /// Number of measurements.
        samples: u32,
        /// Their mean, in cycles.
        mean_cycles: f64,
        /// Largest minus smallest, in cycles.
        spread_cycles: f64,
    },
    /// Counted by an instruction-set emulator, which knows nothing of memory timing.
    Emulated {
        /// The emulator.
        emulator: String,
        /// The core that it emulates.
        core: String,
        /// Number of counts.
        samples: u32,
        /// Their mean, in instructions.
        mean_instructions: f64,
        /// Largest minus smallest, in instructions.
        spread_instructions: f64,
    },
    /// By the table's own fit, from the counts of other layers.
    Estimated {
        /// What the fitted layers were counted in.
        unit: Unit,
        /// The expected count.
        count: f64,
        /// Number of layers that the fit was made of.
        layers: u32,
        /// Largest relative error of the fit over layers.
        error_max: f64,
    },
}

impl Provenance {
    /// Unit, number, mean and spread of the counts behind an entry; `None` where nothing was counted.
    #[must_use]
    pub fn counts(&self) -> Option<(Unit, u32, f64, f64)> {
        match *self {
            Self::Measured { samples, mean_cycles, spread_cycles, .. } => Some((Unit::Cycles, samples, mean_cycles, spread_cycles)),
            Self::Emulated { samples, mean_instructions, spread_instructions, .. } => {
                Some((Unit::Instructions, samples, mean_instructions, spread_instructions))
            }
            _ => None,
        }
    }

    /// Whether nobody counted or modelled this layer itself.
    #[must_use]
    pub fn is_estimate(&self) -> bool {
        matches!(self, Self::Estimated { .. })
    }
}
