//! Conversions of pictures: what they give, what they refuse, what they cost.
mod calibration;
mod corpus;
mod memory;
mod pictures;
mod poison;
mod properties;
