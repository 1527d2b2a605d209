#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""pyvmomi against a small endpoint: connects, logs in, reads, waits, is refused where it should be.

    endpoint_test.py ENDPOINT_SAMPLE
"""

import os
import shlex
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

try:
    from pyVim import connect
    from pyVmomi import vim, vmodl
except ImportError:
    print("skipped: pyvmomi is not installed")
    sys.exit(77)

# A program of another architecture runs by what meson says.
PROGRAM = shlex.split(os.environ.get("MESON_EXE_WRAPPER", "")) + [sys.argv.pop()]


class Endpoint:
    """A running endpoint_sample."""

    def __init__(self, kind):
        self.dir = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([*PROGRAM, kind, self.dir.name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        port, self.thumbprint = self.process.stdout.readline().split()
        self.port = int(port)

    def connect(self, user="root", password="secret"):
        return connect.SmartConnect(host="127.0.0.1", port=self.port, user=user, pwd=password,
                                    sslContext=ssl._create_unverified_context())

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(20)
        self.process.stdout.close()
        self.dir.cleanup()
        return code


def retrieve(content, obj, paths, traversal=None):
    pc = vmodl.query.PropertyCollector
    spec = pc.FilterSpec(
        objectSet=[pc.ObjectSpec(obj=obj, skip=traversal is not None,
                                 selectSet=[traversal] if traversal else [])],
        propSet=[pc.PropertySpec(type=vim.ManagedEntity, all=False, pathSet=paths)])
    return content.propertyCollector.RetrieveContents([spec])


class Case(unittest.TestCase):
    kind = "center"

    def setUp(self):
        self.endpoint = Endpoint(self.kind)
        self.instance = self.endpoint.connect()
        self.content = self.instance.RetrieveContent()

    def tearDown(self):
        connect.Disconnect(self.instance)
        self.assertEqual(self.endpoint.close(), 0)


class Center(Case):
    def test_about(self):
        about = self.content.about
        self.assertEqual((about.apiType, about.productLineId), ("VirtualCenter", "vpx"))
        self.assertTrue(about.build.isdigit())
        self.assertEqual(self.content.rootFolder._moId, "group-d1")

    def test_attributes(self):
        root = self.content.rootFolder
        self.assertEqual(root.name, "Datacenters")
        self.assertIsNone(root.parent)
        self.assertEqual(root.childEntity[0].childEntity[0].name, "edge-1")

    def test_session(self):
        manager = self.content.sessionManager
        current = manager.currentSession
        self.assertEqual(current.userName, "root")
        self.assertEqual([s.key for s in manager.sessionList], [current.key])
        self.assertTrue(manager.SessionIsActive(current.key, "root"))
        with self.assertRaises(vim.fault.NotFound):
            manager.TerminateSession(["nobody"])
        manager.UpdateServiceMessage("maintenance at noon")
        self.assertEqual(manager.message, "maintenance at noon")

    def test_wrong_password(self):
        with self.assertRaises(vim.fault.InvalidLogin):
            self.endpoint.connect("root", "wrong")

    def test_ended_session(self):
        other = self.endpoint.connect()
        content = other.RetrieveContent()
        key = content.sessionManager.currentSession.key
        self.content.sessionManager.TerminateSession([key])
        with self.assertRaises(vim.fault.NotAuthenticated):
            content.rootFolder.name

    def test_clone(self):
        ticket = self.content.sessionManager.AcquireCloneTicket()
        stub = self.instance._stub
        other = connect.SoapStubAdapter("127.0.0.1", self.endpoint.port, version=stub.version,
                                        sslContext=ssl._create_unverified_context())
        manager = vim.SessionManager(self.content.sessionManager._moId, other)
        self.assertEqual(manager.CloneSession(ticket).userName, "root")
        self.assertEqual(manager.currentSession.userName, "root")
        with self.assertRaises(vim.fault.InvalidLogin):
            manager.CloneSession(ticket)

    def test_permissions(self):
        manager = self.content.authorizationManager
        guest = self.endpoint.connect("guest", "guest")
        root = guest.RetrieveContent().rootFolder
        with self.assertRaises(vim.fault.NoPermission):
            root.overallStatus
        permission = vim.AuthorizationManager.Permission(principal="guest", group=False,
                                                         roleId=-2, propagate=True)
        folder = self.content.rootFolder.childEntity[0]
        manager.SetEntityPermissions(folder, [permission])
        self.assertEqual(folder.permission[0].principal, "guest")
        self.assertEqual(vim.VirtualMachine("vm-1", guest._stub).name, "edge-1")
        self.assertEqual(root.name, "Datacenters")
        with self.assertRaises(vim.fault.NoPermission):
            root.permission
        with self.assertRaises(vim.fault.UserNotFound):
            permission.principal = "nobody"
            manager.SetEntityPermissions(folder, [permission])
        with self.assertRaises(vim.fault.AuthMinimumAdminPermission):
            manager.RemoveEntityPermission(self.content.rootFolder, "root", False)
        manager.RemoveEntityPermission(folder, "guest", False)
        with self.assertRaises(vim.fault.NoPermission):
            vim.VirtualMachine("vm-1", guest._stub).overallStatus

    def test_roles(self):
        manager = self.content.authorizationManager
        role = manager.AddAuthorizationRole("operators", ["VirtualMachine.Interact.PowerOn"])
        self.assertIn("operators", [r.name for r in manager.roleList])
        with self.assertRaises(vim.fault.AlreadyExists):
            manager.AddAuthorizationRole("operators", [])
        with self.assertRaises(vmodl.fault.InvalidArgument):
            manager.AddAuthorizationRole("others", ["No.Such"])
        manager.UpdateAuthorizationRole(role, "operator", ["System.Read"])
        manager.RemoveAuthorizationRole(role, True)
        with self.assertRaises(vim.fault.NotFound):
            manager.RetrieveRolePermissions(role)
        self.assertGreater(len(manager.privilegeList), 150)
        has = manager.HasPrivilegeOnEntities(
            [self.content.rootFolder], self.content.sessionManager.currentSession.key,
            ["System.Read"])
        self.assertTrue(has[0].privAvailability[0].isGranted)

    def test_collector(self):
        pc = vmodl.query.PropertyCollector
        walk = pc.TraversalSpec(name="walk", type=vim.Folder, path="childEntity", skip=False,
                                selectSet=[pc.SelectionSpec(name="walk")])
        found = retrieve(self.content, self.content.rootFolder, ["name"], walk)
        self.assertEqual(sorted(o.propSet[0].val for o in found), ["edge-1", "vm"])
        with self.assertRaises(vmodl.query.InvalidProperty):
            retrieve(self.content, self.content.rootFolder, ["nothing"])

    def test_updates(self):
        """A waiting client sees a change that another one makes, and ends with its session."""
        pc = vmodl.query.PropertyCollector
        vm = vim.VirtualMachine("vm-1", self.instance._stub)
        other = self.endpoint.connect()
        content = other.RetrieveContent()
        collector = content.propertyCollector
        collector.CreateFilter(pc.FilterSpec(
            objectSet=[pc.ObjectSpec(obj=vim.VirtualMachine("vm-1", other._stub))],
            propSet=[pc.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])]), True)
        first = collector.WaitForUpdatesEx("", None)
        seen = []

        def wait():
            try:
                update = collector.WaitForUpdatesEx(first.version, None)
                seen.append(update.filterSet[0].objectSet[0].changeSet[0].val)
                collector.WaitForUpdatesEx(update.version, None)
            except Exception as e:
                seen.append(type(e))

        thread = threading.Thread(target=wait)
        thread.start()
        vm.Rename_Task("edge-2")
        manager = self.content.sessionManager
        own = manager.currentSession.key
        key = next(s.key for s in manager.sessionList if s.key != own)
        while not seen:
            thread.join(0.01)
        manager.TerminateSession([key])
        thread.join(20)
        self.assertEqual(seen[0], "edge-2")
        self.assertIn(seen[1], (vim.fault.NotAuthenticated, vmodl.fault.RequestCanceled,
                                vmodl.fault.ManagedObjectNotFound))

    def test_fault_fields(self):
        vm = vim.VirtualMachine("vm-1", self.instance._stub)
        with self.assertRaises(vim.fault.DuplicateName) as caught:
            vm.Rename_Task("vm")
        self.assertEqual(caught.exception.name, "vm")
        self.assertEqual(caught.exception.object._moId, "folder-vm")
        with self.assertRaises(vmodl.fault.ManagedObjectNotFound):
            vim.VirtualMachine("vm-9", self.instance._stub).name
        with self.assertRaises(vmodl.fault.NotSupported):
            vm.PowerOn()

    def raw(self, headers, body, is_first_enough=False):
        """Status of each answer to a request that is followed by another."""
        plain = socket.create_connection(("127.0.0.1", self.endpoint.port), timeout=10)
        second = b"GET /sdk/vimServiceVersions.xml HTTP/1.1\r\nHost: x\r\n" \
                 b"Connection: close\r\n\r\n"
        got = b""
        with ssl._create_unverified_context().wrap_socket(plain) as secure:
            secure.sendall(f"POST /sdk HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode() + body +
                           second)
            while True:
                try:
                    part = secure.recv(65536)
                except OSError:
                    break
                if not part:
                    break
                got += part
                if is_first_enough and b"\r\n\r\n" in got:
                    break
        return [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]

    def test_where_a_body_ends(self):
        self.assertEqual(self.raw("Content-Length: 4\r\n", b"none"), [500, 200])
        self.assertEqual(self.raw("Transfer-Encoding: chunked\r\n", b"4\r\nnone\r\n0\r\n\r\n"),
                         [500, 200])
        for headers in ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                        "Content-Length: 5\r\nContent-Length: 0\r\n",
                        "Transfer-Encoding: identity\r\n",
                        "Transfer-Encoding: xchunked\r\n",
                        "Transfer-Encoding: gzip, chunked\r\n",
                        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                        "Transfer-Encoding : chunked\r\n",
                        "Content-Length : 5\r\n"):
            with self.subTest(headers):
                # That nothing more comes is seen only when the server closes, seconds later.
                self.assertEqual(self.raw(headers, b"0\r\n\r\n", headers[-3] != "d" or
                                          headers[0] != "C"), [400])

    def test_users(self):
        found = self.content.userDirectory.RetrieveUserGroups(
            searchStr="gue", exactMatch=False, findUsers=True, findGroups=False)
        self.assertEqual([f.principal for f in found], ["guest"])


class Host(Case):
    kind = "host"

    def test_about(self):
        about = self.content.about
        self.assertEqual((about.apiType, about.productLineId), ("HostAgent", "embeddedEsx"))
        self.assertEqual(self.content.rootFolder._moId, "ha-folder-root")
        self.assertEqual(self.content.rootFolder.name, "Datacenters")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
