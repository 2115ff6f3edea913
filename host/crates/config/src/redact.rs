//! Takes the values of secrets out of texts: logs, errors, metrics, whatever is shown.
//!
//! A [`Redactor`] knows each value as it is and in the disguises that texts put on it: escaped in JSON or in
//! Rust's debug output, percent-encoded in a URL, one line of several. It is immutable and cheap to clone;
//! a text without a secret passes through without being copied.

use aho_corasick::{AhoCorasick, MatchKind};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// Values shorter than this are left alone: to hide a `1` or an `on` would make every text unreadable and
/// would tell the value by what is missing.
pub const SHORTEST_REDACTED: usize = 3;

/// The shortest line of a value of several lines that is hidden on its own.
const SHORTEST_LINE: usize = 8;

/// Replaces the values of secrets in any text.
///
/// ```
/// use host_config::Redactor;
/// let redactor = Redactor::new(["s3cr et"]);
/// assert_eq!(redactor.redact("GET /?key=s3cr%20et"), "GET /?key=[redacted]");
/// ```
#[derive(Clone, Default)]
pub struct Redactor {
    hidden: Hidden,
}

#[derive(Clone, Default)]
enum Hidden {
    #[default]
    Nothing,
    Forms(Arc<AhoCorasick>),
    /// The matcher could not be built (more than 2 GiB of secrets): no text can be said to be clean.
    Everything,
}

impl Redactor {
    /// One that hides these values, other than those shorter than [`SHORTEST_REDACTED`] characters.
    #[must_use]
    pub fn new<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Self {
        let mut forms = BTreeSet::new();
        for value in values {
            add_forms(value.as_ref(), &mut forms);
        }
        if forms.is_empty() {
            return Self::default();
        }
        let matcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms);
        Self { hidden: matcher.map_or(Hidden::Everything, |matcher| Hidden::Forms(Arc::new(matcher))) }
    }

    /// The text without the values.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let matcher = match &self.hidden {
            Hidden::Nothing => return Cow::Borrowed(text),
            Hidden::Everything => return Cow::Borrowed(REDACTED),
            Hidden::Forms(matcher) if !matcher.is_match(text) => return Cow::Borrowed(text),
            Hidden::Forms(matcher) => matcher,
        };
        let mut out = String::with_capacity(text.len());
        matcher.replace_all_with(text, &mut out, |_, _, out| {
            out.push_str(REDACTED);
            true
        });
        Cow::Owned(out)
    }

    /// Whether there is nothing to hide.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.hidden, Hidden::Nothing)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hidden {
            Hidden::Nothing => f.write_str("Redactor(nothing)"),
            Hidden::Forms(matcher) => write!(f, "Redactor({} forms)", matcher.patterns_len()),
            Hidden::Everything => f.write_str("Redactor(everything)"),
        }
    }
}

fn add_forms(value: &str, forms: &mut BTreeSet<String>) {
    add_disguises(value, forms);
    let trimmed = value.trim();
    add_disguises(trimmed, forms);
    if trimmed.contains('\n') {
        // Armour lines such as BEGIN PRIVATE KEY are no secret, and hiding them would hide what it is.
        for line in
            trimmed.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("-----"))
        {
            add_disguises(line, forms);
        }
    }
}

fn add_disguises(value: &str, forms: &mut BTreeSet<String>) {
    if value.chars().count() < SHORTEST_REDACTED {
        return;
    }
    let json = serde_json::Value::from(value).to_string();
    let ascii_json: String = json.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string can't fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        out
    });
    for quoted in [&json, &ascii_json] {
        forms.insert(quoted[1..quoted.len() - 1].to_owned());
    }
    forms.insert(value.escape_debug().to_string());
    // In a URL's user, path or query more or fewer characters are left as they are: the strictest form, what
    // the `url` crate writes for a path and for a user, and the form of a submitted form.
    for keep in ["-_.~", "-_.~!$&'()*+,;=:@", "-_.~!$&'()*+,;=:@/?", "-_.~!$&'()*+,/?:@", "-_.*"] {
        let upper = percent(value, keep);
        forms.insert(percent_lower(&upper));
        forms.insert(upper);
    }
    forms.insert(url::form_urlencoded::byte_serialize(value.as_bytes()).collect());
    forms.insert(value.to_owned());
}

fn percent(value: &str, keep: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The same with the escapes in lower case, as some servers echo them.
fn percent_lower(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len());
    let mut in_escape = 0;
    for c in encoded.chars() {
        in_escape = if c == '%' { 3 } else { in_escape };
        out.push(if in_escape > 0 { c.to_ascii_lowercase() } else { c });
        in_escape -= i32::from(in_escape > 0);
    }
    out
}
