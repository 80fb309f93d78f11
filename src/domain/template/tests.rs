//! Templates: what is taken, what is refused and how it is named, and that frozen ones come back.

use super::*;

fn raw() -> RawTemplate {
    let shape = |first, second| RawShape { first, second, forbidden_first: vec![], forbidden_second: vec![] };
    RawTemplate {
        id: "IT-042/1".into(),
        test_only: false,
        pin: shape(2, 3),
        puk: shape(2, 6),
        cip: Some(shape(4, 4)),
        tries: RawTries { in_a_row: 5, lifetime: 100 },
    }
}

fn valid(change: impl FnOnce(&mut RawTemplate)) -> Template {
    let mut raw = raw();
    change(&mut raw);
    raw.try_into().unwrap()
}

/// The message of the refusal after a change.
fn refused(change: impl FnOnce(&mut RawTemplate)) -> String {
    let mut raw = raw();
    change(&mut raw);
    Template::try_from(raw).unwrap_err().to_string()
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn shapes_are_as_written() {
    let template = valid(|raw| raw.pin.forbidden_first = strings(&["11", "00"]));
    let pin = template.shape(CodeName::Pin).unwrap();
    assert_eq!((pin.length(Part::First), pin.length(Part::Second), pin.total()), (2, 3, 5));
    assert_eq!(pin.forbidden(Part::First), ["00", "11"]);
    assert_eq!(pin.forbidden(Part::Second), [""; 0]);
    assert_eq!(template.shape(CodeName::Puk).unwrap().total(), 8);
    assert_eq!(template.shape(CodeName::Cip).unwrap().length(Part::Second), 4);
    assert_eq!(template.tries(), Limits { in_a_row: 5, lifetime: 100 });
    assert!(valid(|raw| raw.cip = None).shape(CodeName::Cip).is_none());
}

#[test]
fn refusals_name_the_field() {
    let cip = |raw: &mut RawTemplate| raw.cip.take().unwrap();
    assert_eq!(refused(|raw| raw.id = "it/1".into()), "id: must be 1 to 32 of A-Z, 0-9, - and /");
    assert_eq!(refused(|raw| raw.pin.second = 2), "pin: first and second together must be 5 to 8 digits");
    assert_eq!(refused(|raw| raw.pin.second = 7), "pin: first and second together must be 5 to 8 digits");
    assert_eq!(refused(|raw| raw.puk.first = 1), "puk: first and second together must be 8 to 8 digits");
    let short = |raw: &mut RawTemplate| raw.cip = Some(RawShape { first: 0, second: 3, ..cip(raw) });
    assert_eq!(refused(short), "cip: first and second together must be 4 to 40 digits");
    assert_eq!(refused(|raw| raw.puk.first = 21), "puk.first: must be 0 to 20 digits");
    assert_eq!(refused(|raw| raw.puk.second = 255), "puk.second: must be 0 to 20 digits");
    assert_eq!(refused(|raw| raw.tries.in_a_row = 0), "tries.in_a_row: must be 1 to 100");
    assert_eq!(refused(|raw| raw.tries.lifetime = 101), "tries.lifetime: must be 5 to 100");
    assert_eq!(refused(|raw| raw.tries.lifetime = 4), "tries.lifetime: must be 5 to 100");
    for bad in ["0", "000", "0x", "٣"] {
        let message = refused(|raw| raw.pin.forbidden_first = strings(&["11", bad]));
        assert_eq!(message, format!("pin.forbidden_first: \"{bad}\" is not a part of 2 digits"));
    }
    let twice = refused(|raw| raw.puk.forbidden_second = strings(&["123456", "000000", "123456"]));
    assert_eq!(twice, "puk.forbidden_second: \"123456\" is listed twice");
}

#[test]
fn half_of_the_values_stay_allowed() {
    let forbid = |count: u32| {
        move |raw: &mut RawTemplate| raw.pin.forbidden_first = (0..count).map(|n| format!("{n:02}")).collect()
    };
    valid(forbid(50));
    let message = refused(forbid(51));
    assert_eq!(message, "pin.forbidden_first: must leave at least half of the values, and list at most 1000");
    let long = |count: u32| {
        move |raw: &mut RawTemplate| {
            raw.puk.forbidden_second = (0..count).map(|n| format!("{n:06}")).collect()
        }
    };
    valid(long(1_000));
    refused(long(1_001));
    refused(|raw| {
        (raw.pin.first, raw.pin.second, raw.pin.forbidden_first) = (0, 5, strings(&[""]));
    });
}

#[test]
fn test_only_lifts_the_lengths_of_real_chips() {
    let lifted = valid(|raw| (raw.test_only, raw.pin.second, raw.puk.first) = (true, 20, 0));
    assert!(lifted.is_test_only());
    let message = refused(|raw| (raw.test_only, raw.pin.first, raw.pin.second) = (true, 0, 0));
    assert_eq!(message, "pin.second: first and second together must be 1 to 40 digits");
}

#[test]
fn frozen_templates_come_back() {
    for template in [
        valid(|_| {}),
        valid(|raw| raw.cip = None),
        valid(|raw| raw.test_only = true),
        valid(|raw| raw.pin.forbidden_second = strings(&["123", "000"])),
    ] {
        let text = template.freeze();
        assert_eq!(Template::thaw(&text).as_ref(), Ok(&template), "{text}");
        assert!(!text.contains(' '));
    }
    assert_eq!(Template::thaw("{}").unwrap_err().to_string(), "template: is not the JSON of a template");
    let unknown = valid(|_| {}).freeze().replacen("\"id\"", "\"note\":1,\"id\"", 1);
    assert_eq!(Template::thaw(&unknown).unwrap_err().why, Why::NotJson);
    assert_eq!(Template::thaw(&valid(|_| {}).freeze().replace("042", "04.")).unwrap_err().field, "id");
}

/// A record frozen by this version must be read, and its digest found again, by every later one.
#[test]
fn frozen_form_does_not_change() {
    let template = valid(|raw| raw.pin.forbidden_first = strings(&["00"]));
    let text = r#"{"id":"IT-042/1","test_only":false,"pin":{"first":2,"second":3,"forbidden_first":["00"]},"puk":{"first":2,"second":6},"cip":{"first":4,"second":4},"tries":{"in_a_row":5,"lifetime":100}}"#;
    assert_eq!(template.freeze(), text);
    assert_eq!(
        hex::encode(template.digest()),
        "1401364431d608930dd615f157d984a2de41b64bfd8391614ccb13b9a86f631c"
    );
}

#[test]
fn digest_tells_every_change() {
    let mut seen = std::collections::HashSet::new();
    for template in [
        valid(|_| {}),
        valid(|raw| raw.id = "IT-042/2".into()),
        valid(|raw| raw.test_only = true),
        valid(|raw| (raw.pin.first, raw.pin.second) = (3, 2)),
        valid(|raw| (raw.puk.first, raw.puk.second) = (3, 5)),
        valid(|raw| raw.cip = None),
        valid(|raw| raw.tries.in_a_row = 6),
        valid(|raw| raw.tries.lifetime = 99),
        valid(|raw| raw.pin.forbidden_first = strings(&["12"])),
        valid(|raw| raw.pin.forbidden_second = strings(&["123"])),
        valid(|raw| raw.puk.forbidden_first = strings(&["12"])),
    ] {
        assert!(seen.insert(template.digest()), "{template:?}");
    }
    let ordered = valid(|raw| raw.pin.forbidden_first = strings(&["12", "34"]));
    let other = valid(|raw| raw.pin.forbidden_first = strings(&["34", "12"]));
    assert_eq!(ordered.digest(), other.digest(), "order says nothing");
}

#[test]
fn chance_of_a_guess() {
    let close = |chance: f64, one_in: f64| (chance * one_in - 1.0).abs() < 1e-12;
    let template = valid(|raw| raw.pin.forbidden_second = strings(&["000", "123"]));
    let pin = template.shape(CodeName::Pin).unwrap();
    assert!(close(pin.guess_probability(Holder::Paper), 998.0));
    assert!(close(pin.guess_probability(Holder::Message), 100.0));
    assert!(close(pin.guess_probability(Holder::Neither), 99_800.0));
    let cip = template.shape(CodeName::Cip).unwrap();
    assert!(close(cip.guess_probability(Holder::Paper), 1e4));
    assert!(close(cip.guess_probability(Holder::Neither), 1e8));
    let sent = valid(|raw| (raw.pin.first, raw.pin.second) = (0, 5));
    let pin = sent.shape(CodeName::Pin).unwrap();
    assert!(close(pin.guess_probability(Holder::Message), 1.0), "the message holds it all");
}

#[test]
fn ids_and_names() {
    for good in ["IT/1", "IT-030/12", "A", &"9".repeat(32)] {
        assert_eq!(good.parse::<TemplateId>().unwrap().as_str(), good);
    }
    for bad in ["", "it/1", "IT 1", "IT_1", "È", &"9".repeat(33)] {
        assert_eq!(bad.parse::<TemplateId>(), Err(BadTemplateId));
    }
    for code in CodeName::ALL {
        assert_eq!(code.text().parse(), Ok(code));
    }
    assert_eq!("pin".parse::<CodeName>(), Err(BadCodeName));
}
