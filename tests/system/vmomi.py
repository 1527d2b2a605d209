# SPDX-License-Identifier: Apache-2.0
"""Debian's pyvmomi, unmodified, with the few idioms that nearly every script has."""

import ssl

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

__all__ = ["Disconnect", "connect", "collect", "find", "run", "vim", "vmodl", "wait_for_task"]


def connect(node, user=None, password=None):
    return SmartConnect(host=node.address, port=node.port, user=user or node.user,
                        pwd=password or node.password,
                        sslContext=ssl._create_unverified_context())


def collect(si, kind, container=None):
    """All objects of a class, through a ContainerView."""
    content = si.RetrieveContent()
    view = content.viewManager.CreateContainerView(container or content.rootFolder, [kind], True)
    try:
        return list(view.view)
    finally:
        view.Destroy()


def find(si, kind, name):
    """The object of a class by its name, or None."""
    for thing in collect(si, kind):
        if thing.name == name:
            return thing
    return None


def wait_for_task(si, task):
    """Waits for a task as the samples of pyvmomi do, through the PropertyCollector. The result;
    raises the task's fault."""
    collector = si.content.propertyCollector
    spec = vmodl.query.PropertyCollector.FilterSpec(
        objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=task)],
        propSet=[vmodl.query.PropertyCollector.PropertySpec(type=vim.Task, pathSet=[], all=True)])
    task_filter = collector.CreateFilter(spec, True)
    try:
        version = None
        while True:
            update = collector.WaitForUpdates(version)
            version = update.version
            for filter_set in update.filterSet:
                for change in filter_set.objectSet:
                    if change.obj == task and task.info.state in ("success", "error"):
                        if task.info.state == "error":
                            raise task.info.error
                        return task.info.result
    finally:
        task_filter.Destroy()


def run(si, task):
    return wait_for_task(si, task)
