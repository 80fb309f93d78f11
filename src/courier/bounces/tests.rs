//! What counts as a bounce, and what hostile mail does not.

use std::fs;

use super::*;

const DELIVERY: DeliveryId = DeliveryId::new([1; 16]);
const LEASE: LeaseId = LeaseId::new([2; 16]);

fn envelope(key: u8) -> Arc<Envelope> {
    Arc::new(Envelope::new("rimbalzi@esempio.it".parse().unwrap(), &[key; 32]).unwrap())
}

/// A notification in the form of RFC 3464, for a message of this name.
fn dsn(name: &str, recipient: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.esempio.it\r\n\
         To: rimbalzi@esempio.it\r\n\
         Subject: Undelivered Mail Returned to Sender\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\
         \r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nI'm sorry.\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.esempio.it\r\nOriginal-Envelope-Id: {name}\r\n\r\n\
         Final-Recipient: rfc822; ignoto@esempio.it\r\n{recipient}\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n\
         --b--\r\n"
    )
}

fn read(envelope: &Arc<Envelope>, mails: &[&[u8]]) -> Vec<Option<Bounce>> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("new")).unwrap();
    for (mail, n) in mails.iter().zip(1..) {
        fs::write(dir.path().join(format!("new/{n:03}")), mail).unwrap();
    }
    let mut found = Bounces::new(dir.path(), Arc::clone(envelope)).read();
    found.sort_by(|(one, _), (two, _)| one.cmp(two));
    found.into_iter().map(|(_, bounce)| bounce).collect()
}

#[test]
fn a_name_fits_an_envelope_and_tells_nothing() {
    let (one, two) = (envelope(1).name(DELIVERY, LEASE).unwrap(), envelope(1).name(DELIVERY, LEASE).unwrap());
    assert_eq!((one.len(), one.len()), (MARK.len() + SLIP, 88));
    assert_ne!(one, two);
    assert!(one.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{one}");
    assert_eq!(envelope(1).find(format!("a sigillo.b {one} c").as_bytes()), Some((DELIVERY, LEASE)));
    assert_eq!(envelope(2).find(one.as_bytes()), None);
}

#[test]
fn failures_are_told_by_their_numbers_and_nothing_else() {
    let envelope = envelope(1);
    let name = envelope.name(DELIVERY, LEASE).unwrap();
    let said = |recipient: &str| report::failure(dsn(&name, recipient).as_bytes());
    let bounced = |why: &str| Some(format!("relay: bounced{why}"));
    for (recipient, meaning) in [
        (
            "Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 <ignoto@esempio.it>",
            bounced(": 5.1.1"),
        ),
        ("action: FAILED (for good)\r\nStatus: 5.1.1", None),
        ("action: FAILED\r\nstatus: 4.4.7 (expired)", bounced(": 4.4.7")),
        ("Action: failed\r\nStatus: 5.1.ignoto@esempio.it", bounced("")),
        ("Action: failed\r\nStatus: 5.1.10000", bounced("")),
        ("Action: failed\r\nStatus: 2.0.0", bounced("")),
        ("Action: failed", bounced("")),
        ("Action: delayed\r\nStatus: 4.4.1", None),
        ("Action: delivered\r\nStatus: 2.0.0", None),
        ("Status: 5.1.1", None),
        (
            "Action: relayed\r\n\r\nFinal-Recipient: rfc822; x@y\r\nAction: failed\r\nStatus: 5.2.2",
            bounced(": 5.2.2"),
        ),
    ] {
        assert_eq!(said(recipient), meaning, "{recipient}");
    }
    // As written by servers that end lines as they like.
    let unix = dsn(&name, "Action: failed\r\nStatus: 5.2.1").replace("\r\n", "\n");
    assert_eq!(report::failure(unix.as_bytes()), bounced(": 5.2.1"));
}

#[test]
fn mail_without_a_slip_of_ours_is_not_looked_at() {
    let envelope = envelope(1);
    let failed = "Action: failed\r\nStatus: 5.1.1";
    let name = envelope.name(DELIVERY, LEASE).unwrap();
    let (mut changed, cut) = (name.clone().into_bytes(), &name[..name.len() - 1]);
    let last = changed.last_mut().unwrap();
    *last = if *last == b'A' { b'Q' } else { b'A' };
    let forged = format!("{MARK}{}", "A".repeat(SLIP));
    let other = self::envelope(2).name(DELIVERY, LEASE).unwrap();
    for name in [&forged, &other, cut, std::str::from_utf8(&changed).unwrap(), "", MARK] {
        assert_eq!(read(&envelope, &[dsn(name, failed).as_bytes()]), [None], "{name}");
    }
    let ours = dsn(&name, failed);
    // In the headers that came back, where no server in between knew of envelopes' names.
    let in_header = dsn("", failed).replace("Subject: x\r\n", &format!("X-Delivery-Slip: {name}\r\n"));
    let bounce = Some(((DELIVERY, LEASE), Some("relay: bounced: 5.1.1".to_owned())));
    assert_eq!(read(&envelope, &[ours.as_bytes(), in_header.as_bytes()]), [bounce.clone(), bounce]);
}

#[test]
fn hostile_mail_is_read_to_no_effect() {
    let envelope = envelope(1);
    let name = envelope.name(DELIVERY, LEASE).unwrap();
    let whole = dsn(&name, "Action: failed\r\nStatus: 5.1.1");
    let huge = [whole.as_bytes(), &vec![b'x'; usize::try_from(MAX_BOUNCE).unwrap()]].concat();
    assert_eq!(read(&envelope, &[&huge]), [None]);
    // Nested to no end, with a slip that is genuine: whoever got a message can do that.
    let mut nested = format!("X: {name}\r\n").into_bytes();
    for n in 0..2000 {
        nested.extend_from_slice(
            format!("Content-Type: multipart/report; boundary=b{n}\r\n\r\n--b{n}\r\n").as_bytes(),
        );
    }
    let mut rfc822 =
        format!("X: {name}\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n").into_bytes();
    for _ in 0..3000 {
        rfc822.extend_from_slice(b"Content-Type: message/rfc822\r\n\r\n");
    }
    let many = format!(
        "X: {name}\r\nContent-Type: multipart/report; boundary=b\r\n\r\n{}",
        "--b\r\n\r\n".repeat(15_000)
    );
    let binary = [name.as_bytes(), &[0, 255, 254, 13, 10, 0]].concat();
    let slips = format!("{}{name}", format!("{MARK}{} ", "A".repeat(SLIP)).repeat(1000));
    // Found by fuzzing: a whole reader of mails fell over a message in a message where a report's part ends.
    let inner = "--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n\r\n--b";
    let returned = whole.replacen("--b", inner, 1);
    assert_eq!(report::failure(returned.as_bytes()), Some("relay: bounced: 5.1.1".to_owned()));
    assert_eq!(
        report::failure(returned.replacen("\n--b\r\nContent-Type: text", "\n--b--\r\n", 1).as_bytes()),
        None
    );
    let unclosed = whole.split("--b--").next().unwrap().as_bytes().to_vec();
    let of_no_effect = read(&envelope, &[&nested, &rfc822, many.as_bytes(), &binary, slips.as_bytes()]);
    assert!(of_no_effect.iter().all(|bounce| !matches!(bounce, Some((_, Some(_))))), "{of_no_effect:?}");
    let in_the_middle = whole.split("--b\r\nContent-Type: text/rfc822").next().unwrap().as_bytes();
    let both = read(&envelope, &[&unclosed, in_the_middle]);
    assert!(matches!(&both[..], [Some((_, Some(_))), Some((_, Some(_)))]), "{both:?}");
    // Cut anywhere, or with any byte changed, it says the same or nothing.
    let said = |bytes: &[u8]| {
        let said = report::failure(bytes);
        assert!(said.iter().all(|said| said.starts_with("relay: bounced") && said.len() < 32), "{said:?}");
    };
    for at in 0..whole.len() {
        said(&whole.as_bytes()[..at]);
        let mut changed = whole.clone().into_bytes();
        for byte in [0, b'\n', b'-', b'"', 255] {
            changed[at] = byte;
            said(&changed);
        }
    }
}

#[test]
fn what_is_no_file_is_passed_over_and_a_look_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(
        dir.path().join("elsewhere"),
        dsn(&envelope(1).name(DELIVERY, LEASE).unwrap(), "Action: failed"),
    )
    .unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), new.join("link")).unwrap();
    let bounces = Bounces::new(dir.path(), envelope(1));
    assert!(matches!(&bounces.read()[..], [(_, None)]));
    for n in 0..LOOK {
        fs::write(new.join(n.to_string()), "mail").unwrap();
    }
    assert_eq!(bounces.read().len(), LOOK);
}
