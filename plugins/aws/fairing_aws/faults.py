"""What a refusal of AWS means, and what to do: pure, from its code to words.

Source: AWS General Reference, Common errors; the API references of STS and ECR.
"""

from __future__ import annotations

_UNKNOWN = ("InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure")
_WRONG = ("SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidToken")
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized")
_REGION = ("RegionDisabledException", "OptInRequired", "InvalidRegion")


def cure(code: str, origin: str = "") -> str:
    """What to do about a refusal with that code; "" where its own words have to do."""
    keys = f"the keys from {origin}" if origin else "the keys"
    for codes, told in (
        (_UNKNOWN, f"AWS does not know {keys}; are they of this account, and not deleted?"),
        (_WRONG, f"{keys} don't fit each other: the secret key is wrong"),
        (_EXPIRED, f"{keys} have expired, or lack their session token: log in anew"),
        (_DENIED, f"{keys} don't allow that; ask for the right, or use others"),
        (_REGION, "the region is not enabled for this account: enable it, or name another: region"),
    ):
        if code in codes:
            return told
    return ""


def is_denied(code: str) -> bool:
    """Whether who asks is known, and may not do that."""
    return code in _DENIED


def refused(what: str, code: str, said: str, origin: str = "") -> str:
    """The message for what AWS answered; `what` begins it: "can't ...:"."""
    told = cure(code, origin)
    return f"{what}: {said.rstrip('.') or 'refused'} ({code}){told and f'; {told}'}"
