//! Chance, in named streams.
//!
//! Every use of chance draws from a stream of its own, named after what it is for (`net/api-1>queue-2`, `faults`,
//! `client-3`). Taking away one fault or one client therefore leaves all other draws as they were, which is what
//! lets shrinking compare a run with a smaller one.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use std::cell::Cell;
use std::ops::Range;
use std::time::Duration;

/// A stream of chance: ChaCha8 keyed by the seed, its stream number the hash of a name.
///
/// The same seed and name give the same draws on every machine and in every build.
///
/// ```
/// # extern crate hogwash_sim as sim;
/// use sim::rng::Stream;
///
/// let mut coin = Stream::named(7, "coin");
/// let tossed: Vec<bool> = (0..8).map(|_| coin.chance(0.5)).collect();
/// let mut again = Stream::named(7, "coin");
/// assert_eq!(tossed, (0..8).map(|_| again.chance(0.5)).collect::<Vec<_>>());
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    generator: ChaCha8Rng,
    draws: u64,
    /// The seed and the salt of the fresh chance that the generator was made for; none where it never changes.
    branch: Option<(u64, u64)>,
    /// Its number in the trace of the world; 0 where nothing is traced.
    #[cfg(not(live))]
    traced: u64,
}

thread_local! {
    /// The salt of the chance that this thread's world draws from now; 0 for that of its plan.
    static SALT: Cell<u64> = const { Cell::new(0) };
}

/// From now on, has this thread's world draw all chance anew, but for what its plan and its clients' requests are made of.
#[cfg(not(live))]
pub(crate) fn draw_anew(salt: u64) {
    SALT.set(salt);
}

impl Stream {
    /// The stream called `name` of the universe with this `seed`.
    pub fn named(seed: u64, name: &str) -> Self {
        Self { branch: Some((seed, 0)), ..Self::fixed(seed, name) }
    }

    /// As [`Stream::named`], for what stays as it is where a world draws its chance anew: plans and requests.
    pub fn fixed(seed: u64, name: &str) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let hash = blake3::hash(name.as_bytes());
        let number = hash.as_bytes().first_chunk::<8>().expect("a BLAKE3 hash has 32 bytes");
        generator.set_stream(u64::from_le_bytes(*number));
        Self {
            generator,
            draws: 0,
            branch: None,
            #[cfg(not(live))]
            traced: crate::trace::stream(name),
        }
    }

    /// Another key where the world draws anew since the last draw.
    fn keep_up(&mut self) {
        let salt = SALT.get();
        if let Some((seed, made_for)) = &mut self.branch
            && *made_for != salt
        {
            *made_for = salt;
            let number = self.generator.get_stream();
            // The golden ratio spreads small salts over all bits.
            let key = seed.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            self.generator = ChaCha8Rng::seed_from_u64(key);
            self.generator.set_stream(number);
        }
    }

    /// A number drawn evenly from all of `u64`.
    pub fn next_u64(&mut self) -> u64 {
        self.keep_up();
        self.draws += 1;
        let drawn = self.generator.next_u64();
        #[cfg(not(live))]
        crate::trace::drawn(self.traced, self.draws, drawn);
        drawn
    }

    /// How many times this stream was asked, fills counted once.
    pub fn draws(&self) -> u64 {
        self.draws
    }

    /// Fills `bytes` with even chance.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.keep_up();
        self.draws += 1;
        self.generator.fill_bytes(bytes);
        #[cfg(not(live))]
        crate::trace::drawn(self.traced, self.draws, 0);
    }

    /// A number of `range`, evenly; the start of the range where it is empty.
    ///
    /// By multiplication (Lemire 2019, section 3, without the rejection step: its bias is below 2^-32 for
    /// ranges under 2^32, and simulated time never resolves it).
    pub fn below(&mut self, range: Range<u64>) -> u64 {
        let width = range.end.saturating_sub(range.start);
        let drawn = (u128::from(self.next_u64()) * u128::from(width)) >> 64;
        range.start + u64::try_from(drawn).expect("less than the width, which is a u64")
    }

    /// A real number in `[0, 1)`, with 53 bits.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
        let numerator = (self.next_u64() >> 11) as f64;
        numerator / 9_007_199_254_740_992.0
    }

    /// True with this `probability`; always draws, so that the stream's later draws do not depend on the answer.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A duration of `range`, evenly, to the nanosecond.
    pub fn duration(&mut self, range: Range<Duration>) -> Duration {
        Duration::from_nanos(self.below(nanos(range.start)..nanos(range.end)))
    }

    /// The waiting time of a Poisson process: exponential with this `mean`.
    ///
    /// The logarithm is ours ([`ln`]): the platform's may differ in its last bit from machine to machine.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        Duration::from_nanos(self.exponential_ns(nanos(mean)))
    }

    /// As [`Stream::exponential`], in nanoseconds.
    pub fn exponential_ns(&mut self, mean_ns: u64) -> u64 {
        let unit = 1.0 - self.unit();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a mean of 104 days is exact, and longer ones are near enough"
        )]
        let waited = mean_ns as f64 * -ln(unit);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; saturates"
        )]
        let whole = waited.round() as u64;
        whole
    }

    /// Puts `items` in an even order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(0..last as u64 + 1)).expect("an index");
            items.swap(last, other);
        }
    }

    /// One of `items`, evenly; none where there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(0..items.len() as u64)).expect("an index");
        items.get(index)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The natural logarithm of `x > 0`, from additions, multiplications and divisions alone, which IEEE 754 fixes to
/// the bit; libm's `log` is not so fixed. Relative error below 1e-14 (the series of `2·artanh((m−1)/(m+1))`, with
/// m in [1/√2, √2], so that its argument is at most 0.172).
pub fn ln(x: f64) -> f64 {
    debug_assert!(x > 0.0 && x.is_finite(), "the logarithm of {x}");
    let bits = x.to_bits();
    let mut exponent = i32::try_from((bits >> 52) & 0x7ff).expect("11 bits") - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let sum = ratio * SERIES.iter().rev().fold(0.0, |sum, coefficient| sum * square + coefficient);
    2.0 * sum + f64::from(exponent) * std::f64::consts::LN_2
}

/// 1, 1/3, 1/5 …: the coefficients of artanh. Divisions would cost more than all the rest of a logarithm.
const SERIES: [f64; 11] = [
    1.0,
    1.0 / 3.0,
    1.0 / 5.0,
    1.0 / 7.0,
    1.0 / 9.0,
    1.0 / 11.0,
    1.0 / 13.0,
    1.0 / 15.0,
    1.0 / 17.0,
    1.0 / 19.0,
    1.0 / 21.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_give_the_same_draws_for_ever() {
        let mut stream = Stream::named(7, "net/api-1>queue-2");
        let drawn: Vec<u64> = (0..3).map(|_| stream.next_u64()).collect();
        // Pinned: a change here changes every history, and so needs a new plan version.
        let mut again = Stream::named(7, "net/api-1>queue-2");
        assert_eq!(drawn, (0..3).map(|_| again.next_u64()).collect::<Vec<_>>());
        assert_ne!(drawn[0], Stream::named(7, "net/api-1>queue-3").next_u64());
        assert_ne!(drawn[0], Stream::named(8, "net/api-1>queue-2").next_u64());
        assert_eq!(stream.draws(), 3);
    }

    #[test]
    fn the_logarithm_agrees_with_the_platforms() {
        for x in [1e-300, 1e-9, 0.1, 0.5, 0.99, 1.0, 1.5, 2.0, 3.7, 1e9] {
            let difference = (ln(x) - f64::ln(x)).abs();
            assert!(difference <= 1e-13 * f64::ln(x).abs().max(1.0), "ln({x}) is off by {difference}");
        }
    }

    #[test]
    fn waiting_times_have_their_mean() {
        let mut stream = Stream::named(1, "waiting");
        let total: Duration = (0..20_000).map(|_| stream.exponential(Duration::from_millis(10))).sum();
        let mean_ms = total.as_secs_f64() * 1e3 / 20_000.0;
        assert!((mean_ms - 10.0).abs() < 0.3, "the mean was {mean_ms} ms");
    }

    #[test]
    fn draws_stay_within_their_range() {
        let mut stream = Stream::named(2, "range");
        assert!((0..1000).all(|_| (5..9).contains(&stream.below(5..9))));
        assert_eq!(stream.below(4..4), 4);
        assert_eq!(stream.pick::<u8>(&[]), None);
    }
}
