//! Forms and guide of a set: the shipped ones are read and are of its digest; what is wrong is named by `policy check`.

use std::{fs, process::Command};

use sigillo::policy::{Policy, Shelf};

use super::{copy, edit};

#[test]
fn texts_are_of_the_set() {
    let set = copy();
    let policy = Policy::load(set.path()).unwrap();
    let ids = |shelf| policy.texts().of(shelf).map(|text| text.id.clone()).collect::<Vec<_>>();
    assert_eq!((ids(Shelf::Forms).len(), ids(Shelf::Guide).len()), (9, 9));
    assert!(policy.texts().find(Shelf::Guide, "activation-request").is_none(), "a form is no page");
    let text = policy.texts().find(Shelf::Forms, "activation-request").unwrap();
    assert!(text.fields.iter().any(|field| field.name == "proxy.name" && !field.required));

    edit(set.path(), "texts/guide/reprint.md", "gli stessi codici", "gli stessi codici di prima");
    let changed = Policy::load(set.path()).unwrap();
    assert_ne!(changed.digest(), policy.digest());
    fs::remove_dir_all(set.path().join("texts")).unwrap();
    let none = Policy::load(set.path()).unwrap();
    assert_eq!(none.texts().of(Shelf::Forms).count(), 0, "a set needs no texts");
}

#[test]
fn a_text_that_is_wrong_is_named_with_file_and_line() {
    let form = "texts/forms/delegation.md";
    for (from, to, line, reason) in [
        ("title = \"Delega\"\n", "", 2, "missing field `title`"),
        ("version = 1", "version = \"1\"", 3, "invalid type"),
        ("+++\ntitle", "---\ntitle", 1, "the first line is not +++"),
        ("type = \"tax_code\"", "type = \"iban\"", 0, "unknown variant `iban`"),
        (
            "# Delega\n",
            "# Delega {{holder.nome}}\n",
            0,
            "unknown field {{holder.nome}}: declare it as a [[field]]",
        ),
        ("# Delega\n", "# Delega \u{202e}\n", 0, "the character U+202E"),
    ] {
        let set = copy();
        let path = edit(set.path(), form, from, to);
        let text = fs::read_to_string(&path).unwrap();
        let at =
            text.lines().position(|of| !to.trim().is_empty() && of.contains(to.trim_end())).unwrap_or(0) + 1;
        let line = if line == 0 { at } else { line };
        let ran = Command::new(env!("CARGO_BIN_EXE_sigillo"))
            .args(["policy", "check"])
            .arg(set.path())
            .output()
            .unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(64), "{said}");
        let expected = format!("{}, line {line}: {reason}", path.display());
        assert!(said.contains(&expected), "{said} has not {expected}");
    }
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    for name in ["texts/README.md", "texts/forms/Modulo.md", "texts/forms/modulo.txt", "texts/letters/a.md"] {
        let set = copy();
        let path = set.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "testo\n").unwrap();
        let refused = Policy::load(set.path()).unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("not a text"), "{refused}");
    }
}
