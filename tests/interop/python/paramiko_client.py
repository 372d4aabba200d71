"""paramiko against a node behind the proxy: HOME, PROXY-PORT, LOGIN, NODE, FOLDER.

It knows no host certificates, so it takes the plain host key; the certificates of users it knows.
"""

import pathlib
import socket
import sys
import threading

import paramiko

home, port, login, node, folder = sys.argv[1:]
home, folder = pathlib.Path(home), pathlib.Path(folder)
key = paramiko.Ed25519Key(filename=str(home / "id"))
key.load_certificate(str(home / "id-cert.pub"))


def connect(host, port, channel=None):
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(host, port, login, pkey=key, sock=channel, look_for_keys=False, allow_agent=False, timeout=60)
    return client


proxy = connect("127.0.0.1", int(port))
way = proxy.get_transport().open_channel("direct-tcpip", (node, 22), ("127.0.0.1", 1))
client = connect(node, 22, way)

# Commands.
stdin, stdout, stderr = client.exec_command("cat; echo said >&2; exit 5", timeout=60)
stdin.write("typed")
stdin.channel.shutdown_write()
assert stdout.read() == b"typed" and stderr.read() == b"said\n"
assert stdout.channel.recv_exit_status() == 5

# A terminal.
shell = client.invoke_shell(term="xterm", width=90, height=33)
shell.settimeout(60)
shell.send("stty size; echo do''ne; exit\n")
shown = b""
while b"done" not in shown:
    more = shell.recv(4096)
    assert more, shown
    shown += more
assert b"33 90" in shown, shown

# Files.
data = bytes(n * 7 % 251 for n in range(3_000_001))
sftp = client.open_sftp()
with sftp.open(str(folder / "p-far"), "wb") as far:
    far.set_pipelined(True)
    far.write(data)
near = folder / "p-near"
sftp.get(str(folder / "p-far"), str(near))
assert near.read_bytes() == data
sftp.put(str(near), str(folder / "p-again"))
sftp.rename(str(folder / "p-again"), str(folder / "p-renamed"))
assert "p-renamed" in sftp.listdir(str(folder))
assert sftp.stat(str(folder / "p-renamed")).st_size == len(data)
try:
    sftp.open(str(folder / "absent"))
    raise AssertionError("opened what is not there")
except FileNotFoundError:
    pass

# Ports: from here to a server there.
server = socket.create_server(("127.0.0.1", 0))


def echo():
    stream, _ = server.accept()
    with stream:
        while more := stream.recv(65536):
            stream.sendall(more)


threading.Thread(target=echo, daemon=True).start()
channel = client.get_transport().open_channel("direct-tcpip", server.getsockname(), ("127.0.0.1", 1))
channel.settimeout(60)
channel.sendall(b"there and back")
channel.shutdown_write()
back = b""
while more := channel.recv(65536):
    back += more
assert back == b"there and back", back

# And the other way.
there = client.get_transport().request_port_forward("127.0.0.1", 0)
caller = socket.create_connection(("127.0.0.1", there), timeout=60)
caller.sendall(b"called")
accepted = client.get_transport().accept(60)
assert accepted.recv(6) == b"called"
accepted.sendall(b"answer")
assert caller.recv(6) == b"answer"

client.close()
proxy.close()
