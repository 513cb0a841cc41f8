//! Cycles and energy of a layer on BitFusion.
//!
//! BitFusion (Sharma et al., ISCA 2018) is a systolic array of 512 fusion units, each of which
//! multiplies 8 x 8 bits once or narrower operands several times in a cycle. This model gives for
//! every layer of APQ's published lookup table (Wang et al., CVPR 2020) the same number of cycles,
//! and the same energy to the precision of `f64`. What that table does not contain follows these
//! rules:
//!
//! - fully connected, matrix product: a 1x1 convolution with an output pixel for each row;
//! - grouped convolution: the groups one after another, each a dense convolution; depthwise with a
//!   channel multiplier: blocks that widen by it;
//! - dilation: only the input that a tile reads grows;
//! - shapes that are not square: height and width are cut by the same power of two;
//! - 16-bit operands: 8-bit halves one after the other, with the traffic and space of 16 bits.
//!
//! | file | subject |
//! |---|---|
//! | `machine` | sizes and energies of the accelerator; what an operand width means to it |
//! | `work` | from a layer key to dense convolutions |
//! | `tile` | sizes of one tile, and whether it fits on chip |
//! | `reuse` | traffic of a tile under every order of the loops |
//! | `energy` | energy of a tiling |
//! | `tiling` | the best tiling |
//!
//! The tiling is the one with the fewest cycles and, among equals, the least energy. Latency is
//! therefore not monotone in channels or bits: a wider layer may meet a better tile edge.

mod energy;
mod machine;
mod reuse;
mod tile;
mod tiling;
mod work;

use alloc::boxed::Box;
use alloc::string::ToString;

use apq_lut::{CYCLES_MAX, Cost, CostError, CostModel, KeyError, LayerKey};

pub use machine::CLOCK_HZ;
pub use tile::Tile;
pub use tiling::Tiling;

use work::{Outside, Work};

const NS_PER_CYCLE: f64 = (1_000_000_000 / CLOCK_HZ) as f64;

/// The analytic model, batch 1.
///
/// Answers for convolution, depthwise, fully connected and matrix product with 1 to 8 or 16 bits;
/// every other operator or width is [`CostError::NotModelled`]. Each call searches for the best
/// tiling; [`apq_lut::Memo`] remembers answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BitFusion;

/// How BitFusion runs a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Equal dense convolutions that the layer consists of, one after another: 1, the number of
    /// groups, or the number of channel blocks of a depthwise convolution.
    pub convolutions: u64,
    /// The best tiling of one of them.
    pub tiling: Tiling,
}

impl BitFusion {
    /// Name of the model and of its target.
    pub const NAME: &'static str = "bitfusion";

    /// The plan that [`CostModel::cost`] charges for.
    ///
    /// # Errors
    /// The layer is not modelled, or not a layer.
    pub fn plan(&self, key: &LayerKey) -> Result<Plan, CostError> {
        let invalid = |reason| CostError::Invalid { key: Box::new(key.clone()), reason };
        let not_modelled = |reason: &'static str| CostError::NotModelled {
            key: Box::new(key.clone()),
            model: Self::NAME.to_string(),
            reason: reason.into(),
        };
        key.check().map_err(invalid)?;
        let work = Work::of(key).map_err(|outside| match outside {
            Outside::NotModelled(reason) => not_modelled(reason),
            Outside::TooLarge => invalid(KeyError::TooLarge),
        })?;
        let tiling = tiling::best(&work.dense).ok_or_else(|| not_modelled("its smallest tile does not fit in the SRAMs"))?;
        let plan = Plan { convolutions: work.convolutions, tiling };
        match plan.cycles() {
            Some(cycles) if cycles <= CYCLES_MAX => Ok(plan),
            _ => Err(invalid(KeyError::TooLarge)),
        }
    }
}

impl Plan {
    /// Cycles of the layer; `None` past 64 bits, which [`BitFusion::plan`] never returns.
    #[must_use]
    pub fn cycles(&self) -> Option<u64> {
        self.tiling.cycles().checked_mul(self.convolutions)
    }

    /// Energy of the layer in nanojoules.
    #[must_use]
    pub fn energy_nj(&self) -> f64 {
        self.tiling.energy_nj * self.convolutions as f64
    }
}

impl CostModel for BitFusion {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn cost(&self, key: &LayerKey) -> Result<Cost, CostError> {
        let plan = self.plan(key)?;
        let cycles = plan.cycles();
        Ok(Cost { cycles, latency_ns: cycles.map(|cycles| cycles as f64 * NS_PER_CYCLE), energy_nj: Some(plan.energy_nj()) })
    }
}
