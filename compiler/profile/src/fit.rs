//! From the counts of many layers to the costs of any layer.

use std::collections::BTreeMap;

use apq_lut::{Fit, LayerKey, Operator, Path, Term};

use crate::solve::non_negative;

/// Fewest layers that make a fit.
pub const LAYERS_MIN: usize = 4;

/// Parts into which layers are cut, each predicted by a fit of the others.
const PARTS: usize = 6;

/// Operator, path, weight bits and activation bits of a fit.
type Kind = (Operator, Path, u8, u8);

/// A fit for each operator, path and pair of widths that has at least [`LAYERS_MIN`] layers with a count above 0.
///
/// The squares of *relative* errors are least, with no negative coefficient: work is never undone. The error that a fit states is that of
/// layers that it has not seen: each is predicted by a fit of about five sixths of all. By that error the loop nest is chosen, too.
#[must_use]
pub fn fit<'c>(counts: impl IntoIterator<Item = (&'c LayerKey, f64)>) -> Vec<Fit> {
    let mut kinds: BTreeMap<Kind, Vec<(&LayerKey, f64)>> = BTreeMap::new();
    for (key, count) in counts.into_iter().filter(|(_, count)| *count > 0.0) {
        kinds.entry((key.operator.clone(), Path::of(key), key.weight_bits, key.activation_bits)).or_default().push((key, count));
    }
    kinds.into_iter().filter(|(_, layers)| layers.len() >= LAYERS_MIN).map(|(kind, layers)| one(kind, &layers)).collect()
}

fn one((operator, path, weight_bits, activation_bits): Kind, layers: &[(&LayerKey, f64)]) -> Fit {
    let layers_count = u32::try_from(layers.len()).unwrap_or(u32::MAX);
    let families = families(&operator);
    let tried = families.iter().map(|terms| (error(terms, layers), terms));
    let best = tried.min_by(|a, b| a.0.mean.total_cmp(&b.0.mean));
    let (error, terms) = best.map_or((Error::default(), Vec::new()), |(error, terms)| (error, solved(terms, layers.iter())));
    Fit {
        operator,
        path,
        weight_bits,
        activation_bits,
        layers: layers_count,
        error_max: digits(error.max, 3),
        error_mean: digits(error.mean, 3),
        terms,
    }
}

/// Relative error over layers, each predicted by a fit of the others.
#[derive(Default)]
struct Error {
    mean: f64,
    max: f64,
}

fn error(terms: &[Term], layers: &[(&LayerKey, f64)]) -> Error {
    let mut error = Error::default();
    let parts = PARTS.min(layers.len());
    for part in 0..parts {
        let seen = layers.iter().enumerate().filter(|(index, _)| index % parts != part).map(|(_, layer)| layer);
        let partial = solved(terms, seen);
        for (key, count) in layers.iter().skip(part).step_by(parts) {
            let predicted: f64 = partial.iter().map(|(term, times)| times * term.value(key)).sum();
            let relative = (predicted / count - 1.0).abs();
            error.max = error.max.max(relative);
            error.mean += relative / layers.len() as f64;
        }
    }
    error
}

/// Loop nests that a kernel may have: the sizes of its blocks are found by trying.
fn families(operator: &Operator) -> Vec<Vec<Term>> {
    use Term::*;
    let mut families = Vec::new();
    match operator {
        Operator::Conv | Operator::FullyConnected | Operator::MatMul => {
            for columns in [1, 2, 3, 4] {
                for channels in [1, 2, 4] {
                    for step in [8, 16, 32] {
                        let mut family = vec![Call, Channels, Outputs, Macs, Elements, Blocks(columns), BlockSteps(columns, 4), TapRows];
                        family.extend([Tiles(channels, columns), Steps(channels, columns, 4), Steps(channels, columns, step)]);
                        family.extend([TailTiles(channels, columns, step), BorderBlocks(columns), BorderBlockTaps(columns)]);
                        family.push(BorderBlockSteps(columns, 4));
                        if channels > 1 {
                            family.extend([OddTiles(1), OddTiles(columns), OddSteps(columns, 4)]);
                        }
                        if columns > 1 {
                            family.extend([LeftBlock(columns), LeftOutputs(columns), LeftSteps(channels, columns, 4)]);
                        }
                        families.push(family);
                    }
                }
            }
        }
        Operator::Depthwise => {
            let common = [Call, Channels, ChannelRows, Pixels, Outputs, Area, Inputs, Macs, MacsInside, ChannelsLeft, Weights];
            for block in [1, 2, 4, 6] {
                let own =
                    [ColumnBlocks(block), RowBlocks(block), RowBlockTaps(block), RowBlocks(2), LaneInputs(4), Lanes(4), LaneWeights(4)];
                families.push(common.into_iter().chain(own).collect());
            }
            for block in [1, 2, 4, 8, 16] {
                let own =
                    [Lanes(block), LanesInterior(block), LaneTaps(block), LaneWeights(block), LaneInputs(block), TapsInside, TapRows, Rows];
                families.push(common.into_iter().chain(own).collect());
            }
        }
        _ => {
            for block in [4, 8, 16] {
                let all = [Call, Channels, Rows, Pixels, Outputs, Inputs, Macs, MacsInside, Taps, TapsInside, Lanes(block), ChannelsLeft];
                families.push(all.into());
            }
        }
    }
    families
}

/// The terms that occur, with their coefficients.
fn solved<'l, 'k: 'l>(terms: &[Term], layers: impl Iterator<Item = &'l (&'k LayerKey, f64)>) -> Vec<(Term, f64)> {
    let rows: Vec<Vec<f64>> = layers.map(|(key, count)| terms.iter().map(|term| term.value(key) / count).collect()).collect();
    let found = terms.iter().zip(non_negative(&rows, terms.len()));
    let mut found: Vec<(Term, f64)> = found.map(|(term, count)| (*term, digits(count, 7))).filter(|(_, count)| *count > 0.0).collect();
    found.sort_by_key(|(term, _)| *term);
    found
}

/// The number to so many digits: files stay short.
fn digits(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apq_lut::Candidate;

    fn layers() -> Vec<LayerKey> {
        let bits = Candidate { weight_bits: 8, activation_bits: 8 };
        let mut keys = Vec::new();
        for (side, channels, outputs) in
            [(4, 4, 2), (5, 8, 6), (6, 16, 8), (7, 12, 3), (8, 4, 16), (3, 32, 8), (9, 8, 10), (10, 4, 4), (2, 64, 4)]
        {
            keys.push(LayerKey::conv([side, side + 1], channels, outputs, [3, 3], [1, 1], [1; 4], bits).unwrap());
            keys.push(LayerKey::conv([side, side], channels, outputs + 1, [2, 3], [2, 1], [0, 1, 0, 1], bits).unwrap());
        }
        keys
    }

    /// A loop nest over blocks of two channels and four columns.
    fn count(key: &LayerKey) -> f64 {
        let up = |value: u32, block: u32| f64::from(value.div_ceil(block));
        let (pixels, products) = (key.output[0] * key.output[1], key.kernel[0] * key.kernel[1] * key.input_channels);
        let tiles = up(pixels, 4) * up(key.output_channels, 2);
        410.0 + 31.0 * tiles + 13.5 * tiles * up(products, 4) + 1.3 * f64::from(pixels * products)
    }

    #[test]
    fn a_loop_nest_is_found_from_its_counts() {
        let keys = layers();
        let fits = fit(keys.iter().map(|key| (key, count(key))));
        assert_eq!((fits.len(), fits[0].path, fits[0].layers), (1, Path::Window, 18));
        assert!(fits[0].error_max < 0.01, "{:?}", fits[0]);
        let bits = Candidate { weight_bits: 8, activation_bits: 8 };
        let large = LayerKey::conv([32, 32], 64, 64, [3, 3], [1, 1], [1; 4], bits).unwrap();
        assert!((fits[0].count(&large) / count(&large) - 1.0).abs() < 0.01, "{:?}", fits[0]);
    }

    #[test]
    fn the_stated_error_is_that_of_layers_that_were_not_seen() {
        let keys = layers();
        let odd = |key: &LayerKey| count(key) * if key.input[0] == 8 { 2.0 } else { 1.0 };
        let fits = fit(keys.iter().map(|key| (key, odd(key))));
        assert!(fits[0].error_max > 0.2, "{:?}", fits[0]);
        assert!(fits[0].error_mean <= fits[0].error_max);
        assert!(fit(keys.iter().take(3).map(|key| (key, 1.0))).is_empty(), "too few");
    }
}
