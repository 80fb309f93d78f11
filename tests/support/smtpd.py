#!/usr/bin/python3
"""A mail relay for tests and for the demo: real SMTP, mail written to files, faults on demand.

    smtpd.py --directory DIR --password-file FILE [--user NAME] [--port N] [--start starttls|tls|plain]
             [--certificate PEM --key PEM]

Listens on 127.0.0.1 and prints the port as one line (port 0, the default, means any free one). Accepts mail only
after TLS and AUTH PLAIN, and writes each message to DIR/new. Ends when its standard input is closed, so that it
never outlives the program that started it.

A recipient's local part chooses a fault: `pieno` 452 and `ignoto` 550 at RCPT, `vietato` 550 5.7.1 at RCPT,
`dopo` 451 after its first DATA and accepted from then on, `muto` no answer after DATA.
`--start plain` offers neither TLS nor AUTH, for testing that nothing is sent to such a relay;
`--start injected` appends a forged answer to the one to STARTTLS.

Needs Debian's python3-aiosmtpd (1.4).
"""

import argparse
import asyncio
import itertools
import logging
import os
import pathlib
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

AT_RCPT = {
    "pieno": "452 4.2.2 <pieno> mailbox full",
    "ignoto": "550 5.1.1 <ignoto> no such user",
    "vietato": "550 5.7.1 <vietato> not allowed",
}


class Mailbox:
    """What becomes of a message."""

    def __init__(self, directory, is_tls, log):
        self.new = directory / "new"
        self.tmp = directory / "tmp"
        for made in (self.new, self.tmp):
            made.mkdir(parents=True, exist_ok=True)
        self.numbers = itertools.count(1)
        self.deferred = set()
        self.is_tls = is_tls
        self.log = log

    async def handle_EHLO(self, server, session, envelope, hostname, features):
        session.host_name = hostname
        self.log("EHLO")
        return features

    async def handle_MAIL(self, server, session, envelope, address, options):
        self.log("MAIL")
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        fault = AT_RCPT.get(address.split("@")[0])
        if fault:
            return fault
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        recipient = envelope.rcpt_tos[0]
        local = recipient.split("@")[0]
        if local == "dopo" and recipient not in self.deferred:
            self.deferred.add(recipient)
            return "451 4.3.0 try again later"
        if local == "muto":
            await asyncio.Event().wait()
        # In the order of arrival, over restarts too.
        name = f"{time.time_ns():020}-{next(self.numbers):06}.mail"
        written = self.tmp / name
        with open(written, "xb") as mail:
            mail.write(f"X-Mail-From: {envelope.mail_from}\r\n".encode())
            mail.write(f"X-Rcpt-To: {recipient}\r\n".encode())
            mail.write(f"X-TLS: {'yes' if self.is_tls or session.ssl else 'no'}\r\n".encode())
            mail.write(envelope.original_content)
        written.rename(self.new / name)
        return "250 2.0.0 taken"


class Injected(SMTP):
    """As if someone on the way had added an answer to the one to STARTTLS."""

    async def push(self, status):
        if status.startswith("220 Ready to start TLS"):
            status += "\r\n250 forged"
        await super().push(status)


async def serve(arguments):
    password = pathlib.Path(arguments.password_file).read_bytes().rstrip(b"\n")
    wanted = LoginPassword(arguments.user.encode(), password)
    directory = pathlib.Path(arguments.directory)
    with open(directory / "commands", "a", encoding="ascii") as commands:

        def log(command):
            print(command, file=commands, flush=True)

        def authenticate(server, session, envelope, mechanism, given):
            log("AUTH")
            return AuthResult(success=given == wanted, handled=False)

        context = None
        if arguments.start != "plain":
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(arguments.certificate, arguments.key)
        mailbox = Mailbox(directory, arguments.start == "tls", log)
        is_upgraded = arguments.start in ("starttls", "injected")

        def connection():
            kind = Injected if arguments.start == "injected" else SMTP
            return kind(
                mailbox,
                hostname="localhost",
                tls_context=context if is_upgraded else None,
                require_starttls=is_upgraded,
                authenticator=authenticate,
                auth_required=arguments.start != "plain",
                # With TLS from the first byte the server does not know that there is TLS.
                auth_require_tls=is_upgraded,
                auth_exclude_mechanism=["LOGIN"],
            )

        loop = asyncio.get_running_loop()
        tls = context if arguments.start == "tls" else None
        server = await loop.create_server(connection, "127.0.0.1", arguments.port, ssl=tls)
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.buffer.read)
        # Conversations under way are dropped, as by a relay that loses power.
        os._exit(0)


def main():
    parser = argparse.ArgumentParser(description="A mail relay for tests and for the demo.")
    parser.add_argument("--directory", required=True, help="where mail is written")
    parser.add_argument("--password-file", required=True, help="password of the one user")
    parser.add_argument("--user", default="sigillo")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--start", choices=["starttls", "tls", "plain", "injected"], default="starttls")
    parser.add_argument("--certificate", help="certificate chain, PEM")
    parser.add_argument("--key", help="private key, PEM")
    # Broken connections are what it is here for; the library would log each with a stack.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
