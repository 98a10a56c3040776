//! The image-resizing service of the essay.
pub mod resize;
