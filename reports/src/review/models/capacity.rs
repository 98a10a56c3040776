//! Whether enough servers are up when they fail one by one and a rack at a time.

use super::{ModelError, binomial, count, probability};

/// The probability that fewer than `needed` servers are up.
///
/// Racks fail independently with `rack_unavailability` and take all their servers along; the servers of a rack that is up fail
/// independently with `server_unavailability`. More racks are not always safer: what counts is how many racks may go before
/// the rest is too few.
///
/// Source: total probability over the number of racks that are down.
pub fn too_few_servers(
    racks: u64,
    servers_per_rack: u64,
    needed: u64,
    rack_unavailability: f64,
    server_unavailability: f64,
) -> Result<f64, ModelError> {
    count("racks", racks, 1, 10_000)?;
    count("servers_per_rack", servers_per_rack, 1, 10_000)?;
    count("needed", needed, 1, racks * servers_per_rack)?;
    let rack = probability("rack_unavailability", rack_unavailability)?;
    let server = probability("server_unavailability", server_unavailability)?;
    let mut sum = 0.0;
    for down in 0..=racks {
        let weight = binomial::term(down, racks, rack, 1.0 - rack);
        if weight == 0.0 {
            continue;
        }
        let powered = (racks - down) * servers_per_rack;
        let short = if powered < needed {
            1.0
        } else {
            binomial::upper_tail(powered - needed + 1, powered, server, 1.0 - server)
        };
        sum += weight * short;
    }
    Ok(sum.min(1.0))
}
