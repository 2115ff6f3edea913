//! Where the values of secrets come from: a file of `NAME=value` lines, or the environment.
//!
//! The store only answers questions; who asks and where a value goes is decided in `template`. A file is read
//! once, whole; reading fails when it is not there or not UTF-8.

use crate::error::{Error, nearest};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A store of secrets.
#[derive(Clone, Default)]
pub struct Secrets {
    place: Place,
}

#[derive(Clone, Default)]
enum Place {
    #[default]
    Environment,
    Listed {
        name: String,
        values: BTreeMap<String, String>,
    },
}

impl Secrets {
    /// The environment of this process: the secret `API_KEY` is the variable `API_KEY`.
    #[must_use]
    pub fn environment() -> Self {
        Self::default()
    }

    /// A file of `NAME=value` lines, as Fluvio's tools read it (`--secrets FILE`).
    ///
    /// A line is split at its first `=`, and both sides are trimmed. Lines without `=`, empty lines and lines
    /// that begin with `#` say nothing; of two lines with the same name the first counts. A value within
    /// double quotes loses them, and `\n`, `\r`, `\t`, `\"` and `\\` in it are what they are in JSON: so a
    /// private key of many lines fits in one.
    ///
    /// # Errors
    /// When the file can't be read, or is not UTF-8.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => Ok(Self::from_text(&name, &text)),
            Ok(Err(_)) => Err(Error::whole(&name, "this file of secrets is not UTF-8 text", "save it as UTF-8")),
            Err(error) => Err(Error::whole(
                &name,
                format!("can't read this file of secrets: {error}"),
                "`--secrets` takes a file of `NAME=value` lines that this user may read",
            )),
        }
    }

    /// The lines of such a file, given as text; `name` is for messages.
    ///
    /// ```
    /// use host_config::Secrets;
    /// let secrets = Secrets::from_text("secrets.txt", "KEY=\"two\\nlines\"\nTOKEN = a=b ");
    /// assert_eq!(secrets.get("KEY").as_deref(), Some("two\nlines"));
    /// assert_eq!(secrets.get("TOKEN").as_deref(), Some("a=b"));
    /// ```
    #[must_use]
    pub fn from_text(name: &str, text: &str) -> Self {
        let mut values = BTreeMap::new();
        for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim(), value.trim());
            if !key.starts_with('#') {
                values.entry(key.to_owned()).or_insert_with(|| unquote(value));
            }
        }
        Self { place: Place::Listed { name: name.to_owned(), values } }
    }

    /// The value of a secret.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        match &self.place {
            Place::Environment => std::env::var(name).ok(),
            Place::Listed { values, .. } => values.get(name).cloned(),
        }
    }

    /// Where a missing secret is missing, for a message.
    pub(crate) fn place(&self) -> String {
        match &self.place {
            Place::Environment => "in the environment".to_owned(),
            Place::Listed { name, .. } => format!("in {name}"),
        }
    }

    /// What to do about a missing secret.
    pub(crate) fn help(&self, secret: &str) -> String {
        match &self.place {
            Place::Environment => {
                format!(
                    "set the environment variable `{secret}`, or give a file of `NAME=value` lines with `--secrets FILE`"
                )
            }
            Place::Listed { name, values } => match nearest(secret, values.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add the line `{secret}=…` to {name}"),
            },
        }
    }
}

/// Names only: values are not to be shown.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Environment => f.write_str("Secrets(environment)"),
            Place::Listed { name, values } => write!(f, "Secrets({name}: {:?})", values.keys()),
        }
    }
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(c @ ('"' | '\\')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}

/// Why this can't be the name of a secret, if it can't.
pub(crate) fn name_problem(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("the name of a secret is empty".to_owned());
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Some(format!("`{name}` can't name a secret: only ASCII letters, digits and `_` may stand in it"));
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(format!("`{name}` can't name a secret: it begins with a digit"));
    }
    None
}
