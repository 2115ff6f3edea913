//! The `Link` header (RFC 8288): finds the address of the next page in it.

use connector_sdk::http::Headers;

/// The target of the first link whose relation is `next`, as it stands in the header.
pub fn next(headers: &Headers) -> Option<String> {
    let fields = headers.iter().filter(|(name, _)| *name == "link");
    fields.filter_map(|(_, value)| std::str::from_utf8(value).ok()).find_map(next_in)
}

/// The same in one field: `<target>; name=value; name="quoted value", <target> …`.
fn next_in(field: &str) -> Option<String> {
    let mut rest = field;
    loop {
        let (target, after) = rest[rest.find('<')? + 1..].split_once('>')?;
        let (is_next, after) = parameters(after);
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = after;
    }
}

/// Whether the relation among the parameters is `next`, and what stands behind the link.
fn parameters(text: &str) -> (bool, &str) {
    let mut rest = text;
    let mut relation: Option<String> = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let end = rest.find(['=', ';', ',']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            (value, rest) = self::value(after.trim_start());
        }
        if name.eq_ignore_ascii_case("rel") {
            // Only the first one counts.
            relation.get_or_insert(value);
        }
        if rest.is_empty() || rest.starts_with(',') {
            let names = relation.unwrap_or_default();
            return (names.split_ascii_whitespace().any(|name| name.eq_ignore_ascii_case("next")), rest);
        }
    }
}

/// A token or a quoted text, and what stands behind it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => {
                let rest = &quoted[at + 1..];
                let next = rest.find([';', ',']).unwrap_or(rest.len());
                return (value, &rest[next..]);
            }
            other => {
                escaped = false;
                value.push(other);
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_next_page_is_found() {
        for (field, expected) in [
            (r#"<https://a.example/?page=2>; rel="next""#, Some("https://a.example/?page=2")),
            (r"<?page=2>; rel=next", Some("?page=2")),
            (r#"</a>; rel="prev", </b>; rel="next", </c>; rel="last""#, Some("/b")),
            (r#"</a>; rel="last next""#, Some("/a")),
            (r#"</a,b;c>; title="a, \"b\"; rel=next"; rel=prev , </b> ; REL = Next ; x"#, Some("/b")),
            (r"</a>; rel=prev; rel=next, </b>", None),
            (r#"</a>; rel="nextish""#, None),
            (r"</a>, </b>; rel=next", Some("/b")),
            (r"</a", None),
            ("rel=next", None),
            (r#"</a>; rel="next"#, Some("/a")),
            ("", None),
        ] {
            assert_eq!(next_in(field).as_deref(), expected, "{field}");
        }
        let mut headers = Headers::default();
        headers.append("Link", br"</a>; rel=prev").expect("a header");
        headers.append("Link", br"</b>; rel=next").expect("a header");
        assert_eq!(next(&headers).as_deref(), Some("/b"));
    }

    proptest! {
        #[test]
        fn no_field_panics_or_loops(field in "[<>;,=\"\\\\ a-z/é]{0,40}") {
            let _ = next_in(&field);
        }
    }
}
