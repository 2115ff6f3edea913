//! The answer to "would this configuration work": steps in the order they were tried, each with what stood
//! in its way.

use crate::error::Error;

/// The steps of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    steps: Vec<Step>,
}

/// One step: what was tried, and what stood in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was tried, as in "endpoint answers".
    pub name: String,
    /// Absent when the step succeeded.
    pub problem: Option<Error>,
}

impl Check {
    /// Starts a check; the steps follow.
    ///
    /// ```
    /// use connector_sdk::{Check, Error};
    /// let check = Check::builder()
    ///     .step("address resolves", || Ok(()))
    ///     .step("endpoint answers", || Err(Error::unreachable("connection refused")))
    ///     .step("answer is JSON", || unreachable!("a failed step ends the check"))
    ///     .build();
    /// assert!(!check.passed());
    /// assert_eq!(check.steps().len(), 2);
    /// ```
    pub fn builder() -> CheckBuilder {
        CheckBuilder { check: Self::default() }
    }

    /// Whether no step has a problem.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.problem.is_none())
    }

    /// The steps in the order they were tried.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// Collects the steps of a [`Check`].
#[derive(Debug)]
#[must_use = "a check is finished by `build`"]
pub struct CheckBuilder {
    check: Check,
}

impl CheckBuilder {
    /// Tries one step now, unless an earlier one has failed: steps build on each other.
    pub fn step(self, name: impl Into<String>, attempt: impl FnOnce() -> Result<(), Error>) -> Self {
        if self.check.passed() { self.independent(name, attempt) } else { self }
    }

    /// Tries one step now, whatever became of the earlier ones.
    pub fn independent(mut self, name: impl Into<String>, attempt: impl FnOnce() -> Result<(), Error>) -> Self {
        self.check.steps.push(Step { name: name.into(), problem: attempt().err() });
        self
    }

    /// The finished check.
    #[must_use]
    pub fn build(self) -> Check {
        self.check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn independent_steps_run_after_a_failure() {
        let check = Check::builder()
            .step("first", || Err(Error::auth("no")))
            .step("second", || Ok(()))
            .independent("third", || Ok(()))
            .build();
        let names: Vec<_> = check.steps().iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["first", "third"]);
        assert!(!check.passed());
        assert!(Check::builder().build().passed());
    }
}
