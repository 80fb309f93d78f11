//! Public halves of the key set, read from the token or from a file.

use cryptoki::{
    object::{Attribute, AttributeType, ObjectClass},
    session::Session,
};

use super::{Error, KeyName, rv, spki, survey};

/// DER of an RSA public key of the set.
pub(super) fn rsa(session: &Session, name: KeyName, version: u8) -> Result<Vec<u8>, Error> {
    let (mut modulus, mut exponent) = (None, None);
    for attribute in
        attributes(session, name, version, &[AttributeType::Modulus, AttributeType::PublicExponent])?
    {
        if let Attribute::Modulus(bytes) = attribute {
            modulus = Some(bytes);
        } else if let Attribute::PublicExponent(bytes) = attribute {
            exponent = Some(bytes);
        }
    }
    modulus
        .zip(exponent)
        .and_then(|(modulus, exponent)| spki::rsa(&modulus, &exponent))
        .ok_or_else(|| Error::WrongKey(format!("public key {:?} has no modulus or exponent", name.label())))
}

/// DER of the audit key's public half.
pub(super) fn p256(session: &Session, version: u8) -> Result<Vec<u8>, Error> {
    let mut read = attributes(session, KeyName::Audit, version, &[AttributeType::EcPoint])?;
    let point = read
        .pop()
        .and_then(|attribute| if let Attribute::EcPoint(bytes) = attribute { Some(bytes) } else { None });
    point
        .and_then(|point| spki::p256(spki::p256_point(&point)?))
        .ok_or_else(|| Error::WrongKey("public key \"audit\" is not a point of P-256".into()))
}

fn attributes(
    session: &Session,
    name: KeyName,
    version: u8,
    wanted: &[AttributeType],
) -> Result<Vec<Attribute>, Error> {
    let found = survey::find(session, name, &name.search(ObjectClass::PUBLIC_KEY, version))?;
    let [public] = *found.as_slice() else {
        return Err(Error::WrongKey(format!(
            "{} public keys {:?} on the token, not one",
            found.len(),
            name.label()
        )));
    };
    session
        .get_attributes(public, wanted)
        .map_err(|error| rv::error(&format!("public key {:?}", name.label()), &error))
}

/// The DER in a PEM file of an RSA public key of the set's length, checked.
pub(in crate::hsm) fn rsa_from_pem(pem: &[u8]) -> Result<Vec<u8>, String> {
    let der = spki::from_pem(pem)?;
    spki::parse_rsa(&der)?;
    Ok(der)
}
