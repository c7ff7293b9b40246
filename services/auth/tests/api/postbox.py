"""What a mail server of the tests does with mails: keeps them as files, and refuses or vanishes on
demand, as the recipient's name says."""

from pathlib import Path


class Postbox:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.count = 0

    @classmethod
    def from_cli(cls, parser, *arguments):
        return cls(arguments[0])

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 There is no such mailbox"
        if address.startswith("later") and not (self.folder / "open").exists():
            return "451 4.3.0 Not now"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        name = f"{self.count:04}"
        unfinished = self.folder / f"{name}.part"
        recipients = ",".join(envelope.rcpt_tos)
        unfinished.write_bytes(f"{recipients}\r\n".encode() + envelope.content)
        unfinished.rename(self.folder / f"{name}.eml")
        if envelope.rcpt_tos[0].startswith("vanishing"):
            server.transport.abort()
        return "250 Taken"
