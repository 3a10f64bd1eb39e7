"""What auth promises under faults: accounts and what is written to them stay, a login that was ended is over, and each
change has its event. Writers own their accounts, so that it is known what must be read."""
import base64
import json
import random
import secrets
import threading
import time

import checker
from client import Client, op
from history import History

PASSWORD = "correct horse battery"
ACCOUNTS_MAX = 10   # of each writer; then it goes on with those it has
LOGINS_MAX = 4      # of each account
LATE_MAX = 12
PAUSE_S = 0.02      # between two requests of a thread: load, not a benchmark


def login_id(jwt):
    payload = jwt.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sid"]


class Login:
    def __init__(self, answer):
        self.token, self.refresh = answer["access_token"], answer["refresh_token"]
        self.id = login_id(self.token)
        self.ending = False     # somebody asked for its end: it may be over
        self.ended_at = 0.0     # it is


class Account:
    def __init__(self, name, answer):
        self.name, self.id, self.number = name, answer["user"]["id"], 0
        self.logins, self.doubtful, self.ended = [Login(answer)], [], []


class Caller:
    """One thread's requests, each at any of the gateways."""

    def __init__(self, history, gateways):
        self.http = Client(history, gateways)
        self.gateways = list(gateways)

    def anywhere(self):
        return random.choice(self.gateways)

    def register(self, gateway=None):
        name = "u" + secrets.token_hex(6)
        asked = op("register", name, gateway or self.anywhere(), 10.0, value=name)
        answer = self.http.call(asked, "POST", "/api/v1/auth/register", {"username": name, "password": PASSWORD})
        if not answer:
            return None
        account = Account(name, answer)
        asked.key = account.id  # by which its event goes
        return account

    def login(self, account, kind="login", gateway=None):
        answer = self.http.call(op(kind, account.id, gateway or self.anywhere(), 10.0), "POST", "/api/v1/auth/login",
                                {"username": account.name, "password": PASSWORD})
        return Login(answer) if answer else None

    def profile(self, account, login, gateway=None):
        account.number += 1
        name = f"{account.name}-{account.number}"
        asked = op("profile", account.id, gateway or self.anywhere(), value=name, safe=True)
        return self.http.call(asked, "PATCH", "/api/v1/users/@me", {"display_name": name}, login.token)

    def me(self, account, login, gateway=None):
        asked = op("me", account.id, gateway or self.anywhere(), safe=True, token=login.id)
        answer = self.http.call(asked, "GET", "/api/v1/users/@me", token=login.token)
        if answer:
            asked.value = answer["data"]["display_name"]
        elif asked.status == 401 and login.ending:
            asked.good = (200, 401)     # its owner was quicker
        return answer

    def ended(self, account, login, gateway=None):
        """A token whose login is over. How long it may still pass, check_revoked knows."""
        asked = op("ended", account.id, gateway or self.anywhere(), safe=True, good=(200, 401), token=login.id)
        self.http.call(asked, "GET", "/api/v1/users/@me", token=login.token)

    def refresh(self, login):
        return self.http.call(op("refresh", login.id, self.anywhere()), "POST", "/api/v1/auth/refresh",
                              {"refresh_token": login.refresh})

    def logout(self, login, again=False, gateway=None):
        """True when it is over for certain; asked again, 401 says so too."""
        login.ending = True
        asked = op("logout", login.id, gateway or self.anywhere(), good=(204, 401) if again else (204,))
        self.http.call(asked, "POST", "/api/v1/auth/logout", {}, login.token)
        login.ended_at = asked.end
        return asked.acknowledged


class Writer(threading.Thread):
    def __init__(self, history, gateways, shared, stop):
        super().__init__(daemon=True)
        self.caller, self.shared, self.stop, self.mine = Caller(history, gateways), shared, stop, []

    def step_register(self):
        if len(self.mine) < ACCOUNTS_MAX and (account := self.caller.register()):
            self.mine.append(account)
            self.shared.append(account)

    def step_login(self):
        account = random.choice(self.mine)
        if len(account.logins) < LOGINS_MAX and (login := self.caller.login(account)):
            account.logins.append(login)

    def step_profile(self):
        account = random.choice(self.mine)
        if account.logins:
            self.caller.profile(account, random.choice(account.logins))

    def step_refresh(self):
        account = random.choice(self.mine)
        if account.logins:
            login = account.logins.pop()
            # In doubt, the old one must not be shown again: that would end the family.
            if answer := self.caller.refresh(login):
                login.token, login.refresh = answer["access_token"], answer["refresh_token"]
                account.logins.insert(0, login)

    def step_logout(self):
        account = random.choice(self.mine)
        if account.doubtful:
            login, again = account.doubtful.pop(), True
        elif len(account.logins) > 1:
            login, again = account.logins.pop(), False
        else:
            return
        (account.ended if self.caller.logout(login, again) else account.doubtful).append(login)

    # The rows of the workload, and how often each is drawn.
    ROWS = ((step_register, 1), (step_login, 2), (step_profile, 5), (step_refresh, 1), (step_logout, 2))

    def run(self):
        steps, weights = zip(*self.ROWS)
        while not self.stop.wait(PAUSE_S):
            (random.choices(steps, weights)[0] if self.mine else Writer.step_register)(self)


class Reader(threading.Thread):
    def __init__(self, history, gateways, shared, stop):
        super().__init__(daemon=True)
        self.caller, self.shared, self.stop = Caller(history, gateways), shared, stop

    def run(self):
        while not self.stop.wait(PAUSE_S):
            account = random.choice(self.shared) if self.shared else None
            if account and account.ended and random.random() < 0.4:
                self.caller.ended(account, random.choice(account.ended[-6:]))
            elif account and (logins := list(account.logins)):
                self.caller.me(account, random.choice(logins))


class Domain:
    """What run.py asks of each domain."""

    streams = ("EVT_AUTH",)

    def __init__(self, stack, history, gateways):
        self.history, self.gateways, self.accounts, self.stop = history, gateways, [], threading.Event()
        # Some keep to one gateway, so that there is work while the other hangs.
        each = [gateways] + [{name: url} for name, url in gateways.items()]
        self.threads = [kind(history, mine, self.accounts, self.stop) for mine in each for kind in (Writer, Reader)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def come_late(self, down):
        """Shows a gateway that hangs tokens that ended since: they wait there when it goes on, and it must know."""
        known_by = time.time() - checker.REVOKED_S
        late = [(account, login) for account in self.accounts for login in account.ended
                if down.began < login.ended_at < known_by]
        for account, login in late[:LATE_MAX]:
            caller = Caller(self.history, self.gateways)
            self.threads.append(threading.Thread(target=caller.ended, args=(account, login, down.target), daemon=True))
            self.threads[-1].start()
        time.sleep(0.2)  # so that they are there

    def finish(self):
        """Lets the workload end, then asks for all that was acknowledged."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        caller = Caller(self.history, self.gateways)
        for account in self.accounts:
            if login := caller.login(account, "found"):
                caller.me(account, login)
            for login in account.ended:
                for gateway in self.gateways:
                    caller.ended(account, login, gateway)

    def works(self, gateway):
        """One of everything, all good; outside of the history."""
        caller = Caller(History(), self.gateways)
        account = caller.register(gateway)
        login = account and caller.login(account, gateway=gateway)
        return bool(login and caller.profile(account, login, gateway) and caller.me(account, login, gateway)
                    and caller.logout(login, gateway=gateway))


def check_profiles(history):
    return checker.check_registers(history, ("register", "profile"), ("me",), lambda asked: asked.status == 200)


def check_accounts(history):
    return checker.check_present(history, "register", "found", "account")


def check_logins(history):
    return checker.check_revoked(history, "logout", ("me", "ended"))


def check_registered(history):
    return checker.check_events_present(history, "register", "evt.auth.user.registered.")


def check_ended(history):
    return checker.check_events_present(history, "logout", "evt.auth.login.ended.")


CHECKS = (check_profiles, check_accounts, check_logins, check_registered, check_ended)
