//! Polls an HTTP endpoint and makes records of its answers.
