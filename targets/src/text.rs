//! Targets as TOML.

use alloc::string::{String, ToString};

use crate::{Description, Target, TargetError};

impl Target {
    /// Reads a target from TOML:
    ///
    /// ```toml
    /// name = "my-board"
    /// description = "what it is"
    /// clock_hz = 180000000
    /// cost = "table"                  # or "bitfusion", "bops"
    /// table = "my-board.lut.json"     # optional, with cost = "table" only
    /// candidates = ["w4a8", "w8a8"]
    ///
    /// [memory]                        # optional, and so is each line
    /// flash_bytes = 524288
    /// ram_bytes = 131072
    ///
    /// [[kernels]]
    /// operators = ["conv", "fully_connected"]
    /// weight_bits = [4, 8]            # not for operators without weights
    /// activation_bits = [8]
    /// arrangement = "row-major"       # optional
    ///
    /// [[search_exclusions]]           # optional: layers that the joint search does without
    /// operators = ["depthwise"]
    /// kernel = [7, 7]                 # optional, and so is each of the widths
    /// weight_bits = [2]
    /// activation_bits = [4]
    /// ```
    ///
    /// # Errors
    /// Text that is not TOML, unknown, missing or mistyped fields, and all that
    /// [`Target::new`] refuses.
    pub fn from_toml(text: &str) -> Result<Self, TargetError> {
        let description: Description = toml::from_str(text).map_err(|error| TargetError::Toml(error.to_string()))?;
        Self::new(description)
    }

    /// The target as TOML that [`Target::from_toml`] reads: a start for a target of one's own.
    ///
    /// # Errors
    /// Numbers that TOML cannot hold: above 2^63 - 1.
    pub fn to_toml(&self) -> Result<String, TargetError> {
        toml::to_string(self.description()).map_err(|error| TargetError::Toml(error.to_string()))
    }
}
