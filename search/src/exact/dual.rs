//! Lagrangian multipliers: prices of the limited quantities.
//!
//! With a price of lambda_q >= 0 for each share of the room that a choice takes, the sum over groups of the cheapest
//! noise + lambda * share, minus the sum of the prices, is not above the noise of any assignment that fits. Any prices give a
//! bound; the better they are, the closer it is.

use alloc::vec::Vec;

use super::table::{Costs, Item, SUMS_MAX};
use crate::noise;

/// Prices in noise, relative to the signal, for the whole room.
pub(super) type Prices = [f64; SUMS_MAX];

/// Rounds over all prices, each found by bisection with the others fixed.
const ROUNDS: usize = 6;

/// Halvings of one price.
const HALVINGS: usize = 48;

/// Steps along the subgradient afterwards, where several prices matter.
const STEPS: usize = 150;

/// Part of the room that each cost takes.
pub(super) struct Shares {
    inverse: Prices,
    count: usize,
}

impl Shares {
    pub(super) fn new(room: &Costs, count: usize) -> Self {
        let mut inverse = [0.0; SUMS_MAX];
        for (inverse, room) in inverse.iter_mut().zip(room).take(count) {
            *inverse = 1.0 / (*room).max(1) as f64;
        }
        Shares { inverse, count }
    }

    /// Noise and priced cost together.
    pub(super) fn priced(&self, noise: u128, costs: &Costs, prices: &Prices) -> f64 {
        let paid: f64 = (0..self.count).map(|q| prices[q] * costs[q] as f64 * self.inverse[q]).sum();
        noise::relative(noise) + paid
    }

    /// The cheapest choice of a group at these prices; the first of equal ones.
    pub(super) fn cheapest<'i>(&self, items: &'i [Item], prices: &Prices) -> Option<(&'i Item, f64)> {
        let mut best: Option<(&Item, f64)> = None;
        for item in items {
            let value = self.priced(item.noise, &item.costs, prices);
            if best.is_none_or(|(_, least)| value < least) {
                best = Some((item, value));
            }
        }
        best
    }

    /// The bound at these prices, and for each quantity the share of the room that the cheapest choices take, minus 1.
    fn bound(&self, groups: &[Vec<Item>], prices: &Prices) -> (f64, Prices) {
        let mut value = -prices.iter().sum::<f64>();
        let mut excess = [-1.0; SUMS_MAX];
        for items in groups {
            let Some((item, cheapest)) = self.cheapest(items, prices) else { continue };
            value += cheapest;
            for (excess, (cost, inverse)) in excess.iter_mut().zip(item.costs.iter().zip(&self.inverse)).take(self.count) {
                *excess += *cost as f64 * inverse;
            }
        }
        (value, excess)
    }
}

/// Prices with a high bound. `target` is the noise of an assignment that fits.
pub(super) fn prices(groups: &[Vec<Item>], shares: &Shares, target: f64) -> Prices {
    let mut prices = [0.0; SUMS_MAX];
    let most = |items: &Vec<Item>| items.iter().map(|item| noise::relative(item.noise)).fold(0.0, f64::max);
    let scale: f64 = groups.iter().map(most).sum();
    if shares.count == 0 || scale == 0.0 {
        return prices;
    }
    let rounds = if shares.count == 1 { 1 } else { ROUNDS };
    for _ in 0..rounds {
        for q in 0..shares.count {
            let over = |price: f64, prices: &Prices| {
                let mut tried = *prices;
                tried[q] = price;
                shares.bound(groups, &tried).1[q] > 0.0
            };
            // The share falls as the price rises.
            let (mut low, mut high) = (0.0, scale);
            if !over(low, &prices) {
                prices[q] = 0.0;
                continue;
            }
            for _ in 0..HALVINGS {
                if !over(high, &prices) {
                    break;
                }
                (low, high) = (high, 8.0 * high);
            }
            for _ in 0..HALVINGS {
                let middle = 0.5 * (low + high);
                if over(middle, &prices) {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            prices[q] = high;
        }
    }
    if shares.count > 1 { climbed(groups, shares, target, prices) } else { prices }
}

/// Steps along the subgradient (Polyak's length) from `prices`; the best of all on the way.
fn climbed(groups: &[Vec<Item>], shares: &Shares, target: f64, prices: Prices) -> Prices {
    let mut best = (shares.bound(groups, &prices).0, prices);
    let mut current = prices;
    let mut pace = 1.0;
    for _ in 0..STEPS {
        let (value, slope) = shares.bound(groups, &current);
        if value > best.0 {
            best = (value, current);
        } else {
            pace *= 0.97;
        }
        let steep: f64 = slope.iter().take(shares.count).map(|s| s * s).sum();
        if steep == 0.0 || !target.is_finite() || target <= best.0 {
            break;
        }
        let length = pace * (target - value) / steep;
        for q in 0..shares.count {
            current[q] = (current[q] + length * slope[q]).max(0.0);
        }
    }
    best.1
}
