//! The image-resizing service of the essay.
