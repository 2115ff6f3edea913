//! Numbers that are added up: whole ones exactly, as long as they fit, others as floating point.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// A number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Whole(i64),
    Float(f64),
}

/// A sum under way. `lost` is what rounding has lost so far (Neumaier's way to add).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sum {
    total: Number,
    #[serde(default, skip_serializing_if = "is_zero")]
    lost: f64,
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

impl Number {
    /// The number that a JSON text is; `None` when it is none, or too large for floating point.
    pub(crate) fn read(json: &str) -> Option<Self> {
        let number: serde_json::Number = serde_json::from_str(json).ok()?;
        number.as_i64().map(Self::Whole).or_else(|| number.as_f64().filter(|n| n.is_finite()).map(Self::Float))
    }

    pub(crate) fn float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    pub(crate) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one.cmp(&other),
            _ => self.float().total_cmp(&other.float()),
        }
    }

    /// Its JSON; `null` for what floating point can't hold.
    pub(crate) fn json(self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Float(number) => serde_json::Value::from(number).to_string(),
        }
    }
}

impl Sum {
    pub(crate) fn new(first: Number) -> Self {
        Self { total: first, lost: 0.0 }
    }

    pub(crate) fn add(&mut self, number: Number) {
        if let (Number::Whole(one), Number::Whole(other)) = (self.total, number)
            && let Some(sum) = one.checked_add(other)
        {
            self.total = Number::Whole(sum);
            return;
        }
        let (one, other) = (self.total.float(), number.float());
        let sum = one + other;
        self.lost += if one.abs() >= other.abs() { (one - sum) + other } else { (other - sum) + one };
        self.total = Number::Float(sum);
    }

    pub(crate) fn value(&self) -> Number {
        match self.total {
            Number::Float(total) => Number::Float(total + self.lost),
            whole @ Number::Whole(_) => whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(numbers: &[&str]) -> String {
        let mut numbers = numbers.iter().map(|text| Number::read(text).expect("a number"));
        let mut sum = Sum::new(numbers.next().expect("one"));
        numbers.for_each(|number| sum.add(number));
        // as it comes back from the accumulator
        let kept = serde_json::to_string(&sum).expect("JSON");
        serde_json::from_str::<Sum>(&kept).expect("the same").value().json()
    }

    #[test]
    fn whole_numbers_are_added_exactly() {
        assert_eq!(sum(&["9007199254740993", "1", "-3"]), "9007199254740991");
        assert_eq!(sum(&["9223372036854775807", "1"]), "9.223372036854776e+18");
    }

    #[test]
    fn rounding_is_made_up_for() {
        assert_eq!(sum(&["1e100", "1.0", "-1e100"]), "1.0");
        assert_eq!(sum(&["0.1"; 10]), "1.0");
        assert_eq!(sum(&["1", "0.5"]), "1.5");
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["\"1\"", "true", "[]", "null"] {
            assert_eq!(Number::read(text), None, "{text}");
        }
        assert_eq!(Number::read("18446744073709551615"), Some(Number::Float(18_446_744_073_709_551_615.0)));
    }

    #[test]
    fn order_is_by_value() {
        let order = |one, other| Number::read(one).and_then(|one| Some(one.order(Number::read(other)?)));
        assert_eq!(order("1", "1.5"), Some(Ordering::Less));
        assert_eq!(order("9007199254740993", "9007199254740992"), Some(Ordering::Greater));
    }
}
