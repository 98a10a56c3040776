//! Conversions of pictures: what they give, what they refuse, what they cost.
mod memory;
mod pictures;
mod poison;
mod properties;
