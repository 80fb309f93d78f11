//! Nothing to steal: no part, no code, no MAC that a part comes from and no contact is anywhere in the store, in an
//! event or in what a type prints (I3, I10). Parts are of 20 digits here, so that none is anywhere by chance.

use aws_lc_rs::digest;
use sigillo::{
    domain::{
        derive,
        fictional::FictionalCard,
        template::{CodeName, Part},
    },
    hsm::{MacKey, Role},
    secret::Digits,
    service::DeliveryOutcome,
    store::Space,
};

use crate::{
    people::{ADDRESS, contact},
    post::{prepared, second_part},
    rules::SARDEGNA,
    world::{World, mac},
};

const SPACES: [Space; 17] = [
    Space::Card,
    Space::CardDelivery,
    Space::CfCard,
    Space::Checkpoint,
    Space::Cursor,
    Space::Delivery,
    Space::Due,
    Space::Event,
    Space::Idem,
    Space::Expiry,
    Space::Meta,
    Space::OpenRegistration,
    Space::OperatorCard,
    Space::TeamCard,
    Space::Template,
    Space::Tries,
    Space::Verification,
];

/// What must not be found, with a name for the failure.
#[derive(Default)]
struct Wanted(Vec<(String, String)>);

impl Wanted {
    /// Bytes, as they are and in every text that a program may make of them.
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let debug = format!("{bytes:?}");
        let list = debug.trim_matches(['[', ']']).replace(' ', "");
        for (form, text) in [
            ("raw", bytes.to_vec()),
            ("hexadecimal", hex::encode(bytes).into_bytes()),
            ("upper case", hex::encode_upper(bytes).into_bytes()),
            ("list", debug.trim_matches(['[', ']']).as_bytes().to_vec()),
            ("compact list", list.into_bytes()),
            // The first half is a secret too.
            ("raw half", bytes[..bytes.len() / 2].to_vec()),
            ("hexadecimal half", hex::encode(&bytes[..bytes.len() / 2]).into_bytes()),
        ] {
            self.0.push((format!("{name}, {form}"), characters(&text)));
        }
    }

    /// A text, and digests of it that nobody keyed.
    fn text(&mut self, name: &str, text: &str) {
        self.bytes(name, text.as_bytes());
        for algorithm in [&digest::SHA256, &digest::SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA512] {
            let name = format!("{name}, {algorithm:?}");
            self.bytes(&name, digest::digest(algorithm, text.as_bytes()).as_ref());
        }
    }

    /// The names of what is in `place`.
    fn found(&self, place: &[u8]) -> Vec<&str> {
        let place = characters(place);
        let hit = |(_, wanted): &&(String, String)| place.contains(wanted);
        self.0.iter().filter(hit).map(|(name, _)| name.as_str()).collect()
    }
}

/// Each byte as a character, so that a search of texts serves for bytes.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// All that the two tokens make for a card, and who holds it.
fn wanted(w: &World, card: &FictionalCard) -> Wanted {
    let mut wanted = Wanted::default();
    let record = w.card(card);
    let (id, salt) = (record.registration().id, record.salt().unwrap());
    let template = &record.registration().template;
    for code in CodeName::ALL {
        let mut whole = String::new();
        for (part, role, key) in
            [(Part::First, Role::Authority, MacKey::Print), (Part::Second, Role::Courier, MacKey::Deliver)]
        {
            let message = derive::part_message(part, code, &id, 1, salt, template, 0);
            let mac = mac(role, key, message.expose());
            let digits = derive::digits(&mac, 20).unwrap();
            wanted.bytes(&format!("MAC of {} part of {code}", part.text()), mac.expose());
            wanted.text(&format!("{} part of {code}", part.text()), digits.expose());
            whole += digits.expose();
        }
        wanted.text(&format!("whole {code}"), &whole);
    }
    wanted.text("C.F.", card.tax_code.as_str());
    wanted.text("TEAM number", card.team_number.as_str());
    wanted.text("contact", ADDRESS);
    wanted.text("name in the contact", ADDRESS.split_once('@').unwrap().0);
    wanted
}

/// One card through everything; what types print on the way.
async fn life(w: &World, number: usize) -> (FictionalCard, Vec<String>) {
    let key = |what: &str| format!("{what} {number}");
    let card = w.registered(SARDEGNA).await;
    let mut shown =
        vec![format!("{:?}", w.desk.look_up(&card).await), format!("{:?}", w.desk.preview(&card).await)];
    let paper = w.desk.activate(&card, &key("a")).await.unwrap();
    shown.push(format!("{paper:?} {:?}", w.desk.activate(&card, &key("a")).await));
    let lease = w.lease_one().await;
    shown.push(format!("{lease:?}"));
    let held = (lease.lease, lease.delivery);
    w.post.report(held, DeliveryOutcome::Retry("relay busy".into())).await.unwrap();
    w.advance_ms(3_600_000);
    let lease = w.lease_one().await;
    let held = (lease.lease, lease.delivery);
    w.post.report(held, prepared(&lease)).await.unwrap();
    let again = w.desk.reprint(&card, &key("p")).await.unwrap();
    shown.push(format!("{again:?} {:?}", w.desk.reprint(&card, &key("p")).await));
    let leases = w.deliver().await;
    shown.push(format!("{:?}", w.desk.delivery(leases[0].delivery).await));
    let second = second_part(&leases[0], CodeName::Cip).unwrap();
    let cip = format!("{}{}", crate::people::first(&paper, CodeName::Cip).unwrap(), second.expose());
    for (turn, code) in [cip.as_str(), second.expose(), &cip[1..], "1"].into_iter().enumerate() {
        let answer = w.desk.verify(&card, code, &key(&format!("v{turn}"))).await;
        shown.push(format!("{answer:?} {:?}", Digits::parse(code.to_owned())));
    }
    let accepted = w.desk.verify(&card, &cip, &key("w")).await.unwrap();
    if number == 1 {
        w.desk.revoke(&card, accepted.verification, &key("r")).await.unwrap();
    }
    shown.push(format!("{:?} {:?} {:?} {card:?}", contact(), w.card(&card), w.card(&card).registration()));
    (card, shown)
}

#[tokio::test]
async fn nothing_in_store_log_or_print_gives_a_code_away() {
    let w = World::new().await;
    let mut cards = Vec::new();
    for number in 0..3 {
        let (card, shown) = life(&w, number).await;
        cards.push((card, shown));
    }
    for (card, shown) in &mut cards {
        let last = w.desk.reprint(card, &format!("q {}", card.id_carta.as_str())).await;
        shown.push(format!("{last:?}"));
    }
    w.service.checkpoint().await.unwrap();
    // Queued, with a sealed contact in the record, as a thief may find it.
    let queued = w.all(Space::Delivery).iter().filter(|(_, v)| v.len() > 768).count();
    assert_eq!(queued, 2);

    for (card, shown) in &cards {
        let wanted = wanted(&w, card);
        for space in SPACES {
            for (key, value) in w.all(space) {
                let found = [wanted.found(&key), wanted.found(&value)].concat();
                assert!(found.is_empty(), "{space:?}: {found:?}");
            }
        }
        for text in shown {
            assert_eq!(wanted.found(text.as_bytes()), [""; 0], "{text}");
        }
        for unit in w.ledger.units() {
            let text = format!("{unit:?}");
            assert_eq!(wanted.found(text.as_bytes()), [""; 0], "{text}");
        }
    }
}

/// The search finds what is there: salts and tags, which give nothing away without the token.
#[tokio::test]
async fn the_search_finds_what_is_stored() {
    let w = World::new().await;
    let who = w.citizen(SARDEGNA).await;
    let record = w.card(&who.card);
    let mut wanted = Wanted::default();
    wanted.bytes("salt", record.salt().unwrap());
    wanted.bytes("tag", record.cip_second_tag().unwrap());
    let stored = record.encode();
    assert_eq!(wanted.found(&stored), ["salt, raw", "salt, raw half", "tag, raw", "tag, raw half"]);
    let digits = &who.cip;
    assert_eq!(digits.len(), 40);
    let mut wanted = Wanted::default();
    wanted.text("C.I.P.", digits);
    assert_eq!(wanted.found(format!("the C.I.P. is {digits}!").as_bytes()).len(), 2, "raw, and its half");
}
