//! Dot products.

/// Codes that the inner loop takes at once; rows are padded to a multiple with zeros. With 32 of them LLVM reduces in
/// whole vector registers on every x86-64 and does not mix several dot products.
pub(crate) const LANES: usize = 32;

/// A chunk of a row of weights or activations.
pub(crate) type Lanes = [i16; LANES];

/// One chunk. |sum| <= 32 * 2^7 * 2^15 = 2^27.
#[inline(always)]
fn chunk(weights: &Lanes, codes: &Lanes) -> i32 {
    let products = weights.iter().zip(codes).map(|(&w, &a)| i32::from(w) * i32::from(a));
    products.fold(0, i32::wrapping_add)
}

/// Dot product that wraps in 32 bits.
// Inlined into a loop over channels it would be vectorised across them, which is ten times slower.
#[inline(never)]
pub(super) fn dot(weights: &[Lanes], codes: &[Lanes]) -> i32 {
    weights.iter().zip(codes).fold(0, |sum, (weights, codes)| sum.wrapping_add(chunk(weights, codes)))
}

/// Dot product in 64 bits.
#[inline(never)]
pub(super) fn dot_wide(weights: &[Lanes], codes: &[Lanes]) -> i64 {
    weights.iter().zip(codes).fold(0, |sum: i64, (weights, codes)| sum.wrapping_add(i64::from(chunk(weights, codes))))
}

/// Dot product of 16-bit codes in 64 bits, product by product.
#[inline(never)]
pub(super) fn dot_long(a: &[Lanes], b: &[Lanes]) -> i64 {
    let pairs = a.as_flattened().iter().zip(b.as_flattened());
    pairs.fold(0, |sum: i64, (&x, &y)| sum.wrapping_add(i64::from(i32::from(x) * i32::from(y))))
}
