//! Where replicas lie: random placement, copysets, disjoint groups.
//!
//! Source: Cidon, Rumble, Stutsman, Katti, Ousterhout & Rosenblum, USENIX ATC 2013, "Copysets: reducing the frequency of data loss in cloud
//! storage". A copyset is a set of R nodes that holds all replicas of some chunk; data is lost when all nodes of one are down.

use super::{ModelError, binomial, count, out_of_range, positive, probability, real};

/// The most nodes of a cluster.
pub const NODES_MAX: u64 = 1_000_000;
/// The most replicas of a chunk.
pub const REPLICATION_MAX: u64 = 32;

/// A cluster at the moment when some of its nodes are down together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// N: nodes in the cluster.
    pub nodes: u64,
    /// R: replicas of each chunk.
    pub replication: u64,
    /// F: nodes down at once, each set of F as likely as any other.
    pub failed: u64,
}

impl Outage {
    fn check(&self) -> Result<(), ModelError> {
        count("nodes", self.nodes, 1, NODES_MAX)?;
        count("replication", self.replication, 1, REPLICATION_MAX.min(self.nodes))?;
        count("failed", self.failed, 0, self.nodes)?;
        Ok(())
    }

    /// P(data loss), approximate: 1 − (1 − M/C(N,R))^C(F,R) with M distinct copysets (the paper's section 2).
    ///
    /// It takes the C(F,R) sets among the failed nodes as independent draws.
    pub fn loss_with_copysets(&self, copysets: f64) -> Result<f64, ModelError> {
        self.check()?;
        positive("copysets", copysets)?;
        let all = choose(self.nodes, self.replication);
        if copysets > all * (1.0 + 1e-9) {
            let allowed = format!("at most {all:.6e}, the number of sets of {} nodes", self.replication);
            return Err(out_of_range("copysets", copysets, allowed));
        }
        Ok(at_least_one((copysets / all).min(1.0), choose(self.failed, self.replication)))
    }

    /// P(data loss) where each of `chunks` lies on R nodes drawn anew, exact: chunks are independent given which nodes are down.
    pub fn loss_with_random_placement(&self, chunks: f64) -> Result<f64, ModelError> {
        self.check()?;
        positive("chunks", chunks)?;
        Ok(at_least_one(self.chunk_loss(), chunks))
    }

    /// P(data loss) where the nodes are cut into disjoint groups of R, exact. Nodes left over hold nothing.
    ///
    /// Goes from group to group with the hypergeometric chances of how many failures each takes; sums of positive terms only.
    pub fn loss_with_disjoint_groups(&self) -> Result<f64, ModelError> {
        self.check()?;
        let steps = real(self.nodes) * (real(self.failed) + 1.0);
        if steps > 2e7 {
            let allowed = format!("small enough for 2e7 steps: at most {:.0} here", 2e7 / real(self.nodes));
            return Err(out_of_range("failed", self.failed, allowed));
        }
        let mut intact = vec![0.0; usize::try_from(self.failed).expect("at most 2e7") + 1];
        intact[0] = 1.0;
        let mut lost = 0.0;
        for group in 0..self.nodes / self.replication {
            let left = self.nodes - group * self.replication;
            let mut next = vec![0.0; intact.len()];
            for (taken, chance) in (0_u64..).zip(&intact).filter(|(_, chance)| **chance > 0.0) {
                let remaining = self.failed - taken;
                let mut here = (remaining + self.replication).saturating_sub(left);
                let mut share = chance * hypergeometric(left, remaining, self.replication, here);
                while here < self.replication.min(remaining + 1) {
                    next[usize::try_from(taken + here).expect("at most 2e7")] += share;
                    let intact_elsewhere = left + here + 1 - self.replication - remaining;
                    share *= real(self.replication - here) * real(remaining - here)
                        / (real(here + 1) * real(intact_elsewhere));
                    here += 1;
                }
                if here == self.replication {
                    lost += share;
                }
            }
            intact = next;
        }
        Ok(lost.min(1.0))
    }

    /// The expected share of all chunks that is lost: C(F,R)/C(N,R). The same for every placement that loads nodes evenly.
    pub fn expected_share_lost(&self) -> Result<f64, ModelError> {
        self.check()?;
        Ok(self.chunk_loss())
    }

    /// P(all R nodes of one chunk are down).
    fn chunk_loss(&self) -> f64 {
        (0..self.replication)
            .map(|i| if self.failed > i { real(self.failed - i) / real(self.nodes - i) } else { 0.0 })
            .product()
    }
}

/// Distinct copysets where each chunk's first node draws the others from a window of S that follows it: N·C(S+1, R−1).
///
/// Source: Cidon et al. section 3.1, the scheme of Facebook's HDFS, with `scatter_width` S.
pub fn window_copysets(nodes: u64, replication: u64, scatter_width: u64) -> Result<f64, ModelError> {
    check_scatter(nodes, replication, scatter_width)?;
    Ok(real(nodes) * choose(scatter_width + 1, replication - 1))
}

/// Distinct copysets of copyset replication: (N/R)·S/(R−1), from S/(R−1) permutations of the nodes cut in groups of R.
///
/// Source: Cidon et al. section 4.
pub fn permutation_copysets(nodes: u64, replication: u64, scatter_width: u64) -> Result<f64, ModelError> {
    check_scatter(nodes, replication, scatter_width)?;
    if scatter_width < replication - 1 {
        let allowed = format!("at least {}: one group already scatters so wide", replication - 1);
        return Err(out_of_range("scatter_width", scatter_width, allowed));
    }
    Ok(real(nodes) / real(replication) * real(scatter_width) / real(replication - 1))
}

/// The expected number of distinct copysets when each of `chunks` draws R of N nodes at random.
pub fn random_copysets(nodes: u64, replication: u64, chunks: f64) -> Result<f64, ModelError> {
    let cluster = Outage { nodes, replication, failed: 0 };
    cluster.check()?;
    positive("chunks", chunks)?;
    let all = choose(nodes, replication);
    Ok(all * at_least_one(1.0 / all, chunks))
}

/// The chance of a loss a year, from the chance a year of such an outage; and the mean number of years between losses.
pub fn years_between_losses(outages_per_year: f64, loss: f64) -> Result<f64, ModelError> {
    positive("outages_per_year", outages_per_year)?;
    probability("loss", loss)?;
    positive("loss", loss)?;
    super::finite("time between losses", 1.0 / (outages_per_year * loss))
}

fn check_scatter(nodes: u64, replication: u64, scatter_width: u64) -> Result<(), ModelError> {
    count("nodes", nodes, 2, NODES_MAX)?;
    count("replication", replication, 2, REPLICATION_MAX.min(nodes))?;
    count("scatter_width", scatter_width, 1, nodes - 1)?;
    Ok(())
}

/// 1 − (1 − chance)^tries, with all digits of a small chance.
fn at_least_one(chance: f64, tries: f64) -> f64 {
    if tries == 0.0 {
        0.0
    } else if chance >= 1.0 {
        1.0
    } else {
        -(tries * (-chance).ln_1p()).exp_m1()
    }
}

/// C(n, k) as a number; 0 where k > n.
fn choose(n: u64, k: u64) -> f64 {
    if k > n {
        return 0.0;
    }
    (0..k).fold(1.0, |product, i| product * real(n - i) / real(i + 1))
}

/// P(`here` of the `remaining` failures, spread over `left` nodes, fall on a group of `size` of them).
///
/// The binomial form with p = remaining/left cancels all but ratios of three binomial terms, each to full precision.
fn hypergeometric(left: u64, remaining: u64, size: u64, here: u64) -> f64 {
    if here > size || here > remaining || remaining - here > left - size {
        return 0.0;
    }
    let p = real(remaining) / real(left);
    let q = real(left - remaining) / real(left);
    binomial::term(here, size, p, q) * binomial::term(remaining - here, left - size, p, q)
        / binomial::term(remaining, left, p, q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disjoint_groups_agree_with_counting_by_hand() {
        // Nine nodes in three groups of three, three failures: three of the 84 sets are a group.
        let outage = Outage { nodes: 9, replication: 3, failed: 3 };
        assert!((outage.loss_with_disjoint_groups().unwrap() / (3.0 / 84.0) - 1.0).abs() < 1e-12);
        // Seven failures of nine leave two nodes up: at least one group of the three is wholly down.
        let many = Outage { failed: 7, ..outage };
        assert!((many.loss_with_disjoint_groups().unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_approximation_meets_the_exact_answer_where_losses_are_rare() {
        let outage = Outage { nodes: 5_000, replication: 3, failed: 50 };
        let exact = outage.loss_with_disjoint_groups().unwrap();
        let near = outage.loss_with_copysets(permutation_copysets(5_000, 3, 2).unwrap()).unwrap();
        assert!((near / exact - 1.0).abs() < 0.005, "{near} {exact}");
    }

    #[test]
    fn fewer_failures_than_replicas_lose_nothing() {
        let outage = Outage { nodes: 100, replication: 3, failed: 2 };
        assert_eq!(outage.loss_with_copysets(50.0).unwrap(), 0.0);
        assert_eq!(outage.loss_with_random_placement(1e9).unwrap(), 0.0);
        assert_eq!(outage.loss_with_disjoint_groups().unwrap(), 0.0);
    }

    #[test]
    fn more_copysets_than_sets_of_nodes_are_refused() {
        let outage = Outage { nodes: 9, replication: 3, failed: 3 };
        assert!(outage.loss_with_copysets(85.0).unwrap_err().to_string().contains("at most 8.4"));
        assert!(Outage { nodes: 0, ..outage }.expected_share_lost().is_err());
        assert!(permutation_copysets(9, 3, 1).is_err());
    }
}
