//! Declaring a module's parameters, and reading what `init` was given.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::OnceLock;

use fluvio_smartmodule::dataplane::core::{Decoder, Encoder};
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_smartmodule::eyre;

use crate::spec::Param;
use crate::values::Value;

/// A version of the encoding in which parameters are just a map.
const MAP_ONLY: i16 = 0;

/// Declares a module's parameters as a struct: each with its meaning as a documentation comment, its type (see
/// [`Value`]) and, behind `=`, its default as it would be written in a configuration. One without a default must be
/// given, unless its type is an `Option`. An underscore in a name is a hyphen in a configuration.
///
/// The struct gets `PARAMS`, `read`, `new` and `error`. [`crate::spec!`] makes the module's specification of it.
///
/// ```
/// smartmodule_kit::params! {
///     /// What this module can be told.
///     struct Settings {
///         /// How many.
///         count: u64 = "10",
///         /// Of what.
///         kind_of: Option<String>,
///     }
/// }
/// let settings = Settings::new([("count", "3")])?;
/// assert_eq!((settings.count, settings.kind_of), (3, None));
/// let error = Settings::new([("cuont", "3")]).map(|_| ()).expect_err("misspelt").to_string();
/// assert!(error.starts_with("unknown parameter `cuont` (did you mean `count`?)"), "{error}");
/// # Ok::<(), smartmodule_kit::ParamError>(())
/// ```
#[macro_export]
macro_rules! params {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident : $type:ty $(= $default:literal)? ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis struct $name {
            $( $(#[doc = $doc])+ $vis $field: $type, )+
        }

        #[allow(dead_code, reason = "not every module needs every one of them")]
        impl $name {
            /// The parameters as they were declared.
            $vis const PARAMS: &'static [$crate::Param] = &[ $( {
                const DEFAULT: Option<&str> = $crate::params!(@default $($default)?);
                $crate::Param {
                    name: stringify!($field),
                    about: concat!($($doc),+),
                    schema: <$type as $crate::Value>::SCHEMA,
                    plain: <$type as $crate::Value>::PLAIN,
                    default: DEFAULT,
                    required: DEFAULT.is_none() && !<$type as $crate::Value>::OPTIONAL,
                }
            }, )+ ];

            /// Reads what `init` was given.
            ///
            /// # Errors
            /// When a parameter is missing, unknown, or not of its form.
            $vis fn read(
                params: &$crate::fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams,
            ) -> ::core::result::Result<Self, $crate::ParamError> {
                Self::from_given(&$crate::Given::read(env!("CARGO_PKG_NAME"), Self::PARAMS, params)?)
            }

            /// Takes parameters from anywhere else.
            ///
            /// # Errors
            /// As `read`.
            $vis fn new<'p>(
                params: impl IntoIterator<Item = (&'p str, &'p str)>,
            ) -> ::core::result::Result<Self, $crate::ParamError> {
                Self::from_given(&$crate::Given::new(env!("CARGO_PKG_NAME"), Self::PARAMS, params)?)
            }

            /// An error that only the module itself could find.
            $vis fn error(problem: impl Into<String>) -> $crate::ParamError {
                $crate::ParamError::new(env!("CARGO_PKG_NAME"), Self::PARAMS, problem.into())
            }

            fn from_given(given: &$crate::Given) -> ::core::result::Result<Self, $crate::ParamError> {
                Ok(Self { $( $field: given.value(stringify!($field))?, )+ })
            }
        }
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

/// Makes the specification of a module that takes the parameters of this struct: from the package's name, version
/// and description, its `README.md` and its `example.yaml`. In a build for WebAssembly it becomes a custom section
/// of the module.
#[macro_export]
macro_rules! spec {
    ($params:ident) => {
        /// What the module says of itself.
        #[allow(dead_code, reason = "only used in a build for WebAssembly")]
        const SPEC: $crate::Spec = $crate::Spec {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            description: env!("CARGO_PKG_DESCRIPTION"),
            documentation: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")),
            example: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/example.yaml")),
            params: $params::PARAMS,
        };

        #[cfg(target_family = "wasm")]
        const _: () = {
            #[used]
            #[expect(unsafe_code, reason = "the name of a section; what is in it is never executed or relocated")]
            #[unsafe(link_section = "smartmodule-spec")]
            static SECTION: [u8; SPEC.json_len()] = SPEC.json();
        };
    };
}

/// The parameters don't fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {takes}")]
pub struct ParamError {
    problem: String,
    takes: String,
}

impl ParamError {
    /// An error that names all parameters.
    #[must_use]
    pub fn new(module: &str, params: &[Param], problem: String) -> Self {
        let names: Vec<_> = params.iter().map(|param| format!("`{}`", shown(param.name))).collect();
        Self { problem, takes: format!("{module} takes {}", names.join(", ")) }
    }
}

/// A parameter's name as configurations have it.
fn shown(name: &str) -> String {
    name.replace('_', "-")
}

/// Parameters as they came, all of them known.
#[derive(Debug, Clone)]
pub struct Given {
    module: &'static str,
    params: &'static [Param],
    values: BTreeMap<String, String>,
}

impl Given {
    /// What `init` was given.
    ///
    /// # Errors
    /// When a parameter is unknown or there twice.
    pub fn read(
        module: &'static str,
        params: &'static [Param],
        extra: &SmartModuleExtraParams,
    ) -> Result<Self, ParamError> {
        // The type can't be asked for its names, but it can be written out and read as what it holds.
        let mut bytes = Vec::new();
        let mut given = BTreeMap::<String, String>::new();
        let written = extra.encode(&mut bytes, MAP_ONLY);
        written
            .and_then(|()| Decoder::decode(&mut given, &mut Cursor::new(bytes), MAP_ONLY))
            .map_err(|error| ParamError::new(module, params, format!("the parameters can't be read ({error})")))?;
        Self::new(module, params, given.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Parameters from anywhere else.
    ///
    /// # Errors
    /// As [`Given::read`].
    pub fn new<'a>(
        module: &'static str,
        params: &'static [Param],
        given: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ParamError> {
        let mut values = BTreeMap::new();
        for (name, value) in given {
            let known = name.replace('-', "_");
            if params.iter().all(|param| param.name != known) {
                let guess = nearest(name, params).map(|near| format!(" (did you mean `{near}`?)"));
                let problem = format!("unknown parameter `{name}`{}", guess.unwrap_or_default());
                return Err(ParamError::new(module, params, problem));
            }
            if values.insert(known, value.to_owned()).is_some() {
                return Err(ParamError::new(module, params, format!("parameter `{}` is given twice", shown(name))));
            }
        }
        Ok(Self { module, params, values })
    }

    /// One of them, or its default.
    ///
    /// # Errors
    /// When it must be given and isn't, or is not of its form.
    pub fn value<T: Value>(&self, name: &str) -> Result<T, ParamError> {
        let error = |problem| ParamError::new(self.module, self.params, problem);
        let param = self.params.iter().find(|param| param.name == name);
        let text = self.values.get(name).map(String::as_str).or(param.and_then(|param| param.default));
        match text {
            Some(text) => T::parse(text).map_err(|problem| error(format!("parameter `{}` {problem}", shown(name)))),
            None => T::absent().ok_or_else(|| {
                let about = param.map_or("", |param| param.about.trim());
                error(format!("parameter `{}` is missing ({about})", shown(name)))
            }),
        }
    }
}

/// The name that was probably meant.
fn nearest(word: &str, params: &[Param]) -> Option<String> {
    let sought = word.to_lowercase().replace('_', "-");
    let names = params.iter().map(|param| shown(param.name));
    let near = names.map(|name| (strsim::damerau_levenshtein(&sought, &name), name));
    let (distance, name) = near.min_by_key(|(distance, _)| *distance)?;
    let longer = sought.chars().count().max(name.chars().count());
    (distance <= (longer / 3).max(1) && distance < longer).then_some(name)
}

/// What `init` makes and every record needs.
#[derive(Debug)]
pub struct Once<T> {
    value: OnceLock<T>,
}

impl<T> Once<T> {
    /// Not there yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only ever the value of a static")]
    pub const fn new() -> Self {
        Self { value: OnceLock::new() }
    }

    /// Sets it, from `init`.
    ///
    /// # Errors
    /// When it is set already.
    pub fn set(&self, value: T) -> fluvio_smartmodule::Result<()> {
        self.value.set(value).map_err(|_| eyre!("init is called once"))
    }

    /// It.
    ///
    /// # Errors
    /// When `init` was not called.
    pub fn get(&self) -> fluvio_smartmodule::Result<&T> {
        self.value.get().ok_or_else(|| eyre!("init was not called"))
    }
}

#[cfg(test)]
mod tests {
    use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;

    use crate::{Path, Secret};

    params! {
        /// What a module might take.
        struct Settings {
            /// Which field,
            /// and a second line.
            field: Path,
            /// How many.
            how_many: u64 = "10",
            /// Hidden.
            secret: Option<Secret>,
        }
    }

    fn refused(given: &[(&str, &str)]) -> String {
        Settings::new(given.iter().copied()).expect_err("refused").to_string()
    }

    #[test]
    fn defaults_and_other_spellings() {
        let settings = Settings::new([("field", "a.b")]).expect("all that is needed");
        assert_eq!((settings.field.steps().len(), settings.how_many), (2, 10));
        assert!(settings.secret.is_none());
        for name in ["how-many", "how_many"] {
            assert_eq!(Settings::new([("field", ""), (name, " 3 ")]).expect("given").how_many, 3);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        let takes = "smartmodule-kit takes `field`, `how-many`, `secret`";
        let cases = [
            (&[("feild", "a")][..], "unknown parameter `feild` (did you mean `field`?)"),
            (&[("x", "a")], "unknown parameter `x`"),
            (&[], "parameter `field` is missing (Which field, and a second line.)"),
            (&[("field", "a"), ("how-many", "1.5")], "parameter `how-many` is `1.5`, expected a whole number from 0"),
            (&[("how-many", "1"), ("how_many", "1")], "parameter `how-many` is given twice"),
        ];
        for (given, expected) in cases {
            assert_eq!(refused(given), format!("{expected}; {takes}"));
        }
    }

    #[test]
    fn the_type_of_the_abi_is_read() {
        let mut extra = SmartModuleExtraParams::default();
        extra.insert("field".to_owned(), "a.b".to_owned());
        assert_eq!(Settings::read(&extra).expect("known").field, Path::parse("a.b"));
        extra.insert("x".to_owned(), String::new());
        assert!(Settings::read(&extra).is_err());
    }

    #[test]
    fn the_specification_says_the_same() {
        let params = Settings::PARAMS;
        assert_eq!(params[0].about, " Which field, and a second line.");
        assert_eq!(params.iter().map(|param| param.required).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(params[1].default, Some("10"));
        assert!(params[2].schema.contains("x-secret"));
    }
}
