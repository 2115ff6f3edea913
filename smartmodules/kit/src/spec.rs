//! What a module says of itself, written into it as JSON when it is compiled.
//!
//! The JSON stands in the custom section `smartmodule-spec` of the wasm, where it can be read without running the module
//! and where engines that don't know it pass over it:
//!
//! ```json
//! {
//!   "name": "sample", "version": "0.1.0", "description": "one line",
//!   "documentation": "Markdown", "example": "a connector's configuration file that uses it",
//!   "schema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {}}
//! }
//! ```
//!
//! Everything here is evaluated by the compiler, twice: once to learn the length, once to write.

/// A parameter as it was declared.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name in the code: with underscores where `with:` has hyphens.
    pub name: &'static str,
    /// What it means: the documentation comment.
    pub about: &'static str,
    /// The members of its JSON Schema that say what it may be.
    pub schema: &'static str,
    /// Whether its default is JSON as it stands, not a text.
    pub plain: bool,
    /// What it is when it isn't given.
    pub default: Option<&'static str>,
    /// Whether it must be given.
    pub required: bool,
}

/// What a module says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it does, in one line.
    pub description: &'static str,
    /// What it does, in Markdown, under a title.
    pub documentation: &'static str,
    /// A configuration that uses it.
    pub example: &'static str,
    /// What it takes.
    pub params: &'static [Param],
}

impl Spec {
    /// The length of its JSON.
    #[must_use]
    pub const fn json_len(&self) -> usize {
        let mut out = Json::<0>::new();
        self.write(&mut out);
        out.length
    }

    /// Its JSON; `N` is [`Spec::json_len`].
    ///
    /// # Panics
    /// With any other `N`, which ends the compilation.
    #[must_use]
    pub const fn json<const N: usize>(&self) -> [u8; N] {
        let mut out = Json::<N>::new();
        self.write(&mut out);
        assert!(out.length == N, "the length was counted from the same texts");
        out.bytes
    }

    const fn write<const N: usize>(&self, out: &mut Json<N>) {
        out.raw("{\"name\":");
        out.text(self.name);
        out.raw(",\"version\":");
        out.text(self.version);
        out.raw(",\"description\":");
        out.text(self.description);
        out.raw(",\"documentation\":");
        out.text(self.documentation);
        out.raw(",\"example\":");
        out.text(self.example);
        out.raw(",\"schema\":{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\"");
        out.raw(",\"properties\":{");
        let mut index = 0;
        while index < self.params.len() {
            if index > 0 {
                out.raw(",");
            }
            self.params[index].write(out);
            index += 1;
        }
        out.raw("},\"required\":[");
        let (mut index, mut written) = (0, 0);
        while index < self.params.len() {
            if self.params[index].required {
                if written > 0 {
                    out.raw(",");
                }
                out.name(self.params[index].name);
                written += 1;
            }
            index += 1;
        }
        out.raw("],\"additionalProperties\":false}}");
    }
}

impl Param {
    const fn write<const N: usize>(&self, out: &mut Json<N>) {
        out.name(self.name);
        out.raw(":{\"description\":");
        out.text(self.about);
        out.raw(",");
        out.raw(self.schema);
        if let Some(default) = self.default {
            out.raw(",\"default\":");
            if self.plain {
                out.raw(default);
            } else {
                out.text(default);
            }
        }
        out.raw("}");
        if has_underscore(self.name) {
            out.raw(",");
            out.text(self.name);
            out.raw(":{\"description\":\"Another name.\",");
            out.raw(self.schema);
            out.raw(",\"x-alias-of\":");
            out.name(self.name);
            out.raw("}");
        }
    }
}

const fn has_underscore(name: &str) -> bool {
    let (bytes, mut index) = (name.as_bytes(), 0);
    while index < bytes.len() {
        if bytes[index] == b'_' {
            return true;
        }
        index += 1;
    }
    false
}

/// JSON under way. With no room it only counts.
struct Json<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Json<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    const fn push(&mut self, byte: u8) {
        if self.length < N {
            self.bytes[self.length] = byte;
        }
        self.length += 1;
    }

    const fn raw(&mut self, text: &str) {
        let (bytes, mut index) = (text.as_bytes(), 0);
        while index < bytes.len() {
            self.push(bytes[index]);
            index += 1;
        }
    }

    /// A parameter's name as configurations have it.
    const fn name(&mut self, name: &str) {
        let (bytes, mut index) = (name.as_bytes(), 0);
        self.push(b'"');
        while index < bytes.len() {
            self.push(if bytes[index] == b'_' { b'-' } else { bytes[index] });
            index += 1;
        }
        self.push(b'"');
    }

    /// A text; blanks and line ends around it are left out.
    const fn text(&mut self, text: &str) {
        let bytes = text.as_bytes().trim_ascii();
        let mut index = 0;
        self.push(b'"');
        while index < bytes.len() {
            match bytes[index] {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\t' => self.raw("\\t"),
                byte if byte < 0x20 => {
                    self.raw("\\u00");
                    self.push(b'0' + (byte >> 4));
                    self.push(if byte & 15 < 10 { b'0' + (byte & 15) } else { b'a' - 10 + (byte & 15) });
                }
                byte => self.push(byte),
            }
            index += 1;
        }
        self.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: Spec = Spec {
        name: "x",
        version: "1.2.3",
        description: "Does \"it\".",
        documentation: "# x\n\nA\ttab, a \\ and \u{1f}; ü.\n",
        example: "a: b\n",
        params: &[
            Param {
                name: "one",
                about: " The one.",
                schema: "\"type\":\"integer\"",
                plain: true,
                default: Some("1"),
                required: false,
            },
            Param {
                name: "the_other",
                about: " It.",
                schema: "\"type\":\"string\"",
                plain: false,
                default: None,
                required: true,
            },
        ],
    };
    const JSON: [u8; SPEC.json_len()] = SPEC.json();

    #[test]
    fn what_the_compiler_writes_is_json() {
        let read: serde_json::Value = serde_json::from_slice(&JSON).expect("JSON");
        assert_eq!(read["documentation"], "# x\n\nA\ttab, a \\ and \u{1f}; ü.");
        assert_eq!(read["description"], "Does \"it\".");
        let schema = &read["schema"];
        assert_eq!(
            schema["properties"]["one"],
            serde_json::json!({"description": "The one.", "type": "integer", "default": 1})
        );
        assert_eq!(schema["properties"]["the_other"]["x-alias-of"], "the-other");
        assert_eq!(schema["required"], serde_json::json!(["the-other"]));
        assert_eq!(schema["additionalProperties"], false);
    }
}
