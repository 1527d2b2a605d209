# SPDX-License-Identifier: Apache-2.0
"""SOAP by hand, so that tests can send what no client would."""

import http.client
import re
import socket
import ssl
import xml.etree.ElementTree as xml

ENVELOPE = ('<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope '
            'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{}'
            '</soapenv:Body></soapenv:Envelope>')
XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
VIM = "{urn:vim25}"


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body
        self.fault = self.text = None
        self.code = None
        self.detail = None
        if status == 500 and b"Fault" in body:
            self.read_fault(xml.fromstring(body))

    def read_fault(self, root):
        fault = root.find(f"{SOAP}Body/{SOAP}Fault")
        self.code = fault.findtext("faultcode")
        self.text = fault.findtext("faultstring")
        detail = fault.find("detail")
        if detail is not None and len(detail):
            self.detail = detail[0]
            self.fault = detail[0].get(XSI_TYPE, "").split(":")[-1]

    def member(self, name):
        """A member of the fault."""
        return self.detail.findtext(VIM + name)

    def value(self, pattern):
        """The first group of a pattern in the body."""
        found = re.search(pattern, self.body.decode())
        assert found, f"no {pattern} in {self.body[:400]}"
        return found.group(1)


class Client:
    """One keep-alive connection; logs in when told to."""

    def __init__(self, node, timeout_s=30):
        self.node = node
        self.timeout_s = timeout_s
        self.cookie = None
        self.connection = None

    def connect(self):
        self.connection = http.client.HTTPSConnection(
            self.node.address, self.node.port, timeout=self.timeout_s,
            context=ssl._create_unverified_context())

    def send(self, body, path="/sdk", method="POST", action='"urn:vim25/6.7"', headers=()):
        if self.connection is None:
            self.connect()
        more = {"Content-Type": "text/xml; charset=utf-8"}
        if action is not None:
            more["SOAPAction"] = action
        if self.cookie:
            more["Cookie"] = self.cookie
        more.update(headers)
        try:
            self.connection.request(method, path, body, more)
            answer = self.connection.getresponse()
            reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        set_cookie = reply.headers.get("Set-Cookie", "")
        if "vmware_soap_session=" in set_cookie:
            self.cookie = set_cookie.split(";")[0]
        return reply

    def call(self, inner, **more):
        return self.send(ENVELOPE.format(inner).encode(), **more)

    def method(self, name, this, arguments="", **more):
        """this: (type, id)"""
        kind, identifier = this
        return self.call(f'<{name} xmlns="urn:vim25"><_this type="{kind}">{identifier}</_this>'
                         f'{arguments}</{name}>', **more)

    def login(self, user=None, password=None):
        manager = ("SessionManager",
                   "SessionManager" if self.node.is_manager else "ha-sessionmgr")
        return self.method("Login", manager, f"<userName>{user or self.node.user}</userName>"
                           f"<password>{password or self.node.password}</password>")

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def raw(node, data, seconds=10, shut=True):
    """Sends bytes over TLS and gives all that comes back until the other side closes or the time
    is over."""
    context = ssl._create_unverified_context()
    got = b""
    with socket.create_connection((node.address, node.port), timeout=seconds) as plain:
        with context.wrap_socket(plain) as secure:
            try:
                secure.sendall(data)
                if shut:  # of TCP only: SSLSocket's own shutdown() would end the decryption too
                    socket.socket.shutdown(secure, socket.SHUT_WR)
                while True:
                    part = secure.recv(65536)
                    if not part:
                        break
                    got += part
            except OSError:
                pass
    return got


def request(body, length=None, path="/sdk", method="POST", headers=""):
    """A whole HTTP request as bytes; length may lie."""
    head = (f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Type: text/xml\r\n{headers}"
            f"Content-Length: {len(body) if length is None else length}\r\n"
            f"Connection: close\r\n\r\n")
    return head.encode() + body
