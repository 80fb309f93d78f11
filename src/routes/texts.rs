//! Forms and guide: texts of the policy set, as data. They change with the set alone, so its digest is their entity tag.

use hyper::{
    HeaderMap, Response, StatusCode,
    header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH},
};
use serde::Serialize;

use super::{App, Arrived, json};
use crate::{
    api::texts::{Text, TextEntry, TextField, Texts},
    http::{Body, Problem},
    policy::{self, FieldKind, Function, Shelf, act},
};

impl App {
    /// The texts of a shelf.
    pub(super) fn texts(&self, arrived: &Arrived, shelf: Shelf) -> Result<Response<Body>, Problem> {
        let call = self.bare::<act::ReadTexts>(arrived)?;
        let policy = call.permit.policy();
        let texts = policy.texts().of(shelf).map(entry).collect();
        tagged(arrived.request.headers(), policy.digest(), &Texts { texts })
    }

    /// One text.
    pub(super) fn text(&self, arrived: &Arrived, shelf: Shelf, id: &str) -> Result<Response<Body>, Problem> {
        let call = self.bare::<act::ReadTexts>(arrived)?;
        let policy = call.permit.policy();
        let text = policy
            .texts()
            .find(shelf, id)
            .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "text_not_found", "No text with this id"))?;
        tagged(arrived.request.headers(), policy.digest(), &whole(text))
    }
}

fn entry(text: &policy::Text) -> TextEntry {
    let policy::Text { id, title, version, language, function, .. } = text.clone();
    TextEntry { id, title, version, language, function: of(function).to_owned() }
}

fn whole(text: &policy::Text) -> Text {
    let policy::Text { id, title, version, language, function, fields, body } = text.clone();
    let fields = fields.into_iter().map(|field| TextField {
        name: field.name,
        label: field.label,
        kind: kind(field.kind).to_owned(),
        required: field.required,
    });
    let (function, fields) = (of(function).to_owned(), fields.collect());
    Text { id, title, version, language, function, fields, body }
}

const fn of(function: Function) -> &'static str {
    match function {
        Function::Activation => "activation",
        Function::Forms => "forms",
        Function::FseConsents => "fse_consents",
        Function::Guide => "guide",
        Function::History => "history",
        Function::ReaderRequest => "reader_request",
        Function::Reports => "reports",
        Function::Reprint => "reprint",
        Function::Revocation => "revocation",
    }
}

const fn kind(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Boolean => "boolean",
        FieldKind::Date => "date",
        FieldKind::Signature => "signature",
        FieldKind::TaxCode => "tax_code",
        FieldKind::TeamNumber => "team_number",
        FieldKind::Text => "text",
    }
}

/// The answer with the tag, or that nothing has changed since the one whose tag the caller has (RFC 9110, 13.1.2). The form
/// of an answer may change with the program, so its version is in the tag too.
fn tagged<T: Serialize>(headers: &HeaderMap, digest: &str, answer: &T) -> Result<Response<Body>, Problem> {
    let tag = format!("\"{digest}-{}\"", env!("CARGO_PKG_VERSION"));
    let mut response = if is_known(headers, &tag) {
        let (mut response, status) = (Response::new(Body::empty()), StatusCode::NOT_MODIFIED);
        *response.status_mut() = status;
        response
    } else {
        json(answer)?
    };
    let tag = HeaderValue::try_from(tag).map_err(|_| Problem::internal())?;
    response.headers_mut().insert(ETAG, tag);
    // Kept, and asked about each time: who may read them may change.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// Whether `If-None-Match` names the tag, by weak comparison, or is `*`.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_the_caller_has() {
        let known = |lists: &[&str]| {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(IF_NONE_MATCH, list.parse().unwrap());
            }
            is_known(&headers, "\"ab-0\"")
        };
        for lists in
            [&["\"ab-0\""][..], &["W/\"ab-0\""], &["\"x\", \"ab-0\""], &["\"x\"", "\"ab-0\""], &["*"]]
        {
            assert!(known(lists), "{lists:?}");
        }
        for lists in [&[][..], &["\"ab\""], &["ab-0"], &[""]] {
            assert!(!known(lists), "{lists:?}");
        }
    }

    #[test]
    fn names_on_the_wire_are_those_of_the_files() {
        let said = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        for function in [
            Function::Activation,
            Function::Forms,
            Function::FseConsents,
            Function::Guide,
            Function::History,
            Function::ReaderRequest,
            Function::Reports,
            Function::Reprint,
            Function::Revocation,
        ] {
            assert_eq!(of(function), said(serde_json::to_value(function).unwrap()));
        }
        for one in [
            FieldKind::Boolean,
            FieldKind::Date,
            FieldKind::Signature,
            FieldKind::TaxCode,
            FieldKind::TeamNumber,
            FieldKind::Text,
        ] {
            assert_eq!(kind(one), said(serde_json::to_value(one).unwrap()));
        }
    }
}
