"""Apart from the host's functions, so that a test can call it as it is."""


class NoAddress(Exception):
    pass


def about(endpoint: str | None) -> tuple[str, int]:
    if not endpoint or not endpoint.startswith("https://"):
        raise NoAddress("endpoint must begin with https://")
    return f"records at {endpoint}", 1024 * 1024
