//! HTML and SVG, written so that no text can become markup: everything that goes in is escaped here.

use std::fmt::{Display, Write};

/// A document, or a part of one.
#[derive(Default)]
pub(crate) struct Markup(String);

impl Markup {
    /// An element with something in it.
    pub(crate) fn element(
        &mut self,
        name: &'static str,
        attributes: &[(&'static str, &dyn Display)],
        inside: impl FnOnce(&mut Self),
    ) {
        self.0.push('<');
        self.0.push_str(name);
        for (attribute, value) in attributes {
            let _ = write!(self.0, " {attribute}=\"{}\"", escape(&value.to_string()));
        }
        self.0.push('>');
        inside(self);
        if !matches!(name, "br" | "hr" | "meta") {
            let _ = write!(self.0, "</{name}>");
        }
    }

    /// An element with nothing but text in it.
    pub(crate) fn leaf(
        &mut self,
        name: &'static str,
        attributes: &[(&'static str, &dyn Display)],
        text: impl Display,
    ) {
        self.element(name, attributes, |inside| inside.text(text));
    }

    /// Text.
    pub(crate) fn text(&mut self, text: impl Display) {
        self.0.push_str(&escape(&text.to_string()));
    }

    /// The markup itself.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // What HTML has no way to hold.
            '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// `data` as a script may hold it: no text in it can end the script's element.
pub(crate) fn json_in_script(data: &impl serde::Serialize) -> String {
    let json = serde_json::to_string(data).expect("the data are of JSON's kinds");
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let mut markup = Markup::default();
        markup.leaf("b", &[("title", &"a\"><script>")], "</b><img src=x>&\0");
        assert_eq!(
            markup.finish(),
            "<b title=\"a&quot;&gt;&lt;script&gt;\">&lt;/b&gt;&lt;img src=x&gt;&amp;\u{fffd}</b>"
        );
        assert_eq!(json_in_script(&"</script>&"), "\"\\u003c/script\\u003e\\u0026\"");
    }
}
