//! Header fields: names in lower case, values as bytes, order and repetitions kept.

use crate::error::{Error, Result};

/// The fields of a request or an answer.
///
/// ```
/// use connector_sdk::http::Headers;
/// let mut headers = Headers::default();
/// headers.append("Accept", b"text/html")?;
/// headers.append("accept", b"text/plain")?;
/// assert_eq!(headers.get("ACCEPT"), Some(&b"text/html"[..]));
/// assert_eq!(headers.iter().count(), 2);
/// headers.set("Accept", b"*/*")?;
/// assert_eq!(headers.get_str("accept"), Some("*/*"));
/// # Ok::<(), connector_sdk::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<(String, Vec<u8>)>,
}

impl Headers {
    /// The first value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first value of a field, when it is text.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All fields in order, names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Sets a field, in place of what was there under this name.
    ///
    /// # Errors
    /// Kind `config` when the name is not a token, or the value holds a line break or a zero byte.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<()> {
        let field = checked(name, value)?;
        self.remove(name);
        self.fields.push(field);
        Ok(())
    }

    /// Adds a field beside those of the same name.
    ///
    /// # Errors
    /// As [`Headers::set`].
    pub fn append(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.fields.push(checked(name, value)?);
        Ok(())
    }

    /// Removes all fields of this name.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// The fields as a platform takes them.
    #[cfg(target_os = "wasi")]
    pub(crate) fn entries(&self) -> &[(String, Vec<u8>)] {
        &self.fields
    }

    /// Takes over what a platform has already checked.
    #[cfg(target_os = "wasi")]
    pub(crate) fn from_entries(entries: Vec<(String, Vec<u8>)>) -> Self {
        let fields = entries.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        Self { fields: fields.collect() }
    }
}

fn checked(name: &str, value: &[u8]) -> Result<(String, Vec<u8>)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Error::config(format!("`{name}` is not the name of an HTTP header")));
    }
    // The value stays out of the message: it may be a secret.
    if value.iter().any(|&byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(Error::config(format!("the value of the HTTP header `{name}` holds a line break or a zero byte")));
    }
    Ok((name.to_ascii_lowercase(), value.trim_ascii().to_vec()))
}
