"""What a process and its children listen on."""

import psutil

LOOPBACK = ("127.", "::1", "::ffff:127.")


def beyond_loopback(process: int) -> list[str]:
    """The addresses outside this machine at which it, or a child of it, takes connections."""
    parent = psutil.Process(process)
    return [
        f"{member.name()}: {connection.laddr.ip}"
        for member in (parent, *parent.children(recursive=True))
        for connection in member.net_connections()
        if connection.status == psutil.CONN_LISTEN and not connection.laddr.ip.startswith(LOOPBACK)
    ]
