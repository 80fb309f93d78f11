//! Who asks at the counter, what still lacks before "conferma", and what is printed.

use serde_json::{Value, json};
use sigillo::api::{codes::Preview, paper::Paper};
use sigillo_bench::desk::Desk;

use crate::{
    Teller,
    journey::{expect, post, refused},
};

fn document() -> Value {
    json!({
        "kind": "identity_card", "number": "CA12345AB", "issuer": "Comune di Roma",
        "issued_on": "2020-01-01", "expires_on": "2099-12-31",
    })
}

/// The holder in person.
pub(crate) fn holder() -> Value {
    json!({ "is": "holder", "document": document() })
}

/// A guardian who is nobody.
pub(crate) fn guardian() -> Value {
    json!({
        "is": "proxy",
        "proxy": {
            "title": "guardian", "tax_code": "CCCFBA85D03L219P", "given_name": "Fictional", "family_name": "Guardian",
        },
        "document": document(),
        "declaration": true,
    })
}

/// Shows the summary of an activation without the data processing ticked, which lacks then and is refused.
pub(crate) async fn summary(teller: &mut Teller, desk: &Desk, activation: &Value) -> Result<(), String> {
    let mut preview = activation.clone();
    if let Some(map) = preview.as_object_mut() {
        map.insert("preview".into(), true.into());
    }
    let what = "The operator sees a summary before confirming; nothing is done yet";
    let summary: Preview = teller.step(what, post(desk, "/v1/activations", "summary", &preview)).await?;
    for (code, split) in &summary.codes {
        println!("    {code}: {} digits on paper, {} by {}", split.first, split.second, summary.channel);
    }
    println!(
        "    asked by {}, to {}; lacks: {}",
        summary.applicant.is,
        summary.contact,
        summary.lacks.join(", ")
    );
    let what = "What lacks is refused by name when it is confirmed all the same";
    let said = teller.step(what, refused(desk, "/v1/activations", "unticked", activation)).await?;
    expect("data_processing_missing", &said)
}

/// Prints the rest of a paper.
pub(crate) fn print(paper: &Paper) {
    for line in [
        format!("{}, {}", paper.operation, paper.at),
        format!("{}, asked by {}", paper.office, paper.applicant),
        format!("card ...{}, until {}", paper.number_ends, paper.expires_on),
        format!("texts: {}", paper.texts.join(", ")),
    ] {
        println!("    |  {line:<57}|");
    }
}
