//! What the source says, read as text: status, code and title of problems, and lists that no type shows.

use std::{collections::BTreeSet, fs, path::Path};

use sigillo::domain::message::MessageLanguage;

const STATUSES: [(&str, u64); 11] = [
    ("BAD_REQUEST", 400),
    ("CONFLICT", 409),
    ("FORBIDDEN", 403),
    ("INTERNAL_SERVER_ERROR", 500),
    ("METHOD_NOT_ALLOWED", 405),
    ("NOT_FOUND", 404),
    ("PAYLOAD_TOO_LARGE", 413),
    ("REQUEST_TIMEOUT", 408),
    ("SERVICE_UNAVAILABLE", 503),
    ("TOO_MANY_REQUESTS", 429),
    ("UNSUPPORTED_MEDIA_TYPE", 415),
];

/// The text of a file or of every file below a directory, without comments and tests.
pub(crate) fn code_of(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if path.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        let relative = |p: &Path| p.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        return entries.iter().map(|p| code_of(&relative(p))).collect();
    }
    if path.extension().is_none_or(|e| e != "rs") {
        return String::new();
    }
    let text = fs::read_to_string(&path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|l| [l, "\n"]).collect()
}

/// The string literals that a piece of code begins with, separated by commas.
pub(crate) fn literals(code: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = code.trim_start();
    while let Some(text) = rest.strip_prefix('"') {
        let (literal, after) = text.split_once('"').unwrap();
        all.push(literal.to_owned());
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    all
}

/// What stands between the two marks, everywhere.
fn between<'a>(code: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    code.split(start).skip(1).map(|rest| rest.split(end).next().unwrap()).collect()
}

/// The literals of a function's match arms.
fn arms(code: &str, function: &str) -> BTreeSet<String> {
    let body = between(code, function, "\n    }\n");
    assert_eq!(body.len(), 1, "{function}");
    body[0].split("=>").skip(1).flat_map(literals).collect()
}

/// Places where a problem is made: status, and what follows it.
fn made() -> Vec<(u64, String)> {
    let mut all = Vec::new();
    for part in ["src/http", "src/http.rs", "src/routes", "src/routes.rs"] {
        for piece in code_of(part).split("::new(").skip(1) {
            let Some((head, after)) = piece.split_once(',') else { continue };
            let Some((_, status)) = head.rsplit_once("StatusCode::") else { continue };
            let status = match status {
                "UNPROCESSABLE_ENTITY" => 422,
                known => STATUSES.iter().find(|(name, _)| *name == known).expect(known).1,
            };
            all.push((status, after.trim_start().to_owned()));
        }
    }
    assert!(all.len() > 20, "{} problems", all.len());
    all
}

/// Status and code of every problem.
pub(crate) fn problems() -> BTreeSet<(u64, String)> {
    let mut all = BTreeSet::new();
    for (status, after) in made() {
        let codes = match literals(&after).first() {
            Some(code) => BTreeSet::from([code.clone()]),
            None => computed(status, &after),
        };
        all.extend(codes.into_iter().map(|code| (status, code)));
    }
    all
}

/// The codes of a problem that are not written where it is made: each such place is known here.
fn computed(status: u64, after: &str) -> BTreeSet<String> {
    let what = after.split([',', ')']).next().unwrap().trim();
    match (status, what) {
        (403, "code") => {
            let code = code_of("src/routes.rs");
            let choice = between(&code, "let (code, title) = ", ";");
            choice[0]
                .split("{")
                .map(|arm| arm.trim_start_matches([' ', '\n', '(']))
                .flat_map(|pair| literals(pair).first().cloned())
                .collect()
        }
        (400, "code") => parse_codes(),
        (422, "code") => {
            let all: BTreeSet<_> = code_of("src/service")
                .split("Error::Field {")
                .skip(1)
                .flat_map(|field| {
                    field.split("code: ").skip(1).take(1).flat_map(literals).collect::<Vec<_>>()
                })
                .collect();
            assert!(!all.is_empty(), "codes of fields");
            let applicants = code_of("src/domain/applicant/rules.rs");
            all.into_iter().chain(arms(&applicants, "pub const fn code(self)")).collect()
        }
        (403, "refusal.problem_code(") => {
            let list = code_of("src/auth/cns/refusal.rs");
            between(&list, " = \"", "\" \"").into_iter().map(|code| format!("operator_{code}")).collect()
        }
        (409, "refusal.code(") => arms(&code_of("src/domain/card/reason.rs"), "pub const fn code(self)"),
        _ => panic!("{status} {what}: a code that this test does not find"),
    }
}

/// What can be wrong with a body's JSON.
fn parse_codes() -> BTreeSet<String> {
    let code = code_of("src/routes/read.rs");
    let body = between(&code, "fn parse<", "\n}\n");
    let first = body[0].split('(').skip(1).filter_map(|pair| literals(pair).first().cloned());
    first.filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).collect()
}

/// Code and title of the problems whose title is written beside the code.
pub(crate) fn titles() -> Vec<(String, String)> {
    let pairs = made().into_iter().filter_map(|(_, after)| match literals(&after).as_slice() {
        [code, title, ..] => Some((code.clone(), title.clone())),
        _ => None,
    });
    pairs.collect()
}

/// The states that a delivery's record can have.
pub(crate) fn delivery_states() -> BTreeSet<String> {
    arms(&code_of("src/service/records.rs"), "pub(super) const fn text(self)")
}

/// The texts that the service asks the courier for, in each language.
pub(crate) fn messages() -> BTreeSet<String> {
    code_of("src/service")
        .split("message: \"")
        .skip(1)
        .flat_map(|rest| {
            let name = rest.split('"').next().unwrap();
            MessageLanguage::ALL.map(|language| language.text(name))
        })
        .collect()
}

/// The codes of lines of a batch.
pub(crate) fn line_codes() -> BTreeSet<String> {
    let code = code_of("src/routes/cards.rs");
    let written = code.split("code: ").skip(1).flat_map(literals);
    let calls = code.split("bad(").skip(1).filter_map(|call| {
        let (_, rest) = call.split_once(',')?;
        literals(rest).first().cloned()
    });
    written.chain(calls).chain(parse_codes()).collect()
}
