//! Whether an authority answers at an address, before a try of a card is spent there.

use sigillo_bench::desk::{Desk, Refused};

/// Looks whether there is an authority at all, before anything is spent.
pub(super) async fn is_there(desk: &Desk, url: &str) -> Result<(), String> {
    match desk.session().await {
        Err(Refused::Broken(why)) => Err(unreachable(url, &why)),
        Ok(_) | Err(Refused::Problem(_)) => Ok(()),
    }
}

/// Why nobody answers there as an authority does.
fn unreachable(url: &str, why: &str) -> String {
    let hint = if why.contains("cannot connect") { "; is it the API's port, and does it run?" } else { "" };
    format!("{url}: {why}{hint}")
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, net::TcpListener};

    use sigillo::{
        clock::{Clock as _, SystemClock},
        pki::{Ca, Validity},
        tls::Protocols::Any,
    };

    use super::*;

    #[test]
    fn who_asks_at_another_port_is_told_so() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let files = tempfile::tempdir().unwrap();
        // What answers here is no TLS.
        let plain = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", plain.local_addr().unwrap());
        std::thread::spawn(move || {
            while let Ok((mut line, _)) = plain.accept() {
                let _written = line.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        });
        let now = SystemClock::new().now_ms();
        let validity = Validity { from_ms: now, to_ms: now + 86_400_000 };
        let ca = Ca::new("test", validity).unwrap();
        ca.client("desk", validity).unwrap().write(files.path(), "desk").unwrap();
        ca.client("operator", validity).unwrap().write(files.path(), "operator").unwrap();
        fs::write(files.path().join("ca.pem"), ca.pem()).unwrap();
        let desk = Desk::new(files.path(), ("desk", "operator"), &url, Any).unwrap();
        let why = runtime.block_on(is_there(&desk, &url)).unwrap_err();
        assert!(why.contains(&url) && why.contains("is it the API's port"), "{why}");
    }
}
