//! Puts the values of secrets into a parsed document: `${{ secrets.NAME }}` within any scalar, and the forms
//! `{secret: {name: NAME}}` and `!secret NAME` in place of one.
//!
//! It happens after YAML parsing, so whatever stands in a value (quotes, `#`, `: `, line ends) stays within
//! its scalar; and what came from a secret is a string, never a number or a truth value. Anything else within
//! `${{ }}` but a quoted text, for a literal `${{`, is refused with its place in the file.

use crate::error::{At, Report};
use crate::redact::SHORTEST_REDACTED;
use crate::secrets::{Secrets, name_problem};
use crate::yaml::{Data, Node, Scalar};
use std::collections::BTreeMap;

/// One piece of a scalar with templates.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Secret(&'t str),
}

/// Takes a scalar apart.
///
/// # Errors
/// What is wrong, and what to do about it.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, (String, &'static str)> {
    const LITERAL: &str = "to have these characters as they are, write ${{ \"${{\" }}";
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((start, opening)) = ["${{", "${%", "${#"].iter().filter_map(|o| Some((rest.find(o)?, *o))).min() {
        if opening != "${{" {
            return Err((
                format!("`{opening}` is not supported: a template can only be ${{{{ secrets.NAME }}}}"),
                LITERAL,
            ));
        }
        if start > 0 {
            pieces.push(Piece::Text(&rest[..start]));
        }
        let inside = rest[start + opening.len()..].trim_start();
        let literal = inside.strip_prefix(['"', '\'']).and_then(|text| {
            let (literal, after) = text.split_once(&inside[..1])?;
            Some((literal, after.trim_start().strip_prefix("}}")?))
        });
        if let Some((literal, after)) = literal {
            pieces.push(Piece::Text(literal));
            rest = after;
            continue;
        }
        let Some((expression, after)) = inside.split_once("}}") else {
            return Err(("`${{` without `}}` in the same value".to_owned(), LITERAL));
        };
        let expression = expression.trim();
        let Some(name) = expression.strip_prefix("secrets.").filter(|name| name_problem(name).is_none()) else {
            return Err((
                format!("`{expression}` is not supported within ${{{{ }}}}: only secrets can be inserted"),
                "write ${{ secrets.NAME }}, where NAME has only ASCII letters, digits and `_`",
            ));
        };
        pieces.push(Piece::Secret(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// The name in `{secret: {name: NAME}}`, `!secret {name: NAME}` or `!secret NAME`, when the node is one of them.
fn reference(node: &Node) -> Option<(&str, &At)> {
    let named = |node| {
        let [entry] = Node::entries(node)? else { return None };
        let name = entry.value.as_scalar().filter(|_| entry.key == "name")?;
        Some((name.text.as_str(), &entry.value.at))
    };
    if node.tag.as_deref() == Some("secret") {
        return match &node.data {
            Data::Scalar(name) => Some((&name.text, &node.at)),
            _ => named(node),
        };
    }
    match node.entries()? {
        [entry] if entry.key == "secret" => named(&entry.value),
        _ => None,
    }
}

/// Adds the names of all secrets that a node refers to, in the order of the document.
pub(crate) fn names(node: &Node, names: &mut Vec<String>) {
    let mut add = |name: &str| {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    if let Some((name, _)) = reference(node) {
        return add(name);
    }
    match &node.data {
        Data::Scalar(scalar) => {
            for piece in pieces(&scalar.text).unwrap_or_default() {
                if let Piece::Secret(name) = piece {
                    add(name);
                }
            }
        }
        Data::List(items) => items.iter().for_each(|item| self::names(item, names)),
        Data::Map(entries) => entries.iter().for_each(|entry| self::names(&entry.value, names)),
    }
}

/// Fills in secrets, and remembers which.
pub(crate) struct Filler<'s> {
    store: &'s Secrets,
    /// The values of a flat file's own `secrets`, which come first.
    own: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
}

impl<'s> Filler<'s> {
    pub fn new(store: &'s Secrets) -> Self {
        Self { store, own: BTreeMap::new(), used: BTreeMap::new() }
    }

    /// A secret that the document itself gives.
    pub fn add_own(&mut self, name: &str, value: &str) {
        self.own.insert(name.to_owned(), value.to_owned());
        self.used.insert(name.to_owned(), value.to_owned());
    }

    /// The secrets that were filled in, by name.
    pub fn used(&self) -> &BTreeMap<String, String> {
        &self.used
    }

    /// Warns of values that can't be hidden.
    pub fn warn_of_short(&self, source: &str, report: &mut Report) {
        for (name, value) in &self.used {
            if !value.is_empty() && value.chars().count() < SHORTEST_REDACTED {
                let message = format!("the value of the secret `{name}` is too short to be kept out of logs");
                report.warn(&At::whole(source), message, Some("use a longer secret".to_owned()));
            }
        }
    }

    /// Fills in all secrets within `node`.
    pub fn fill(&mut self, node: &mut Node, report: &mut Report) {
        if let Some((name, at)) = reference(node) {
            let filled = match name_problem(name) {
                None => self.value(name, at, report),
                Some(problem) => {
                    report.error_help(at, problem, "give the name that it has in the store of secrets");
                    None
                }
            };
            let broken = filled.is_none();
            node.tag = None;
            node.data = Data::Scalar(Scalar { broken, ..Scalar::quoted(filled.unwrap_or_default()) });
            return;
        }
        if let Some(written) = &mut node.written {
            let mut scalar = Scalar::quoted(std::mem::take(written));
            // Problems in it are told of the parsed value below.
            self.fill_scalar(&mut scalar, &node.at, &mut Report::new(false));
            *written = scalar.text;
        }
        match &mut node.data {
            Data::Scalar(scalar) => self.fill_scalar(scalar, &node.at, report),
            Data::List(items) => items.iter_mut().for_each(|item| self.fill(item, report)),
            Data::Map(entries) => {
                for entry in entries {
                    if entry.key.contains("${{") {
                        let help = "write the key out: secrets can only be inserted into values";
                        report.error_help(&entry.at, "a template in a key", help);
                    }
                    self.fill(&mut entry.value, report);
                }
            }
        }
    }

    fn fill_scalar(&mut self, scalar: &mut Scalar, at: &At, report: &mut Report) {
        if !scalar.text.contains("${") {
            return;
        }
        let pieces = match pieces(&scalar.text) {
            Ok(pieces) => pieces,
            Err((message, help)) => {
                report.error_help(at, message, help);
                scalar.broken = true;
                return;
            }
        };
        if let [Piece::Text(text)] = pieces[..]
            && text == scalar.text
        {
            return;
        }
        let mut filled = Scalar::quoted(String::with_capacity(scalar.text.len()));
        for piece in pieces {
            match piece {
                Piece::Text(text) => filled.text.push_str(text),
                Piece::Secret(name) => match self.value(name, at, report) {
                    Some(value) => filled.text.push_str(&value),
                    None => filled.broken = true,
                },
            }
        }
        *scalar = filled;
    }

    fn value(&mut self, name: &str, at: &At, report: &mut Report) -> Option<String> {
        let value = self.own.get(name).or_else(|| self.used.get(name)).cloned().or_else(|| self.store.get(name));
        match &value {
            Some(value) => {
                self.used.insert(name.to_owned(), value.clone());
            }
            None => {
                let message = format!("the secret `{name}` is not {}", self.store.place());
                report.error_help(at, message, self.store.help(name));
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_scalars_apart() {
        assert_eq!(pieces("plain $ {{ }}"), Ok(vec![Piece::Text("plain $ {{ }}")]));
        assert_eq!(
            pieces("a ${{secrets.B}}c${{  secrets._D1  }}"),
            Ok(vec![Piece::Text("a "), Piece::Secret("B"), Piece::Text("c"), Piece::Secret("_D1")])
        );
        assert_eq!(pieces("${{ '${{ x }}' }}!"), Ok(vec![Piece::Text("${{ x }}"), Piece::Text("!")]));
        assert_eq!(pieces(""), Ok(vec![]));
    }

    #[test]
    fn refuses_what_it_can_not_fill_in() {
        for text in [
            "${{",
            "${{ secrets.A",
            "${{ secrets.A | upper }}",
            "${{ env.A }}",
            "${{}}",
            "${% if a %}",
            "${# c #}",
            "${{ secrets.1 }}",
        ] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }
}
