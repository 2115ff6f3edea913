//! The configuration reference for `docs/`, made of the tables that the readers use: what is documented is what
//! is accepted, and a default is the default.

use crate::document::ROOT;
use crate::fields::{Group, Key};
use crate::units::{BYTES_FORMS, DURATION_FORMS};
use crate::{meta, settings, topic, transforms};
use std::fmt::Write as _;

/// Every map with a table, in the order of the reference.
pub(crate) const GROUPS: [&Group; 19] = [
    &ROOT,
    &meta::META,
    &topic::TOPIC,
    &topic::PARTITION,
    &topic::RETENTION,
    &topic::DEDUPLICATION,
    &meta::PRODUCER,
    &meta::CONSUMER,
    &meta::OFFSET,
    &transforms::STEP,
    &settings::HOST,
    &settings::RETRY,
    &settings::BATCH,
    &settings::SANDBOX,
    &settings::TLS,
    &settings::RATE_LIMIT,
    &settings::STATE,
    &meta::FLAT,
    &SECTION,
];

/// The connector's own section has no keys that are known here.
const SECTION: Group = Group { path: "the connector's own section", about: "", keys: &[], without_effect: &[] };

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the code by `reference_markdown()` of the crate `host-config`. Change it there. -->

A connector is configured by one YAML file. Every file that Fluvio's own tools accept works unchanged: with
`apiVersion` `0.0.0` (or none), `0.1.0` or `0.2.0`, and in the flat form from before there was a `meta` map. What
they pass over in silence, such as a misspelt key, is a warning here, with its line, its column and what was
probably meant; with `--strict` it is an error. Two things that they take are refused: a key that stands twice in one
map, and within `${{ }}` anything but a secret.

```yaml
apiVersion: 0.2.0
meta:
  name: cat-facts
  type: http-source
  version: 0.1.0
  topic:
    meta:
      name: cat-facts
  secrets:
    - name: API_KEY
http: # the connector's own section
  endpoint: https://catfact.ninja/fact
  interval: 10s
  headers:
    - \"Authorization: Bearer ${{ secrets.API_KEY }}\"
transforms:
  - uses: json-filter
    with:
      field: length
      op: lt
      value: 80
host: # settings that only this host has
  on-error: dead-letter
```
";

const SECRETS: &str = "\
## Secrets

`${{ secrets.NAME }}` in any value, or `{secret: {name: NAME}}` in place of one, stands for a secret. Its value comes
from the file given with `--secrets FILE`, or without one from the environment variable `NAME`. It is inserted after
the YAML has been parsed, so whatever stands in it (quotes, `#`, `: `, line ends) can't change the document, and it is
kept out of logs, errors and metrics. A value of fewer than three characters can't be: there is a warning of it.

A name has ASCII letters, digits and `_`, and does not begin with a digit. Nothing else can stand within `${{ }}` but
a text in quotes, for a value that has these characters itself: `${{ \"${{\" }}`.

A file of secrets has one `NAME=value` a line. A line is split at its first `=`, and both sides are trimmed; other
lines, and lines that begin with `#`, say nothing; the first line of a name counts. A value within double quotes loses
them, and `\\n`, `\\r`, `\\t`, `\\\"` and `\\\\` in it are what they are in JSON, so that a private key fits in one line.
Fluvio's own tools keep the quotes and the backslashes as a part of the value.
";

const OWN_SECTION: &str = "\
Its name, keys and types are the connector's: `host metadata CONNECTOR` shows them. It is checked against that schema
before anything starts. Where the schema wants a string, a number may stand (`interval: 10`), and a number in quotes
where it wants a number; a key without a value is not set. `--set key=value` comes before the file, with dots for maps
within maps (`--set websocket_config.ping_interval_ms=500`) and numbers for the items of a list
(`--set headers.0=\"Accept: */*\"`). The hosts that the section names are the only ones that the connector can reach,
apart from `host.sandbox.allow`.
";

/// The whole configuration reference, as Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    let _ = writeln!(
        out,
        "\n**Durations**: {DURATION_FORMS}.\n\n**Bytes**: {BYTES_FORMS}. `MB` is 1,000,000 bytes, `MiB` 1,048,576."
    );
    let _ = writeln!(out, "\nKeys of two words may also be written with `_`, as in `batch_size`.");
    for group in GROUPS {
        // Writing to a string can't fail.
        let _ = match group.path {
            "" if std::ptr::eq(group, &ROOT) => writeln!(out, "\n## The root\n\n{}\n", group.about),
            "" => writeln!(out, "\n## The flat form\n\n{}\n", group.about),
            path if group.keys.is_empty() => writeln!(out, "\n## {}\n\n{OWN_SECTION}", capitalised(path)),
            path => writeln!(out, "\n## `{path}`\n\n{}\n", group.about),
        };
        if !group.keys.is_empty() {
            out.push_str("| Key | Type | Default | Meaning | Example |\n|-|-|-|-|-|\n");
            group.keys.iter().for_each(|key| row(&mut out, key));
        }
        if !group.without_effect.is_empty() {
            let _ = writeln!(out, "\nWithout effect, and warned of: `{}`.", group.without_effect.join("`, `"));
        }
    }
    out.push('\n');
    out.push_str(SECRETS);
    out
}

fn row(out: &mut String, key: &Key) {
    let cell = |text: &str| text.replace('|', "\\|");
    // Writing to a string can't fail.
    let _ = writeln!(
        out,
        "| `{}` | {} | {} | {} | `{}` |",
        key.name,
        cell(key.kind),
        cell(&(key.default)()),
        cell(key.about),
        cell(key.example)
    );
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
