//! Why a picture was not converted.

/// A refusal. Every kind is the client's to fix (4xx), so none is worth another try with the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResizeError {
    /// The request makes no sense; what was typed and the choices are in the text.
    #[error("{0}")]
    BadOption(String),
    /// The picture, or what the request would make of it, is over a limit.
    #[error("{0}")]
    TooLarge(String),
    /// A format, or a corner of one, that is not converted here.
    #[error("{0}")]
    UnsupportedFormat(String),
    /// The bytes do not make a picture.
    #[error("the picture cannot be decoded: {0}")]
    Undecodable(String),
    /// The codec panicked. The client sees an undecodable picture; the operator counts these, for each is a bug in a codec.
    #[error("the picture cannot be decoded")]
    Panicked {
        /// What the codec said as it fell, for logs and counters, not for clients.
        detail: String,
    },
}

impl ResizeError {
    /// The HTTP status that says the same.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadOption(_) => 400,
            Self::TooLarge(_) => 413,
            Self::UnsupportedFormat(_) => 415,
            Self::Undecodable(_) | Self::Panicked { .. } => 422,
        }
    }

    /// A stable name for programs. A panic has its own, so that metrics can tell it from bad bytes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadOption(_) => "bad-option",
            Self::TooLarge(_) => "too-large",
            Self::UnsupportedFormat(_) => "unsupported-format",
            Self::Undecodable(_) => "undecodable",
            Self::Panicked { .. } => "codec-panicked",
        }
    }

    /// The text for people, fit to be shown to the client.
    pub fn message(&self) -> String {
        self.to_string()
    }
}
