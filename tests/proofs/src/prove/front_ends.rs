//! Front ends with certificates of their own, beside the one that a demonstration has.

use std::{fs, path::Path, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use sigillo::{
    clock::{Clock, SystemClock},
    pki::{Ca, Validity},
};
use sigillo_bench::desk::Desk;

use crate::{ground::Ground, storms::Storm};

/// Callers with the rights of the first.
const FRONT_ENDS: [&str; 3] = ["desk", "desk-2", "desk-3"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The part of `callers.toml` about the demonstration's front end.
fn block(callers: &str) -> Option<&str> {
    let from = callers.find("[[caller]]\nname = \"desk\"\n")?;
    let rest = callers.get(from..)?;
    rest.split("\n\n").next()
}

/// That part for another name and certificate.
fn another(block: &str, name: &str, fingerprint: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("name = ") {
            format!("name = \"{name}\"")
        } else if line.starts_with("certificate_sha256 = ") {
            format!("certificate_sha256 = \"{fingerprint}\"")
        } else {
            line.to_owned()
        }
    };
    block.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Makes their certificates and enters them. Before the authority's start.
///
/// # Errors
/// A sentence.
pub(crate) fn make(home: &Path) -> Result<(), String> {
    let told = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    let now = SystemClock::new().now_ms();
    let day = u64::try_from(DAY.as_millis()).unwrap_or(0);
    let validity = Validity { from_ms: now.saturating_sub(day), to_ms: now.saturating_add(day) };
    let ca = Ca::new("Proofs CA clients", validity).map_err(|e| e.to_string())?;
    let trusted = home.join("authority/tls/client-ca.pem");
    let text = fs::read_to_string(&trusted).map_err(|e| told(&trusted, e))?;
    fs::write(&trusted, text + &ca.pem()).map_err(|e| told(&trusted, e))?;
    let file = home.join("authority/policies/callers.toml");
    let mut callers = fs::read_to_string(&file).map_err(|e| told(&file, e))?;
    let first = block(&callers).ok_or("callers.toml has no caller \"desk\"")?.to_owned();
    for name in FRONT_ENDS.into_iter().skip(1) {
        let issued = ca.client(name, validity).map_err(|e| e.to_string())?;
        issued.write(&home.join("clients"), name).map_err(|e| e.to_string())?;
        let fingerprint = hex::encode(digest::digest(&digest::SHA256, issued.der()));
        callers = format!("{callers}\n{}\n", another(&first, name, &fingerprint));
    }
    fs::write(&file, callers).map_err(|e| told(&file, e))
}

/// The clients of a storm, with as many certificates in turn as it says. Each has a connection: what is sent leaves at once.
///
/// # Errors
/// A sentence.
pub(crate) async fn desks(ground: &Ground, storm: &Storm) -> Result<Vec<Arc<Desk>>, String> {
    let mut names = FRONT_ENDS.into_iter().take(storm.front_ends).cycle();
    let client = |protocols| {
        let name = names.next().ok_or("a storm without front ends")?;
        ground.front_end(name, protocols).map(Arc::new)
    };
    let desks: Vec<Arc<Desk>> = storm.clients.iter().copied().map(client).collect::<Result<_, String>>()?;
    for desk in &desks {
        desk.session().await.map_err(|e| e.to_string())?;
    }
    Ok(desks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_end_is_entered_with_the_rights_of_the_first() {
        let shipped = include_str!("../../../../policies/callers.toml");
        let first = block(shipped).unwrap();
        assert!(first.contains("\"verify\"") && first.contains("forwards_operators = true"), "{first}");
        assert_eq!(first.matches("[[caller]]").count(), 1);
        let second = another(first, "desk-2", "ab");
        assert!(second.contains("name = \"desk-2\"\ncertificate_sha256 = \"ab\"\nactions = ["), "{second}");
        assert_eq!(second.lines().skip(3).collect::<Vec<_>>(), first.lines().skip(3).collect::<Vec<_>>());
    }
}
