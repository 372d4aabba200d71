"""asyncssh against a node behind the proxy: HOME, PROXY-PORT, LOGIN, NODE, FOLDER."""

import asyncio
import pathlib
import sys

import asyncssh

home, port, login, node, folder = sys.argv[1:]
home, folder = pathlib.Path(home), pathlib.Path(folder)
options = {
    "username": login,
    "known_hosts": str(home / "known_hosts"),
    "client_keys": [str(home / "id")],
    "config": None,
    "agent_path": None,
}


async def echo(reader, writer):
    writer.write(await reader.read())
    writer.write_eof()
    await writer.drain()
    writer.close()


async def commands(connection):
    done = await connection.run("cat; echo said >&2; exit 5", input="typed")
    assert (done.stdout, done.stderr, done.exit_status) == ("typed", "said\n", 5), done
    done = await connection.run("kill -KILL $$")
    assert done.exit_signal[0] == "KILL", done.exit_signal
    done = await connection.run("stty size; echo $TERM", term_type="xterm", term_size=(100, 30))
    assert done.stdout.split() == ["30", "100", "xterm"], done
    process = await connection.create_process("trap 'echo resized $(stty size); exit' WINCH; echo up; while :; do sleep 0.1; done", term_type="xterm", term_size=(80, 24))
    assert (await process.stdout.readline()).strip() == "up"
    process.change_terminal_size(120, 40)
    assert (await process.stdout.readline()).strip() == "resized 40 120"
    process = await connection.create_process("trap 'echo caught; exit 9' USR1; echo up; while :; do sleep 0.1; done")
    assert (await process.stdout.readline()).strip() == "up"
    process.send_signal("USR1")
    done = await process.wait()
    assert (done.stdout, done.exit_status) == ("caught\n", 9), done


async def files(connection):
    data = bytes(n * 7 % 251 for n in range(3_000_001))
    near, far, back = folder / "a-near", folder / "a-far", folder / "a-back"
    near.write_bytes(data)
    async with connection.start_sftp_client() as sftp:
        await sftp.put(str(near), str(far))
        await sftp.get(str(far), str(back))
        assert back.read_bytes() == data
        assert (await sftp.stat(str(far))).size == len(data)
        await sftp.mkdir(str(folder / "a-made"))
        assert "a-made" in await sftp.listdir(str(folder))
        try:
            await sftp.open(str(folder / "absent"))
            raise AssertionError("opened what is not there")
        except asyncssh.SFTPNoSuchFile:
            pass
    await asyncssh.scp(str(near), (connection, str(folder / "a-scp")))
    assert (folder / "a-scp").read_bytes() == data


async def ports(connection):
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    target = server.sockets[0].getsockname()[1]
    local = await connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", target)
    remote = await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", target)
    for listener in (local, remote):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
        writer.write(b"there and back" * 10_000)
        writer.write_eof()
        assert await reader.read() == b"there and back" * 10_000
        writer.close()
        listener.close()


async def main():
    async with asyncssh.connect("127.0.0.1", int(port), **options) as proxy:
        async with asyncssh.connect(node, 22, tunnel=proxy, **options) as connection:
            await commands(connection)
            await files(connection)
            await ports(connection)
            # Many at once over one connection.
            runs = [connection.run(f"echo {n}", check=True) for n in range(30)]
            assert [int(done.stdout) for done in await asyncio.gather(*runs)] == list(range(30))


asyncio.run(asyncio.wait_for(main(), 80))
