//! Makes the text of a record from its number.
//!
//! This is the load generator's inner loop: a template is taken apart once, and a record of a fixed size is
//! a copy of the one before it with its number counted up in place.

use connector_sdk::units::ByteSize;
use connector_sdk::{Batch, Error, Result};

use crate::config::Config;

/// A number never has more digits.
const MAX_DIGITS: usize = 20;

/// What follows the number in a record of a given size.
const FILLER: &[u8] = b" abcdefghijklmnopqrstuvwxyz";

/// No broker takes a record larger than this.
const MAX_SIZE: ByteSize = ByteSize::from_bytes(64 << 20);

/// Appends one record after the other to batches.
#[derive(Debug)]
pub struct Maker {
    value: Value,
    key: Option<Template>,
    key_text: Vec<u8>,
}

#[derive(Debug)]
enum Value {
    /// `digits` digits, then filler.
    Numbered { image: Vec<u8>, digits: usize, next: Option<u64> },
    /// A template, then spaces up to `size`.
    Templated { template: Template, size: usize },
}

impl Maker {
    /// A maker for what the configuration asks for.
    ///
    /// # Errors
    /// Kind `config` for an unknown placeholder, a size beyond any record's, or one that can't hold the
    /// numbers.
    pub fn new(config: &Config) -> Result<Self> {
        if let Some(size) = config.size.filter(|&size| size > MAX_SIZE) {
            return Err(Error::config(format!("`test.size`: {size} is more than a record can hold ({MAX_SIZE})")));
        }
        let size = config.size.map(ByteSize::as_len);
        let value = match (&config.template, size) {
            (Some(template), _) => {
                Value::Templated { template: Template::parse("template", template)?, size: size.unwrap_or(0) }
            }
            (None, None) => Value::Templated { template: Template::parse("template", "record {{n}}")?, size: 0 },
            (None, Some(size)) => numbered(size, config.count)?,
        };
        let key = config.key.as_deref().map(|key| Template::parse("key", key)).transpose()?;
        Ok(Self { value, key, key_text: Vec::new() })
    }

    /// About how many bytes a record has, for reserving.
    pub fn size_hint(&self) -> usize {
        match &self.value {
            Value::Numbered { image, .. } => image.len(),
            Value::Templated { template, size } => template.size_hint().max(*size),
        }
    }

    /// Adds record `number` to the batch.
    pub fn push(&mut self, batch: &mut Batch, number: u64, now: i64) {
        let key = self.key.as_ref().map(|template| {
            self.key_text.clear();
            template.write(&mut self.key_text, number, now);
            self.key_text.as_slice()
        });
        match &mut self.value {
            Value::Numbered { image, digits, next } => {
                if *next != Some(number) {
                    write_digits(&mut image[..*digits], number);
                }
                batch.push_keyed_with(key, |out| out.extend_from_slice(image));
                count_up(&mut image[..*digits]);
                *next = number.checked_add(1);
            }
            Value::Templated { template, size } => batch.push_keyed_with(key, |out| {
                let start = out.len();
                template.write(out, number, now);
                if out.len() - start < *size {
                    out.resize(start + *size, b' ');
                }
            }),
        }
    }
}

fn numbered(size: usize, count: Option<u64>) -> Result<Value> {
    let digits = size.min(MAX_DIGITS);
    let holds = 10u64.checked_pow(u32::try_from(digits).unwrap_or(u32::MAX));
    if let (Some(count), Some(holds)) = (count, holds)
        && count > holds
    {
        return Err(Error::config(format!("`test.size`: {size} bytes can't hold the numbers of {count} records")));
    }
    let mut image = vec![b'0'; digits];
    image.extend(FILLER.iter().cycle().take(size - digits));
    Ok(Value::Numbered { image, digits, next: Some(0) })
}

/// Writes a number with leading zeros; one that is too long loses its first digits.
fn write_digits(out: &mut [u8], mut number: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn count_up(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

/// A text with places for the number and the time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Number,
    Now,
}

impl Template {
    fn parse(field: &str, text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, behind)) = after.split_once("}}") else { break };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name.trim() {
                "n" | "seq" => Part::Number,
                "now" => Part::Now,
                other => {
                    return Err(Error::config(format!(
                        "`test.{field}`: `{{{{{other}}}}}` is unknown; there are {{{{n}}}} and {{{{now}}}}"
                    )));
                }
            });
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    fn size_hint(&self) -> usize {
        let size = |part: &Part| if let Part::Text(text) = part { text.len() } else { 13 };
        self.parts.iter().map(size).sum()
    }

    fn write(&self, out: &mut Vec<u8>, number: u64, now: i64) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Number => write_number(out, number),
                Part::Now => write_number(out, now.unsigned_abs()),
            }
        }
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; MAX_DIGITS];
    write_digits(&mut digits, number);
    let first = digits.iter().position(|&digit| digit != b'0').unwrap_or(MAX_DIGITS - 1);
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced() {
        let template = Template::parse("template", r#"{"n": {{n}}, "at": {{ now }}, "odd": "{{"}"#).expect("fine");
        let mut out = Vec::new();
        template.write(&mut out, 12_340, 17);
        assert_eq!(String::from_utf8(out).expect("text"), r#"{"n": 12340, "at": 17, "odd": "{{"}"#);
        let error = Template::parse("key", "{{id}}").expect_err("unknown");
        assert_eq!(error.message(), "`test.key`: `{{id}}` is unknown; there are {{n}} and {{now}}");
    }

    #[test]
    fn numbers_are_written_plainly() {
        for number in [0, 7, 10, 999, 1000, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out).expect("text"), number.to_string());
        }
    }

    #[test]
    fn counting_in_place_is_counting() {
        let mut digits = *b"0000";
        for number in 0..12_000u64 {
            assert_eq!(std::str::from_utf8(&digits).expect("text"), format!("{:04}", number % 10_000));
            count_up(&mut digits);
        }
    }
}
