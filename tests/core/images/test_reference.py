"""Names of images; the cases are those of distribution/reference's own tests, and some more."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core.errors import InvalidReference
from fairing_core.images.reference import ImageRef, parse_repository

SHA256 = "sha256:" + "f" * 64
SHA512 = "sha512:" + "0" * 128
IDENTIFIER = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a"

# As written; registry, repository, tag, digest.
READ: list[tuple[str, str, str, str | None, str | None]] = [
    ("python", "docker.io", "library/python", None, None),
    ("test_com", "docker.io", "library/test_com", None, None),
    ("test.com:tag", "docker.io", "library/test.com", "tag", None),
    ("test.com:5000", "docker.io", "library/test.com", "5000", None),
    ("localhost:8080", "docker.io", "library/localhost", "8080", None),
    ("localhost", "docker.io", "library/localhost", None, None),
    (f"localhost@{SHA256}", "docker.io", "library/localhost", None, SHA256),
    ("foo_bar.com:8080", "docker.io", "library/foo_bar.com", "8080", None),
    ("192.168.1.1", "docker.io", "library/192.168.1.1", None, None),
    ("192.168.1.1:tag", "docker.io", "library/192.168.1.1", "tag", None),
    ("lowercase:Uppercase", "docker.io", "library/lowercase", "Uppercase", None),
    (f"repo@{SHA512}", "docker.io", "library/repo", None, SHA512),
    ("docker/docker", "docker.io", "docker/docker", None, None),
    ("library/debian", "docker.io", "library/debian", None, None),
    ("library/foo/bar", "docker.io", "library/foo/bar", None, None),
    ("docker.io/debian", "docker.io", "library/debian", None, None),
    ("docker.io/docker/docker", "docker.io", "docker/docker", None, None),
    ("index.docker.io/debian", "docker.io", "library/debian", None, None),
    ("index.docker.io/docker/docker", "docker.io", "docker/docker", None, None),
    (f"docker.io/{IDENTIFIER}", "docker.io", f"library/{IDENTIFIER}", None, None),
    ("foo/foo_bar.com:8080", "docker.io", "foo/foo_bar.com", "8080", None),
    ("docker---rules/docker", "docker.io", "docker---rules/docker", None, None),
    ("dock__er/docker", "docker.io", "dock__er/docker", None, None),
    ("d/docker", "docker.io", "d/docker", None, None),
    ("localhost/fooo/bar", "localhost", "fooo/bar", None, None),
    ("LOCALDOMAIN/fooo", "LOCALDOMAIN", "fooo", None, None),
    ("Asdf.com/foo/bar", "Asdf.com", "foo/bar", None, None),
    ("test.com/repo:tag", "test.com", "repo", "tag", None),
    ("test:5000/repo", "test:5000", "repo", None, None),
    ("test:5000/repo:tag", "test:5000", "repo", "tag", None),
    (f"test:5000/repo@{SHA256}", "test:5000", "repo", None, SHA256),
    (f"test:5000/repo:tag@{SHA256}", "test:5000", "repo", "tag", SHA256),
    ("sub-dom1.foo.com/bar/baz/quux:a-tag", "sub-dom1.foo.com", "bar/baz/quux", "a-tag", None),
    ("b.gcr.io/test.example.com/app:a.b", "b.gcr.io", "test.example.com/app", "a.b", None),
    ("xn--n3h.com/myimage:xn--n3h.com", "xn--n3h.com", "myimage", "xn--n3h.com", None),
    ("r.io/foo/a--id.b--name.c---n", "r.io", "foo/a--id.b--name.c---n", None, None),
    ("192.168.1.1:5000/repo:5050", "192.168.1.1:5000", "repo", "5050", None),
    ("[2001:db8::1]/repo", "[2001:db8::1]", "repo", None, None),
    ("[2001:db8:1:2:3:4:5:6]/repo:tag", "[2001:db8:1:2:3:4:5:6]", "repo", "tag", None),
    (f"[2001:db8::]:5000/repo:t@{SHA256}", "[2001:db8::]:5000", "repo", "t", SHA256),
    ("[::1]:5000/x", "[::1]:5000", "x", None, None),
    (f"e.com/{'a' * 255}:tag", "e.com", "a" * 255, "tag", None),
    (f"e.com/a:{'t' * 128}", "e.com", "a", "t" * 128, None),
]

# As written; a part of what is said about it.
REFUSED = [
    ("", "is empty"),
    (" python", "white space"),
    ("pyth on", "white space"),
    ("python\n", "white space"),
    (":justtag", "no name"),
    (f"@{SHA256}", "no name"),
    ("/a", "no name"),
    ("https://github.com/docker/docker", "write 'github.com/docker/docker'"),
    ("docker://python", "leave out the scheme 'docker://'"),
    (IDENTIFIER, "identifier"),
    (SHA256, "digest without a name"),
    ("[2001:db8::1]", "write '[2001:db8::1]/NAME'"),
    ("[2001:db8::1]:5000", "host without a repository"),
    ("fc00::1:5000/debian", "in brackets"),
    ("[fe80::1%eth0]:5000/repo", "without zone"),
    ("[2001:db8:3:4::192.0.2.33]:5000/debian", "without zone or dots"),
    ("[:::]/repo", "no IPv6 address"),
    ("Uppercase:tag", "write 'library/uppercase'"),
    ("docker/Docker", "write 'docker/docker'"),
    ("test:5000/Uppercase/lowercase:tag", "write 'uppercase/lowercase'"),
    ("-docker/docker", "'-docker' can't be a part"),
    ("docker-/docker", "'docker-' can't be a part"),
    ("-docker.io/docker", "no registry's host"),
    ("ab.com-/x", "no registry's host"),
    ("foo_bar.com:8080/app", "no registry's host"),
    ("do__cker:8080/docker", "no registry's host"),
    ("foo.com:http/bar", "no registry's host"),
    ("docker./docker", "no registry's host"),
    (".docker/docker", "no registry's host"),
    ("test.com:750050/x", "no port 750050"),
    ("test.com:0/x", "no port 0"),
    ("docker///docker", "between slashes"),
    ("docker/", "between slashes"),
    ("____/____", "can't be a part"),
    ("_docker/_docker", "can't be a part"),
    ("dock..er/docker", "no registry's host"),
    ("example.com/nodouble..dots/x", "'nodouble..dots' can't be a part"),
    ("example.com/.dots/x", "'.dots' can't be a part"),
    ("example.com/__under/x", "'__under' can't be a part"),
    ("dock_-er/docker", "can't be a part"),
    ("aa/asdf$$^/aa", "can't be a part"),
    ("a^a", "can't be a part"),
    ("pythön", "can't be a part"),
    ("registry.com:8080/myapp:invalid~tag", "'invalid~tag' can't be a tag"),
    ("python:", "'' can't be a tag"),
    ("python:.1", "'.1' can't be a tag"),
    ("python:a:b", "'a:b' can't be a tag"),
    ("python:" + "t" * 129, "128 at most"),
    ("repo@sha256:" + "f" * 34, "64 hex digits, this one 34"),
    ("repo@sha256:" + "F" * 64, "in lower case"),
    ("repo@invaliddigest:" + "f" * 64, "'invaliddigest' are unknown"),
    ("repo@bad", "no digest"),
    ("repo@", "no digest"),
    (f"repo@{SHA256}@{SHA256}", "hex digits"),
    (f"domain/{'a' * 256}:tag", "255 at most"),
]


@pytest.mark.parametrize(("text", "registry", "repository", "tag", "digest"), READ)
def test_a_name_is_read_as_docker_reads_it(
    text: str, registry: str, repository: str, tag: str | None, digest: str | None
) -> None:
    assert ImageRef.parse(text) == ImageRef(registry, repository, tag=tag, digest=digest)


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_what_docker_refuses_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        ImageRef.parse(text)
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"{text!r} names no image: ")


components = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
registries = st.one_of(
    st.just("docker.io"),
    st.just("localhost"),
    st.from_regex(
        r"[a-zA-Z0-9]{1,8}(-[a-z0-9]{1,3})?\.[a-z]{2,3}(:[1-9][0-9]{0,3})?", fullmatch=True
    ),
    st.from_regex(r"[a-z]{1,8}:[1-9][0-9]{0,3}", fullmatch=True),
    st.ip_addresses(v=6).map("[{}]:5000".format).filter(lambda host: "." not in host),
)
digests = st.one_of(
    st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format),
    st.text("0123456789abcdef", min_size=128, max_size=128).map("sha512:{}".format),
)
refs = st.builds(
    ImageRef,
    registries,
    st.lists(components, min_size=2, max_size=4).map("/".join),
    tag=st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True),
    digest=st.none() | digests,
)


@given(refs)
def test_a_name_written_in_full_is_read_as_itself(ref: ImageRef) -> None:
    assert ImageRef.parse(str(ref)) == ref


@given(refs)
def test_a_familiar_name_is_read_as_the_same_image(ref: ImageRef) -> None:
    assert ImageRef.parse(ref.familiar) == ref


@given(st.text(string.ascii_letters + string.digits + ":/@.-_[]% \n", max_size=40) | st.text())
def test_any_text_is_a_name_or_an_invalid_reference(text: str) -> None:
    try:
        ref = ImageRef.parse(text)
    except InvalidReference:
        return
    assert ImageRef.parse(str(ref)) == ref


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/ubuntu:22.04", "ubuntu:22.04"),
        ("index.docker.io/fooo/bar", "fooo/bar"),
        ("library/foo/bar", "library/foo/bar"),
        ("localhost/fooo", "localhost/fooo"),
        ("FOO/bar", "FOO/bar"),
        (f"docker.io/library/x:1@{SHA256}", f"x:1@{SHA256}"),
        (f"docker.io/library/{IDENTIFIER}", f"library/{IDENTIFIER}"),
        ("docker.io/localhost/x", "docker.io/localhost/x"),
    ],
)
def test_the_familiar_name_is_the_shortest(text: str, familiar: str) -> None:
    assert ImageRef.parse(text).familiar == familiar


def test_docker_hubs_api_has_a_host_of_its_own() -> None:
    assert ImageRef.parse("python").host == "registry-1.docker.io"
    assert ImageRef.parse("localhost:5000/x").host == "localhost:5000"


def test_the_digest_is_asked_for_before_the_tag_and_the_tag_before_latest() -> None:
    assert ImageRef.parse(f"x:1@{SHA256}").reference == SHA256
    assert ImageRef.parse("x:1").reference == "1"
    assert ImageRef.parse("x").reference == "latest"


def test_tag_and_digest_change_by_new_values() -> None:
    ref = ImageRef.parse("r.io/x:1")
    assert str(ref.at(SHA256)) == f"r.io/x@{SHA256}"
    assert str(ref.at(SHA256).tagged("2")) == "r.io/x:2"
    assert str(ref) == "r.io/x:1"
    with pytest.raises(AttributeError):
        ref.tag = "2"  # type: ignore[misc]


def test_no_tag_or_digest_is_outside_the_grammar() -> None:
    ref = ImageRef.parse("r.io/x")
    with pytest.raises(InvalidReference, match="can't be a tag"):
        ref.tagged("no tag")
    with pytest.raises(InvalidReference, match="hex digits"):
        ref.at("sha256:short")


@pytest.mark.parametrize(
    ("registry", "repository"), [("r.io", "../x"), ("r.io/x", "y"), ("r.io", ""), ("", "x")]
)
def test_no_value_is_outside_the_grammar(registry: str, repository: str) -> None:
    with pytest.raises(InvalidReference):
        ImageRef(registry, repository)


@pytest.mark.parametrize(
    ("registry", "repository"), [("docker.io", "python"), ("index.docker.io", "a/b"), ("a", "b")]
)
def test_a_short_name_is_not_taken_for_a_full_one(registry: str, repository: str) -> None:
    with pytest.raises(InvalidReference, match=r"use ImageRef\.parse"):
        ImageRef(registry, repository)


@pytest.mark.parametrize(
    "text", ["https://ada:s3cret@r.io/x", "ada:s3cret@r.io/x", "https://ada:s3cret@r.io/X y"]
)
def test_a_password_in_a_name_is_not_told(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        ImageRef.parse(text)
    assert "s3cret" not in str(caught.value)


def test_the_message_about_an_endless_name_has_an_end() -> None:
    with pytest.raises(InvalidReference) as caught:
        ImageRef.parse("r.io/" + "a" * 100_000 + "!")
    assert len(str(caught.value)) < 1000


def test_a_repository_is_read_without_tag_and_digest() -> None:
    assert parse_repository("r.io/team/app") == ImageRef("r.io", "team/app")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("r.io/x:1", "it has the tag '1'"),
        (f"r.io/x@{SHA256}", "write 'r.io/x'"),
        (f"r.io/x:1@{SHA256}", "it has a digest"),
        ("localhost:5000", "write 'localhost:5000/NAME'"),
        ("localhost", "write 'localhost/NAME'"),
        ("registry.example.com", "write 'registry.example.com/NAME'"),
        ("r.io/X", "write 'x'"),
    ],
)
def test_what_is_no_repository_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse_repository(text)
    assert said in str(caught.value)
