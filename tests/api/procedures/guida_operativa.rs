//! Guida Operativa: opens the operating guide, which has a page for each function.

use std::collections::BTreeMap;

use crate::fixture::Installation;

/// The functions of the menu, and how many steps each has.
const MENU: [(&str, &str, usize); 9] = [
    ("activation", "Attivazione", 10),
    ("forms", "Modulistica", 1),
    ("fse-consents", "Consensi FSE", 5),
    ("guide", "Guida Operativa", 1),
    ("history", "Storico", 4),
    ("reader-request", "Richiesta Lettore", 3),
    ("reports", "Reportistica", 1),
    ("reprint", "Ristampa PIN/PUK", 8),
    ("revocation", "Revoca", 7),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_has_a_page_for_each_function_with_its_steps() {
    let home = Installation::shared().await;
    let desk = home.api("desk");

    // Opens the operating guide.
    let list = desk.get("/v1/guide").await.ok();
    let titles: BTreeMap<&str, &str> = list["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|page| (page["id"].as_str().unwrap(), page["title"].as_str().unwrap()))
        .collect();
    assert_eq!(titles, MENU.iter().map(|(id, title, _)| (*id, *title)).collect());

    for (id, title, steps) in MENU {
        let page = desk.get(&format!("/v1/guide/{id}")).await.ok();
        let body = page["body"].as_str().unwrap();
        assert!(body.starts_with(&format!("# {title}\n")), "{body}");
        assert!(body.contains(&format!("scegliere **{title}** nel menu")), "{body}");
        let numbered: Vec<&str> =
            body.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
        assert_eq!(numbered.len(), steps, "{title}");
        for (line, number) in numbered.iter().zip(1..) {
            assert!(line.starts_with(&format!("{number}. ")), "{line}");
        }
        assert_eq!(page["fields"].as_array().unwrap().len(), 0);
    }
    let revocation = desk.get("/v1/guide/revocation").await.ok();
    assert!(revocation["body"].as_str().unwrap().contains("*verifica C.I.P.*"));
    desk.get("/v1/guide/suspension").await.problem(404, "text_not_found");
}
