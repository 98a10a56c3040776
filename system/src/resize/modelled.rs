//! The modelled codec: what converting would come to, from the header alone.
//!
//! A region's second has more pictures in it than a core could decode in minutes. What a run of one needs of a conversion is
//! its cost, its output's size, and an output that depends on all of the input and of the options and on nothing else, so
//! that a result which is another picture's is seen. All three are computed here without a pixel. What comes out is no
//! picture: nobody can decode it.
//!
//! What it leaves out: a picture that is broken behind its header is taken for whole, and one that its metadata turns is
//! taken as it lies.

use super::cost::output_size;
use super::{Limits, Output, Request, ResizeError, inspect};

/// As [`resize`](super::resize): the same refusals as far as a header tells, an output of about the same size.
///
/// # Errors
/// What the header, the limits or the options refuse.
pub(super) fn resize(input: &[u8], request: &Request, limits: &Limits) -> Result<Output, ResizeError> {
    let header = inspect(input)?;
    limits.admit(input, &header)?;
    let geometry = request.geometry(header.width, header.height)?;
    limits.admit_output(&geometry)?;
    let format = request.output_format(header.coding.format());
    let mut bytes = vec![0; output_size(&header, request)?];
    let mut hasher = blake3::Hasher::new_derive_key("hogwash 2026 modelled codec");
    hasher.update(&(input.len() as u64).to_le_bytes()).update(input).update(request.canonical().as_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    Ok(Output { bytes: bytes.into(), format, width: geometry.width, height: geometry.height })
}
