//! Rare events by fixed-effort splitting: paths that come nearer to the event are cloned, the others end.
//!
//! Source: Garvels 2000, "The splitting method in rare event simulation", chapter 3. The way to the event is cut into levels. From each level the
//! same number of paths starts, from the states in which the last level was reached; the answer is the product of the shares
//! that reach the next. The product is unbiased, and its spread is measured by repeating the whole, since paths of a level share ancestors.

use super::models::intervals::{clopper_pearson, students_quantile};
use super::models::{Interval, ModelError, count, open_probability, real};
use super::rare::{Estimate, RareError};
use serde::Serialize;
use sim::rng::Stream;
use std::collections::BTreeSet;

/// Lineages from the first level to the event below which an estimate is refused: with fewer it hangs on a few lucky starts.
const ROOTS_MIN: u64 = 5;

/// Something random that can be continued from where it is, more than once.
///
/// A clone of a real stack is its prefix replayed from the recorded draws, continued on the new stream.
pub trait Path: Clone {
    /// Goes on until `level` is reached or it can no longer be, drawing from `chance` only.
    fn advance(&mut self, level: u32, chance: &mut Stream) -> Step;
}

/// How a stretch of a path ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The level was reached.
    Reached,
    /// The path is over; the event will not come.
    Ended,
}

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Levels: the last one is the event.
    pub levels: u32,
    /// Paths started from each level, in each repetition.
    pub paths_per_level: u64,
    /// How often the whole is repeated, independently, to know its spread.
    pub repetitions: u64,
}

/// What splitting found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Splitting {
    /// The probability of the event.
    pub estimate: Estimate,
    /// The share of paths that went from each level to the next, all repetitions together.
    pub shares: Vec<f64>,
    /// How many paths of the first level have descendants at the event.
    pub roots: u64,
    /// The standard deviation of one repetition's answer over their mean.
    pub repetition_deviation: f64,
}

/// Estimates the probability that a path from `start` reaches level `effort.levels`.
pub fn fixed_effort<P: Path>(
    start: &P,
    effort: Effort,
    seed: u64,
    confidence: f64,
) -> Result<Splitting, RareError> {
    count("levels", u64::from(effort.levels), 1, 10_000)?;
    count("paths_per_level", effort.paths_per_level, 2, 1_000_000_000)?;
    count("repetitions", effort.repetitions, 5, 1_000_000)?;
    open_probability("confidence", confidence)?;
    let repetitions: Vec<Repetition> =
        (0..effort.repetitions).map(|number| repetition(start, effort, seed, number)).collect();
    let mut reached = vec![0; effort.levels as usize];
    let mut started = vec![0; effort.levels as usize];
    for one in &repetitions {
        for (level, hits) in one.reached.iter().enumerate() {
            reached[level] += hits;
            started[level] += effort.paths_per_level;
        }
    }
    judge(&repetitions, &Pooled { reached, started }, effort, confidence)
}

/// The answer of one repetition alone; unbiased, without an interval.
pub fn one_repetition<P: Path>(start: &P, effort: Effort, seed: u64) -> Result<f64, ModelError> {
    count("levels", u64::from(effort.levels), 1, 10_000)?;
    count("paths_per_level", effort.paths_per_level, 2, 1_000_000_000)?;
    Ok(repetition(start, effort, seed, 0).value(effort))
}

struct Repetition {
    /// How many paths reached each level; ends early where none did.
    reached: Vec<u64>,
    roots: u64,
}

struct Pooled {
    reached: Vec<u64>,
    started: Vec<u64>,
}

impl Repetition {
    fn value(&self, effort: Effort) -> f64 {
        let share = |hits: &u64| real(*hits) / real(effort.paths_per_level);
        self.reached.iter().map(share).product()
    }
}

fn repetition<P: Path>(start: &P, effort: Effort, seed: u64, number: u64) -> Repetition {
    let mut parents: Vec<(P, u64)> = vec![(start.clone(), 0)];
    let mut reached = Vec::new();
    for level in 1..=effort.levels {
        let mut survivors = Vec::new();
        let order = shuffled(parents.len(), &mut Stream::named(seed, &format!("split/{number}/{level}")));
        for path in 0..effort.paths_per_level {
            // Every parent starts as many paths as any other, and those that start one more are drawn.
            let turn = usize::try_from(path % parents.len() as u64).expect("an index of the parents");
            let (parent, root) = &parents[order[turn]];
            let mut child = parent.clone();
            let mut chance = Stream::named(seed, &format!("split/{number}/{level}/{path}"));
            if child.advance(level, &mut chance) == Step::Reached {
                survivors.push((child, if level == 1 { path } else { *root }));
            }
        }
        reached.push(survivors.len() as u64);
        parents = survivors;
        if parents.is_empty() {
            break;
        }
    }
    let roots: BTreeSet<u64> = parents.iter().map(|(_, root)| *root).collect();
    Repetition { reached, roots: roots.len() as u64 }
}

fn shuffled(length: usize, chance: &mut Stream) -> Vec<usize> {
    let mut order: Vec<usize> = (0..length).collect();
    for last in (1..length).rev() {
        let other = chance.below(0..last as u64 + 1);
        order.swap(last, usize::try_from(other).expect("at most the last index"));
    }
    order
}

fn judge(
    repetitions: &[Repetition],
    pooled: &Pooled,
    effort: Effort,
    confidence: f64,
) -> Result<Splitting, RareError> {
    let runs = pooled.started.iter().sum();
    let number = real(effort.repetitions);
    let values: Vec<f64> = repetitions.iter().map(|one| one.value(effort)).collect();
    let mean = values.iter().sum::<f64>() / number;
    let shares: Vec<f64> = pooled
        .reached
        .iter()
        .zip(&pooled.started)
        .map(|(hits, starts)| if *starts == 0 { 0.0 } else { real(*hits) / real(*starts) })
        .collect();
    let untrusted = |reason: String, below: f64| RareError::Untrusted { reason, below, confidence };
    if mean == 0.0 {
        let stuck = pooled.reached.iter().position(|hits| *hits == 0).unwrap_or(0);
        let before: f64 = shares[..stuck].iter().product();
        let bound = clopper_pearson(0, pooled.started[stuck].max(1), confidence)?.high;
        let reason = format!(
            "none of {} paths went from level {stuck} to level {} of {}; put a level between them",
            pooled.started[stuck],
            stuck + 1,
            effort.levels
        );
        return Err(untrusted(reason, before * bound));
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (number - 1.0);
    let deviation = variance.sqrt() / mean;
    let spread = students_quantile(confidence, effort.repetitions - 1)? * deviation / number.sqrt();
    // On the logarithmic scale: a product of shares is skewed, and its estimated spread grows with it.
    let interval = Interval { low: mean * (-spread).exp(), high: (mean * spread.exp()).min(1.0), confidence };
    let roots = repetitions.iter().map(|one| one.roots).sum();
    if spread > 1.0 {
        let reason = format!(
            "its repetitions differ by a factor of {:.1}; use more paths or repetitions",
            spread.exp()
        );
        return Err(untrusted(reason, interval.high));
    }
    if roots < ROOTS_MIN {
        let reason = format!(
            "all that reached the event descend from {roots} starts, and {ROOTS_MIN} are needed; use more paths"
        );
        return Err(untrusted(reason, interval.high));
    }
    let effective_sample_size =
        if variance > 0.0 { mean * (1.0 - mean) * number / variance } else { real(runs) };
    let estimate = Estimate { value: mean, interval, effective_sample_size, runs };
    Ok(Splitting { estimate, shares, roots, repetition_deviation: deviation })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each level is reached with a chance of its own.
    #[derive(Clone)]
    struct Coin(f64);

    impl Path for Coin {
        fn advance(&mut self, _level: u32, chance: &mut Stream) -> Step {
            if chance.chance(self.0) { Step::Reached } else { Step::Ended }
        }
    }

    const EFFORT: Effort = Effort { levels: 10, paths_per_level: 100, repetitions: 10 };

    #[test]
    fn a_product_of_coins_is_found() {
        let found = fixed_effort(&Coin(0.3), EFFORT, 3, 0.95).unwrap();
        assert!(found.estimate.interval.contains(0.3_f64.powi(10)), "{found:?}");
        assert_eq!(found.estimate.runs, 10 * 100 * 10);
        // Ten thousand paths say as much as this many plain runs, of which six in a million would hit.
        assert!(found.estimate.effective_sample_size > 1e6, "{found:?}");
        assert!(found.shares.iter().all(|share| (share - 0.3).abs() < 0.08), "{found:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_answer() {
        let run = |seed| fixed_effort(&Coin(0.3), EFFORT, seed, 0.95).unwrap();
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn a_level_that_is_never_reached_is_a_bound_and_says_where() {
        let error = fixed_effort(&Coin(1e-9), EFFORT, 0, 0.95).unwrap_err();
        assert!(
            error.to_string().contains("none of 1000 paths went from level 0 to level 1 of 10"),
            "{error}"
        );
        assert!(matches!(error, RareError::Untrusted { below, .. } if below > 0.0 && below < 0.01));
    }

    #[test]
    fn repetitions_that_disagree_are_refused() {
        let effort = Effort { paths_per_level: 4, repetitions: 5, ..EFFORT };
        let error = fixed_effort(&Coin(0.5), effort, 0, 0.95).unwrap_err();
        assert!(matches!(error, RareError::Untrusted { .. }), "{error}");
    }

    #[test]
    fn no_levels_no_paths_and_no_repetitions_are_refused() {
        for effort in [
            Effort { levels: 0, ..EFFORT },
            Effort { paths_per_level: 0, ..EFFORT },
            Effort { repetitions: 1, ..EFFORT },
        ] {
            assert!(matches!(fixed_effort(&Coin(0.5), effort, 0, 0.95), Err(RareError::Argument(_))));
        }
        assert!(fixed_effort(&Coin(0.5), EFFORT, 0, f64::NAN).is_err());
    }
}
