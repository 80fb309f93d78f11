//! The courier's token: contacts are opened as they are or not at all.

use std::path::Path;

use sigillo::{
    clock::{Clock as _, SystemClock},
    domain::{
        contact::{Channel, Contact, open_plaintext},
        id::{CardId, DeliveryId},
    },
    hsm::{Error, pkcs11::Device},
    seal::ContactSealer,
};

use crate::{
    rig::config,
    shim::{Action, Fault, Shim},
    table::{Ended, TIMES, Table, values},
};

const ADDRESS: &str = "assistita.di.prova@esempio.example";

pub(crate) async fn every_value() {
    let config = config("courier");
    let shim = Shim::open(Path::new("control"));
    let mut worker = Device::open(&config).unwrap().tokens().unwrap().remove(0);
    let sealer = ContactSealer::from_pem(&std::fs::read("courier/contact.pub.pem").unwrap()).unwrap();
    let (card, delivery) = (CardId::new([1; 16]), DeliveryId::new([2; 16]));
    let contact = Contact::parse(Channel::Email, ADDRESS).unwrap();
    let mut table = Table::new("contacts");
    let mut actions: Vec<_> =
        values().into_iter().map(|(name, value)| (name, Action::Answer(value))).collect();
    actions.extend([("cut", Action::Cut), ("forgotten", Action::Forget), ("lost", Action::Lose(0xe0))]);
    for function in ["C_Decrypt", "C_DecryptInit"] {
        for (name, action) in &actions {
            for times in TIMES {
                let what = format!("{function} {name} {times:?}");
                let sealed = sealer.seal(&card, &delivery, &contact).unwrap();
                shim.set(0, Fault::of(function, times, *action));
                let opened = worker.open_contact(&sealed);
                let struck = shim.struck(0);
                shim.clear();
                let clock = SystemClock::new();
                let ended = match opened {
                    Ok(text) => match open_plaintext(text.expose()) {
                        Ok((_, _, opened)) if opened.expose() != ADDRESS => {
                            table.findings.push(format!("{what}: another contact"));
                            Ended::Served
                        }
                        Ok(_) if struck == 0 => Ended::Untouched,
                        Ok(_) => Ended::Served,
                        // What the courier refuses, with a reason.
                        Err(_) => Ended::Unavailable,
                    },
                    Err(Error::Unavailable(_) | Error::WrongKey(_)) => Ended::Unavailable,
                    Err(error) => {
                        table.findings.push(format!("{what}: {error:?}"));
                        Ended::Unavailable
                    }
                };
                // Sessions that were forgotten took the login with them: the pool opens the token again.
                if worker.probe().is_err() && worker.probe().is_err() {
                    drop(worker);
                    worker = Device::open(&config).unwrap().tokens().unwrap().remove(0);
                }
                let opened = worker.open_contact(&sealed).expect(&what);
                assert_eq!(open_plaintext(opened.expose()).unwrap().2.expose(), ADDRESS);
                table.add(function, ended, clock.uptime());
            }
        }
    }
    drop(worker);
    table.show();
}
