//! Every refusal can be put into words in Italian: `src/http/italian.rs` has what the source and the document have.

use std::collections::BTreeSet;

use sigillo::{
    auth::cns::Refusal,
    http::italian::{DETAILS, TITLES, detail},
};

use super::{schema::Document, source};

/// Files of the domain that read values of requests: what their parsers say is the detail of a refusal.
const PARSERS: [&str; 8] = [
    "src/domain/card/reason.rs",
    "src/domain/contact.rs",
    "src/domain/contact/number.rs",
    "src/domain/date.rs",
    "src/domain/id.rs",
    "src/domain/message.rs",
    "src/domain/tax_code.rs",
    "src/domain/team.rs",
];

/// What no request comes to, in these files.
const NEVER_A_DETAIL: [&str; 1] = ["not the plaintext of a contact"];

/// What a piece of code says, with one value in the place of each that is filled in.
fn filled(text: &str) -> String {
    let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}").replace("\\\"", "\"");
    let mut out = String::new();
    for (n, piece) in text.split('{').enumerate() {
        let rest = piece.split_once('}').map_or(piece, |(_, rest)| rest);
        if n > 0 {
            out.push('7');
        }
        out.push_str(if n > 0 { rest } else { piece });
    }
    out.replace('\u{1}', "{").replace('\u{2}', "}")
}

/// The literal that follows each `mark`, with escapes as they are written.
fn after(code: &str, mark: &str) -> Vec<String> {
    let rest = code.split(mark).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
    rest.map(|rest| {
        let mut escaped = false;
        let end = rest.find(|c| {
            let is_end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        });
        rest[..end.unwrap()].to_owned()
    })
    .collect()
}

/// Every detail that the source has a text for.
fn details() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for file in PARSERS {
        all.extend(after(&source::code_of(file), "#[error("));
    }
    // Refusals of a card's state are codes; their texts are for logs.
    for (state, at) in [("src/domain/card/reason.rs", "pub enum Refusal")] {
        let code = source::code_of(state);
        let (_, refusals) = code.split_once(at).unwrap();
        for text in after(refusals, "#[error(") {
            all.remove(&text);
        }
    }
    for part in ["src/http", "src/routes", "src/routes.rs"] {
        let code = source::code_of(part);
        all.extend(after(&code, "NotOneOf(").into_iter().map(|text| format!("must be {text}")));
        all.extend(after(&code, ".detail("));
        all.extend(after(&code, "malformed("));
    }
    let service = source::code_of("src/service");
    for piece in service.split("let detail = ").skip(1).filter(|piece| piece.starts_with('"')) {
        all.extend(source::literals(piece).first().cloned());
    }
    for piece in service.split("Error::Field {").skip(1) {
        all.extend(after(piece.split('}').next().unwrap(), "detail: "));
    }
    all.extend(Refusal::ALL.iter().map(ToString::to_string));
    for never in NEVER_A_DETAIL {
        all.remove(never);
    }
    all.iter().map(|text| filled(text)).collect()
}

#[test]
fn every_problem_has_an_italian_title() {
    let written: BTreeSet<&str> = TITLES.iter().map(|(code, _)| *code).collect();
    let known: BTreeSet<String> = source::problems().into_iter().map(|(_, code)| code).collect();
    let missing: Vec<_> = known.iter().filter(|code| !written.contains(code.as_str())).collect();
    assert!(
        missing.is_empty(),
        "write the Italian titles of {missing:#?} into TITLES of src/http/italian.rs"
    );
    for code in written {
        assert!(known.contains(code), "take {code} out of TITLES of src/http/italian.rs: no problem has it");
    }
    let listed =
        Document::load().schema("Problem")["properties"]["code"]["oneOf"].as_array().unwrap().clone();
    for one in listed {
        let code = one["const"].as_str().unwrap();
        assert!(TITLES.iter().any(|(of, _)| *of == code), "{code} is described and has no Italian title");
    }
}

#[test]
fn every_detail_has_an_italian_text() {
    let all = details();
    assert!(all.len() > 70, "{} details", all.len());
    let missing: Vec<_> = all.iter().filter(|text| detail("invalid_value", text).is_none()).collect();
    assert!(
        missing.is_empty(),
        "write the Italian of {missing:#?} into DETAILS of src/http/italian.rs, with {{}} for what is filled in"
    );
    for (english, _) in DETAILS {
        let fits = |text: &String| match english.split_once("{}") {
            None => text == english,
            Some((before, after)) => text.starts_with(before) && text.ends_with(after),
        };
        assert!(
            all.iter().any(fits),
            "take {english:?} out of DETAILS of src/http/italian.rs: nothing says it"
        );
    }
}
