"""What has ended is cut everywhere: a helper for every suite whose service holds something open. Each thing that is open
is a function that says whether it still is."""
from polling import PATIENCE, poll

# The end of a login is to be felt within a second, everywhere.
BOUND_S = 1.0 * PATIENCE


def accepts(api, token, path="/api/v1/auth/account"):
    """Whether this gateway still takes the token; anything but yes and no is an error. 503 is neither: who knows could not
    be asked just now."""
    answers = []

    def decided():
        answers.append(api.get(path, token).status_code)
        return answers[-1] != 503

    poll(decided, what="an answer about a token")
    assert answers[-1] in (200, 401), answers
    return answers[-1] == 200


def credentials(apis, tokens, path="/api/v1/auth/account"):
    """A token at each gateway, as things that are open."""
    return {f"{name} at {api.url}": lambda api=api, token=token: accepts(api, token, path)
            for api in apis for name, token in tokens.items()}


def cut(open_things, end):
    """All are open; after end() all are closed, each within the bound."""
    assert open_things
    for name, is_open in open_things.items():
        assert is_open(), f"{name} was not open"
    end()
    for name, is_open in open_things.items():
        poll(lambda is_open=is_open: not is_open(), BOUND_S, f"the end of {name}")
