"""Headers of the page. Its policy lets it load and call this service alone, and make no script of a text."""

from collections.abc import Iterable, Mapping


def page_headers(image_origins: Iterable[str]) -> Mapping[str, str]:
    """
    Args:
        image_origins: other origins that URLs of images lead to, such as that of a bucket.
    """
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": " ".join(["'self'", "blob:", "data:", *image_origins]),
        "connect-src": "'self'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }
