//! Laws over histories.
