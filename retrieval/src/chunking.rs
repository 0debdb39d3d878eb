//! CORE: a document becomes passages. A passage ends at a heading, else at the end of a paragraph, else of a sentence,
//! else of a word. No word is lost and none appears twice.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The most characters of a passage: about 170 words of English, one matter a caller asks about.
pub const PASSAGE_CHARS_MAX: usize = 1000;

/// Counts up when the same document would be split otherwise, so that stored passages are made again.
pub const VERSION: u8 = 1;

/// The most characters of a heading that is kept as context.
const HEADING_CHARS_MAX: usize = 80;

/// A piece of a document, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The headings above it, outermost first, without those that the text itself begins with.
    pub headings: Vec<String>,
    /// Its words.
    pub text: String,
}

impl Passage {
    /// The text below those of its headings that say more than the document's title does.
    pub fn in_context(&self, title: &str) -> String {
        let above: Vec<&str> = self.headings.iter().map(String::as_str).filter(|&h| h != title).collect();
        if above.is_empty() { self.text.clone() } else { format!("{}\n{}", above.join(" > "), self.text) }
    }
}

/// Splits plain text or Markdown.
pub fn passages(document: &str) -> Vec<Passage> {
    let mut assembly = Assembly { document, above: Vec::new(), open: None, done: Vec::new() };
    for block in blocks(document) {
        match block.heading {
            Some(heading) => assembly.heading(heading, block.range),
            None => assembly.body(block.range),
        }
    }
    assembly.close();
    assembly.done
}

/// The text of the first heading.
pub fn first_heading(document: &str) -> Option<String> {
    blocks(document).into_iter().find_map(|block| block.heading).map(|heading| heading.text)
}

struct Heading {
    /// 1 to 6.
    level: usize,
    text: String,
}

/// Lines that belong together: a heading, or a run of lines without a blank one between them.
struct Block {
    heading: Option<Heading>,
    range: Range<usize>,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut offset = 0;
    let mut fence: Option<&str> = None;
    let mut in_paragraph = false;
    for line in document.split_inclusive('\n') {
        let range = offset..offset + line.len();
        offset = range.end;
        let trimmed = line.trim();
        let heading = if fence.is_none() { heading(line) } else { None };
        if let Some(mark) = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark)) {
            match fence {
                None => fence = Some(mark),
                Some(open) if open == mark => fence = None,
                Some(_) => {}
            }
        }
        if trimmed.is_empty() {
            in_paragraph = false;
        } else if heading.is_some() {
            in_paragraph = false;
            blocks.push(Block { heading, range });
        } else if let Some(paragraph) = blocks.last_mut().filter(|_| in_paragraph) {
            paragraph.range.end = range.end;
        } else {
            in_paragraph = true;
            blocks.push(Block { heading: None, range });
        }
    }
    blocks
}

/// An ATX heading: up to three spaces, one to six `#`, a space, the text.
fn heading(line: &str) -> Option<Heading> {
    let rest = line.trim_end().trim_start_matches('\u{feff}');
    let indent = rest.len() - rest.trim_start_matches(' ').len();
    let rest = rest.trim_start_matches(' ');
    let text = rest.trim_start_matches('#');
    let level = rest.len() - text.len();
    if indent > 3 || !(1..=6).contains(&level) || !text.starts_with([' ', '\t']) {
        return None;
    }
    let text = text.trim().trim_end_matches('#').trim_end();
    (!text.is_empty()).then(|| Heading { level, text: text.chars().take(HEADING_CHARS_MAX).collect() })
}

struct Assembly<'a> {
    document: &'a str,
    /// The headings that the reader is under.
    above: Vec<Heading>,
    open: Option<Open>,
    done: Vec<Passage>,
}

/// The passage that is being put together.
struct Open {
    range: Range<usize>,
    headings: Vec<String>,
    /// False while it holds headings only: they belong to what follows.
    has_body: bool,
}

impl Assembly<'_> {
    fn heading(&mut self, heading: Heading, range: Range<usize>) {
        if self.open.as_ref().is_some_and(|open| open.has_body) {
            self.close();
        }
        self.above.retain(|above| above.level < heading.level);
        self.add(range, false);
        self.above.push(heading);
    }

    fn body(&mut self, range: Range<usize>) {
        if self.open.as_ref().is_some_and(|open| open.has_body) && !self.fits(&range) {
            self.close();
        }
        self.add(range, true);
    }

    /// Adds lines to the open passage: in one piece where they fit, else in the largest that do.
    fn add(&mut self, range: Range<usize>, is_body: bool) {
        let pieces = if self.fits(&range) { vec![range] } else { pieces(self.document, range) };
        for piece in pieces {
            if !self.fits(&piece) {
                self.close();
            }
            let above = &self.above;
            let open = self.open.get_or_insert_with(|| Open {
                range: piece.clone(),
                headings: above.iter().map(|heading| heading.text.clone()).collect(),
                has_body: false,
            });
            open.range.end = piece.end;
            open.has_body |= is_body;
        }
    }

    fn fits(&self, range: &Range<usize>) -> bool {
        let start = self.open.as_ref().map_or(range.start, |open| open.range.start);
        self.document[start..range.end].chars().nth(PASSAGE_CHARS_MAX).is_none()
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let text = self.document[open.range].trim();
        if !text.is_empty() {
            self.done.push(Passage { headings: open.headings, text: text.to_owned() });
        }
    }
}

/// The sentences and lines of a range, cut further where one is longer than a passage.
fn pieces(document: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = range.start;
    let mut ended = false;
    for (at, c) in document[range.clone()].char_indices() {
        let at = range.start + at;
        if ended && c.is_whitespace() || c == '\n' {
            let end = at + c.len_utf8();
            cut(document, start..end, &mut pieces);
            start = end;
            ended = false;
        } else {
            let closes = matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '»');
            ended = matches!(c, '.' | '!' | '?' | '…' | '।' | '॥' | '。' | '！' | '？') || ended && closes;
        }
    }
    cut(document, start..range.end, &mut pieces);
    pieces
}

/// Cuts a range into pieces of at most a passage's length, between words where there are any.
fn cut(document: &str, mut range: Range<usize>, pieces: &mut Vec<Range<usize>>) {
    while let Some((limit, _)) = document[range.clone()].char_indices().nth(PASSAGE_CHARS_MAX) {
        let head = &document[range.start..range.start + limit];
        let last_space = head.char_indices().rev().find(|(at, c)| *at > 0 && c.is_whitespace());
        let length = last_space.map_or(limit, |(at, c)| at + c.len_utf8());
        pieces.push(range.start..range.start + length);
        range.start += length;
    }
    if !range.is_empty() {
        pieces.push(range);
    }
}

#[cfg(test)]
mod tests;
