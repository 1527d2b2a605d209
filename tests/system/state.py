# SPDX-License-Identifier: Apache-2.0
"""What a node holds, so that tests can show that a refused request changed nothing: every managed
entity with what matters of it, and every file of every datastore."""

import hashlib
import os
import re

from vmomi import vim, vmodl

PROPERTIES = {
    vim.ManagedEntity: ["name", "parent", "permission", "customValue"],
    vim.Folder: ["childEntity"],
    vim.VirtualMachine: ["config", "runtime.powerState", "resourcePool", "runtime.host",
                         "snapshot", "layoutEx.disk"],
    vim.HostSystem: ["runtime.inMaintenanceMode", "runtime.connectionState", "config.network",
                     "config.option", "datastore", "vm"],
    vim.ResourcePool: ["config"],
    vim.Datastore: ["summary.accessible", "summary.maintenanceMode"],
    vim.ComputeResource: ["configurationEx"],
}
SMALL = 64 << 10  # files up to this size are compared by content
# The log of a machine that runs grows by itself.
GROWS = re.compile(r"\.log$")
# When an object was read anew, which no request asks for.
TIMES = re.compile(r"(modified|lastModified) = .*")
POOL_VERSION = re.compile(r"changeVersion = .*")


def text_of(it, value):
    text = TIMES.sub("", str(value))
    return POOL_VERSION.sub("", text) if isinstance(it, vim.ResourcePool) else text


def objects(si):
    """{id: {property: text}} of all managed entities."""
    pc = vmodl.query.PropertyCollector
    content = si.RetrieveContent()
    view = content.viewManager.CreateContainerView(content.rootFolder, None, True)
    try:
        walk = pc.TraversalSpec(name="all", type=vim.view.ContainerView, path="view", skip=False)
        spec = pc.FilterSpec(
            objectSet=[pc.ObjectSpec(obj=view, skip=True, selectSet=[walk]),
                       pc.ObjectSpec(obj=content.rootFolder)],
            propSet=[pc.PropertySpec(type=kind, pathSet=paths)
                     for kind, paths in PROPERTIES.items()])
        found = content.propertyCollector.RetrieveContents([spec])
        shown = {str(o.obj): {p.name: text_of(o.obj, p.val) for p in o.propSet} for o in found}
    finally:
        view.Destroy()
    shown["roles"] = {"list": str(content.authorizationManager.roleList)}
    return shown


def files(node):
    """{path: (size, content or None)} of all that lies on the node's datastores."""
    shown = {}
    top = os.path.join(getattr(node, "seen_state", node.state), "datastores")
    for folder, folders, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            size = os.stat(path, follow_symlinks=False).st_size
            digest = None
            if size <= SMALL and not os.path.islink(path):
                with open(path, "rb") as file:
                    digest = hashlib.sha1(file.read()).hexdigest()
            if not GROWS.search(name):
                shown[os.path.relpath(path, top)] = (size, digest)
        shown.update({os.path.relpath(os.path.join(folder, name), top): None for name in folders})
    return shown


def snapshot(si, *nodes):
    """nodes: those whose files count."""
    return {**objects(si), **{node.name: files(node) for node in nodes}}


def difference(before, after):
    """What is not the same, as lines; empty when nothing changed."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            lines.append(f"{key} {'came' if old is None else 'went'}")
            continue
        lines += [f"{key} {name}: {old.get(name)!r:.300} -> {new.get(name)!r:.300}"
                  for name in sorted(old.keys() | new.keys())
                  if old.get(name, "") != new.get(name, "") or (name in old) != (name in new)]
    return lines


class Unchanged:
    """with Unchanged(si, node): nothing of what the block does may leave a trace, not even when it
    fails in another way than the test expects."""

    def __init__(self, si, *nodes):
        self.si, self.nodes = si, nodes

    def __enter__(self):
        self.before = snapshot(self.si, *self.nodes)

    def __exit__(self, kind, *_):
        if kind is None:
            changed = difference(self.before, snapshot(self.si, *self.nodes))
            assert not changed, "\n".join(changed)
