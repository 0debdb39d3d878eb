//! What a voice cannot say is taken out of the text: Markdown, emoji, and the `<`, `>`, `[`, `]` that a TTS vendor
//! takes for tags of its own.

/// Cleans one reply, a character at a time.
///
/// White space runs become one character, a newline if the run begins with one.
pub struct Sanitiser {
    /// The last character that went out; white space before the first.
    last: char,
    at_line_start: bool,
    after_bracket: bool,
    in_link_target: bool,
    after_emoji: bool,
    /// A character whose fate the next one decides.
    held: Option<char>,
}

impl Default for Sanitiser {
    fn default() -> Self {
        Self {
            last: ' ',
            at_line_start: true,
            after_bracket: false,
            in_link_target: false,
            after_emoji: false,
            held: None,
        }
    }
}

impl Sanitiser {
    /// Appends what can be spoken of `delta` to `out`.
    pub fn push(&mut self, delta: &str, out: &mut String) {
        for c in delta.chars() {
            self.step(c, out);
        }
    }

    /// Forgets a character that waits for its neighbour: there is none. `goes_on` says that white space was added
    /// behind the run.
    pub fn end_run(&mut self, goes_on: bool) {
        let last = if goes_on { ' ' } else { self.last };
        *self = Self { last, ..Self::default() };
    }

    fn step(&mut self, c: char, out: &mut String) {
        if let Some(held) = self.held.take() {
            self.release(held, c, out);
        }
        if self.in_link_target {
            self.in_link_target = c != ')' && !c.is_whitespace();
            if !c.is_whitespace() {
                return;
            }
        }
        let after_bracket = std::mem::replace(&mut self.after_bracket, c == ']');
        let after_emoji = std::mem::replace(&mut self.after_emoji, is_emoji(c));
        match c {
            '(' if after_bracket => self.in_link_target = true,
            c if c.is_whitespace() => self.space(c, out),
            '#' | '>' | '•' if self.at_line_start => {}
            '-' | '+' if self.at_line_start => self.held = Some(c),
            '_' | '<' | '>' => self.held = Some(c),
            '*' | '`' | '~' | '|' | '\\' | '{' | '}' | '[' | ']' => {}
            // Joiners and selectors belong to the emoji before them; in Indian scripts a joiner is part of a word.
            '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' if after_emoji => self.after_emoji = true,
            c if is_emoji(c) || c.is_control() || is_invisible(c) => {}
            c => self.emit(c, out),
        }
    }

    /// Decides on a held character, now that its neighbour is known.
    fn release(&mut self, held: char, next: char, out: &mut String) {
        match held {
            // A list bullet is followed by white space, a minus or a dash is not.
            '-' | '+' if !next.is_whitespace() => self.emit(held, out),
            // Emphasis stands at the edge of a word, the underscore of a name inside it.
            '_' if self.last.is_alphanumeric() && next.is_alphanumeric() => self.emit(held, out),
            '<' | '>' if self.last.is_whitespace() && next.is_whitespace() => {
                let words = if held == '<' { "less than" } else { "greater than" };
                words.chars().for_each(|c| self.emit(c, out));
            }
            _ => {}
        }
    }

    fn space(&mut self, c: char, out: &mut String) {
        let is_newline = c == '\n' || c == '\r';
        if !self.last.is_whitespace() {
            let space = if is_newline { '\n' } else { ' ' };
            out.push(space);
            self.last = space;
        }
        self.at_line_start |= is_newline;
    }

    fn emit(&mut self, c: char, out: &mut String) {
        out.push(c);
        self.last = c;
        self.at_line_start = false;
    }
}

fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{1f000}'..='\u{1faff}' | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{2500}'..='\u{27bf}'
        | '\u{2b00}'..='\u{2bff}' | '\u{20e3}')
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e0fff}')
}
