#!/usr/bin/python3
"""Passwords for a Postfix in tests: the server's side of Dovecot's authentication protocol, for PLAIN and one user.

    sasl.py --password-file FILE [--user NAME]

Listens on 127.0.0.1, prints the port as one line, and ends when its standard input is closed.
"""

import argparse
import asyncio
import base64
import os
import pathlib
import sys

HELLO = "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t{}\nDONE\n".format("0" * 32)


def answer(line, wanted):
    """To one line of Postfix's; nothing to what is no attempt."""
    fields = line.split("\t")
    if fields[0] != "AUTH":
        return ""
    given = next((field[5:] for field in fields if field.startswith("resp=")), "")
    if base64.b64decode(given).split(b"\0")[1:] == wanted:
        return f"OK\t{fields[1]}\tuser={wanted[0].decode()}\n"
    return f"FAIL\t{fields[1]}\n"


async def serve(arguments):
    password = pathlib.Path(arguments.password_file).read_bytes().rstrip(b"\n")
    wanted = [arguments.user.encode(), password]

    async def talk(reader, writer):
        writer.write(HELLO.encode())
        async for line in reader:
            writer.write(answer(line.decode().rstrip("\n"), wanted).encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description="Passwords for a Postfix in tests.")
    parser.add_argument("--password-file", required=True, help="password of the one user")
    parser.add_argument("--user", default="sigillo")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
