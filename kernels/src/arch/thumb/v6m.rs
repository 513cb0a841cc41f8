//! Cortex-M0: one channel by four columns. Only r0 to r7 can be multiplied, loaded and shifted; the sums, the mask and the weights' address
//! wait in the others.

/// Saves the registers that a function must keep.
macro_rules! save {
    () => {
        "
        push {{r4, r5, r6, r7, lr}}
        mov r4, r8
        mov r5, r9
        mov r6, r10
        mov r7, r11
        push {{r4, r5, r6, r7}}
        "
    };
}

/// Gives them back and returns.
macro_rules! restore {
    () => {
        "
        pop {{r4, r5, r6, r7}}
        mov r8, r4
        mov r9, r5
        mov r10, r6
        mov r11, r7
        pop {{r4, r5, r6, r7, pc}}
        "
    };
}

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
        (WeightBits::W8, Product::Single { signed: false }) => single_8,
        _ => return None,
    })
}
