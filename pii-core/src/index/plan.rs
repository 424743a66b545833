//! How many bits of a code to keep.

use std::fmt;

/// What an index of so many rows can keep: see [`plan`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct IndexPlan {
    /// The fewest bits with which a search finds at most `coincidences` rows too many, on average.
    pub min_bits: u8,
    /// The most bits with which each code is shared by two values or more, on average, so that who sees the
    /// codes can't tell values apart one by one. Below `min_bits` if there is no such number.
    pub max_bits: u8,
    /// What to take: the square root of the number of values that differ, as codes.
    pub bits: u8,
    /// With that many bits, so many rows are found too many by a search, on average.
    pub coincidences: f64,
    /// Whether there are so few different values that an index gives them away, whatever its size: who sees
    /// how often each code occurs can tell the values by how often they occur in the world.
    pub is_tiny_domain: bool,
}

/// Fewer different values than this are a tiny domain.
const TINY: u64 = 1 << 16;
/// A search may find so many rows too many, on average, before it gets slow.
const TOLERABLE: f64 = 1000.0;

/// How many bits a blind index can keep, of a column with `rows` rows and `distinct` different values.
///
/// The rule of the square root: with the square root of the number of different values as the number of codes, each
/// code stands for as many values as there are codes. More bits give faster searches and reveal more; fewer
/// reveal less. Plan for the number of rows that there will be: other bits need another index, by another name,
/// as a search finds no rows that were written with these.
///
/// ```
/// # use pii_core as pii;
/// let plan = pii::index::plan(1_000_000, 900_000);
/// assert_eq!((plan.min_bits, plan.bits, plan.max_bits), (10, 10, 18));
/// assert!(!plan.is_tiny_domain);
/// assert!(pii::index::plan(1_000_000, 50).is_tiny_domain);
/// ```
#[must_use]
pub fn plan(rows: u64, distinct: u64) -> IndexPlan {
    let distinct = distinct.clamp(1, rows.max(1));
    // as many codes as values, halved: two values for each code
    let max_bits = floor_log2(distinct).saturating_sub(1).max(1);
    let min_bits = (1..=max_bits).find(|&bits| found_too_many(rows, distinct, bits) <= TOLERABLE);
    let min_bits = min_bits.unwrap_or_else(|| max_bits.saturating_add(1));
    let root = floor_log2(distinct).div_ceil(2).max(1);
    let bits = root.max(min_bits).min(max_bits);
    IndexPlan {
        min_bits,
        max_bits,
        bits,
        coincidences: found_too_many(rows, distinct, bits),
        is_tiny_domain: distinct < TINY,
    }
}

/// Rows of other values with the same code as a given one, on average.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn found_too_many(rows: u64, distinct: u64, bits: u8) -> f64 {
    let (rows, distinct) = (rows as f64, distinct as f64);
    rows * (1.0 - 1.0 / distinct) / 2_f64.powi(i32::from(bits))
}

fn floor_log2(number: u64) -> u8 {
    u8::try_from(number.max(1).ilog2()).unwrap_or(u8::MAX)
}

impl fmt::Display for IndexPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bits ({} to {}), about {:.0} rows too many by a search",
            self.bits, self.min_bits, self.max_bits, self.coincidences
        )?;
        if self.is_tiny_domain {
            f.write_str("; so few different values can be told by how often they occur: consider no index")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_lie_within_the_range() {
        for rows in [1, 10, 1_000, 65_536, 1_000_000, 1 << 40] {
            for distinct in [1, 2, 300, 65_536, rows] {
                let plan = plan(rows, distinct);
                assert!((1..=64).contains(&plan.bits), "{plan:?}");
                assert!(plan.bits <= plan.max_bits, "{plan:?}");
                assert!(plan.min_bits > plan.max_bits || plan.bits >= plan.min_bits, "{plan:?}");
            }
        }
    }

    #[test]
    fn expected_coincidences_are_those_of_counting() {
        // 4,096 rows of 4,096 values over 64 codes: 64 rows for each code, one of them the right one
        let plan = plan(4_096, 4_096);
        assert_eq!(plan.bits, 6);
        assert!((plan.coincidences - 63.98).abs() < 0.01, "{plan:?}");
    }
}
