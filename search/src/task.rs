//! Task budgets: how far down a curve a network can go before its task performance misses a limit.
//!
//! Section 3.6 of "A Practical Mixed Precision Algorithm for Post-Training Quantization". Every look at a point is an
//! evaluation of the network, which is what costs time here, so no point is evaluated twice and all evaluations are
//! reported.

use alloc::collections::BTreeMap;

/// Points past a miss that are still looked at: real curves are not exactly monotone.
const LOOK_AHEAD: usize = 2;

/// How the curve is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Point after point, O(points) evaluations: Algorithm 1.
    Sequential,
    /// Halving, O(log points) evaluations.
    Binary,
    /// Two halvings, then interpolation in the quarter that is left, where the curve is nearly
    /// straight. Never more evaluations than O(log points).
    #[default]
    Interpolation,
}

impl Scheme {
    /// All schemes, in the order in which the tools list them.
    pub const ALL: [Self; 3] = [Self::Sequential, Self::Binary, Self::Interpolation];

    /// The name that the command line and `report.json` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Binary => "binary",
            Self::Interpolation => "interpolation",
        }
    }

    /// The inverse of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }
}

/// Where the search ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// Position of the point. If none that was looked at meets the limit, the one with the largest
    /// margin.
    pub point: usize,
    /// Whether it meets the limit.
    pub met: bool,
    /// The margin of every point that was looked at; as many evaluations were made.
    pub margins: BTreeMap<usize, f64>,
}

/// Looks for the last of `points` points, at least 1, whose task performance meets its limit.
///
/// `margin` evaluates a point and returns performance minus limit, in any unit: at 0 or more the
/// limit is met. With several limits it is the smallest margin. NaN counts as missed.
///
/// The reference is [`Scheme::Sequential`]: from the first point on until two points one after the other miss the limit; the
/// point before them is the result. On a curve that falls monotonously all schemes end there, [`Scheme::Binary`] and
/// [`Scheme::Interpolation`] after at most ceil(log2(points)) + 2 evaluations. On others each result meets the limit and the
/// two points after it do not, but the curve may do so more than once.
///
/// # Errors
/// The first error of `margin`.
pub fn locate<E>(points: usize, scheme: Scheme, margin: impl FnMut(usize) -> Result<f64, E>) -> Result<Located, E> {
    let mut curve = Curve { points: points.max(1), margin, margins: BTreeMap::new() };
    let start = curve.first_met(0)?;
    let mut last_met = start;
    if let Some(start) = start {
        let mut end = match scheme {
            Scheme::Sequential => start,
            Scheme::Binary => curve.halve(start, curve.points, usize::MAX)?.0,
            Scheme::Interpolation => curve.interpolate(start)?,
        };
        while let Some(next) = curve.first_met(end + 1)? {
            end = next;
        }
        last_met = Some(end);
    }
    let margins = curve.margins;
    let point = last_met.unwrap_or_else(|| {
        let larger = |best: (usize, f64), (&point, &margin): (&usize, &f64)| {
            if margin > best.1 { (point, margin) } else { best }
        };
        margins.iter().fold((0, f64::NEG_INFINITY), larger).0
    });
    Ok(Located { point, met: last_met.is_some(), margins })
}

/// A curve that remembers what was evaluated.
struct Curve<F> {
    points: usize,
    margin: F,
    margins: BTreeMap<usize, f64>,
}

impl<E, F: FnMut(usize) -> Result<f64, E>> Curve<F> {
    fn at(&mut self, point: usize) -> Result<f64, E> {
        if let Some(&margin) = self.margins.get(&point) {
            return Ok(margin);
        }
        let margin = (self.margin)(point)?;
        self.margins.insert(point, margin);
        Ok(margin)
    }

    fn met(&mut self, point: usize) -> Result<bool, E> {
        Ok(self.at(point)? >= 0.0)
    }

    /// The first point that meets the limit from `from` on, as far as is looked ahead.
    fn first_met(&mut self, from: usize) -> Result<Option<usize>, E> {
        for point in from..self.points.min(from.saturating_add(LOOK_AHEAD)) {
            if self.met(point)? {
                return Ok(Some(point));
            }
        }
        Ok(None)
    }

    /// At most `times` halvings between `low`, which meets the limit, and `high`, which does not or
    /// is the curve's end. Returns the narrowed pair.
    fn halve(&mut self, mut low: usize, mut high: usize, times: usize) -> Result<(usize, usize), E> {
        let mut done = 0;
        while high - low > 1 && done < times {
            let middle = low + (high - low) / 2;
            if self.met(middle)? {
                low = middle
            } else {
                high = middle
            }
            done += 1;
        }
        Ok((low, high))
    }

    /// Two halvings, then interpolation. A guess may leave no more, whichever way it goes, than halving can finish with the
    /// evaluations that it would have needed from there: so a bent curve needs no more of them than halving.
    fn interpolate(&mut self, start: usize) -> Result<usize, E> {
        let (mut low, mut high) = self.halve(start, self.points, 2)?;
        let mut left = halvings(high - low);
        while high - low > 1 {
            let span = high - low;
            left = left.saturating_sub(1);
            let reach = 1_usize.checked_shl(left).unwrap_or(usize::MAX);
            // Behind the curve's end there is no value to interpolate to.
            let share = if high == self.points {
                0.5
            } else {
                let (above, below) = (self.at(low)?, self.at(high)?);
                above / (above - below)
            };
            // NaN and infinities end up at one of the ends.
            let step = ((share * span as f64) as usize).clamp(span.saturating_sub(reach).max(1), reach.min(span - 1));
            if self.met(low + step)? {
                low += step;
            } else {
                high = low + step;
            }
        }
        Ok(low)
    }
}

/// Evaluations that halving needs at most between two points that are `span` apart.
fn halvings(span: usize) -> u32 {
    span.max(1).next_power_of_two().trailing_zeros()
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::*;

    fn located(points: usize, scheme: Scheme, margin: impl Fn(usize) -> f64) -> Located {
        let margin = |point| {
            assert!(point < points);
            Ok::<_, Infallible>(margin(point))
        };
        match locate(points, scheme, margin) {
            Ok(located) => located,
            Err(never) => match never {},
        }
    }

    #[test]
    fn monotone_curves_are_located_exactly() {
        for points in 1..40_usize {
            for last in 0..points {
                // Straight, bent both ways, and a step.
                let curves: [&dyn Fn(f64) -> f64; 4] = [&|x| x, &|x| x * x * x, &|x| if x < 0.0 { x * 1e6 } else { x }, &f64::signum];
                for curve in curves {
                    for scheme in Scheme::ALL {
                        let margin = |point: usize| curve(last as f64 + 0.5 - point as f64);
                        let found = located(points, scheme, margin);
                        assert_eq!((found.point, found.met), (last, true), "{scheme:?} {points}");
                        // The first point, the halvings, and the second neighbour of the last.
                        if scheme != Scheme::Sequential {
                            assert!(found.margins.len() <= halvings(points) as usize + 2, "{scheme:?}: {found:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn interpolation_needs_fewest_evaluations_on_a_long_curve() {
        let margin = |point: usize| 100.2 - point as f64;
        let needed = Scheme::ALL.map(|scheme| located(350, scheme, margin).margins.len());
        assert_eq!(needed, [103, 10, 7]);
    }

    #[test]
    fn a_dip_does_not_end_the_search() {
        // ResNet8's measured curve against 0.885 has one: .882, then .890.
        let accuracies = [0.882, 0.890, 0.886, 0.888, 0.876, 0.876, 0.834, 0.826, 0.650];
        for scheme in Scheme::ALL {
            let found = located(accuracies.len(), scheme, |point| accuracies[point] - 0.885);
            assert_eq!((found.point, found.met), (3, true), "{scheme:?}");
        }
    }

    /// Correct answers along measured curves of greedy flips, and those of the float network: ResNet8 on 1000 images, DS-CNN on 744 words.
    const MEASURED: [(&[u32], u32, u32); 2] = [
        (&[881, 881, 881, 881, 882, 881, 883, 882, 880, 877, 875, 868, 862, 862, 861, 857, 843], 881, 1000),
        (&[689, 689, 689, 689, 688, 689, 689, 689, 687, 688, 688, 685, 685, 685, 682, 680, 681, 683, 680, 679, 680], 688, 744),
    ];

    #[test]
    fn measured_curves_end_where_the_sequential_search_ends() {
        for (correct, float, samples) in MEASURED {
            // An accuracy drop of up to 4 percent.
            for tenths in 1..=40_u32 {
                let lost = |point: usize| 100.0 * (f64::from(float) - f64::from(correct[point])) / f64::from(samples);
                let margin = |point: usize| f64::from(tenths) / 10.0 - lost(point);
                let [sequential, binary, interpolation] = Scheme::ALL.map(|scheme| located(correct.len(), scheme, margin));
                assert_eq!((binary.point, interpolation.point), (sequential.point, sequential.point), "{tenths} of {samples}");
                let [sequential, binary, interpolation] = [sequential, binary, interpolation].map(|found| found.margins.len());
                assert!(interpolation <= binary && binary <= sequential, "{tenths} of {samples}: {interpolation} {binary} {sequential}");
                // Where the curve crosses the limit several times, each crossing behind the first that was found is looked at.
                let crossings = (1..correct.len()).filter(|point| (margin(*point) >= 0.0) != (margin(point - 1) >= 0.0)).count();
                assert!(crossings > 1 || binary <= halvings(correct.len()) as usize + 2, "{tenths} of {samples}: {binary}");
            }
        }
    }

    #[test]
    fn nothing_met_is_the_nearest() {
        for scheme in Scheme::ALL {
            let found = located(9, scheme, |point| if point == 1 { -1.0 } else { -2.0 });
            assert_eq!((found.point, found.met, found.margins.len()), (1, false, 2));
            assert!(!located(3, scheme, |_| f64::NAN).met);
            assert_eq!(Scheme::from_name(scheme.name()), Some(scheme));
        }
        assert_eq!(locate(5, Scheme::Binary, |_| Err::<f64, _>("no data")), Err("no data"));
    }
}
