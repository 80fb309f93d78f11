//! Whether guesses were what their class is called: the log tells why each was answered as it was.

use std::{collections::BTreeMap, fs::File, io::BufReader};

use sigillo_bench::installation::API;
use sigillo_proofs::{claim::Claim, guesses};

use crate::{
    Run,
    field::CLASSES,
    ground::{Ground, export, verify},
};

/// Letters of the log for each class: known, active, first part, second part, try granted, match.
const LETTERS: [&str; CLASSES.len()] =
    ["KAFST-", "KAFSTM", "KAFST-", "KAFST-", "----T-", "K---T-", "K-FSTM", "KAFS--", "KAF-T-", "KAFST-"];

/// What was asked: by class, what names each answer in the log.
pub(crate) type Asked = [Vec<String>; CLASSES.len()];

/// Notes an answer of a class.
pub(crate) fn note(asked: &mut Asked, class: usize, verification: String) {
    if let Some(asked) = asked.get_mut(class) {
        asked.push(verification);
    }
}

/// Of a class, how many answers have which letters.
type Found = BTreeMap<String, usize>;

/// Whether all answers of a class have its letters.
fn is_class(found: &Found, letters: &str) -> bool {
    found.len() == 1 && found.contains_key(letters)
}

fn found(asked: &[String], log: &BTreeMap<String, String>) -> Found {
    let mut found = Found::new();
    for verification in asked {
        let letters = log.get(verification).map_or("not in the log", String::as_str);
        let number = found.entry(letters.to_owned()).or_insert(0);
        *number = number.saturating_add(1);
    }
    found
}

/// One claim, from the log of the authority, which still runs.
pub(crate) fn claim(run: &Run<'_>, ground: &Ground, asked: &Asked) -> Result<Claim, String> {
    run.bar.set_message("the log is read");
    let file = run.directory.join("log.ndjson");
    export(&ground.sigillo, ground.here.directory(), &format!("https://{API}"), &file)?;
    verify(&ground.sigillo, &ground.audit_key(), &[], &file)?;
    let log = File::open(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let log = guesses::checks(BufReader::new(log))?;
    let found: Vec<Found> = asked.iter().map(|asked| found(asked, &log)).collect();
    let figure = CLASSES.iter().zip(&found).map(|(name, found)| {
        let letters = found.iter().map(|(letters, number)| format!("{number} {letters}"));
        format!("{name}: {}", letters.collect::<Vec<_>>().join(", "))
    });
    let figure = figure.collect::<Vec<_>>().join("; ");
    let holds = found.iter().zip(LETTERS).all(|(found, letters)| is_class(found, letters));
    // With one guess at a card without tries among them, no other class is what it is called.
    let [.., locked, _, _] = asked;
    let with_one =
        |asked: &[String]| -> Vec<String> { locked.iter().take(1).chain(asked).cloned().collect() };
    let mut others = asked.iter().zip(LETTERS).filter(|(asked, _)| *asked != locked);
    let is_caught = others.all(|(asked, letters)| !is_class(&self::found(&with_one(asked), &log), letters));
    Ok(run.claim(
        "every guess is of its class, and was granted a try where the class has one: the log's letters",
        (figure, format!("{}, each alone", LETTERS.join(", "))),
        holds,
        Some(is_caught),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_guess_of_another_class_is_seen() {
        let log = [("v1", "KAFST-"), ("v2", "KAFST-"), ("v3", "KAFS--")];
        let log = log.map(|(name, letters)| (name.to_owned(), letters.to_owned())).into();
        let of =
            |names: &[&str]| found(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &log);
        assert!(is_class(&of(&["v1", "v2"]), "KAFST-") && !is_class(&of(&["v1", "v2"]), "KAFS--"));
        assert!(!is_class(&of(&["v1", "v3"]), "KAFST-") && !is_class(&of(&[]), "KAFST-"));
        assert!(!is_class(&of(&["v1", "v4"]), "KAFST-"), "one that the log does not have");
    }
}
