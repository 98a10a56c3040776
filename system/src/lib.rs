//! The image-resizing service of the essay.

pub mod queue;
pub mod resize;
