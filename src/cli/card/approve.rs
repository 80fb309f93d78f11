//! `sigillo card approve`: the second pair of eyes reads what a colleague asks for, and the card signs it.

use std::io::Write;

use super::{
    connection::{self, Login, legible, tell},
    terminal,
};
use crate::{
    api::approvals::{Approval, SignApproval, SignedApproval},
    cli::{Failure, client::block_on},
    domain::{
        approval,
        audit::time_ms,
        id::ApprovalId,
        signed_text::{Context, Unfit},
    },
};

/// Arguments of `approve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    login: Login,
    /// Sign without asking, after showing the text.
    #[arg(long)]
    yes: bool,
    /// The approval's id, from the colleague who asks for it.
    id: ApprovalId,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    block_on(async {
        let server = args.login.open()?;
        let path = format!("/v1/approvals/{}", args.id);
        let asked: Approval = server.get(&path).await?;
        let text = legible(&asked.text)?;
        let until_ms = time_ms(&asked.expires_at).ok_or(Unfit("valid until"));
        until_ms
            .and_then(|until_ms| approval::fits(text.as_str(), &args.id, until_ms))
            .map_err(|why| connection::refused(&why))?;
        let shown = format!("The card signs, as \"{}\":\n\n{}\n", CONTEXT.text(), text.as_str());
        if asked.state != "open" {
            tell(&shown)?;
            return Err(Failure::failed("the approval is not open: somebody has signed it"));
        }
        if args.yes {
            tell(&shown)?;
        } else if !terminal::agreed(&shown, "Sign it?").map_err(Failure::failed)? {
            return Err(Failure::failed("nothing was signed"));
        }
        let signature = server.sign(CONTEXT, text)?;
        let signed: SignedApproval =
            server.post(&format!("{path}/sign"), &SignApproval { signature }).await?;
        tell("The approval is signed: the colleague who asked can use it.\n")?;
        connection::result(&signed, out)
    })
}

const CONTEXT: Context = Context::Approval;
