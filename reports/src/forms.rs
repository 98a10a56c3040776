//! A stored run in the forms that other tools read.

pub mod github;
pub mod json;
pub mod junit;
pub mod ledger;
pub mod perfetto;
