//! Cortex-M3: one channel by four columns in thirteen registers, so that four words of columns are one instruction; bytes by halves as two
//! channels by four columns.

mod columns;
mod finish;
mod products;
mod single;
mod taps;

pub(super) use columns::apart;
pub(super) use finish::{finish, finish_within};
pub(super) use taps::add_taps;

use super::Products;
use crate::WeightBits;
use crate::portable::unsigned::Product;
use products::{four_2, two_2, two_4, two_4_of_8};
use single::single_8;

/// The function for these products.
pub(super) fn function(bits: WeightBits, product: Product) -> Option<unsafe extern "C" fn(&Products)> {
    Some(match (bits, product) {
        (WeightBits::W2, Product::Four) => four_2,
        (WeightBits::W2, Product::Two { .. }) => two_2,
        (WeightBits::W4, Product::Two { units: 2 }) => two_4_of_8,
        (WeightBits::W4, Product::Two { .. }) => two_4,
        (WeightBits::W8, Product::Single { .. }) => single_8,
        _ => return None,
    })
}
