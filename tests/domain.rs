//! Properties of the domain: nothing read from outside panics, and what is written is what is read.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

use std::hint::black_box;

use proptest::prelude::*;
use sigillo::{
    domain::{
        card::{Activation, Card, Cip, Predecessor, Reason, Registration, State},
        date::CivilDate,
        derive::{self, Guess},
        encoding, fictional,
        id::CardId,
        tax_code::{BadTaxCode, TaxCode},
        team::{IdCarta, Region, TeamNumber},
        template::{CodeName, Part, RawTemplate, Template, TemplateId},
        tries::Tries,
    },
    secret::{Digits, Secret},
};

/// Valid tax codes of nobody.
fn tax_code() -> impl Strategy<Value = String> {
    any::<u64>().prop_map(|seed| {
        let region = "030".parse().unwrap();
        fictional::cards(seed, 1, &[region]).next().unwrap().tax_code.as_str().to_owned()
    })
}

/// Check letter of 15 characters, found by trying all: independent of how the code computes it.
fn completed(body: &str) -> Vec<String> {
    ('A'..='Z')
        .map(|letter| format!("{body}{letter}"))
        .filter(|code| code.parse::<TaxCode>().is_ok())
        .collect()
}

const DIGIT_POSITIONS: [usize; 7] = [6, 7, 9, 10, 12, 13, 14];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn parsers_never_panic(text in ".{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        black_box([
            text.parse::<TaxCode>().is_ok(),
            text.parse::<TeamNumber>().is_ok(),
            text.parse::<IdCarta>().is_ok(),
            text.parse::<Region>().is_ok(),
            text.parse::<CivilDate>().is_ok(),
            text.parse::<TemplateId>().is_ok(),
            text.parse::<CodeName>().is_ok(),
            text.parse::<Reason>().is_ok(),
            Template::thaw(&text).is_ok(),
            Card::decode(&bytes).is_some(),
            Tries::decode(&bytes).is_some(),
        ]);
    }

    #[test]
    fn parsers_never_panic_at_the_right_length(text in "[0-9A-Z]{16}|[A-Z]{6}[0-9L-V]{2}[A-T][0-9L-V]{2}[A-Z][0-9L-V]{3}[A-Z]|.{16}|[0-9]{11}") {
        if let Ok(code) = text.parse::<TaxCode>() {
            let base = code.without_omocodia();
            prop_assert_eq!(base.as_str().parse::<TaxCode>(), Ok(base.clone()));
            prop_assert_eq!(base.without_omocodia(), base);
        }
    }

    #[test]
    fn one_wrong_character_is_found(code in tax_code(), position in 0_usize..16, letter in "[0-9A-Z]") {
        let mut wrong = code.clone();
        wrong.replace_range(position..=position, &letter);
        prop_assume!(wrong != code);
        prop_assert!(wrong.parse::<TaxCode>().is_err());
    }

    #[test]
    fn every_omocode_parses(code in tax_code(), which in 0_u8..128) {
        let mut body = code[..15].to_owned();
        for (bit, position) in DIGIT_POSITIONS.into_iter().enumerate() {
            if which >> bit & 1 == 1 {
                let digit = usize::from(body.as_bytes()[position] - b'0');
                body.replace_range(position..=position, &"LMNPQRSTUV"[digit..=digit]);
            }
        }
        let codes = completed(&body);
        prop_assert_eq!(codes.len(), 1, "one check letter and no other");
        let omocode: TaxCode = codes[0].parse().unwrap();
        let base = omocode.without_omocodia();
        prop_assert_eq!(base.as_str(), &code);
        prop_assert_eq!(omocode.as_str() == code, which == 0);
    }

    #[test]
    fn one_wrong_digit_breaks_luhn(seed: u64, position in 7_usize..20, digit in "[0-9]") {
        let region = "042".parse().unwrap();
        let card = fictional::cards(seed, 1, &[region]).next().unwrap();
        let mut wrong = card.team_number.as_str().to_owned();
        wrong.replace_range(position..=position, &digit);
        let wrong: TeamNumber = wrong.parse().unwrap();
        prop_assert_eq!(wrong.luhn_holds(), wrong == card.team_number);
    }

    #[test]
    fn dates_come_back(year in 1_u16..=9999, month in 1_u8..=12, day in 1_u8..=28) {
        let date = CivilDate::new(year, month, day).unwrap();
        prop_assert_eq!(date.to_string().parse(), Ok(date));
        prop_assert_eq!(date.numbers(), (year, month, day));
    }

    #[test]
    fn italian_days_never_go_back(at in 820_454_400_000_u64..4_102_444_800_000, later in 0_u64..200_000_000) {
        let before = CivilDate::in_italy(at).unwrap();
        let after = CivilDate::in_italy(at + later).unwrap();
        prop_assert!(before <= after);
        prop_assert!(later < 90_000_000 || before < after, "no day has more than 25 hours");
    }

    #[test]
    fn encodings_differ(a in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..4),
                        b in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..4)) {
        let encode = |fields: &Vec<Vec<u8>>| {
            let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            encoding::domain("x", &fields).unwrap().expose().to_vec()
        };
        prop_assert_eq!(encode(&a) == encode(&b), a == b);
    }

    #[test]
    fn shorter_parts_begin_longer_ones(mac: [u8; 32], short in 0_u8..=36, long in 0_u8..=36) {
        let digits = |count| derive::digits(&Secret::new(mac), count).unwrap().expose().to_owned();
        prop_assert_eq!(digits(short).len(), usize::from(short));
        let (short, long) = (digits(short.min(long)), digits(short.max(long)));
        prop_assert!(long.starts_with(&short));
    }

    #[test]
    fn a_guess_is_its_two_parts(text in "[0-9]{0,64}", first: u8) {
        let digits = |text: &str| Digits::parse(text.to_owned()).unwrap();
        let (head, tail) = text.split_at(text.len().min(usize::from(first)));
        let (card, salt) = (CardId::new([1; 16]), [2; 32]);
        let [one, two] = derive::guess_messages(&Guess::from(&digits(&text)), first, &card, 3, &salt);
        for (message, part, half) in [(one, Part::First, head), (two, Part::Second, tail)] {
            let of_part = derive::tag_message(part, &card, 3, &salt, &digits(half));
            prop_assert_eq!(message.expose(), of_part.expose());
        }
        let joined = derive::join(&digits(head), &digits(tail)).unwrap();
        prop_assert_eq!(joined.expose(), text);
    }

    #[test]
    fn cards_come_back(card in card()) {
        let record = card.encode();
        prop_assert_eq!(record.len(), Card::SIZE);
        prop_assert_eq!(Card::decode(&record), Some(card));
    }

    #[test]
    fn a_changed_record_is_refused_or_reads_as_written(card in card(), offset in 0..Card::SIZE, byte: u8) {
        let mut record = card.encode();
        record[offset] = byte;
        if let Some(other) = Card::decode(&record) {
            prop_assert_eq!(other.encode(), record, "one card has one record");
        }
    }

    /// A verification reads a record in its own way: as the card that it is, and as none where what it reads is none.
    #[test]
    fn what_a_verification_reads_is_the_card(
        card in card(),
        offset in 0..Card::SIZE,
        byte: u8,
        removed in prop::option::of(prop::sample::select(&OPTIONAL[..])),
    ) {
        let record = card.encode();
        same_cip(&Cip::read(&record).unwrap(), &card);
        let mut changed = record.clone();
        let offset = if let Some((from, to)) = removed {
            changed[from..to].fill(0);
            from
        } else {
            changed[offset] = byte;
            offset
        };
        let read = Cip::read(&changed);
        match Card::decode(&changed) {
            Some(other) => same_cip(&read.unwrap(), &other),
            None if READ.iter().any(|(from, to)| (*from..*to).contains(&offset)) => {
                prop_assert!(!read.is_some_and(|cip| bool::from(cip.is_sound)));
            }
            None => {}
        }
        prop_assert!(Cip::read(&record[1..]).is_none());
        prop_assert!(Cip::read(&[record, vec![0]].concat()).is_none());
    }

    #[test]
    fn templates_come_back(template in template()) {
        prop_assert_eq!(Template::thaw(&template.freeze()), Ok(template));
    }
}

/// Where [`Cip`] judges what it reads: format, the times of activation and revocation, the C.I.P.'s generation, salt and tags.
const READ: [(usize, usize); 4] = [(0, 1), (115, 133), (134, 138), (146, Card::SIZE)];

/// Of these, fields that may be absent, all zero bytes then.
const OPTIONAL: [(usize, usize); 5] = [(115, 124), (124, 133), (146, 179), (179, 212), (212, Card::SIZE)];

fn same_cip(cip: &Cip, card: &Card) {
    let tags = [card.cip_first_tag(), card.cip_second_tag()];
    assert!(bool::from(cip.is_sound));
    assert_eq!(
        (cip.id, cip.template()),
        (card.registration().id, Some(card.registration().template.as_str()))
    );
    assert_eq!(
        (cip.salt, bool::from(cip.has_salt)),
        (*card.salt().unwrap_or(&[0; 32]), card.salt().is_some())
    );
    assert_eq!(cip.generation, card.generation(CodeName::Cip));
    assert_eq!(bool::from(cip.is_active), matches!(card.state(), State::Active { .. }));
    assert_eq!(cip.tags, tags.map(|tag| *tag.unwrap_or(&[0; 32])));
    assert_eq!(cip.has_tags.map(bool::from), tags.map(|tag| tag.is_some()));
}

/// Cards in every state of their life.
fn card() -> impl Strategy<Value = Card> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<[u8; 16]>(), any::<[u8; 16]>(), 0..3_u8);
    let rest = (1_u16..=9999, 1_u8..=12, "[0-9]{3}", "[A-Z0-9/-]{1,32}", any::<[u8; 32]>(), any::<u64>());
    let reason = prop::sample::select(&Reason::ALL[..]);
    let life = (0..8_u8, any::<[u8; 32]>(), any::<u64>(), reason, prop::sample::select(&Activation::ALL[..]));
    (ids, rest, life).prop_map(|((id, tax_code_mac, team_mac, former, link), rest, life)| {
        let (year, month, region, template, salt, registered_at_ms) = rest;
        let expiry = CivilDate::new(year, month, 17).unwrap();
        let registration = Registration {
            id: CardId::new(id),
            tax_code_mac,
            team_mac,
            expiry,
            region: region.parse().unwrap(),
            template: template.parse().unwrap(),
            predecessor: match link {
                0 => None,
                1 => Some(Predecessor::Renews(CardId::new(former))),
                _ => Some(Predecessor::Replaces(CardId::new(former))),
            },
            registered_at_ms,
        };
        let registered = Card::register(registration, salt);
        let (stage, tag, now, reason, how) = life;
        let active = registered.activate(how, now, expiry, Some(tag)).unwrap();
        match stage {
            0 => registered,
            1 => active,
            2 => registered.activate(how, now, expiry, None).unwrap(),
            3 => active.set_second_tag(1, salt).unwrap(),
            4 => active.renew_cip(expiry).and_then(|card| card.hand_out_cip(salt)).unwrap(),
            5 => registered.revoke(reason, now).unwrap(),
            6 => active.revoke(reason, now).unwrap(),
            _ => active.revoke(reason, now).unwrap().destroy_salt().unwrap(),
        }
    })
}

fn template() -> impl Strategy<Value = Template> {
    let two_digits = || prop::collection::btree_set("[0-9]{2}", 0..20);
    ("[A-Z0-9/-]{1,32}", two_digits(), two_digits(), 1_u32..=50, 50_u32..=100, any::<bool>()).prop_map(
        |(id, pin, cip, in_a_row, lifetime, has_cip)| {
            let mut value = serde_json::json!({
                "id": id,
                "pin": { "first": 2, "second": 3, "forbidden_first": pin },
                "puk": { "first": 2, "second": 6 },
                "tries": { "in_a_row": in_a_row, "lifetime": lifetime },
            });
            if has_cip {
                value["cip"] = serde_json::json!({ "first": 20, "second": 2, "forbidden_second": cip });
            }
            serde_json::from_value::<RawTemplate>(value).unwrap().try_into().unwrap()
        },
    )
}

#[test]
fn errors_of_tax_codes_say_where() {
    assert_eq!("RSSMRA70A01F205".parse::<TaxCode>(), Err(BadTaxCode::Length));
    let message = "RSSMRA70A01F2X5V".parse::<TaxCode>().unwrap_err().to_string();
    assert_eq!(message, "character 14 of the tax code must be a digit");
}
