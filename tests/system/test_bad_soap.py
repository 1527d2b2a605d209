# SPDX-License-Identifier: Apache-2.0
"""Requests that are wrong in form: what is not XML, not SOAP, not the API, or far too much of it. A
host and a manager answer all of it with a fault that says what is wrong, and go on."""

import pytest

from soap import ENVELOPE, Client, raw, request
from state import Unchanged
from vmomi import Disconnect, connect

IDS = {  # of fixed objects: manager, host
    "ROOT": ("group-d1", "ha-folder-root"),
    "COLLECTOR": ("propertyCollector", "ha-property-collector"),
    "SESSIONS": ("SessionManager", "ha-sessionmgr"),
}
XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
TIME = ('<CurrentTime xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this>'
        '</CurrentTime>')
GOOD = ENVELOPE.format(TIME)
BAD = "InvalidRequest"


@pytest.fixture(scope="module", params=["host", "center"])
def node(request, module_rig):
    return module_rig.host() if request.param == "host" else module_rig.center()


@pytest.fixture(scope="module")
def admin(node):
    client = Client(node)
    assert client.login().status == 200
    yield client
    client.close()


@pytest.fixture(scope="module")
def si(node):
    si = connect(node)
    yield si
    Disconnect(si)


@pytest.fixture(autouse=True)
def lives(node):
    """Whatever a test sends, the same process serves the next one."""
    pid = node.pid
    yield
    client = Client(node)
    assert client.send(GOOD.encode()).status == 200
    client.close()
    assert node.pid == pid and node.process.poll() is None


def filled(node, text):
    for name, ids in IDS.items():
        text = text.replace(name, ids[0 if node.is_manager else 1])
    return text


def entities(depth):
    """The billion laughs."""
    lines = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, depth))
    return (f'<?xml version="1.0"?><!DOCTYPE e [<!ENTITY e0 "ha">{lines}]>'
            + GOOD.removeprefix(XML).replace(">ServiceInstance<", f">&e{depth - 1};<"))


def nested(element, depth, attributes=""):
    return f"<{element}{attributes}>" * depth + f"</{element}>" * depth


def collect(inner):
    return ENVELOPE.format('<RetrieveProperties xmlns="urn:vim25">'
                           '<_this type="PropertyCollector">COLLECTOR</_this><specSet>'
                           f'{inner}</specSet></RetrieveProperties>')


def in_header(text):
    return GOOD.replace("<soapenv:Body>",
                        f"<soapenv:Header>{text}</soapenv:Header><soapenv:Body>")


def this(text):
    return GOOD.replace(">ServiceInstance<", f">{text}<")


TRAVERSAL = ' xsi:type="TraversalSpec"'

MALFORMED = {  # what is sent, the fault, what its message names
    "empty": ("", "empty"),
    "no-xml": ("hello", "'<' not found"),
    "json": ('{"method": "CurrentTime"}', "'<' not found"),
    "truncated": (GOOD[:-20], "malformed XML at line 2"),
    "half": (GOOD[:len(GOOD) // 2], "malformed XML"),
    "tags-crossed": (GOOD.replace("</CurrentTime>", "</CurrentTim>"), "CurrentTim"),
    "bad-utf8": (GOOD.encode().replace(b">ServiceInstance<", b">\xff\xfe<"), "UTF-8"),
    "nul": (this("a\0b"), "0x0"),
    "reference-to-nul": (this("&#0;"), "invalid xmlChar value 0"),
    "reference-beyond-unicode": (this("&#x110000;"), "out of bounds"),
    "unknown-entity": (this("&nosuch;"), "nosuch"),
    "entities": (entities(30), "document type"),
    "entity-of-a-file": (f'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]>{this("&f;")}'
                         .replace(XML, ""), "document type"),
    "no-envelope": ("<a/>", '"a" is not a SOAP 1.1 envelope'),
    "soap-1.2": (GOOD.replace("http://schemas.xmlsoap.org/soap/envelope/",
                              "http://www.w3.org/2003/05/soap-envelope"), "SOAP 1.1"),
    "no-request": (ENVELOPE.format(""), "holds no request"),
    "two-requests": (ENVELOPE.format(TIME * 2), '"CurrentTime"'),
    "other-namespace": (GOOD.replace("urn:vim25", "urn:other"), '"urn:other"'),
    "deep-header": (in_header(nested("x", 100_000)), "deeper than 64"),
    "deep-selection": (collect("<propSet><type>Folder</type></propSet><objectSet>"
                               '<obj type="Folder">ROOT</obj>'
                               + nested("selectSet", 10_000, TRAVERSAL) + "</objectSet>"),
                       ("deeper than 64", "lacks")),
    "wide": (collect("<propSet><type>Folder</type>" + "<pathSet>name</pathSet>" * 400_000
                     + "</propSet>"), "more than 400000 elements"),
    "long-name": (ENVELOPE.format(f"<{'a' * 200_000}/>"), "Name too long"),
    "no-this": (ENVELOPE.format('<CurrentTime xmlns="urn:vim25"/>'), '"_this"'),
    "type-of-this": (GOOD.replace('type="ServiceInstance"', 'type="Nonsense"'), '"Nonsense"'),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(node, admin, name):
    body, words = MALFORMED[name]
    body = body if isinstance(body, bytes) else filled(node, body).encode()
    reply = admin.send(body)
    assert (reply.status, reply.code, reply.fault) == (500, "ClientFaultCode", BAD)
    assert any(word in reply.text for word in ([words] if isinstance(words, str) else words))
    assert len(reply.text) < 500 and "root:" not in reply.text


def test_deep_selection_that_is_well_formed(node, admin):
    traversal = ('<selectSet xsi:type="TraversalSpec"><type>Folder</type>'
                 '<path>childEntity</path>')
    reply = admin.send(filled(node, collect(
        "<propSet><type>Folder</type></propSet><objectSet>"
        f'<obj type="Folder">ROOT</obj>{traversal * 50}{"</selectSet>" * 50}'
        "</objectSet>")).encode())
    assert reply.fault == "InvalidArgument" and "deeper than 32" in reply.text
    assert reply.member("invalidProperty") == "objectSet.selectSet"


@pytest.mark.parametrize("is_known", [True, False], ids=["session", "stranger"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_huge(node, admin, is_known, chunked):
    client = admin if is_known else Client(node)
    client.close()
    size = 40 << 20
    body = ENVELOPE.format(this("x" * size)).encode()
    reply = client.send(iter([body]) if chunked else body)
    assert reply.status == 413 and b"at most" in reply.body
    client.close()


def test_length_that_lies(node):
    """A body that ends too early is no request; one that is longer, not this request's."""
    assert b"HTTP/1.1 2" not in raw(node, request(GOOD.encode()[:50], length=5000), 5)
    for length in (-5, 1 << 62, 1 << 70, "x"):
        got = raw(node, request(b"<", length=length), 5)
        assert got == b"" or got.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), got[:100]
    head, body = raw(node, request(GOOD.encode(), length=len(GOOD) - 9), 5).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 500") and b"malformed XML" in body


@pytest.mark.parametrize("data", [b"\x16\x03\x01 garbage\r\n\r\n",
                                  b"GET /" + b"a" * 100_000 + b" H",
                                  b"\r\n" * 50_000, b"GET / HTTP/9.9\r\n\r\n",
                                  b"POST /sdk HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
                                  b"GET /sdk HTTP/1.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n"],
                         ids=["garbage", "long-line", "empty-lines", "version", "chunk", "headers"])
def test_no_http(node, data):
    got = raw(node, data, 2)
    assert b"HTTP/1.1 2" not in got


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/sdk", 405), ("PUT", "/sdk", 405), ("DELETE", "/sdk", 405), ("POST", "/sdk/x", 404),
    ("GET", "/nothing", 404), ("GET", "/sdk/../../etc/passwd", 400),
    ("GET", "/folder/%2e%2e/x?dsName=datastore1", 400)])
def test_paths(node, admin, method, path, status):
    reply = admin.send(b"" if method == "GET" else b"x", path=path, method=method)
    assert reply.status == status and reply.body.strip()


# ---- what is SOAP, but not the API ----

UNKNOWN = [  # method, its object's type and id, the fault, its members
    ("Explode", "ServiceInstance", "ServiceInstance", "MethodNotFound",
     {"receiver": "ServiceInstance", "method": "Explode"}),
    ("PowerOnVM_Task", "ServiceInstance", "ServiceInstance", "MethodNotFound",
     {"receiver": "ServiceInstance", "method": "PowerOnVM_Task"}),
    ("CurrentTime", "ServiceInstance", "nosuch", "ManagedObjectNotFound", {"obj": "nosuch"}),
    ("CurrentTime", "ServiceInstance", "n" * 5000, "ManagedObjectNotFound", {}),
    ("Destroy_Task", "Folder", "ServiceInstance", "ManagedObjectNotFound",
     {"obj": "ServiceInstance"}),
    ("PowerOnVM_Task", "VirtualMachine", "vm-99", "ManagedObjectNotFound", {"obj": "vm-99"}),
    ("CancelTask", "Task", "task-99", "ManagedObjectNotFound", {"obj": "task-99"}),
    ("Rename_Task", "Datastore", "../../etc", "ManagedObjectNotFound", {"obj": "../../etc"}),
]


@pytest.mark.parametrize("method, kind, name, fault, members", UNKNOWN,
                         ids=[f"{u[0]}-{u[2][:15]}" for u in UNKNOWN])
def test_unknown(admin, method, kind, name, fault, members):
    arguments = "<newName>x</newName>" if method == "Rename_Task" else ""
    reply = admin.method(method, (kind, name), arguments)
    assert (reply.status, reply.fault) == (500, fault), reply.text
    assert name[:100] in reply.text
    assert {key: reply.member(key) for key in members} == members


ARGUMENTS = {  # arguments of CreateFolder, what the message names
    "missing": ("", '"CreateFolder" lacks "name"'),
    "unknown": ("<name>a</name><color>red</color>", '"color" in "CreateFolder"'),
    "twice": ("<name>a</name><name>b</name>", '"name" appears twice'),
    "nested": ("<name><b>x</b></name>", '"b" inside "name"'),
    "typed": ('<name xsi:type="VirtualMachineConfigSpec"/>', 'not a "string"'),
    "typed-nonsense": ('<name xsi:type="Nonsense">a</name>', '"Nonsense"'),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(node, admin, si, name):
    arguments, words = ARGUMENTS[name]
    with Unchanged(si):
        reply = admin.method("CreateFolder", ("Folder", filled(node, "ROOT")), arguments)
        assert (reply.code, reply.fault) == ("ClientFaultCode", BAD) and words in reply.text


VALUES = {  # members of a VirtualMachineConfigSpec, what the message names
    "word-for-number": ("<memoryMB>lots</memoryMB>", '"memoryMB": "lots"'),
    "overflow": ("<numCPUs>99999999999</numCPUs>", '"numCPUs": "99999999999"'),
    "fraction": ("<numCPUs>1.5</numCPUs>", '"numCPUs": "1.5"'),
    "empty-number": ("<numCPUs/>", '"numCPUs"'),
    "boolean": ("<memoryHotAddEnabled>maybe</memoryHotAddEnabled>", '"maybe"'),
    "date": ("<createDate>yesterday</createDate>", '"yesterday" is not a valid dateTime'),
    "unknown": ("<colour>red</colour>", '"colour" in "VirtualMachineConfigSpec"'),
    "type": ('<files xsi:type="Nonsense"/>', '"Nonsense"'),
    "wrong-type": ('<files xsi:type="VirtualDisk"/>', 'not a "VirtualMachineFileInfo"'),
    "lacking": ("<deviceChange><operation>add</operation></deviceChange>", 'lacks "device"'),
    "enumeration": ("<deviceChange><operation>explode</operation></deviceChange>", '"explode"'),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(node, admin, si, name):
    config, words = VALUES[name]
    with Unchanged(si):
        reply = admin.method("CreateVM_Task", ("Folder", filled(node, "ROOT")),
                             f"<config>{config}</config>"
                             '<pool type="ResourcePool">resgroup-1</pool>')
        assert (reply.code, reply.fault) == ("ClientFaultCode", BAD) and words in reply.text


COLLECTING = {  # a PropertyFilterSpec, the fault, its member, what the message names
    "property": ("<propSet><type>Folder</type><pathSet>nosuch</pathSet></propSet>",
                 "InvalidProperty", ("name", "nosuch")),
    "path": ("<propSet><type>Folder</type><pathSet>name[[[</pathSet></propSet>",
             "InvalidProperty", ("name", "name[[[")),
    "long-path": (f"<propSet><type>Folder</type><pathSet>{'name.' * 5000}</pathSet></propSet>",
                  "InvalidProperty", None),
    "type": ("<propSet><type>Nonsense</type><all>true</all></propSet>", "InvalidType",
             ("argument", "Nonsense")),
    "object": ('<propSet><type>Folder</type></propSet><objectSet><obj type="Folder">group-99</obj>'
               "</objectSet>", "ManagedObjectNotFound", ("obj", "group-99")),
}


@pytest.mark.parametrize("name", COLLECTING)
def test_property_collector(node, admin, name):
    spec, fault, member = COLLECTING[name]
    if "<objectSet>" not in spec:
        spec += '<objectSet><obj type="Folder">ROOT</obj></objectSet>'
    reply = admin.send(filled(node, collect(spec)).encode())
    assert reply.fault == fault
    if member is not None:
        assert reply.member(member[0]) == member[1] and member[1] in reply.text


def test_collector_version_that_never_was(node, admin):
    this = ("PropertyCollector", filled(node, "COLLECTOR"))
    reply = admin.method("WaitForUpdatesEx", this, "<version>-77x</version>")
    assert reply.fault == "InvalidCollectorVersion" and '"-77x"' in reply.text


# ---- who asks ----

def make_folder(client, node):
    return client.method("CreateFolder", ("Folder", filled(node, "ROOT")), "<name>x</name>")


def assert_not_authenticated(reply):
    assert reply.fault == "NotAuthenticated" and "not authenticated" in reply.text
    assert reply.member("privilegeId") == "Folder.Create"


@pytest.mark.parametrize("cookie", [None, "vmware_soap_session=nonsense", "=;;=\";",
                                    "a=" + "b" * 9000],
                         ids=["none", "unknown", "broken", "long"])
def test_without_a_session(node, si, cookie):
    client = Client(node)
    client.cookie = cookie
    with Unchanged(si):
        assert_not_authenticated(make_folder(client, node))
    client.close()


def test_session_that_was_ended(node, admin, si):
    client = Client(node)
    key = client.login().value(r"<key>([^<]+)</key>")
    manager = ("SessionManager", filled(node, "SESSIONS"))
    assert admin.method("TerminateSession", manager, f"<sessionId>{key}</sessionId>").status == 200
    again = admin.method("TerminateSession", manager, f"<sessionId>{key}</sessionId>")
    assert again.fault == "NotFound"
    with Unchanged(si):
        assert_not_authenticated(make_folder(client, node))
    assert client.login().status == 200
    assert client.method("Logout", manager).status == 200
    assert_not_authenticated(make_folder(client, node))
    client.close()


def test_wrong_passwords(node, admin):
    """Five are checked; then the pair of name and address has to wait, and nobody else."""
    client = Client(node)
    for _ in range(5):
        reply = client.login(user="mallory", password="wrong")
        assert reply.fault == "InvalidLogin" and "incorrect user name or password" in reply.text
    reply = client.login(user="mallory", password="wrong")
    assert reply.fault == "InvalidLogin" and "try again in a minute" in reply.text
    for user, password in (("", ""), ("x" * 5000, "x"), (node.user, "x" * 5000)):
        manager = ("SessionManager", filled(node, "SESSIONS"))
        reply = client.method("Login", manager, f"<userName>{user}</userName>"
                              f"<password>{password}</password>")
        assert reply.fault == "InvalidLogin"
    assert client.login().status == 200
    client.close()


def test_sessions_end_with_the_process(rig):
    node = rig.host()
    client = Client(node)
    assert client.login().status == 200
    node.kill()
    node.start()
    client.close()
    assert_not_authenticated(make_folder(client, node))
    assert client.login().status == 200
    client.close()
