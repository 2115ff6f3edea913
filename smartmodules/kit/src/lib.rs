//! What this project's SmartModules share, so that they all take parameters and name fields the same way.
//!
//! # Parameters
//! Parameters come from a configuration's `with:` and reach a module as strings. Where a module wants a list, it
//! takes a YAML list (which arrives as JSON) or one string with commas; where it wants pairs, a YAML map or
//! `a=b, c=d`. A parameter that is missing, misspelt or unknown ends the start with a text that names all that the
//! module takes. See [`Params`].
//!
//! # Fields
//! A field is a dotted path (`user.name`, `items.0.id`) or, where a key has a dot in it, a JSON pointer
//! (`/user/first.name`). The empty path is the whole record. See [`Path`].

mod params;
mod path;

pub use params::{Param, ParamError, Params};
pub use path::{InvalidJson, Path};
