//! What Italian public services ask of a description (AgID, interoperability guidelines, ModI, and the catalogue of PDND),
//! restated from their published rules; those of the body that publishes it are placeholders, as in publiccode.yml.

use serde_json::Value;

use super::schema::{Document, keys};

/// A version of three numbers.
fn is_semantic(version: &str) -> bool {
    let parts: Vec<&str> = version.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

#[test]
fn who_answers_for_it_is_named() {
    let document = Document::load();
    let info = document.info();
    for (pointer, most) in [("/title", 120), ("/x-summary", 80), ("/x-api-id", 200), ("/contact/name", 80)] {
        let text = info.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert!((1..=most).contains(&text.chars().count()), "info{pointer}: {text:?}");
    }
    for pointer in ["/contact/url", "/termsOfService"] {
        let url = info.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert!(url.starts_with("https://"), "info{pointer}: {url:?}");
    }
    assert!(is_semantic(info["version"].as_str().unwrap()));
    assert!(info["x-api-id"].as_str().unwrap().starts_with("urn:"));
}

#[test]
fn servers_speak_tls_and_are_described() {
    for server in Document::load().servers() {
        assert!(server["url"].as_str().unwrap().starts_with("https://"), "{server}");
        assert!(!server["description"].as_str().unwrap().is_empty(), "{server}");
    }
}

#[test]
fn operations_are_named_and_filed() {
    let document = Document::load();
    for op in document.operations() {
        let at = format!("{} {}", op.method, op.path);
        for name in ["operationId", "summary", "description"] {
            assert!(op.value[name].as_str().is_some_and(|text| !text.is_empty()), "{name} of {at}");
        }
        let tags = op.value["tags"].as_array().unwrap();
        assert_eq!(tags.len(), 1, "tags of {at}");
        assert!(document.tags().contains(tags[0].as_str().unwrap()), "{at}: an undeclared tag");
        let path = op.path.replace("{id}", "");
        assert!(path.starts_with("/v1/") && (!path.ends_with('/') || op.path.ends_with("{id}")), "{at}");
        assert!(path.bytes().all(|b| b.is_ascii_lowercase() || b"/-.1".contains(&b)), "kebab-case: {at}");
        assert!(op.method == "get" || op.method == "post", "{at}: no other method is routed");
        assert!(!(op.method == "get" && op.value.get("requestBody").is_some()), "{at}");
    }
}

#[test]
fn integers_say_how_large_they_get() {
    Document::load().walk(&mut |at, object| {
        if object.get("type") == Some(&Value::from("integer")) {
            let format = object.get("format").and_then(Value::as_str);
            assert!(matches!(format, Some("int32" | "int64")), "{at}: an integer without int32 or int64");
        }
    });
}

#[test]
fn refusals_are_problems_and_tell_when_to_come_back() {
    let document = Document::load();
    for op in document.operations() {
        for (status, response) in op.value["responses"].as_object().unwrap() {
            let response = document.resolve(response);
            let media = keys(&response["content"]);
            if status.starts_with(['4', '5']) {
                assert_eq!(Vec::from_iter(media), ["application/problem+json"], "{} {status}", op.path);
            }
            if status == "429" || status == "503" {
                assert!(keys(&response["headers"]).contains("Retry-After"), "{} {status}", op.path);
            }
        }
    }
}
