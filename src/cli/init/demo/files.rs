//! The demonstration's files, from the ones that are shipped.

use std::{net::SocketAddr, path::Path};

use crate::{cli::Failure, sandbox::process::may_lock_memory};

macro_rules! shipped {
    ($directory:literal, $($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../../policies/", $directory, $name)))),*]
    };
}

/// The policy set but for the callers.
pub(super) const POLICIES: [(&str, &str); 9] = shipped!("",
    "authority.toml" "consents.toml" "rules/expected.toml" "rules/operators.cedar" "rules/schema.cedarschema" "templates/default.toml" "templates/lombardia.toml" "templates/piemonte.toml"
    "templates/trento.toml");

/// The courier's texts.
pub(super) const MESSAGES: [(&str, &str); 8] = shipped!("courier/messages/",
    "activation.sms.txt" "activation.txt" "notice.sms.txt" "notice.txt" "renewal.sms.txt" "renewal.txt" "reprint.sms.txt" "reprint.txt");

const COURIER_POLICY: &str = include_str!("../../../../policies/courier/policy.toml");

/// The courier's shipped policy, with the code templates beside it: the courier reads no file of the authority's.
pub(super) fn courier_policy() -> String {
    COURIER_POLICY.replace("templates = \"../templates\"", "templates = \"templates\"")
}

const KANNEL: &str = include_str!("../../../../policies/courier/kannel.conf.example");

const CALLERS: &str = include_str!("../../../../policies/callers.toml");

/// The shipped callers with the certificates of this demonstration.
pub(super) fn callers(certificates: &[(&str, String)]) -> Result<String, Failure> {
    let mut text = CALLERS.to_owned();
    for (name, fingerprint) in certificates {
        let (before, after) = text
            .split_once(&format!("name = \"{name}\"\ncertificate_sha256 = \""))
            .ok_or_else(|| Failure::failed(format!("policies/callers.toml has no caller \"{name}\"")))?;
        let (_, rest) = after
            .split_once('"')
            .ok_or_else(|| Failure::failed(format!("policies/callers.toml: caller \"{name}\" is cut off")))?;
        text = format!("{before}name = \"{name}\"\ncertificate_sha256 = \"{fingerprint}\"{rest}");
    }
    Ok(text)
}

/// The operators' cards: name of their files, and subject, which is nobody's.
pub(super) const OPERATORS_CARDS: [(&str, &str); 2] = [
    ("operator", "RSSMRA80A01H501U/6090000000000013.c2lnaWxsbyBkZW1vIGNhcmQgMDE="),
    ("supervisor", "VRDLGU70D55F205P/6090000000000021.c2lnaWxsbyBkZW1vIGNhcmQgMDI="),
];

/// The end of the name on a citizen's card, behind C.F. and ID_Carta.
pub(super) const CITIZENS_CARD: &str = "c2lnaWxsbyBkZW1vIGNhcmQgMDM=";

const TRUST: &str = include_str!("../../../../policies/trust.toml");

/// The shipped rules with the authority of the demonstration's cards. Nobody publishes its list anew every week.
pub(super) fn trust(certificate: &str) -> Result<String, Failure> {
    let (rules, _) = TRUST
        .split_once("\n# One table per authority")
        .ok_or_else(|| Failure::failed("policies/trust.toml has another form"))?;
    let rules = rules.replace("crl_max_age_h = 168 ", "crl_max_age_h = 2160");
    let ca = format!("name = \"demo\"\ncertificate = \"\"\"\n{certificate}\"\"\"\ncrls = [\"demo.crl\"]\n");
    Ok(format!("{rules}\n[[ca]]\n{ca}"))
}

const OPERATORS: &str = include_str!("../../../../policies/operators.toml");

/// The shipped offices with one that works for every region, and two fictional operators there: one at the counter, and one
/// who approves.
pub(super) fn operators(regions: &[String]) -> String {
    let regions = regions.join("\", \"");
    format!(
        "{OPERATORS}
[[office]]
name = \"demo-office\"
regions = [\"{regions}\"]

[[operator]]
tax_code = \"RSSMRA80A01H501U\"
office = \"demo-office\"
roles = [\"counter_operator\"]
valid_from = \"2020-01-01\"
valid_to = \"2099-12-31\"

[[operator]]
tax_code = \"VRDLGU70D55F205P\"
office = \"demo-office\"
roles = [\"supervisor\"]
valid_from = \"2020-01-01\"
valid_to = \"2099-12-31\"
"
    )
}

/// Three officers, of whom two must sign.
pub(super) fn officers(certificates: &[String]) -> String {
    let mut text = "needed = 2\n".to_owned();
    for (n, certificate) in (1..).zip(certificates) {
        let table =
            format!("\n[[officer]]\nname = \"officer-{n}\"\ncertificate = \"\"\"\n{certificate}\"\"\"\n");
        text.push_str(&table);
    }
    text
}

/// `serve.toml`; hsm-config/serve.toml.example explains the keys.
pub(super) fn serve(listen: SocketAddr, direct: SocketAddr, internal: SocketAddr) -> String {
    format!(
        r#"log = "demo"
listen = "{listen}"
policies = "policies"
unsigned_policies = true
hsm = "hsm.toml"
contact_key = "../courier/public/contact.pub.pem"

[direct]
listen = "{direct}"

[store]
directory = "store"

[tls]
certificate = "tls/server.pem"
key = "tls/server.key"
client_ca = "tls/client-ca.pem"

[operators]
crls = "crls"

[internal]
listen = "{internal}"
{}"#,
        process()
    )
}

/// Memory is locked where this user may lock it; a demonstration runs without.
fn process() -> &'static str {
    if may_lock_memory() {
        ""
    } else {
        "\n[process]\nlock_memory = false # this user may not lock memory (ulimit -l); nothing here is worth stealing\n"
    }
}

/// `courier.toml`; policies/courier/courier.toml.example explains the keys.
pub(super) fn courier(
    authority: SocketAddr,
    smtp: SocketAddr,
    sms: SocketAddr,
    receipts: SocketAddr,
) -> String {
    let (host, port) = (smtp.ip(), smtp.port());
    format!(
        r#"hsm = "hsm.toml"
messages = "messages"
policy = "policy.toml"
poll_ms = 200

[state]
directory = "state"

[authority]
url = "https://{authority}"
server_ca = "tls/ca.pem"
certificate = "tls/courier.pem"
key = "tls/courier.key"
audit_key = "authority-audit.pub.pem"

[smtp]
host = "{host}"
port = {port}
user = "sigillo"
password_file = "smtp.password"
ca_file = "tls/relay-ca.pem"
from = "Tessera sanitaria <non-rispondere@example.it>"

[sms]
url = "http://{sms}"
user = "sigillo"
password_file = "sms.password"
sender = "TS-CNS"

[sms.receipts]
listen = "{receipts}"
key_file = "sms-receipts.key"
{}"#,
        process()
    )
}

/// The shipped `kannel.conf` with this demonstration's directory, port and passwords.
pub(super) fn kannel(
    logs: &Path,
    sms: SocketAddr,
    password: &str,
    admin_password: &str,
) -> Result<String, Failure> {
    let mut text = KANNEL.to_owned();
    for (from, to) in [
        ("/var/log/kannel", logs.display().to_string()),
        ("sendsms-port = 13013", format!("sendsms-port = {}", sms.port())),
        ("REPLACE-SENDSMS", password.to_owned()),
        ("REPLACE-ADMIN", admin_password.to_owned()),
        ("http-queue-delay = 10", "http-queue-delay = 1".to_owned()),
    ] {
        if !text.contains(from) {
            return Err(Failure::failed(format!("policies/courier/kannel.conf.example has no {from}")));
        }
        text = text.replace(from, &to);
    }
    Ok(text)
}

/// A token's configuration; hsm-config/ explains the keys.
pub(super) fn hsm(role: &str, module: &Path) -> String {
    let module = module.display();
    format!(
        r#"role = "{role}"
module = "{module}"

[token]
label = "demo-{role}"

[pin]
file = "pin"

[so_pin]
file = "so-pin"

[environment]
SOFTHSM2_CONF = "softhsm2.conf"
"#
    )
}

/// SoftHSM's own configuration.
pub(super) fn softhsm(tokens: &Path) -> String {
    format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display())
}
