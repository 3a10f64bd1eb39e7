"""Signed tokens, verified and made by another library: an oracle for ours."""
import base64
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def header(token):
    return json.loads(decode(token.split(".")[0]))


def public_key(jwk):
    """The key of a JWK, as RFC 7518 section 6.2 and RFC 8037 section 2 have it."""
    if jwk["kty"] == "OKP":
        assert jwk["crv"] == "Ed25519"
        return ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"]))
    assert jwk["kty"] == "EC" and jwk["crv"] == "P-256"
    x, y = (int.from_bytes(decode(jwk[name]), "big") for name in "xy")
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def verified(token, jwks):
    """The claims of a token, by the one key that it names. AssertionError when it is not good."""
    head = header(token)
    jwk, = [k for k in jwks["keys"] if k["kid"] == head["kid"]]
    assert jwk["alg"] == head["alg"] and jwk["use"] == "sig" and "d" not in jwk
    text, _, signature = token.rpartition(".")
    signature, key = decode(signature), public_key(jwk)
    try:
        if head["alg"] == "EdDSA":
            key.verify(signature, text.encode())
        else:
            assert len(signature) == 64
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            key.verify(utils.encode_dss_signature(r, s), text.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise AssertionError("wrong signature") from None
    return json.loads(decode(text.split(".")[1]))


def forged(head, claims):
    """Signed by an Ed25519 key of our own."""
    text = encode(json.dumps(head).encode()) + "." + encode(json.dumps(claims).encode())
    return text + "." + encode(ed25519.Ed25519PrivateKey.generate().sign(text.encode()))
