"""Waiting without sleeping blindly: a condition is asked until it holds."""
import time

# Where the project states a bound in time, tests allow five times that.
PATIENCE = 5
# Where it states none: so long that only what never comes is too late, on a machine that does much else.
SOON_S = 30


def poll(condition, seconds=SOON_S, what="the condition", pause=0.02):
    """Returns the first true value of condition(); fails after `seconds`, telling its last answer or error."""
    until = time.monotonic() + seconds
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not within {seconds} s; last: {last!r}")
        time.sleep(pause)
