//! What this project's SmartModules share, so that they all take parameters, name fields and refuse records the
//! same way.
//!
//! # Parameters
//! A module declares its parameters once, with [`params!`]: name, type, default and meaning. From that come the
//! struct that it works with, the check at `init` (a parameter that is missing, misspelt or of the wrong form ends
//! the start with a text that says what is right) and the [`Spec`], which is written into the module when it is
//! compiled: a host shows it, and checks a configuration against it, without running anything.
//!
//! Parameters come from a configuration's `with:` and reach a module as strings. Where a module wants a list, it
//! takes a YAML list (which arrives as JSON) or one string with commas; where it wants pairs, a YAML map or
//! `a=b, c=d`. See [`Value`].
//!
//! # Fields
//! A field is a dotted path (`user.name`, `items.0.id`) or, where a key has a dot in it, a JSON pointer
//! (`/user/first.name`). The empty path is the whole record. A module that works on any number of fields takes `*`
//! for every element of an array and every field of an object (`users.*.mail`). See [`Path`].
//!
//! # Records
//! JSON is read without building the document, and what is not changed keeps its text: numbers, escapes, spaces
//! and the order of keys. See [`Edits`] and [`Object`]. A record that a module can't use is [`Refused`].

mod aggregate;
mod edits;
mod object;
mod params;
mod path;
mod pattern;
mod record;
mod refused;
mod spec;
mod types;
mod values;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use aggregate::export_aggregate;
pub use aggregate::{Accumulate, aggregate_batch};
pub use edits::Edits;
pub use fluvio_smartmodule;
pub use object::{Blocked, Object};
pub use params::{Given, Once, ParamError};
pub use path::{InvalidJson, Path};
pub use pattern::Pattern;
pub use record::{Part, record};
pub use refused::{Absent, Invalid, Missing, Refused, kind_of, utf8};
pub use spec::{Param, Spec};
pub use types::Type;
#[doc(hidden)]
pub use values::expected;
pub use values::{Fraction, Interval, Pairs, Secret, Value, json_of, text_of};
