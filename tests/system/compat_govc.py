# SPDX-License-Identifier: Apache-2.0
"""govc: sessions, inventory, properties, events, tasks, permissions. compat_govc_vm.py and
compat_govc_host.py add the rows of machines, hosts and datastores to the same table."""

import json
import re
import time

from compat import MANAGERS, Table
from govc import Refused, bounded, table

GOVC = Table("govc", Refused)
row = GOVC.row


# ---- about, sessions ----

@row("about")
def about(t):
    told = table(t.govc("about"))
    assert told["API type"] == ("VirtualCenter" if t.is_manager else "HostAgent")
    assert told["Product ID"] == ("vpx" if t.is_manager else "embeddedEsx")
    assert re.fullmatch(r"\d+(\.\d+)+", told["API version"])
    assert re.fullmatch(r"[0-9a-f-]{36}", told["UUID"]) or not t.is_manager


@row("about.cert")
def about_cert(t):
    told = t.govc("about.cert", "-k")
    assert t.node.thumbprint() in told


@row("about.cert -thumbprint")
def about_cert_thumbprint(t):
    address, print_ = t.govc("about.cert", "-k", "-thumbprint").split()
    assert address == f"{t.node.address}:{t.node.port}" and print_ == t.node.thumbprint()
    known = t.file("known_hosts", f"{address} {print_}\n".encode())
    strict = {"GOVC_INSECURE": "0", "GOVC_TLS_KNOWN_HOSTS": known}
    assert "API type" in t.govc("about", env=strict)


@row("session.login")
def session_login(t):
    assert len(t.govc("session.login", "-l").strip()) >= 16
    wrong = {"GOVC_PASSWORD": "wrong", "GOVC_USERNAME": "nobody"}
    assert "login" in t.govc.refusal("session.login", env=wrong).lower()


@row("session.login -clone, -ticket")
def session_clone(t):
    persist = {"GOVC_PERSIST_SESSION": "true", "GOVMOMI_HOME": f"{t.home}/clone"}
    t.govc("about", env=persist)
    ticket = t.govc("session.login", "-clone", env=persist).strip()
    assert len(ticket) > 8
    anonymous = {"GOVC_USERNAME": "", "GOVC_PASSWORD": ""}
    assert t.govc("session.login", "-l", "-ticket", ticket, env=anonymous).strip()


@row("session.ls")
def session_ls(t):
    rows = [line for line in t.govc.lines("session.ls") if "govc/" in line]
    assert any(t.node.user in line for line in rows)


@row("session.rm")
def session_rm(t):
    def others():
        told = t.govc.json("session.ls")
        return {s["Key"] for s in told["SessionList"]} - {told["CurrentSession"]["Key"]}

    before = others()
    t.govc("session.login", "-l")
    key = (others() - before).pop()
    t.govc("session.rm", key)
    assert key not in others()


@row("session.logout")
def session_logout(t):
    persist = {"GOVC_PERSIST_SESSION": "true", "GOVMOMI_HOME": t.home}
    t.govc("about", env=persist)
    t.govc("session.logout", env=persist)
    assert "API type" in t.govc("about", env=persist)


# ---- the inventory ----

@row("ls")
def ls(t):
    wanted = {f"{t.datacenter}/{name}" for name in ("vm", "host", "datastore", "network")}
    assert wanted == set(t.govc.lines("ls"))


@row("ls -l")
def ls_long(t):
    assert f"{t.datacenter}/vm/" in t.govc.lines("ls", "-l")


@row("ls -i")
def ls_references(t):
    assert all(re.match(r"[A-Z]\w+:[\w-]+", line) for line in t.govc.lines("ls", "-i"))


@row("ls -t HostSystem")
def ls_type(t):
    assert t.host in t.govc.lines("ls", "-t", "HostSystem", f"{t.datacenter}/host/*")


@row("find")
def find(t):
    found = t.govc.lines("find", "/")
    for path in (t.datacenter, t.vm_folder, t.host, t.pool,
                 f"{t.datacenter}/network/VM Network", f"{t.datacenter}/datastore/{t.datastore}"):
        assert path in found, path


@row("find -type h")
def find_hosts(t):
    assert t.host in t.govc.lines("find", "/", "-type", "h")


@row("find -name")
def find_name(t):
    assert t.govc.lines("find", "/", "-type", "n", "-name", "VM Net*") == [
        f"{t.datacenter}/network/VM Network"]


@row("folder.info")
def folder_info(t):
    told = table(t.govc("folder.info", t.vm_folder))
    assert told["Name"] == "vm" and told["Path"] == t.vm_folder
    assert "VirtualMachine" in told["Types"]


@row("datacenter.info")
def datacenter_info(t):
    told = table(t.govc("datacenter.info", t.datacenter))
    assert told["Path"] == t.datacenter and int(told["Hosts"]) >= 1
    assert int(told["Datastores"]) >= 1 and int(told["Networks"]) >= 1


@row("folder.create", on=MANAGERS)
def folder_create(t):
    t.govc("folder.create", f"{t.vm_folder}/compat", f"{t.vm_folder}/compat/inner")
    assert f"{t.vm_folder}/compat/inner" in t.govc.lines("find", t.vm_folder, "-type", "f")


@row("object.rename", on=MANAGERS, after="folder.create")
def object_rename(t):
    t.govc("object.rename", f"{t.vm_folder}/compat/inner", "core")
    assert f"{t.vm_folder}/compat/core" in t.govc.lines("ls", f"{t.vm_folder}/compat")


@row("object.mv", on=MANAGERS, after="object.rename")
def object_move(t):
    t.govc("object.mv", f"{t.vm_folder}/compat/core", t.vm_folder)
    assert t.get(f"{t.vm_folder}/core", "name") == "core"
    assert t.govc.lines("ls", f"{t.vm_folder}/compat") == []


@row("object.destroy", on=MANAGERS, after="object.mv")
def object_destroy(t):
    t.govc("object.destroy", f"{t.vm_folder}/core", f"{t.vm_folder}/compat")
    assert not [p for p in t.govc.lines("ls", t.vm_folder) if p.endswith(("core", "compat"))]


@row("datacenter.create", on=MANAGERS)
def datacenter_create(t):
    t.govc("datacenter.create", "compat-dc")
    assert "/compat-dc" in t.govc.lines("find", "/", "-type", "d")
    assert set(t.govc.lines("ls", "/compat-dc")) == {
        f"/compat-dc/{name}" for name in ("vm", "host", "datastore", "network")}
    t.govc("object.destroy", "/compat-dc")
    assert "/compat-dc" not in t.govc.lines("find", "/", "-type", "d")


# ---- clusters and pools ----

@row("cluster.create", on=MANAGERS)
def cluster_create(t):
    t.govc("cluster.create", "compat-cluster")
    path = f"{t.datacenter}/host/compat-cluster"
    assert path in t.govc.lines("find", "/", "-type", "c")
    assert t.get(f"{path}/Resources", "name") == "Resources"
    t.notes["cluster"] = path


@row("cluster.change", on=MANAGERS, after="cluster.create")
def cluster_change(t):
    t.govc("cluster.change", "-drs-enabled", "-ha-enabled", t.notes["cluster"])
    assert t.get(t.notes["cluster"], "configurationEx.drsConfig.enabled") == "true"
    assert t.get(t.notes["cluster"], "configurationEx.dasConfig.enabled") == "true"


@row("cluster.group.create, ls", on=MANAGERS, after="cluster.create")
def cluster_group(t):
    cluster = ("-cluster", t.notes["cluster"], "-name", "compat-group")
    t.govc("cluster.group.create", *cluster, "-vm")
    groups = t.govc.lines("cluster.group.ls", "-cluster", t.notes["cluster"])
    assert "compat-group" in " ".join(groups)
    t.govc("cluster.group.remove", *cluster)
    assert "compat-group" not in t.govc("cluster.group.ls", "-cluster", t.notes["cluster"])


@row("object.destroy (cluster)", on=MANAGERS,
     after=("cluster.change", "cluster.group.create, ls"))
def cluster_destroy(t):
    t.govc("object.destroy", t.notes["cluster"])
    assert t.notes["cluster"] not in t.govc.lines("find", "/", "-type", "c")


@row("pool.create")
def pool_create(t):
    t.govc("pool.create", "-mem.limit", "512", f"{t.pool}/compat-pool")
    assert t.get(f"{t.pool}/compat-pool", "config.memoryAllocation.limit") == "512"


@row("pool.info", after="pool.create")
def pool_info(t):
    told = table(t.govc("pool.info", f"{t.pool}/compat-pool"))
    assert told["Name"] == "compat-pool" and told["Mem Limit"] == "512MB"


@row("pool.change", after="pool.create")
def pool_change(t):
    t.govc("pool.change", "-cpu.limit", "700", "-name", "compat-pool-2", f"{t.pool}/compat-pool")
    assert t.get(f"{t.pool}/compat-pool-2", "config.cpuAllocation.limit") == "700"


@row("pool.destroy", after=("pool.change", "pool.info"))
def pool_destroy(t):
    t.govc("pool.destroy", f"{t.pool}/compat-pool-2")
    assert t.govc.lines("find", t.pool, "-type", "p", "-name", "compat*") == []


# ---- properties ----

@row("object.collect")
def object_collect(t):
    told = t.govc("object.collect", t.host, "name", "runtime.connectionState")
    assert re.search(rf"name\s+string\s+{re.escape(t.host_name)}", told)
    assert re.search(r"runtime\.connectionState\s+\S+\s+connected", told)


@row("object.collect -s")
def object_collect_value(t):
    assert t.govc("object.collect", "-s", t.host, "name").strip() == t.host_name


@row("object.collect (all properties)")
def object_collect_all(t):
    assert "summary.hardware.uuid" in t.govc("object.collect", t.host, "summary.hardware")
    names = {line.split()[0] for line in t.govc.lines("object.collect", t.host)}
    assert {"name", "parent", "summary", "hardware", "config", "datastore"} <= names


@row("object.collect -json")
def object_collect_json(t):
    told = t.govc.json("object.collect", t.host, "summary.hardware")
    assert told[0]["Val"]["NumCpuCores"] >= 1


@row("object.collect -type h")
def object_collect_type(t):
    assert t.host_name in t.govc.lines("object.collect", "-s", "-type", "h", "/", "name")


@row("object.collect - content")
def object_collect_content(t):
    assert "content.rootFolder" in t.govc("object.collect", "-", "content")


@row("object.collect -n 0")
def object_collect_now(t):
    assert t.govc("object.collect", "-s", "-n", "0", t.host, "name").strip() == t.host_name


@row("object.collect -n 1")
def object_collect_change(t):
    """Follows a property over one change made by somebody else."""
    pool = f"{t.pool}/compat-watched"
    t.govc("pool.create", pool)
    with bounded(t.govc.popen("object.collect", "-s", "-n", "1", pool,
                              "config.cpuAllocation.limit")) as watch:
        assert watch.stdout.readline().strip() == "-1"
        t.govc("pool.change", "-cpu.limit", "900", pool)
        out, errors = watch.communicate()
        assert watch.returncode == 0 and out.split() == ["900"], (out, errors)
    t.govc("pool.destroy", pool)


@row("object.collect -wait")
def object_collect_wait(t):
    """Waits a second for changes that do not come."""
    began = time.monotonic()
    assert t.govc("object.collect", "-s", "-wait", "1s", t.host, "name").strip() == t.host_name
    assert time.monotonic() - began >= 0.9


@row("object.collect (filter)")
def object_collect_filter(t):
    assert "connected" in t.govc("object.collect", "-s", t.host, "-runtime.connectionState",
                                 "connected")


@row("object.save")
def object_save(t):
    t.govc("object.save", "-f", "-d", f"{t.home}/saved")


@row("object.reload", missing="Reload of what lies in storage", refusal="NotSupported|support")
def object_reload(t):
    t.govc("object.reload", t.vm_folder)


# ---- events and tasks ----

@row("events")
def events(t):
    assert re.search(r"\[info\] .*logged in", t.govc("events", "-n", "50"))


@row("events -type")
def events_type(t):
    lines = t.govc.lines("events", "-type", "UserLoginSessionEvent", "-n", "5")
    assert 1 <= len(lines) <= 5 and all("logged in" in line for line in lines)


@row("events -json")
def events_json(t):
    first, _ = json.JSONDecoder().raw_decode(t.govc("events", "-json", "-n", "5"))
    assert first["CreatedTime"] and first["Category"] == "info" and first["Message"]


@row("events -f")
def events_follow(t):
    with bounded(t.govc.popen("events", "-f", "-n", "1", "/")) as follow:
        first = follow.stdout.readline()
        t.govc("session.login")
        assert first and "logged" in follow.stdout.readline()


@row("tasks")
def tasks(t):
    t.govc("datastore.mkdir", "compat-task")
    t.govc("datastore.rm", "compat-task")
    lines = t.govc.lines("tasks")
    assert lines[0].startswith("Task") and any("success" in line for line in lines[1:])


@row("tasks PATH")
def tasks_path(t):
    assert t.govc.lines("tasks", t.host)[0].startswith("Task")


# ---- roles and permissions ----

@row("role.ls")
def role_ls(t):
    names = {line.split()[0] for line in t.govc.lines("role.ls")}
    assert {"Admin", "ReadOnly", "NoAccess", "View", "Anonymous"} <= names
    assert "VirtualMachine.Interact.PowerOn" in t.govc("role.ls", "Admin")


@row("role.create")
def role_create(t):
    t.govc("role.create", "compat-role", "VirtualMachine.Interact.PowerOn")
    assert "VirtualMachine.Interact.PowerOn" in t.govc.lines("role.ls", "compat-role")


@row("role.update", after="role.create")
def role_update(t):
    t.govc("role.update", "-a", "compat-role", "VirtualMachine.Interact.PowerOff")
    assert "VirtualMachine.Interact.PowerOff" in t.govc.lines("role.ls", "compat-role")


@row("permissions.ls")
def permissions_ls(t):
    assert re.search(rf"Admin\s+/\s+\S*{re.escape(t.node.user.split('@')[0])}",
                     t.govc("permissions.ls", "/"), re.I)


@row("permissions.set")
def permissions_set(t):
    t.govc("permissions.set", "-principal", t.node.user, "-role", "Admin", t.vm_folder)
    assert re.search(r"Admin\s+/\S+/vm\s", t.govc("permissions.ls", t.vm_folder))


@row("role.usage", after="permissions.set")
def role_usage(t):
    assert re.search(r"Admin\s+/\S+/vm\s", t.govc("role.usage", "Admin"))


@row("permissions.remove", after="role.usage")
def permissions_remove(t):
    t.govc("permissions.remove", "-principal", t.node.user, t.vm_folder)
    assert not re.search(r"\s/\S+/vm\s", t.govc("permissions.ls", t.vm_folder))


@row("role.remove", after="role.update")
def role_remove(t):
    t.govc("role.remove", "compat-role")
    assert "compat-role" not in t.govc("role.ls")


# ---- options, licences, custom fields, extensions ----

@row("option.ls")
def option_ls(t):
    assert t.govc.lines("option.ls")


@row("license.ls")
def license_ls(t):
    assert t.govc.lines("license.ls")[0].startswith("Key:")


@row("fields.add", on=MANAGERS)
def fields_add(t):
    t.govc("fields.add", "compat-field")
    assert any("compat-field" in line for line in t.govc.lines("fields.ls"))


@row("fields.ls", on=MANAGERS, after="fields.add")
def fields_ls(t):
    assert re.search(r"compat-field", t.govc("fields.ls"))


@row("fields.set", on=MANAGERS, after="fields.add")
def fields_set(t):
    t.govc("fields.set", "compat-field", "red", t.datacenter)
    assert "red" in t.govc("fields.info", t.datacenter)


@row("fields.info", on=MANAGERS, after="fields.set")
def fields_info(t):
    assert "compat-field" in t.govc("fields.info", "-n", "compat-field", t.datacenter)


@row("fields.rename", on=MANAGERS, after="fields.info")
def fields_rename(t):
    t.govc("fields.rename", "compat-field", "compat-field-2")
    assert "compat-field-2" in t.govc("fields.ls")


@row("fields.rm", on=MANAGERS, after="fields.rename")
def fields_rm(t):
    t.govc("fields.rm", "compat-field-2")
    assert "compat-field" not in t.govc("fields.ls")


@row("extension.info", on=MANAGERS)
def extension_info(t):
    t.govc("extension.info")
