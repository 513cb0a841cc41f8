//! The whole front of score against several costs in one run: NSGA-II with an archive.
//!
//! Source: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II". Added to it is an archive of every design that no other dominates,
//! from which half of the parents come: with four objectives nearly a whole population is of one rank, and would forget what it does not hold.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::cheapest::cheapest;
use super::evolve::{cross, mutant};
use super::judge::{Judge, better};
use super::start::start;
use super::variation::{Variation, any};
use super::{Deployment, Options, Scored, Scorer, SearchError};
use crate::cost::Quantity;

/// Result of [`pareto`].
#[derive(Debug, Clone, PartialEq)]
pub struct Front {
    /// Designs that no other scored design dominates, the highest score first. Of designs with the same score and costs, one.
    pub points: Vec<Scored>,
    /// Designs that were scored, each counted once.
    pub evaluations: u64,
    /// Designs that were over a budget.
    pub discarded: u64,
}

/// A design and its costs in the order of the objectives.
#[derive(Debug, Clone)]
struct Point {
    scored: Scored,
    costs: Vec<u64>,
}

impl Point {
    /// At least as good in everything.
    fn covers(&self, other: &Self) -> bool {
        self.scored.score >= other.scored.score && self.costs.iter().zip(&other.costs).all(|(a, b)| a <= b)
    }

    fn equals(&self, other: &Self) -> bool {
        self.scored.score == other.scored.score && self.costs == other.costs
    }

    fn dominates(&self, other: &Self) -> bool {
        self.covers(other) && !self.equals(other)
    }

    /// Score and costs.
    fn objective(&self, index: usize) -> f64 {
        index.checked_sub(1).map_or(f64::from(self.scored.score), |cost| self.costs.get(cost).map_or(0.0, |cost| *cost as f64))
    }
}

/// The designs that no other dominates in score and in `objectives`, all of which meet the budgets.
///
/// Of the options, `parents` has no meaning here; a population has the size that it has at first. What is not scored cannot be in the front: the front is
/// that of [`Front::evaluations`] designs.
///
/// # Errors
/// As [`super::evolve`], and where an objective is not modelled.
pub fn pareto(
    deployment: &Deployment<'_>,
    scorer: &mut dyn Scorer,
    objectives: &[Quantity],
    options: &Options,
) -> Result<Front, SearchError> {
    options.check()?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let variation = Variation::new(deployment.domain);
    let mut judge = Judge::new(*deployment, scorer);
    let (size, rate) = (options.population, options.mutation_rate);
    let mut initial = options.initial.clone();
    for &objective in objectives {
        let (design, _) = cheapest(deployment.domain, deployment.costs, objective).ok_or(SearchError::NotModelled(objective))?;
        initial.push(design);
    }
    let first = start(&mut judge, &variation, &initial, (size, rate), &mut rng)?;
    let points = |scored: Vec<Scored>| scored.into_iter().filter_map(|scored| point(scored, objectives));
    let mut population: Vec<Point> = points(judge.score(first)?).collect();
    let mut archive = Vec::new();
    population.iter().for_each(|point| enter(&mut archive, point));
    let mut ranks = survive(&mut population, size, objectives.len() + 1);
    for _ in 1..options.iterations {
        let mut parents: Vec<Scored> = Vec::with_capacity(size);
        for index in 0..size.max(2) {
            let from_archive = if index.is_multiple_of(2) { any(&archive, &mut rng) } else { None };
            let parent = from_archive.or_else(|| winner(&population, &ranks, &mut rng));
            parents.extend(parent.map(|point| point.scored.clone()));
        }
        let mut children = Vec::with_capacity(options.mutations + options.crossovers);
        for _ in 0..options.mutations {
            children.extend(mutant(&mut judge, &variation, &parents, rate, &mut rng));
        }
        for _ in 0..options.crossovers {
            children.extend(cross(&mut judge, &variation, &parents, rate, &mut rng));
        }
        if children.is_empty() {
            break;
        }
        for point in points(judge.score(children)?) {
            enter(&mut archive, &point);
            population.push(point);
        }
        ranks = survive(&mut population, size, objectives.len() + 1);
    }
    let mut points: Vec<Scored> = archive.into_iter().map(|point| point.scored).collect();
    points.sort_by(better);
    Ok(Front { points, evaluations: judge.evaluations, discarded: judge.discarded })
}

/// `None` for a design that has no figure for an objective, which cannot be compared.
fn point(scored: Scored, objectives: &[Quantity]) -> Option<Point> {
    let costs = objectives.iter().map(|objective| scored.totals.get(*objective)).collect::<Option<Vec<_>>>()?;
    Some(Point { scored, costs })
}

/// Adds a point to the archive unless it is covered, and takes out what it dominates.
fn enter(archive: &mut Vec<Point>, new: &Point) {
    if !archive.iter().any(|own| own.covers(new)) {
        archive.retain(|own| !new.covers(own));
        archive.push(new.clone());
    }
}

/// The better of two by chance: of lower rank, or of the same rank and less crowded.
fn winner<'p>(population: &'p [Point], ranks: &[(usize, f64)], rng: &mut ChaCha8Rng) -> Option<&'p Point> {
    let places: Vec<usize> = (0..population.len()).collect();
    let (first, second) = (*any(&places, rng)?, *any(&places, rng)?);
    let of = |place: usize| ranks.get(place).copied().unwrap_or((usize::MAX, 0.0));
    population.get(if by_rank(&of(second), &of(first)).is_lt() { second } else { first })
}

fn by_rank(a: &(usize, f64), b: &(usize, f64)) -> Ordering {
    a.0.cmp(&b.0).then(b.1.total_cmp(&a.1))
}

/// Keeps `size` points, of low rank and little crowded; gives the rank and the crowding distance of each.
fn survive(population: &mut Vec<Point>, size: usize, objectives: usize) -> Vec<(usize, f64)> {
    let ranks = ranks(population);
    let distances = distances(population, &ranks, objectives);
    let mut places: Vec<(usize, (usize, f64))> = ranks.into_iter().zip(distances).enumerate().collect();
    // The sort is stable: ties keep the older point.
    places.sort_by(|a, b| by_rank(&a.1, &b.1));
    places.truncate(size);
    *population = places.iter().filter_map(|(place, _)| population.get(*place).cloned()).collect();
    places.into_iter().map(|(_, rank)| rank).collect()
}

/// Rank 0: dominated by none; rank n: dominated only by points of lower rank.
fn ranks(population: &[Point]) -> Vec<usize> {
    let mut ranks = vec![usize::MAX; population.len()];
    let mut left: Vec<usize> = (0..population.len()).collect();
    let mut rank = 0;
    while !left.is_empty() {
        let dominated = |place: &usize| left.iter().any(|other| population[*other].dominates(&population[*place]));
        let (behind, front): (Vec<usize>, Vec<usize>) = left.iter().partition(|place| dominated(place));
        front.iter().for_each(|place| ranks[*place] = rank);
        left = behind;
        rank += 1;
    }
    ranks
}

/// Crowding distances: over the objectives, the relative distance between the neighbours within the rank; infinite at the ends.
fn distances(population: &[Point], ranks: &[usize], objectives: usize) -> Vec<f64> {
    let mut distances = vec![0.0; population.len()];
    let mut places: Vec<usize> = (0..population.len()).collect();
    for objective in 0..objectives {
        let value = |place: usize| population[place].objective(objective);
        places.sort_by(|a, b| ranks[*a].cmp(&ranks[*b]).then(value(*a).total_cmp(&value(*b))).then(a.cmp(b)));
        for of_rank in places.chunk_by(|a, b| ranks[*a] == ranks[*b]) {
            let [first, .., last] = *of_rank else {
                of_rank.iter().for_each(|place| distances[*place] = f64::INFINITY);
                continue;
            };
            let range = value(last) - value(first);
            (distances[first], distances[last]) = (f64::INFINITY, f64::INFINITY);
            for window in of_rank.windows(3) {
                if let [before, place, after] = *window
                    && range.is_finite()
                    && range > 0.0
                {
                    distances[place] += (value(after) - value(before)) / range;
                }
            }
        }
    }
    distances
}
