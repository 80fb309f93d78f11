//! `sigillo card register`: the card of an operator becomes the one that the operator acts with (Registra CNS).

use std::io::Write;

use super::connection::{self, Login, legible, tell};
use crate::{
    api::operators::{OpenRegistration, OpenedRegistration, SignRegistration, SignedRegistration},
    cli::{Failure, client::block_on},
    domain::{
        audit::time_ms,
        id::RegistrationId,
        registration,
        signed_text::{Context, Unfit},
    },
};

/// Arguments of `register`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    login: Login,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    block_on(async {
        let server = args.login.open()?;
        let certificate = server.certificate();
        let holder = certificate.holder().ok_or_else(|| {
            Failure::failed("the name in the card's certificate is not that of a CNS: sigillo card read")
        })?;
        let opened: OpenedRegistration =
            server.post("/v1/operator-registrations", &OpenRegistration {}).await?;
        let id: RegistrationId = opened.id.parse().map_err(Failure::failed)?;
        let text = legible(&opened.text)?;
        let until_ms = time_ms(&opened.expires_at).ok_or(Unfit("until"));
        until_ms
            .and_then(|until_ms| {
                registration::fits(text.as_str(), &holder.tax_code, &certificate.fingerprint(), until_ms)
            })
            .map_err(|why| connection::refused(&why))?;
        tell(&format!("The card signs, as \"{}\":\n\n{}\n", CONTEXT.text(), text.as_str()))?;
        let signature = server.sign(CONTEXT, text)?;
        let path = format!("/v1/operator-registrations/{id}/sign");
        let signed: SignedRegistration = server.post(&path, &SignRegistration { signature }).await?;
        tell(if signed.replaced {
            "The card is registered. The former one is refused from now on.\n"
        } else {
            "The card is registered.\n"
        })?;
        connection::result(&signed, out)
    })
}

const CONTEXT: Context = Context::OperatorRegistration;
