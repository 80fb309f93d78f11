//! Security officers change what operators may do, an operator is refused, and `policy explain` says by which rule.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use sigillo::api::{cards::NewCard, problem::ProblemDocument};
use sigillo_bench::{
    desk::{Desk, Refused},
    installation::{API, run},
};

use crate::Teller;

/// Name of the rule, and the region it is about.
const RULE: &str = "no_cards_of_trento";
const REGION: &str = "042";

/// Puts a set with one more rule in force and has the operator run into it.
pub(crate) async fn play(
    teller: &mut Teller,
    desk: &Desk,
    card: &NewCard,
    directory: &Path,
    sigillo: &Path,
) -> Result<(), String> {
    println!("\nThe security officers stop the work on cards of Trento.\n");
    let next = directory.join("next");
    let what = "A copy of the policy set gets one more rule; it is checked, signed by two officers, and comes into force";
    let said = teller.step(what, async { bring_into_force(directory, &next, sigillo) }).await?;
    println!("    {said}");

    let data = json!({
        "tax_code": card.tax_code, "team_number": card.team_number, "expires_on": card.expires_on,
    });
    let what = "The operator looks up a card of Trento and is refused";
    let problem = teller.step(what, refused(desk, &data)).await?;
    let detail = problem.detail.unwrap_or_default();
    println!("    {} {}: {detail}", problem.status, problem.code);
    if (problem.code.as_str(), detail.as_str()) != ("not_allowed_on_card", RULE) {
        return Err(format!("refused by {} {detail}, not by the rule", problem.code));
    }

    let what = "Why? `sigillo policy explain` names the rule, by the same function that decided";
    let said = teller.step(what, async { explain(&next, sigillo) }).await?;
    said.lines().for_each(|line| println!("    {line}"));
    if !said.starts_with(&format!("not allowed: forbidden by {RULE}\n{RULE}, rules/operators.cedar line ")) {
        return Err("the rule is not named".into());
    }
    Ok(())
}

fn bring_into_force(directory: &Path, next: &Path, sigillo: &Path) -> Result<String, String> {
    let told = |e: std::io::Error| e.to_string();
    copy(&directory.join("authority/policies"), next).map_err(told)?;
    let parameters = next.join("authority.toml");
    let text = fs::read_to_string(&parameters).map_err(told)?;
    fs::write(&parameters, text.replacen("\nsequence = 1\n", "\nsequence = 2\n", 1)).map_err(told)?;
    let rules = next.join("rules/operators.cedar");
    let text = fs::read_to_string(&rules).map_err(told)?;
    let rule = format!(
        "\n@id(\"{RULE}\")\nforbid (\n  principal,\n  action in [Action::\"activate\", Action::\"look_up\"],\n  resource\n)\n\
         when {{ resource.region == Region::\"{REGION}\" }};\n"
    );
    fs::write(&rules, text + &rule).map_err(told)?;
    run(Command::new(sigillo).args(["policy", "check"]).arg(next))?;
    for officer in ["officer-1", "officer-2"] {
        let file = |kind: &str| directory.join(format!("officers/{officer}.{kind}"));
        let mut sign = Command::new(sigillo);
        sign.args(["policy", "sign"]).arg(next).arg("--cert").arg(file("pem")).arg("--key").arg(file("key"));
        run(&mut sign)?;
    }
    let clients = directory.join("clients");
    let mut activate = Command::new(sigillo);
    activate
        .args(["policy", "activate"])
        .arg(next)
        .arg("--config")
        .arg(directory.join("authority/serve.toml"));
    activate.args(["--url", &format!("https://{API}"), "--ca"]).arg(clients.join("ca.pem"));
    activate.arg("--cert").arg(clients.join("policy.pem")).arg("--key").arg(clients.join("policy.key"));
    run(&mut activate)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let place = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &place)?;
        } else {
            fs::copy(&path, &place)?;
        }
    }
    Ok(())
}

async fn refused(desk: &Desk, data: &Value) -> Result<ProblemDocument, String> {
    match desk.post::<_, Value>("/v1/cards/lookup", "trento", data).await {
        Err(Refused::Problem(problem)) => Ok(problem),
        Err(Refused::Broken(why)) => Err(why),
        Ok(_) => Err("it was not refused".into()),
    }
}

/// It ends with 1, for what is not allowed.
fn explain(set: &Path, sigillo: &Path) -> Result<String, String> {
    let mut command = Command::new(sigillo);
    command.args(["policy", "explain"]).arg(set);
    command.args(["--operator", "RSSMRA80A01H501U", "--action", "look_up", "--front-end", "desk"]);
    command.args(["--card-region", REGION, "--card-state", "registered"]);
    let done = command.output().map_err(|e| e.to_string())?;
    match done.status.code() {
        Some(1) => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        _ => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}
