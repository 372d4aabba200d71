"""Apart from the host's functions, so that a test can call it as it is."""


class NotReleased(Exception):
    pass


def release(exit_code: int | None, stdout: bytes) -> str:
    if exit_code != 0:
        raise NotReleased("uname did not succeed")
    return stdout.decode("utf-8", "replace").strip()
