//! What is wrong with a configuration, and where: [`Diagnostic`], [`Error`] and the list that the readers fill.
//!
//! Reading goes on after a problem, so that one run shows all of them; whoever reads puts every problem
//! into a [`Report`] and leaves out the value. Nothing in here fails.

use crate::redact::Redactor;
use std::fmt;
use std::sync::Arc;

/// Whether a problem keeps the connector from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used, though a part of it does not what its author may think.
    Warning,
}

/// One problem in a configuration. Displays as `source:line:column: message`, with the help on a line of its own.
///
/// Neither the message nor the help holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Whether it keeps the connector from starting.
    pub severity: Severity,
    /// Where the text came from: a file's name, or the flag that was given, as in `--set interval=x`.
    pub source: String,
    /// The line, from 1; absent where the problem is of the whole source.
    pub line: Option<u32>,
    /// The column in characters, from 1.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        f.write_str(": ")?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// The configuration can't be used: everything that is wrong with it, in the order of the file, and the
/// warnings that may explain it. There is nothing to retry; the author has to change something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", List(diagnostics))]
pub struct Error {
    diagnostics: Vec<Diagnostic>,
}

impl Error {
    /// The problems, at least one of them of severity [`Severity::Error`].
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// One problem of a whole source.
    pub(crate) fn whole(source: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        let diagnostic = At::whole(source).diagnostic(Severity::Error, message.into(), Some(help.into()));
        Self { diagnostics: vec![diagnostic] }
    }
}

struct List<'a>(&'a [Diagnostic]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

/// Where something stands. Line and column count from 1; line 0 means the source as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub source: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl At {
    pub fn whole(source: &str) -> Self {
        Self { source: source.into(), line: 0, column: 0 }
    }

    fn diagnostic(&self, severity: Severity, message: String, help: Option<String>) -> Diagnostic {
        let known = self.line > 0;
        Diagnostic {
            severity,
            source: self.source.to_string(),
            line: known.then_some(self.line),
            column: known.then_some(self.column),
            message,
            help,
        }
    }
}

/// Collects problems while reading goes on.
#[derive(Debug)]
pub(crate) struct Report {
    strict: bool,
    found: Vec<Diagnostic>,
}

impl Report {
    pub fn new(strict: bool) -> Self {
        Self { strict, found: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub fn error(&mut self, at: &At, message: impl Into<String>) {
        self.found.push(at.diagnostic(Severity::Error, message.into(), None));
    }

    pub fn error_help(&mut self, at: &At, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(at.diagnostic(Severity::Error, message.into(), Some(help.into())));
    }

    /// A warning, which is an error when the caller asked for strictness.
    pub fn warn(&mut self, at: &At, message: impl Into<String>, help: Option<String>) {
        let severity = if self.strict { Severity::Error } else { Severity::Warning };
        self.found.push(at.diagnostic(severity, message.into(), help));
    }

    /// The warnings when there was nothing worse; otherwise everything. Secrets are taken out of both.
    pub fn finish(mut self, redactor: &Redactor) -> Result<Vec<Diagnostic>, Error> {
        for diagnostic in &mut self.found {
            diagnostic.source = redactor.redact(&diagnostic.source).into_owned();
            diagnostic.message = redactor.redact(&diagnostic.message).into_owned();
            diagnostic.help = diagnostic.help.take().map(|help| redactor.redact(&help).into_owned());
        }
        self.found.sort_by_key(|d| (d.line.is_none(), d.line, d.column, d.severity == Severity::Warning));
        self.found.dedup();
        if self.found.iter().any(|d| d.severity == Severity::Error) {
            return Err(Error { diagnostics: self.found });
        }
        Ok(self.found)
    }
}

/// The candidate that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-', ' '], "");
    let sought = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&sought, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| {
            let longer = sought.chars().count().max(candidate.chars().count());
            *distance <= (longer / 3).max(1) && *distance < longer
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` or `c`, each in backquotes.
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    join(quote(words), "or")
}

fn quote<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(|word| format!("`{word}`")).collect()
}

/// a, b or c.
pub(crate) fn join(mut words: Vec<String>, conjunction: &str) -> String {
    match words.pop() {
        None => String::new(),
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} {conjunction} {last}", words.join(", ")),
    }
}

/// The help for an unknown word: the one it was meant to be, or all that are known.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, candidates.clone()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => match &quote(candidates)[..] {
            [only] => format!("only {only} is known"),
            words => format!("known are {}", join(words.to_vec(), "and")),
        },
    }
}
