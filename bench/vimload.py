# SPDX-License-Identifier: Apache-2.0
"""A vSphere API client that only makes load: plain SOAP over kept-alive HTTPS, no dependencies.

run(kind, url, user, password, clients, iterations) starts that many processes, which begin
together, and gives the number of finished iterations and the wall time. Kinds:

    login    RetrieveServiceContent, Login, Logout
    read     RetrieveProperties of the root folder's name
    names    every VM's name and power state through a ContainerView
    dump     every property of every VM
    fanout   `clients` wait for changes of all VMs' power states while one switches a VM
"""
import http.client
import multiprocessing
import re
import ssl
import time
import urllib.parse

NS = 'xmlns="urn:vim25"'
ENVELOPE = ('<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
            'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
            '<soapenv:Body>%s</soapenv:Body></soapenv:Envelope>')
VIEW_SPEC = ('<%s><propSet><type>VirtualMachine</type>%s</propSet><objectSet>'
             '<obj type="ContainerView">%s</obj><skip>true</skip>'
             '<selectSet xsi:type="TraversalSpec"><name>v</name><type>ContainerView</type>'
             '<path>view</path><skip>false</skip></selectSet></objectSet></%s>')


class Client:
    def __init__(self, url, version="6.5"):
        parts = urllib.parse.urlparse(url)
        self.path, self.version, self.cookie = parts.path or "/sdk", version, None
        context = ssl._create_unverified_context()
        self.connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context,
                                                      timeout=600)

    def call(self, body):
        headers = {"Content-Type": 'text/xml; charset="utf-8"',
                   "SOAPAction": f'"urn:vim25/{self.version}"'}
        if self.cookie:
            headers["Cookie"] = self.cookie
        self.connection.request("POST", self.path, ENVELOPE % body, headers)
        reply = self.connection.getresponse()
        data = reply.read()
        cookie = reply.getheader("Set-Cookie")
        if cookie and "vmware_soap_session" in cookie:
            self.cookie = cookie.split(";")[0]
        if reply.status != 200:
            raise RuntimeError(f"{reply.status} {data[:300]}")
        return data

    def content(self):
        text = self.call(f'<RetrieveServiceContent {NS}><_this type="ServiceInstance">'
                         'ServiceInstance</_this></RetrieveServiceContent>').decode()

        def reference(tag):
            return re.search(rf'<{tag}\b[^>]*?type="(\w+)"[^>]*>([^<]*)<', text).groups()
        self.sessions, self.root = reference("sessionManager"), reference("rootFolder")
        self.collector, self.views = reference("propertyCollector"), reference("viewManager")

    def login(self, user, password):
        self.call(f"<Login {NS}>{this(self.sessions)}<userName>{user}</userName>"
                  f"<password>{password}</password></Login>")

    def logout(self):
        self.call(f"<Logout {NS}>{this(self.sessions)}</Logout>")
        self.cookie = None

    def view(self):
        text = self.call(f'<CreateContainerView {NS}>{this(self.views)}'
                         f'<container type="{self.root[0]}">{self.root[1]}</container>'
                         '<type>VirtualMachine</type><recursive>true</recursive>'
                         '</CreateContainerView>').decode()
        return re.search(r"<returnval[^>]*>([^<]*)<", text).group(1)

    def retrieve(self, properties, view):
        """Number of objects and bytes."""
        spec = VIEW_SPEC % ("specSet", properties, view, "specSet")
        data = self.call(f"<RetrievePropertiesEx {NS}>{this(self.collector)}{spec}"
                         "<options></options></RetrievePropertiesEx>")
        objects, size = data.count(b"<objects>"), len(data)
        while True:
            token = re.search(rb"<token>([^<]*)</token>", data[:4096] + data[-4096:])
            if not token:
                return objects, size
            data = self.call(f"<ContinueRetrievePropertiesEx {NS}>{this(self.collector)}"
                             f"<token>{token.group(1).decode()}</token>"
                             "</ContinueRetrievePropertiesEx>")
            objects, size = objects + data.count(b"<objects>"), size + len(data)


def this(reference):
    return f'<_this type="{reference[0]}">{reference[1]}</_this>'


def steps(kind, client, user, password):
    """A function that does one iteration."""
    if kind == "login":
        client.logout()

        def login():
            client.content()
            client.login(user, password)
            client.logout()
        return login
    if kind == "read":
        return lambda: client.call(
            f"<RetrieveProperties {NS}>{this(client.collector)}<specSet><propSet><type>"
            f"{client.root[0]}</type><pathSet>name</pathSet></propSet><objectSet><obj type="
            f'"{client.root[0]}">{client.root[1]}</obj></objectSet></specSet></RetrieveProperties>')
    view = client.view()
    if kind == "names":
        paths = "<pathSet>name</pathSet><pathSet>runtime.powerState</pathSet>"
        return lambda: client.retrieve(paths, view)
    return lambda: client.retrieve("<all>true</all>", view)


def worker(kind, url, user, password, iterations, ready, results):
    try:
        client = Client(url)
        client.content()
        client.login(user, password)
        step = steps(kind, client, user, password)
        ready.wait()
        begin = time.time()
        for _ in range(iterations):
            step()
        results.put((begin, time.time(), None))
    except Exception as error:
        ready.abort()
        results.put((0, 0, repr(error)))


def run(kind, url, user, password, clients, iterations, began=lambda: None):
    """Wall seconds of all iterations of all clients; `began` is called when they begin."""
    ready = multiprocessing.Barrier(clients + 1)
    results = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=worker, args=(
        kind, url, user, password, iterations, ready, results)) for _ in range(clients)]
    for process in processes:
        process.start()
    try:
        began()
        ready.wait()
    except Exception:
        pass
    done = [results.get() for _ in processes]
    for process in processes:
        process.join()
    errors = [error for _, _, error in done if error]
    if errors:
        raise RuntimeError(f"{kind}: {errors[0]}")
    return max(end for _, end, _ in done) - min(begin for begin, _, _ in done)


# Fan-out: waiting clients, each in a process of its own, that read updates until they have seen
# the wanted number of power states.

def waiter(url, user, password, updates, ready, results):
    try:
        client = Client(url)
        client.content()
        client.login(user, password)
        view = client.view()
        text = client.call(f"<CreatePropertyCollector {NS}>{this(client.collector)}"
                           "</CreatePropertyCollector>").decode()
        mine = ("PropertyCollector", re.search(r"<returnval[^>]*>([^<]*)<", text).group(1))
        spec = VIEW_SPEC % ("spec", "<pathSet>runtime.powerState</pathSet>", view, "spec")
        client.call(f"<CreateFilter {NS}>{this(mine)}{spec}<partialUpdates>false</partialUpdates>"
                    "</CreateFilter>")
        version, seen = wait(client, mine, "")
        ready.wait()
        seen = 0
        while seen < updates:
            version, n = wait(client, mine, version)
            seen += n
        results.put(None)
    except Exception as error:
        ready.abort()
        results.put(repr(error))


def wait(client, collector, version):
    """The new version and the number of objects in the update; waits for all truncated parts."""
    seen = 0
    while True:
        data = client.call(f"<WaitForUpdatesEx {NS}>{this(collector)}<version>{version}</version>"
                           "<options><maxWaitSeconds>60</maxWaitSeconds></options>"
                           "</WaitForUpdatesEx>")
        match = re.search(rb"<version>([^<]*)</version>", data)
        if not match:
            return version, seen
        version, seen = match.group(1).decode(), seen + data.count(b"<objectSet>")
        if b"<truncated>true" not in data:
            return version, seen


def power_cycle(client, vm, times):
    for i in range(times):
        method = "PowerOffVM_Task" if i % 2 == 0 else "PowerOnVM_Task"
        client.call(f'<{method} {NS}><_this type="VirtualMachine">{vm}</_this></{method}>')
        time.sleep(0.05)


def fanout(url, user, password, clients, updates, began=lambda: None):
    """Switches the first VM `updates` times while `clients` wait; until all have seen it all."""
    ready = multiprocessing.Barrier(clients + 1)
    results = multiprocessing.Queue()
    driver = Client(url)
    driver.content()
    driver.login(user, password)
    view = driver.view()
    spec = VIEW_SPEC % ("specSet", "<pathSet>name</pathSet>", view, "specSet")
    data = driver.call(f"<RetrievePropertiesEx {NS}>{this(driver.collector)}{spec}"
                       "<options><maxObjects>1</maxObjects></options></RetrievePropertiesEx>")
    vm = re.search(rb'<obj [^>]*>([^<]*)<', data).group(1).decode()
    processes = [multiprocessing.Process(target=waiter, args=(
        url, user, password, updates, ready, results)) for _ in range(clients)]
    for process in processes:
        process.start()
    ready.wait()
    time.sleep(0.5)
    began()
    begin = time.time()
    power_cycle(driver, vm, updates)
    errors = [error for error in (results.get() for _ in processes) if error]
    for process in processes:
        process.join()
    if errors:
        raise RuntimeError(f"fanout: {errors[0]}")
    return time.time() - begin
