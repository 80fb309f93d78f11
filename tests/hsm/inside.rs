//! What runs in a child with the module's variables set, in a lab's directory: a module is configured once a process.

use std::{path::Path, time::Duration};

use aws_lc_rs::{
    digest,
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::{Attribute, KeyType, ObjectClass},
    session::{Session, UserType},
    types::AuthPin,
};
use sigillo::{
    hsm::{Error, Hsm, MacKey, PoolLimits, State, config::Config, pkcs11::Device, seal::OaepKey},
    secret::SecretBytes,
};

use super::kind::kind;

/// Names the act to the child.
pub(crate) const ACT: &str = "SIGILLO_TEST_ACT";

/// Every act by its name.
const ACTS: [(&str, fn()); 19] = [
    ("second_token", second_token),
    ("destroy_print", destroy_print),
    ("destroy_verify", destroy_verify),
    ("make_deliver", make_deliver),
    ("make_print", make_print),
    ("index_extractable", index_extractable),
    ("index_two_uses", index_two_uses),
    ("index_not_sensitive", index_not_sensitive),
    ("index_twice", index_twice),
    ("index_imported", index_imported),
    ("index_aes", index_aes),
    ("index_unmodifiable", index_unmodifiable),
    ("copies", copies),
    ("open", open),
    ("verify_mac", verify_mac),
    ("pool_authority", || wait(pool_authority())),
    ("pool_courier", || wait(pool_courier())),
    ("token_vanishes", || wait(token_vanishes())),
    ("key_vanishes", || wait(key_vanishes())),
];

/// In a child: the act that it is told. Elsewhere: no act is there that no test of this file asks for.
#[test]
fn child() {
    match std::env::var_os(ACT) {
        Some(name) => {
            let (_, act) = ACTS.iter().find(|(known, _)| name == *known).expect("a known act");
            act();
        }
        None => {
            let asked = include_str!("../hsm.rs");
            for (name, _) in ACTS {
                assert!(asked.contains(&format!("\"{name}\"")), "nobody asks for {name}");
            }
        }
    }
}

/// Runs an act that waits.
fn wait(act: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(act);
}

fn role() -> String {
    std::env::var_os("SIGILLO_TEST_ROLE").unwrap().into_string().unwrap()
}

fn config() -> Config {
    let config = Config::load(Path::new(&format!("{}.toml", role()))).unwrap();
    assert_eq!(config.missing_environment().unwrap(), [], "the lab gave the variables");
    config
}

fn device() -> Device {
    Device::open(&config()).unwrap()
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

/// A session of the token, past the adapter.
fn edit(act: impl FnOnce(&Session)) {
    let role = role();
    let context = Pkcs11::new(kind().direct()).unwrap();
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let label = format!("sigillo-{role}");
    let slots = context.get_slots_with_initialized_token().unwrap();
    let slot =
        slots.into_iter().find(|slot| context.get_token_info(*slot).unwrap().label() == label).unwrap();
    let session = context.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::from(format!("{role}-user-pin")))).unwrap();
    act(&session);
    session.close().unwrap();
    context.finalize().unwrap();
}

fn second_token() {
    let context = Pkcs11::new(kind().direct()).unwrap();
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slots = context.get_slots_with_token().unwrap();
    let empty =
        slots.into_iter().find(|slot| !context.get_token_info(*slot).unwrap().token_initialized()).unwrap();
    context.init_token(empty, &AuthPin::from("officer-pin".to_owned()), "sigillo-authority").unwrap();
    context.finalize().unwrap();
}

fn destroy(session: &Session, label: &str) {
    let search = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(label.into())];
    let found = session.find_objects(&search).unwrap();
    assert!(!found.is_empty());
    for key in found {
        session.destroy_object(key).unwrap();
    }
}

/// A good key's template; `change` overrides attributes.
fn template(label: &str, change: &[Attribute]) -> Vec<Attribute> {
    let mut all = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Verify(false),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Label(label.into()),
        Attribute::Id(format!("sigillo/{label}/1").into_bytes()),
    ];
    for new in change {
        all.retain(|old| old.attribute_type() != new.attribute_type());
        all.push(new.clone());
    }
    all
}

fn make(session: &Session, label: &str, change: &[Attribute]) {
    let mut template = template(label, change);
    template.push(Attribute::ValueLen(32.into()));
    session.generate_key(&Mechanism::GenericSecretKeyGen, &template).unwrap();
}

/// Puts another index key in the place of the one that is there.
fn replace_index(change: &[Attribute]) {
    edit(|session| {
        destroy(session, "index");
        make(session, "index", change);
    });
}

fn destroy_print() {
    edit(|session| destroy(session, "print"));
}

fn destroy_verify() {
    edit(|session| destroy(session, "verify"));
}

fn make_deliver() {
    edit(|session| make(session, "deliver", &[]));
}

fn make_print() {
    // Under another version's id: found by its label.
    edit(|session| make(session, "print", &[Attribute::Id(b"other".to_vec())]));
}

fn index_extractable() {
    replace_index(&[Attribute::Extractable(true)]);
}

fn index_two_uses() {
    replace_index(&[Attribute::Derive(true)]);
}

fn index_not_sensitive() {
    replace_index(&[Attribute::Sensitive(false)]);
}

fn index_twice() {
    edit(|session| {
        destroy(session, "index");
        make(session, "index", &[]);
        make(session, "index", &[]);
    });
}

fn index_imported() {
    edit(|session| {
        destroy(session, "index");
        let mut template = template("index", &[]);
        template.extend([
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Value(vec![7; 32]),
        ]);
        session.create_object(&template).unwrap();
    });
}

fn index_aes() {
    edit(|session| {
        destroy(session, "index");
        let mut template = template("index", &[]);
        template.push(Attribute::ValueLen(32.into()));
        session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    });
}

fn index_unmodifiable() {
    replace_index(&[Attribute::Modifiable(false)]);
}

/// Says how many keys are used through a copy.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn copies() {
    let device = device();
    let mut tokens = device.tokens().unwrap();
    let mac = tokens[0].mac(MacKey::Index, b"one message").unwrap();
    println!("\ncopies {}\nmac {}", device.session_copies(), hex::encode(mac.expose()));
}

fn open() {
    Device::open(&config()).unwrap();
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn verify_mac() {
    let mut tokens = device().tokens().unwrap();
    let mac = tokens[0].mac(MacKey::Verify, b"one message").unwrap();
    println!("\nmac {}", hex::encode(mac.expose()));
}

async fn pool_authority() {
    let device = device();
    let hsm = Hsm::start(device.tokens().unwrap(), config().limits).unwrap();
    let pem = std::fs::read("authority/audit.pub.pem").unwrap();
    assert_eq!(pem::parse(pem).unwrap().contents(), device.audit_public_key());
    drop(device); // the workers keep the login alive

    let one = hsm.mac(MacKey::Print, secret("a")).await.unwrap();
    let macs = hsm.macs(vec![(MacKey::Index, secret("a")), (MacKey::Print, secret("a"))]).await.unwrap();
    assert_eq!(macs[1].expose(), one.expose());
    assert_ne!(macs[0].expose(), one.expose());
    assert!(matches!(hsm.mac(MacKey::Deliver, secret("a")).await, Err(Error::WrongKey(_))));
    assert!(matches!(hsm.mac(MacKey::Print, secret("")).await, Err(Error::Bug(_))));
    assert!(matches!(hsm.open_contact(vec![0; 384]).await, Err(Error::WrongKey(_))));
    assert_eq!(hsm.random_vec(4096).await.unwrap().len(), 4096);
    assert!(hsm.random_vec(0).await.unwrap().is_empty());
    assert_ne!(hsm.random::<32>().await.unwrap(), hsm.random::<32>().await.unwrap());

    let public = pem::parse(std::fs::read("authority/audit.pub.pem").unwrap()).unwrap();
    let hashed = digest::digest(&digest::SHA256, b"checkpoint");
    let signature = hsm.sign(hashed.as_ref().try_into().unwrap()).await.unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public.contents())
        .verify(b"checkpoint", &signature)
        .unwrap();

    let many: Vec<_> = (0..500)
        .map(|_| {
            let hsm = hsm.clone();
            tokio::spawn(async move { hsm.mac(MacKey::Print, secret("a")).await })
        })
        .collect();
    for call in many {
        assert_eq!(call.await.unwrap().unwrap().expose(), one.expose());
    }
    assert_eq!(hsm.counts()[0].1, 503);
    assert_eq!(hsm.state(), State::Up);
    hsm.close().await;
}

async fn pool_courier() {
    let hsm = Hsm::start(device().tokens().unwrap(), config().limits).unwrap();
    let sealer = OaepKey::from_pem(&std::fs::read("courier/contact.pub.pem").unwrap()).unwrap();
    for contact in ["+39 333 1234567", "", &"x".repeat(sealer.max_len())] {
        let opened = hsm.open_contact(sealer.seal(contact.as_bytes()).unwrap()).await.unwrap();
        assert_eq!(opened.expose(), contact.as_bytes());
    }
    // A bad contact is the contact's fault and leaves the token up.
    for bad in [vec![1; 384], vec![1; 10], Vec::new()] {
        assert!(matches!(hsm.open_contact(bad).await, Err(Error::WrongKey(_))));
    }
    hsm.mac(MacKey::Deliver, secret("a")).await.unwrap();
    assert!(matches!(hsm.mac(MacKey::Print, secret("a")).await, Err(Error::WrongKey(_))));
    assert_eq!(hsm.state(), State::Up);
    hsm.close().await;
}

/// Waits for a state of the pool.
async fn until(hsm: &Hsm, state: State) {
    let met = async {
        while hsm.state() != state {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), met).await.unwrap();
}

/// Another process deletes a key, and the file that had it comes back: down, and up again in this process.
async fn key_vanishes() {
    let (file, kept) = ("tokens-authority/42.sql", "kept.sql");
    std::fs::copy(file, kept).unwrap();
    let device = device();
    let tokens = device.tokens().unwrap();
    let limits = PoolLimits { probe_every: Duration::from_millis(100), ..config().limits };
    let hsm = Hsm::supervised(tokens, Box::new(device.into_source(&config())), limits).unwrap();
    let before = hsm.mac(MacKey::Print, secret("a")).await.unwrap();
    let deleted = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inside::child"])
        .env(ACT, "destroy_print")
        .output()
        .unwrap();
    assert!(deleted.status.success(), "{deleted:?}");
    until(&hsm, State::Down).await;
    assert!(matches!(hsm.mac(MacKey::Print, secret("a")).await, Err(Error::Unavailable(_))));
    std::fs::rename(kept, file).unwrap();
    until(&hsm, State::Up).await;
    assert_eq!(hsm.mac(MacKey::Print, secret("a")).await.unwrap().expose(), before.expose());
    assert_eq!(hsm.recoveries(), 1);
    hsm.close().await;
}

async fn token_vanishes() {
    let device_before = device();
    let mut copy = device_before.tokens().unwrap().remove(0);
    let before = copy.mac(MacKey::Print, b"a").unwrap();
    copy.probe().unwrap();
    let limits = PoolLimits { probe_every: Duration::from_millis(100), ..config().limits };
    let hsm = Hsm::start(device_before.tokens().unwrap(), limits).unwrap();
    hsm.mac(MacKey::Print, secret("a")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(hsm.state(), State::Up);

    std::fs::rename("tokens-authority", "away").unwrap();
    until(&hsm, State::Down).await; // the probe notices
    // The session copy still works, and the probe is what knows better.
    assert_eq!(copy.mac(MacKey::Print, b"a").unwrap().expose(), before.expose());
    assert!(matches!(copy.probe(), Err(Error::Unavailable(_))));
    assert!(matches!(hsm.refuse_if_down(), Err(Error::Unavailable(_))));
    assert!(matches!(hsm.mac(MacKey::Print, secret("a")).await, Err(Error::Unavailable(_))));
    hsm.close().await;
    drop((copy, device_before));

    // With a source it comes back in this process.
    std::fs::rename("away", "tokens-authority").unwrap();
    let device = device();
    let tokens = device.tokens().unwrap();
    let hsm = Hsm::supervised(tokens, Box::new(device.into_source(&config())), limits).unwrap();
    std::fs::rename("tokens-authority", "away").unwrap();
    until(&hsm, State::Down).await;
    std::fs::rename("away", "tokens-authority").unwrap();
    until(&hsm, State::Up).await;
    assert_eq!(hsm.mac(MacKey::Print, secret("a")).await.unwrap().expose(), before.expose());
    assert_eq!((hsm.recoveries(), hsm.counts()[0].1), (1, 1));

    // Another token with the same name comes instead: looked at once, and never again. The check values tell first.
    std::fs::rename("tokens-authority", "away").unwrap();
    std::fs::rename("tokens-other", "tokens-authority").unwrap();
    let refused = async {
        loop {
            match hsm.refuse_if_down() {
                Err(error) if error.to_string().contains("key \"index\" is not the key of the start") => {
                    return;
                }
                Ok(()) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    std::fs::rename("tokens-authority", "tokens-other").unwrap();
    std::fs::rename("away", "tokens-authority").unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!((hsm.state(), hsm.recoveries()), (State::Down, 1), "refused for good");
    hsm.close().await;
}
