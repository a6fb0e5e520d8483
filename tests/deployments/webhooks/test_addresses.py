from __future__ import annotations

from ipaddress import ip_address

import pytest

from deployments.webhooks.addresses import Allowance, is_public


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2a00:1450::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_address_that_is_not_the_internets_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not Allowance.of([]).may_connect("example.com", ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_what_the_operator_names_is_allowed_and_nothing_beside_it() -> None:
    allowance = Allowance.of(["10.1.0.0/16", "::1", "hooks.intern"])
    assert allowance.may_connect("a.example", ip_address("10.1.2.3"))
    assert allowance.may_connect("a.example", ip_address("::ffff:10.1.2.3"))
    assert allowance.may_connect("a.example", ip_address("::1"))
    assert allowance.may_connect("hooks.intern", ip_address("192.168.0.1"))
    assert not allowance.may_connect("a.example", ip_address("10.2.0.1"))
    assert not allowance.may_connect("a.hooks.intern", ip_address("192.168.0.1"))
    assert not allowance.may_connect("a.example", ip_address("127.0.0.1"))


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "10.0.0", "https://a.example", "a b", "*"])
def test_entry_that_names_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="no host name, address or CIDR block"):
        Allowance.of([entry])
