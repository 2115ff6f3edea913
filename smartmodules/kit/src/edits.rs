//! Changing values inside a JSON text and leaving everything around them as it is.

use std::cmp::Reverse;
use std::ops::Range;

/// Replacements in a document.
///
/// ```
/// use smartmodule_kit::{Edits, Path};
/// let document = br#"{ "a": 1.50, "b": [{"c": 2}, {"c": 3}] }"#;
/// let mut edits = Edits::new(document);
/// for found in Path::parse("b.*.c").find_all(document)? {
///     edits.replace(found, format!("\"{found}\""));
/// }
/// assert_eq!(edits.apply(), br#"{ "a": 1.50, "b": [{"c": "2"}, {"c": "3"}] }"#);
/// # Ok::<(), smartmodule_kit::InvalidJson>(())
/// ```
#[derive(Debug)]
pub struct Edits<'a> {
    document: &'a [u8],
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    /// None yet.
    #[must_use]
    pub fn new(document: &'a [u8]) -> Self {
        Self { document, edits: Vec::new() }
    }

    /// Replaces a part of the document, one that [`crate::Path::find_all`] found in it. Of two replacements of the
    /// same part the first counts, of two within each other the outer one. A text from elsewhere changes nothing.
    pub fn replace(&mut self, found: &'a str, with: String) {
        let offset = found.as_ptr().addr().checked_sub(self.document.as_ptr().addr());
        let range = offset.map(|start| start..start + found.len()).filter(|range| range.end <= self.document.len());
        self.edits.extend(range.map(|range| (range, with)));
    }

    /// The document with the replacements.
    #[must_use]
    pub fn apply(mut self) -> Vec<u8> {
        self.edits.sort_by_key(|(range, _)| (range.start, Reverse(range.end)));
        let more: usize = self.edits.iter().map(|(_, with)| with.len()).sum();
        let mut out = Vec::with_capacity(self.document.len() + more);
        let mut done = 0;
        for (range, with) in &self.edits {
            if range.start >= done {
                out.extend_from_slice(&self.document[done..range.start]);
                out.extend_from_slice(with.as_bytes());
                done = range.end;
            }
        }
        out.extend_from_slice(&self.document[done..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(document: &str, parts: &[(&str, &str)]) -> String {
        let mut edits = Edits::new(document.as_bytes());
        for (part, with) in parts {
            let start = document.find(part).expect("a part of it");
            edits.replace(&document[start..start + part.len()], (*with).to_owned());
        }
        String::from_utf8(edits.apply()).expect("UTF-8")
    }

    #[test]
    fn parts_change_in_any_order() {
        assert_eq!(replaced("[1, 2, 3]", &[("3", "three"), ("1", "")]), "[, 2, three]");
        assert_eq!(replaced("[1]", &[]), "[1]");
    }

    #[test]
    fn the_outer_and_the_first_count() {
        assert_eq!(replaced("[[1], 2]", &[("1", "x"), ("[1]", "y")]), "[y, 2]");
        assert_eq!(replaced("[[1], 2]", &[("[1]", "y"), ("1", "x"), ("[1]", "z")]), "[y, 2]");
    }

    #[test]
    fn a_text_from_elsewhere_changes_nothing() {
        let mut edits = Edits::new(b"[1]");
        edits.replace("elsewhere", "x".to_owned());
        assert_eq!(edits.apply(), b"[1]");
    }
}
