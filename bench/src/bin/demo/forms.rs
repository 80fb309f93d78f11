//! Modulistica and Guida Operativa: the front end reads a form and a page of the guide, and fills the form in itself.

use sigillo::api::texts::{Text, Texts};
use sigillo_bench::desk::Desk;

use crate::Teller;

/// Shows a form and a page.
pub(crate) async fn play(teller: &mut Teller, desk: &Desk) -> Result<(), String> {
    let read = async |path: &str| desk.get::<Text>(path).await.map_err(|e| e.to_string());
    let what = "The front end lists the forms, which are of the policy set";
    let forms: Texts =
        teller.step(what, async { desk.get("/v1/forms").await.map_err(|e| e.to_string()) }).await?;
    for form in &forms.texts {
        println!("    {:<34} {}", form.id, form.title);
    }
    let what = "One of them, with the fields that the front end fills in";
    let form = teller.step(what, read("/v1/forms/reader-request")).await?;
    let fields: Vec<_> = form.fields.iter().map(|field| field.name.as_str()).collect();
    println!("    version {}, {}: {}", form.version, form.language, fields.join(", "));
    let what = "And the page of the guide for the next step";
    let page = teller.step(what, read("/v1/guide/activation")).await?;
    let is_step = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    page.body.lines().filter(is_step).take(3).for_each(|line| println!("    | {line}"));
    Ok(())
}
