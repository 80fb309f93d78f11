//! Reading requests: from JSON to values of the domain, each refusal naming its field.

mod applicant;

use hyper::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

pub(super) use applicant::{applicant, contact, language};

use crate::{http::Problem, secret::SecretBytes};

/// Parses a body; unknown, missing and mistyped fields are refused by name.
pub(super) fn json<T: DeserializeOwned>(body: &SecretBytes) -> Result<T, Problem> {
    json_with_lists(body, &[])
}

/// As [`json`], where fields of these names are lists of texts.
pub(super) fn json_with_lists<T: DeserializeOwned>(body: &SecretBytes, lists: &[&str]) -> Result<T, Problem> {
    parse(body.expose(), lists).map_err(|(code, path)| {
        let title = match code {
            "malformed_json" => "The body is not JSON",
            _ => "The body has not the fields of this operation",
        };
        let problem = Problem::new(StatusCode::BAD_REQUEST, code, title);
        match path {
            Some(path) => problem.field(path),
            None => problem,
        }
    })
}

/// As [`json`], with the code and the JSON path at fault.
pub(super) fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    lists: &[&str],
) -> Result<T, (&'static str, Option<String>)> {
    let from = &mut serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut *from).map_err(|e| {
        let path = e.path().to_string();
        match e.inner().classify() {
            serde_json::error::Category::Data => ("invalid_body", Some(schema_path(&path, e.inner()))),
            serde_json::error::Category::Eof
            | serde_json::error::Category::Io
            | serde_json::error::Category::Syntax => ("malformed_json", None),
        }
    })?;
    from.end().map_err(|_| ("malformed_json", None))?;
    if has_array_or_null(bytes, lists) {
        return Err(("invalid_body", Some("$".into())));
    }
    Ok(value)
}

/// Whether there is a null anywhere, or an array but as the value of a member with one of these names: serde would take an array
/// for an object, its entries by their place, and a null for a member that is not there. What is of such a name is a list of
/// texts.
fn has_array_or_null(bytes: &[u8], lists: &[&str]) -> bool {
    let (mut from, mut escaped) = (None, false);
    // The string that ended last, and the last byte outside of strings that is no space.
    let (mut last, mut before): (&[u8], u8) = (&[], 0);
    for (at, byte) in bytes.iter().enumerate() {
        if let Some(start) = from {
            if *byte == b'"' && !escaped {
                (last, from) = (bytes.get(start..at).unwrap_or_default(), None);
            }
            escaped = *byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => from = Some(at.saturating_add(1)),
            // It is JSON: outside strings `null` alone has an n.
            b'n' => return true,
            b'[' if before != b':' || !lists.iter().any(|name| name.as_bytes() == last) => return true,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            before = *byte;
        }
    }
    false
}

/// The path in JSONPath form, as far as it is made of what looks like names of a schema: nothing else of the request
/// is repeated. A missing field is named from the parser's message.
fn schema_path(path: &str, error: &serde_json::Error) -> String {
    let name_like = |name: &&str| {
        (1..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let message = error.to_string();
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let mut out = "$".to_owned();
    for name in path.split('.').take_while(name_like).chain(missing.filter(name_like)) {
        out.push('.');
        out.push_str(name);
    }
    out
}

/// The refusal of a value.
pub(super) fn invalid(field: &str, why: impl std::error::Error) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", "A value is not acceptable")
        .field(format!("$.{field}"))
        .detail(why.to_string())
}

/// Parses the text of a field.
pub(super) fn field<T>(name: &str, text: &str) -> Result<T, Problem>
where
    T: std::str::FromStr<Err: std::error::Error>,
{
    text.parse().map_err(|e| invalid(name, e))
}

/// Parses the text of a field that may be absent.
pub(super) fn optional<T>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T: std::str::FromStr<Err: std::error::Error>,
{
    text.map(|text| field(name, text)).transpose()
}

/// The text is not one of those that the schema lists.
#[derive(Debug, thiserror::Error)]
#[error("must be {0}")]
pub(super) struct NotOneOf(pub(super) &'static str);

/// The idempotency key, if there is one: 1 to 64 visible ASCII characters.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(None) };
    let good = |text: &&str| (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    match value.to_str().ok().filter(good) {
        Some(text) if more.is_none() => Ok(Some(text.to_owned())),
        Some(_) | None => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad_idempotency_key",
            "Idempotency-Key is one value of 1 to 64 visible ASCII characters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{cards::LookUp, codes::Activate};

    fn fault(body: &str) -> (&'static str, Option<String>) {
        parse::<Activate>(body.as_bytes(), &[]).err().unwrap()
    }

    #[test]
    fn the_field_at_fault_is_named_and_its_value_is_not() {
        let some = |path: &str| Some(path.to_owned());
        let good = r#"{"tax_code":"a","team_number":"b","expires_on":"c","applicant":{"is":"f"},"contact":{"channel":"d","address":"e"}}"#;
        assert!(parse::<Activate>(good.as_bytes(), &[]).is_ok());
        assert_eq!(fault("{"), ("malformed_json", None));
        assert_eq!(fault(&format!("{good} x")), ("malformed_json", None));
        assert_eq!(fault("{}"), ("invalid_body", some("$.tax_code")));
        assert_eq!(fault(r#"{"tax_code":12345}"#), ("invalid_body", some("$.tax_code")));
        assert_eq!(fault(r#"{"pin":"1"}"#), ("invalid_body", some("$.pin")));
        assert_eq!(fault(r#"{"12345":"1"}"#).1, some("$"), "what does not look like a name is not repeated");
        assert_eq!(fault(&good.replace("\"e\"", "7")), ("invalid_body", some("$.contact.address")));
        assert_eq!(fault(&good.replace("address", "adress")), ("invalid_body", some("$.contact.adress")));
        let nested = good.replace(r#"{"channel":"d","address":"e"}"#, r#"["d","e"]"#);
        for array in [r#" ["a","b","c",{"is":"f"},{"channel":"d","address":"e"},false]"#, &nested] {
            assert_eq!(fault(array), ("invalid_body", some("$")));
        }
        let with_null = parse::<LookUp>(br#"{"team_number":"a","tax_code": null }"#, &[]);
        assert_eq!(with_null.err().unwrap(), ("invalid_body", some("$")));
        assert!(
            parse::<Activate>(good.replace("\"e\"", r#""[\"[ null""#).as_bytes(), &[]).is_ok(),
            "within a string"
        );
    }

    #[test]
    fn lists_are_taken_where_they_are_named_only() {
        for (body, refused) in [
            (r#"{"by":["a","b"],"c":"[" }"#, false),
            (r#"{ "by" : [] }"#, false),
            (r#"{"kinds":["a"]}"#, true),
            (r#"["by"]"#, true),
            (r#"{"by":[["a"]]}"#, true),
            (r#"{"a":"by","c":["a"]}"#, true),
            (r#"{"a\"by":["a"]}"#, true),
            (r#"{"a":"\\","by":["a\"b"]}"#, false),
        ] {
            assert_eq!(has_array_or_null(body.as_bytes(), &["by"]), refused, "{body}");
        }
    }

    #[test]
    fn idempotency_keys() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", value.parse().unwrap());
            }
            idempotency_key(&headers)
        };
        assert_eq!(with(&[]), Ok(None));
        assert_eq!(with(&["a-1"]), Ok(Some("a-1".into())));
        for bad in [&[""][..], &["a b"], &["a", "b"], &[&"x".repeat(65)]] {
            assert!(with(bad).is_err(), "{bad:?}");
        }
    }
}
