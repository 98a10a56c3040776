//! What a client asks for: parsed once, canonical from then on.
use super::limits::SIDE_PX_MAX;
use super::{InputFormat, ResizeError};

const QUALITY_DEFAULT: u8 = 80;
const OPTIONS: &str = "`preset`, `w`, `h`, `fit`, `fmt`, `q`";

/// How the picture is fitted to the sides that were asked for. A side that was not given follows from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Fit {
    /// As large as fits inside, all of the picture, its proportions kept.
    #[default]
    Contain,
    /// Exactly the size asked for, proportions kept, what sticks out cut off evenly.
    Cover,
    /// Exactly the size asked for, stretched.
    Fill,
    /// As `contain`, but never enlarged.
    ScaleDown,
}

impl Fit {
    const ALL: [Self; 4] = [Self::Contain, Self::Cover, Self::Fill, Self::ScaleDown];

    /// The name used in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Contain => "contain",
            Self::Cover => "cover",
            Self::Fill => "fill",
            Self::ScaleDown => "scale-down",
        }
    }
}

/// What results are encoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputFormat {
    /// Baseline JPEG; transparent parts become white.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, lossless.
    WebP,
}

/// Options under one name. An option that is given beside it takes the place of the preset's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Preset {
    name: &'static str,
    width: u32,
    height: u32,
    fit: Fit,
}

const PRESETS: [Preset; 3] = [
    Preset { name: "thumbnail", width: 160, height: 160, fit: Fit::Cover },
    Preset { name: "preview", width: 640, height: 640, fit: Fit::ScaleDown },
    Preset { name: "screen", width: 1920, height: 1920, fit: Fit::ScaleDown },
];

const FORMATS: [Option<OutputFormat>; 4] =
    [None, Some(OutputFormat::Jpeg), Some(OutputFormat::Png), Some(OutputFormat::WebP)];

impl OutputFormat {
    /// The name used in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }

    /// The media type for `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

/// A rectangle of the original, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// Distance from the left edge.
    pub left: u32,
    /// Distance from the top edge.
    pub top: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Which part of the original becomes a result of which size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// The part of the original that is kept.
    pub crop: Rectangle,
    /// Width of the result, in pixels.
    pub width: u32,
    /// Height of the result, in pixels.
    pub height: u32,
}

/// The options of one conversion, valid and canonical by construction: two requests that ask for the same are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    width: Option<u32>,
    height: Option<u32>,
    fit: Fit,
    format: Option<OutputFormat>,
    quality: u8,
}

impl Default for Request {
    fn default() -> Self {
        Self { width: None, height: None, fit: Fit::default(), format: None, quality: QUALITY_DEFAULT }
    }
}

impl Request {
    /// Parses the pairs of a query string, already percent-decoded: `w` and `h` in pixels, `fit`, `fmt` and `q` (1 to 100,
    /// for JPEG). The long names `width`, `height`, `format`, `quality` mean the same. `preset` stands for some of them:
    /// `thumbnail` for `w=160&h=160&fit=cover`, `preview` and `screen` for a box of 640 and of 1920 pixels and
    /// `fit=scale-down`; what is given beside it counts instead of its own. An option given twice is refused, so that no
    /// two readers of one address can disagree about it.
    ///
    /// # Errors
    /// [`ResizeError::BadOption`], naming what was typed and what may be.
    pub fn parse<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ResizeError> {
        let (mut width, mut height, mut fit, mut format, mut quality) = (None, None, None, None, None);
        let mut preset = None;
        for (key, value) in pairs {
            let (key, value) = (key.as_ref(), value.as_ref());
            match key {
                "w" | "width" => set_once(&mut width, key, number(key, value, SIDE_PX_MAX)?)?,
                "h" | "height" => set_once(&mut height, key, number(key, value, SIDE_PX_MAX)?)?,
                "fit" => set_once(&mut fit, key, choice(key, value, &Fit::ALL, |fit| fit.name())?)?,
                "fmt" | "format" => set_once(&mut format, key, parse_format(key, value)?)?,
                "q" | "quality" => set_once(&mut quality, key, number(key, value, 100)?)?,
                "preset" => set_once(&mut preset, key, choice(key, value, &PRESETS, |preset| preset.name)?)?,
                _ => {
                    return Err(bad(format!(
                        "unknown option `{}`: the options are {OPTIONS}",
                        shortened(key)
                    )));
                }
            }
        }
        let quality = quality.map_or(QUALITY_DEFAULT, |quality| u8::try_from(quality).expect("at most 100"));
        let request = Self {
            width: width.or(preset.map(|preset| preset.width)),
            height: height.or(preset.map(|preset| preset.height)),
            fit: fit.or(preset.map(|preset| preset.fit)).unwrap_or_default(),
            format: format.flatten(),
            quality,
        };
        Ok(request.normalised())
    }

    /// The one spelling of this request, itself a query string; what hashes and signatures are taken over.
    pub fn canonical(&self) -> String {
        let side = |name: &str, px: Option<u32>| px.map_or_else(String::new, |px| format!("{name}={px}&"));
        format!(
            "{}{}fit={}&fmt={}&q={}",
            side("w", self.width),
            side("h", self.height),
            self.fit.name(),
            self.format.map_or("same", OutputFormat::name),
            self.quality
        )
    }

    /// What the result is encoded as: what was asked for, else the original's format; formats that are only read
    /// (GIF, BMP, TIFF) become PNG, which loses nothing of them.
    pub fn output_format(&self, input: InputFormat) -> OutputFormat {
        self.format.unwrap_or(match input {
            InputFormat::Jpeg => OutputFormat::Jpeg,
            InputFormat::WebP => OutputFormat::WebP,
            InputFormat::Png | InputFormat::Gif | InputFormat::Bmp | InputFormat::Tiff => OutputFormat::Png,
        })
    }

    /// JPEG quality, 1 to 100.
    pub fn quality(&self) -> u8 {
        self.quality
    }

    /// What becomes of an upright picture of this size.
    ///
    /// # Errors
    /// [`ResizeError::TooLarge`] when a side that follows from the other does not fit in 32 bits.
    pub fn geometry(&self, width: u32, height: u32) -> Result<Geometry, ResizeError> {
        let whole = Rectangle { left: 0, top: 0, width, height };
        let (crop, width, height) = match (self.width, self.height) {
            (None, None) => (whole, width, height),
            _ if self.fit == Fit::ScaleDown && self.holds(width, height) => (whole, width, height),
            (Some(w), None) => (whole, w, scaled(height, w, width)?),
            (None, Some(h)) => (whole, scaled(width, h, height)?, h),
            (Some(w), Some(h)) => match self.fit {
                Fit::Fill => (whole, w, h),
                Fit::Cover => (covering(width, height, w, h)?, w, h),
                Fit::Contain | Fit::ScaleDown => {
                    if wider(width, height, w, h) {
                        (whole, w, scaled(height, w, width)?.min(h))
                    } else {
                        (whole, scaled(width, h, height)?.min(w), h)
                    }
                }
            },
        };
        Ok(Geometry { crop, width, height })
    }

    fn holds(&self, width: u32, height: u32) -> bool {
        self.width.is_none_or(|w| width <= w) && self.height.is_none_or(|h| height <= h)
    }

    /// Options that change nothing take their default, so that equal work has one name.
    fn normalised(mut self) -> Self {
        if matches!(self.format, Some(OutputFormat::Png | OutputFormat::WebP)) {
            self.quality = QUALITY_DEFAULT;
        }
        self
    }
}

/// Whether a picture is wider in proportion than the box it is fitted to.
fn wider(width: u32, height: u32, w: u32, h: u32) -> bool {
    u64::from(width) * u64::from(h) >= u64::from(height) * u64::from(w)
}

/// `side * numerator / denominator`, rounded to nearest, at least one pixel.
fn scaled(side: u32, numerator: u32, denominator: u32) -> Result<u32, ResizeError> {
    let (side, numerator, denominator) =
        (u64::from(side), u64::from(numerator), u64::from(denominator).max(1));
    let rounded = (side * numerator + denominator / 2) / denominator;
    u32::try_from(rounded.max(1)).map_err(|_| {
        ResizeError::TooLarge(format!(
            "the result would be {rounded} pixels along a side: give both `w` and `h`"
        ))
    })
}

/// The middle of the picture that has the proportions of the result.
fn covering(width: u32, height: u32, w: u32, h: u32) -> Result<Rectangle, ResizeError> {
    let (crop_width, crop_height) = if wider(width, height, w, h) {
        (scaled(height, w, h)?.min(width), height)
    } else {
        (width, scaled(width, h, w)?.min(height))
    };
    let (left, top) = ((width - crop_width) / 2, (height - crop_height) / 2);
    Ok(Rectangle { left, top, width: crop_width, height: crop_height })
}

fn set_once<T>(slot: &mut Option<T>, key: &str, value: T) -> Result<(), ResizeError> {
    if slot.replace(value).is_some() {
        return Err(bad(format!("option `{key}` is given twice: give it once")));
    }
    Ok(())
}

fn number(key: &str, value: &str, max: u32) -> Result<u32, ResizeError> {
    // Digits alone: `parse` would also take `+5`, and one number should have one spelling (but for leading zeros).
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits && (1..=max).contains(number));
    number.ok_or_else(|| {
        bad(format!("`{key}={}` is out of range: a whole number from 1 to {max} is needed", shortened(value)))
    })
}

fn parse_format(key: &str, value: &str) -> Result<Option<OutputFormat>, ResizeError> {
    match value {
        "jpg" => Ok(Some(OutputFormat::Jpeg)),
        _ => choice(key, value, &FORMATS, |format| format.map_or("same", OutputFormat::name)),
    }
}

fn choice<T: Copy>(key: &str, value: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, ResizeError> {
    all.iter().copied().find(|choice| name(*choice) == value).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|choice| format!("`{}`", name(*choice))).collect();
        bad(format!("`{key}={}` is unknown: the choices are {}", shortened(value), names.join(", ")))
    })
}

/// What was typed, short enough to be quoted in an answer and a log line.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let mut short: String = text.chars().filter(|letter| !letter.is_control()).take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn bad(text: String) -> ResizeError {
    ResizeError::BadOption(text)
}
