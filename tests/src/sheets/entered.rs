//! `USER_ENTERED`: what becomes of a text that somebody types into a cell. Numbers, percentages, truth values,
//! ISO dates, formulas and the apostrophe; other local habits are left out.

use serde_json::{Value, json};

use super::grid::Cell;

/// What a cell holds after this was typed into it.
pub(super) fn typed(text: &str) -> Cell {
    if let Some(text) = text.strip_prefix('\'') {
        return Cell::Value(text.into());
    }
    if text.len() > 1 && text.starts_with('=') {
        return Cell::Formula(text.to_owned());
    }
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return if text.is_empty() { Cell::Empty } else { Cell::Value(text.into()) };
    }
    match trimmed.to_ascii_uppercase().as_str() {
        "TRUE" => return Cell::Value(true.into()),
        "FALSE" => return Cell::Value(false.into()),
        _ => {}
    }
    let number = number(trimmed).or_else(|| Some(number(trimmed.strip_suffix('%')?)? / 100.0));
    match number.or_else(|| date(trimmed)) {
        Some(number) => Cell::Value(json!(number)),
        None => Cell::Value(Value::from(text)),
    }
}

fn number(text: &str) -> Option<f64> {
    let starts = text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| starts)
}

/// Days since 1899-12-30, as sheets count them.
fn date(text: &str) -> Option<f64> {
    let mut parts = text.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || text.len() != 10 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1;
    // From March of the year 0 to that day.
    Some((days - 693_899) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_people_mean_them() {
        for (text, value) in [
            ("007", json!(7.0)),
            ("-1.5", json!(-1.5)),
            ("50%", json!(0.5)),
            ("true", json!(true)),
            ("1900-01-01", json!(2.0)),
            ("2026-11-21", json!(46347.0)),
            ("'007", json!("007")),
            ("'=1", json!("=1")),
            ("1,5 m", json!("1,5 m")),
            ("inf", json!("inf")),
            (" ", json!(" ")),
            ("=", json!("=")),
        ] {
            assert_eq!(typed(text), Cell::Value(value), "{text}");
        }
        assert_eq!(typed("=A1+1"), Cell::Formula("=A1+1".to_owned()));
        assert_eq!(typed(""), Cell::Empty);
    }
}
