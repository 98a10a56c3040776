//! The sign of each kind of event: a shape and a letter as well as a colour, so that none of them is the only one.

use crate::markup::Markup;

/// How a kind of event is drawn.
#[derive(Clone, Copy)]
pub(super) struct Sign {
    /// The event's word.
    pub(super) word: &'static str,
    pub(super) letter: &'static str,
    shape: Shape,
    colour: Colour,
    /// What it stands for.
    pub(super) meaning: &'static str,
}

#[derive(Clone, Copy)]
enum Shape {
    Circle,
    Square,
    Diamond,
    Up,
    Down,
    Cross,
}

#[derive(Clone, Copy)]
enum Colour {
    Client,
    Queue,
    Work,
    Good,
    Bad,
    Turn,
}

/// All signs, in the order of a request's way and then of a process's.
pub(super) const SIGNS: &[Sign] = &[
    sign("submit", "S", Shape::Circle, Colour::Client, "sent by a client"),
    sign("enqueue", "Q", Shape::Square, Colour::Queue, "enqueued"),
    sign("acknowledge", "A", Shape::Circle, Colour::Good, "promised to the client"),
    sign("deliver", "D", Shape::Diamond, Colour::Work, "handed to a worker"),
    sign("finish", "F", Shape::Square, Colour::Good, "done, result stored"),
    sign("receive", "R", Shape::Circle, Colour::Good, "result received"),
    sign("refuse", "N", Shape::Circle, Colour::Bad, "refused"),
    sign("quarantine", "Z", Shape::Square, Colour::Bad, "set aside as poison"),
    sign("give-up", "G", Shape::Cross, Colour::Bad, "client gave up"),
    sign("exit", "X", Shape::Down, Colour::Bad, "process down"),
    sign("boot", "B", Shape::Up, Colour::Turn, "process up again"),
    sign("panic", "P", Shape::Cross, Colour::Bad, "panic"),
    sign("disk-loss", "U", Shape::Diamond, Colour::Bad, "unsynced data lost"),
    sign("lead", "L", Shape::Up, Colour::Queue, "begins to lead"),
    sign("note", "i", Shape::Circle, Colour::Turn, "a note"),
    sign("fault-start", "!", Shape::Diamond, Colour::Turn, "fault begins"),
    sign("fault-end", "·", Shape::Diamond, Colour::Turn, "fault is healed"),
    sign("violation", "V", Shape::Cross, Colour::Bad, "a law is broken"),
];

const OTHER: Sign = sign("other", "?", Shape::Diamond, Colour::Turn, "another event");

const fn sign(
    word: &'static str,
    letter: &'static str,
    shape: Shape,
    colour: Colour,
    meaning: &'static str,
) -> Sign {
    Sign { word, letter, shape, colour, meaning }
}

impl Sign {
    pub(super) fn of(word: &str) -> Self {
        SIGNS.iter().find(|sign| sign.word == word).copied().unwrap_or(OTHER)
    }

    /// Draws it round the origin.
    pub(super) fn draw(self, markup: &mut Markup) {
        let class = match self.colour {
            Colour::Client => "s-client",
            Colour::Queue => "s-queue",
            Colour::Work => "s-work",
            Colour::Good => "s-good",
            Colour::Bad => "s-bad",
            Colour::Turn => "s-turn",
        };
        let path = match self.shape {
            Shape::Circle => "M-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0z",
            Shape::Square => "M-6.5-6.5h13v13h-13z",
            Shape::Diamond => "M0-9L9 0L0 9L-9 0z",
            Shape::Up => "M0-9L9 6.5H-9z",
            Shape::Down => "M0 9L9-6.5H-9z",
            Shape::Cross => "M-3.5-8h7L8-3.5v7L3.5 8h-7L-8 3.5v-7z",
        };
        markup.leaf("path", &[("class", &class), ("d", &path)], "");
        let middle = match self.shape {
            Shape::Up => 5.5,
            Shape::Down => 2.0,
            _ => 3.5,
        };
        markup.leaf("text", &[("class", &"letter"), ("y", &middle)], self.letter);
    }

    /// It by itself, for a legend.
    pub(super) fn alone(self, markup: &mut Markup) {
        let attributes: [(&str, &dyn std::fmt::Display); 4] =
            [("class", &"sign"), ("viewBox", &"-10 -10 20 20"), ("width", &20), ("aria-hidden", &"true")];
        markup.element("svg", &attributes, |markup| self.draw(markup));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_kinds_share_a_letter() {
        let letters: BTreeSet<_> = SIGNS.iter().map(|sign| sign.letter).collect();
        assert_eq!(letters.len(), SIGNS.len());
    }
}
