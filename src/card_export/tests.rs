//! An export is read as it was written, and not otherwise.

use aws_lc_rs::{
    digest,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};

use super::*;
use crate::domain::{fictional, template::Template};

fn template() -> Template {
    let shape = |first, second| serde_json::json!({ "first": first, "second": second });
    let text = serde_json::json!({
        "id": "IT-050/1", "pin": shape(2, 3), "puk": shape(2, 6),
        "tries": { "in_a_row": 5, "lifetime": 20 },
    });
    Template::thaw(&text.to_string()).unwrap()
}

fn written(key: &EcdsaKeyPair, count: u64) -> String {
    let template = template();
    let mut writer = Writer::begin("demo", "ab", 1).unwrap();
    for (n, card) in (1_u8..).zip(fictional::cards(3, count, &["050".parse().unwrap()])) {
        let card = ExportedCard {
            team: card.team_number,
            id: CardId::new([n; 16]),
            salt: [n; 32],
            template: template.id().clone(),
            pin: 1,
            puk: 2,
        };
        writer.card(&card, &template).unwrap();
    }
    writer.refused(9, "card_not_found").unwrap();
    let to_sign = digest::Digest::import_less_safe(&writer.to_sign(), &digest::SHA256).unwrap();
    let signature = key.sign_digest(&to_sign).unwrap();
    String::from_utf8(writer.finish(signature.as_ref().try_into().unwrap()).unwrap()).unwrap()
}

fn read(text: &str, key: &EcdsaKeyPair) -> Result<Vec<usize>, String> {
    let mut reader = Reader::new(text.as_bytes(), key.public_key().as_ref());
    let mut cards = Vec::new();
    while let Some(export) = reader.next_export().map_err(|e| e.to_string())? {
        assert_eq!((export.start.log.as_str(), export.refused.len()), ("demo", 1));
        for card in &export.cards {
            assert_eq!((card.generation(CodeName::Puk), card.generation(CodeName::Cip)), (Some(2), None));
        }
        cards.push(export.cards.len());
    }
    assert_eq!(reader.digest(), sha256(text.as_bytes()));
    Ok(cards)
}

#[test]
fn exports_follow_each_other_and_no_other_bytes_are_taken() {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let text = written(&key, 3);
    assert_eq!(read(&(text.clone() + &written(&key, 2)), &key), Ok(vec![3, 2]));
    assert_eq!(read("", &key), Ok(vec![]));
    let lines: Vec<&str> = text.lines().collect();
    let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat().join("\n") + "\n";
    let last = lines.len() - 1;
    for (what, text, key, reason) in [
        ("another key", text.clone(), &other, "line 7: the signature is not of this authority"),
        ("another salt", text.replacen("\"salt\":\"01", "\"salt\":\"02", 1), &key, "line 7: the signature"),
        ("another set", text.replacen("\"policy\":\"ab\"", "\"policy\":\"ac\"", 1), &key, "the signature"),
        ("a card less", without(3), &key, "line 6: the signature"),
        ("no template", without(1), &key, "line 2: the card's template is not given"),
        ("no end", without(last), &key, "line 7: the export breaks off"),
        ("no start", without(0), &key, "line 1: not the first line"),
        ("another start", text.replacen("v1", "v2", 1), &key, "line 1: another form"),
        ("two starts", text.clone() + lines[0] + "\n" + &text, &key, "line 9: a new export begins"),
        ("cut off", text[..text.len() - 2].to_owned(), &key, "line 7: cut off"),
        ("another line", text.replacen("\"pin\":1", "\"pan\":1", 1), &key, "not a line of a card export"),
        ("no generation", text.replacen("\"pin\":1", "\"pin\":0", 1), &key, "generations count from 1"),
        ("another count", text.replacen("\"cards\":3", "\"cards\":4", 1), &key, "another number of cards"),
    ] {
        let said = read(&text, key).unwrap_err();
        assert!(said.contains(reason), "{what}: {said}");
    }
}
