//! Cortex-M0.

use super::Task;
use crate::WeightBits;
use crate::portable::unsigned::Product;

/// The function for these products.
pub(super) fn function(_: WeightBits, _: Product) -> Option<unsafe extern "C" fn(&Task)> {
    None
}
