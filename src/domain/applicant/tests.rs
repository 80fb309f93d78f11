//! Rules, dossiers and texts of applicants.

use super::*;
use crate::{domain::team::Region, secret::SecretBytes};

fn day(text: &str) -> CivilDate {
    text.parse().unwrap()
}

fn today() -> CivilDate {
    day("2026-11-29")
}

/// Born on 1 January 1980.
const ADULT: &str = "RSSMRA80A01H501U";
const OTHER: &str = "CCCFBA85D03L219P";

/// The C.F. of somebody born on this day, in its form `YYMDD`.
fn born(date: &str) -> TaxCode {
    TaxCode::from_body(&format!("RSSMRA{date}H501")).unwrap()
}

fn identity_card() -> Document {
    Document {
        kind: "identity_card".into(),
        number: Personal::number("CA12345AB").unwrap(),
        issuer: Personal::issuer("Comune di Roma").unwrap(),
        issued_on: day("2020-01-01"),
        expires_on: Some(day("2026-11-29")),
    }
}

fn proxy(title: Title, tax_code: &TaxCode) -> Applicant {
    let proxy = Proxy {
        title,
        tax_code: tax_code.clone(),
        given_name: Personal::name("Anna Maria").unwrap(),
        family_name: Personal::name("D'Angelo-Però").unwrap(),
    };
    let document = Some(identity_card());
    Applicant { proxy: Some(proxy), document, declaration: true, holder_born_on: None }
}

fn in_person() -> Applicant {
    Applicant { document: Some(identity_card()), ..Applicant::holder() }
}

fn rules() -> Rules {
    let all = ErrandRules {
        proxies: Title::ALL.into(),
        document: true,
        no_parents_in: ["042".parse::<Region>().unwrap()].into(),
    };
    Rules {
        documents: ["identity_card".to_owned(), "pension_book".to_owned()].into(),
        documents_for_life: ["pension_book".to_owned()].into(),
        activation: all.clone(),
        cip_renewal: all.clone(),
        consents: ErrandRules { no_parents_in: [].into(), ..all.clone() },
        reprint: ErrandRules { proxies: [Title::Guardian].into(), document: false, ..all },
        revocation: ErrandRules { proxies: Title::ALL.into(), ..ErrandRules::default() },
    }
}

fn said(errand: Errand, applicant: &Applicant, holder: &TaxCode, region: &str) -> Vec<&'static str> {
    let found = rules().objections(errand, applicant, Some(holder), region.parse().unwrap(), today());
    found.into_iter().map(Objection::code).collect()
}

fn for_activation(applicant: &Applicant, holder: &TaxCode) -> Vec<&'static str> {
    said(Errand::Activation, applicant, holder, "120")
}

#[test]
fn who_comes_in_person_is_of_age_and_shows_a_valid_document() {
    let holder = ADULT.parse().unwrap();
    assert!(for_activation(&in_person(), &holder).is_empty());
    for (change, code) in [
        (Document { kind: "fishing_licence".into(), ..identity_card() }, "unknown_document_kind"),
        (Document { expires_on: Some(day("2026-11-28")), ..identity_card() }, "document_expired"),
        (Document { issued_on: day("2026-11-30"), ..identity_card() }, "document_issued_in_future"),
        (
            Document { expires_on: Some(day("2019-12-31")), ..identity_card() },
            "document_expires_before_issue",
        ),
        (Document { expires_on: None, ..identity_card() }, "document_expiry_missing"),
    ] {
        let applicant = Applicant { document: Some(change), ..in_person() };
        assert_eq!(for_activation(&applicant, &holder), [code]);
    }
    let for_life = Document { kind: "pension_book".into(), expires_on: None, ..identity_card() };
    assert!(for_activation(&Applicant { document: Some(for_life), ..in_person() }, &holder).is_empty());
    assert_eq!(for_activation(&Applicant::holder(), &holder), ["document_missing"]);
    assert!(said(Errand::Reprint, &Applicant::holder(), &holder, "120").is_empty());
}

#[test]
fn minors_act_by_a_parent_or_guardian() {
    let (child, adult) = (born("08T29"), born("08S29"));
    assert_eq!(for_activation(&in_person(), &child), ["holder_is_minor"]);
    assert!(for_activation(&in_person(), &adult).is_empty(), "eighteen today");
    let other = OTHER.parse().unwrap();
    for (title, of_child, of_adult) in [
        (Title::Curator, Some("minor_needs_parent_or_guardian"), None),
        (Title::Guardian, None, None),
        (Title::HealthImpediment, Some("minor_needs_parent_or_guardian"), None),
        (Title::ParentalAuthority, None, Some("parent_of_adult")),
    ] {
        let applicant = proxy(title, &other);
        assert_eq!(for_activation(&applicant, &child), Vec::from_iter(of_child), "{title:?}");
        assert_eq!(for_activation(&applicant, &adult), Vec::from_iter(of_adult), "{title:?}");
        assert!(
            for_activation(&applicant, &"12345678903".parse().unwrap()).is_empty(),
            "no age in the number"
        );
    }
    let parent = proxy(Title::ParentalAuthority, &other);
    assert_eq!(said(Errand::Activation, &parent, &child, "042"), ["parents_not_allowed_in_region"]);
    assert!(said(Errand::Consents, &parent, &child, "042").is_empty());
    assert!(said(Errand::Activation, &proxy(Title::Guardian, &other), &child, "042").is_empty());
}

#[test]
fn a_hundred_years_are_said_in_full() {
    let holder = born("16A01");
    assert_eq!(for_activation(&in_person(), &holder), ["holder_is_minor"], "the younger of two");
    let at = |text| Applicant { holder_born_on: Some(day(text)), ..in_person() };
    assert!(for_activation(&at("1916-01-01"), &holder).is_empty());
    for other in ["1916-01-02", "1915-01-01", "2116-01-01", "1816-01-01"] {
        assert_eq!(for_activation(&at(other), &holder), ["birth_date_differs"], "{other}");
    }
    assert_eq!(for_activation(&at("2016-01-01"), &holder), ["holder_is_minor"]);
}

#[test]
fn a_proxy_is_somebody_else_of_age_with_a_title_and_a_declaration() {
    let (holder, other): (TaxCode, TaxCode) = (ADULT.parse().unwrap(), OTHER.parse().unwrap());
    let guardian = |who: &TaxCode| proxy(Title::Guardian, who);
    assert!(for_activation(&guardian(&other), &holder).is_empty());
    assert_eq!(for_activation(&guardian(&holder), &holder), ["proxy_is_holder"]);
    assert_eq!(for_activation(&guardian(&born("08T29")), &holder), ["proxy_is_minor"]);
    let undeclared = Applicant { declaration: false, ..guardian(&other) };
    assert_eq!(for_activation(&undeclared, &holder), ["declaration_missing"]);
    let curator = proxy(Title::Curator, &other);
    assert_eq!(said(Errand::Reprint, &curator, &holder, "120"), ["proxy_title_not_allowed"]);
    // The gravest comes first, and a revocation does not know the holder.
    let both = Applicant { declaration: false, document: None, ..guardian(&holder) };
    let all = ["proxy_is_holder", "declaration_missing", "document_missing"];
    assert_eq!(for_activation(&both, &holder), all);
    let parent = proxy(Title::ParentalAuthority, &holder);
    assert!(
        rules().objections(Errand::Revocation, &parent, None, "120".parse().unwrap(), today()).is_empty()
    );
}

#[test]
fn texts_of_people_and_documents() {
    for good in ["Anna", "Anna Maria", "D'Angelo", "Però-Šimić", "de l’Aquila", "S. Ambrogio"] {
        assert!(Personal::name(good).is_ok(), "{good}");
    }
    for bad in ["", " Anna", "Anna ", "An  na", "Anna3", "An\"na", "An\\na", "An\nna", "<b>", &"à".repeat(41)]
    {
        assert!(Personal::name(bad).is_err(), "{bad:?}");
    }
    assert!(Personal::number("CA 12345-AB/1.2").is_ok());
    for bad in ["", "N°1", "a b ", &"1".repeat(33)] {
        assert!(Personal::number(bad).is_err(), "{bad:?}");
    }
    assert!(Personal::issuer("Prefettura (UTG) di Roma, uff. 3/B").is_ok());
    assert!(Personal::issuer("a;b").is_err());
    let shown = format!("{:?} {:?}", Personal::name("Anna").unwrap(), proxy(Title::Guardian, &born("80A01")));
    assert_eq!(shown, "Personal(…) Applicant(proxy:guardian)");
}

#[test]
fn roles_and_titles_have_texts_of_their_own() {
    for title in Title::ALL {
        assert_eq!(title.text().parse(), Ok(title));
        assert_eq!(Role::of(Role::Proxy(title).text()), Some(Role::Proxy(title)));
        assert_eq!(Role::Proxy(title).text(), format!("proxy:{}", title.text()));
    }
    assert_eq!((Role::of("holder"), Role::of("proxy:")), (Some(Role::Holder), None));
    assert_eq!("Guardian".parse::<Title>(), Err(BadTitle));
}

#[test]
fn a_dossier_is_of_one_size_and_reads_as_written() {
    let longest = Applicant {
        proxy: Some(Proxy {
            title: Title::ParentalAuthority,
            tax_code: OTHER.parse().unwrap(),
            given_name: Personal::name(&"à".repeat(40)).unwrap(),
            family_name: Personal::name(&"b".repeat(80)).unwrap(),
        }),
        document: Some(Document {
            kind: "k".repeat(40),
            number: Personal::number(&"1".repeat(32)).unwrap(),
            issuer: Personal::issuer(&"'".repeat(80)).unwrap(),
            ..identity_card()
        }),
        declaration: true,
        holder_born_on: None,
    };
    for applicant in [longest, Applicant::holder(), in_person(), proxy(Title::Curator, &born("80A01"))] {
        let dossier = applicant.dossier().unwrap();
        assert_eq!(dossier.expose().len(), DOSSIER_SIZE);
        let read = Applicant::of_dossier(&dossier).unwrap();
        assert_eq!(read.role(), applicant.role());
        assert_eq!(read.document_kind(), applicant.document_kind());
        assert_eq!(read.dossier().unwrap().expose(), dossier.expose());
    }
    let damaged = |from: &str, to: &str| {
        let text =
            String::from_utf8(proxy(Title::Curator, &born("80A01")).dossier().unwrap().expose().to_vec());
        let text = text.unwrap();
        assert!(text.contains(from));
        Applicant::of_dossier(&SecretBytes::new(text.replace(from, to).into_bytes()))
    };
    for (from, to) in
        [("curator", "uncle"), ("2020-01-01", "2020-13-01"), (":1,", ":2,"), ("Anna Maria", "A1")]
    {
        assert!(damaged(from, to).is_none(), "{from}");
    }
}
